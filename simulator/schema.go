package simulator

import (
	"encoding/json"
	"slices"
	"strings"
)

// schema is the part of JSON Schema that decides what a value looks like. Of
// anyOf and oneOf the first is taken; lengths, ranges and formats are not kept.
type schema struct {
	Type       json.RawMessage    `json:"type"` // a name, or a list of names
	Properties map[string]*schema `json:"properties"`
	Items      *schema            `json:"items"`
	Enum       []json.RawMessage  `json:"enum"`
	Const      json.RawMessage    `json:"const"`
	AnyOf      []*schema          `json:"anyOf"`
	OneOf      []*schema          `json:"oneOf"`
	Ref        string             `json:"$ref"`
	Defs       map[string]*schema `json:"$defs"`
}

// maxDepth ends a schema that refers to itself.
const maxDepth = 8

// fromSchema writes a JSON document that fits raw, in which every free string
// holds k. Without a schema, or with one that cannot be read, it is an object
// with k alone. Properties come in the order of their names.
func fromSchema(raw json.RawMessage, k key) string {
	var root schema
	if len(raw) == 0 || json.Unmarshal(raw, &root) != nil {
		return `{"key":"` + k.String() + `"}`
	}
	g := generator{defs: root.Defs, key: k.String()}
	return string(g.append(nil, &root, 0))
}

type generator struct {
	defs map[string]*schema
	key  string
}

func (g *generator) append(b []byte, s *schema, depth int) []byte {
	if s == nil || depth > maxDepth {
		return append(b, "null"...)
	}
	switch {
	case s.Ref != "":
		return g.append(b, g.defs[strings.TrimPrefix(s.Ref, "#/$defs/")], depth+1)
	case len(s.Const) > 0:
		return append(b, s.Const...)
	case len(s.Enum) > 0:
		return append(b, s.Enum[0]...)
	case len(s.AnyOf) > 0:
		return g.append(b, s.AnyOf[0], depth+1)
	case len(s.OneOf) > 0:
		return g.append(b, s.OneOf[0], depth+1)
	}
	switch strings.ToLower(s.kind()) { // Google writes types in capitals
	case "string":
		return appendString(b, g.key)
	case "integer", "number":
		return append(b, '1')
	case "boolean":
		return append(b, "true"...)
	case "null":
		return append(b, "null"...)
	case "array":
		b = append(b, '[')
		if s.Items != nil && depth < maxDepth {
			b = g.append(b, s.Items, depth+1)
		}
		return append(b, ']')
	}
	names := make([]string, 0, len(s.Properties))
	for name := range s.Properties {
		names = append(names, name)
	}
	slices.Sort(names)
	b = append(b, '{')
	for i, name := range names {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendString(b, name)
		b = append(b, ':')
		b = g.append(b, s.Properties[name], depth+1)
	}
	return append(b, '}')
}

// kind is the first type that the schema names; "object" where it names none.
func (s *schema) kind() string {
	var name string
	if json.Unmarshal(s.Type, &name) == nil {
		return name
	}
	var list []string
	if json.Unmarshal(s.Type, &list) == nil && len(list) > 0 {
		return list[0]
	}
	return "object"
}
