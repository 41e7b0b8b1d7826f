package server

import (
	"encoding/json"
	"strings"
	"time"

	"github.com/promptforge/promptforge/job"
	"github.com/promptforge/promptforge/server/pjson"
)

// webhookBody is what a settled job's webhook says: the status object, as
// everywhere else, in the envelope of Standard Webhooks.
func webhookBody(j *job.Job) ([]byte, error) {
	status, err := pjson.Marshaler{}.Marshal(statusOf(j))
	if err != nil {
		return nil, err
	}
	return json.Marshal(struct {
		Type      string          `json:"type"`
		Timestamp string          `json:"timestamp"`
		Data      json.RawMessage `json:"data"`
	}{"job." + strings.ToLower(string(j.Status)), j.SettledAt.UTC().Format(time.RFC3339), status})
}
