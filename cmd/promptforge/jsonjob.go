package main

import "encoding/json"

// jsonJob is a job with the text it came in.
type jsonJob struct {
	wireJob
	text []byte
}

// UnmarshalJSON keeps the text.
func (j *jsonJob) UnmarshalJSON(text []byte) error {
	j.text = append([]byte(nil), text...)
	return json.Unmarshal(text, &j.wireJob)
}
