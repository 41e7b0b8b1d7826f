package provider

import (
	"bytes"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// lenient is how foreign JSON is read: what a provider's own SDK would take.
var lenient = []jsontext.Options{jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)}

var byteOrderMark = []byte("\xef\xbb\xbf")

// readable is a body as it is read and kept: valid UTF-8, and what JSON it holds
// in one line, since parts of it become parts of lines. What is no UTF-8, or a
// half of a surrogate pair, becomes U+FFFD. The error of a stream, which nobody
// asked for, is taken out of its event. What is no JSON is left as it came.
// Most answers are in order already, and nothing here parses them.
func readable(body []byte) []byte {
	body = bytes.TrimSpace(bytes.TrimPrefix(body, byteOrderMark))
	if !utf8.Valid(body) {
		body = bytes.ToValidUTF8(body, []byte("\uFFFD"))
	}
	if data := streamedError(body); data != nil {
		body = data
	}
	v := jsontext.Value(body)
	surrogates := bytes.Contains(v, []byte(`\ud`)) || bytes.Contains(v, []byte(`\uD`))
	if surrogates && !v.IsValid(jsontext.AllowDuplicateNames(true)) && v.IsValid(lenient...) {
		// Quoting anew replaces halves of pairs.
		v = v.Clone()
		if v.Format(append(lenient, jsontext.PreserveRawStrings(false))...) != nil {
			return body
		}
	}
	if bytes.ContainsAny(v, "\n\r") && v.Compact(lenient...) != nil {
		return body
	}
	return v
}

// kept is a readable body as it is kept: nil where it is no JSON. What is done
// was read as JSON from end to end.
func kept(body []byte, done bool) []byte {
	if !done && !jsontext.Value(body).IsValid(lenient...) {
		return nil
	}
	return body
}

// streamedError is the data of the last event of a stream that is an error;
// nil where the body is no stream, or one without an error.
func streamedError(body []byte) []byte {
	if !bytes.HasPrefix(body, []byte("event:")) && !bytes.HasPrefix(body, []byte("data:")) && !bytes.HasPrefix(body, []byte(":")) {
		return nil
	}
	var found []byte
	named := false // the event's name is error
	for line := range bytes.Lines(body) {
		line = bytes.TrimSpace(line)
		if name, ok := bytes.CutPrefix(line, []byte("event:")); ok {
			named = string(bytes.TrimSpace(name)) == "error"
		}
		data, ok := bytes.CutPrefix(line, []byte("data:"))
		if data = bytes.TrimSpace(data); ok && (named || bytes.Contains(data, []byte(`"error"`))) && jsontext.Value(data).IsValid(lenient...) {
			found = data
		}
	}
	return found
}
