package provider

import (
	"bytes"

	"github.com/go-json-experiment/json/jsontext"
)

type member struct {
	name  string
	value jsontext.Value
}

// members are the fields of a JSON object in their order.
func members(v jsontext.Value) ([]member, error) {
	dec := jsontext.NewDecoder(bytes.NewReader(v))
	if _, err := dec.ReadToken(); err != nil {
		return nil, err
	}
	var out []member
	for dec.PeekKind() != '}' {
		tok, err := dec.ReadToken()
		if err != nil {
			return nil, err
		}
		name := tok.String()
		value, err := dec.ReadValue()
		if err != nil {
			return nil, err
		}
		out = append(out, member{name, value.Clone()})
	}
	return out, nil
}
