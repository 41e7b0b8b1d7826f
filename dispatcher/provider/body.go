package provider

import (
	"strconv"

	"github.com/go-json-experiment/json/jsontext"
)

// body is a JSON object being built, in the order in which fields are added.
type body struct {
	names  []string
	values []jsontext.Value
}

// raw sets a field to a JSON value; nil leaves it out. A field that stands
// already keeps its place.
func (b *body) raw(name string, v jsontext.Value) {
	if v == nil {
		return
	}
	for i, n := range b.names {
		if n == name {
			b.values[i] = v
			return
		}
	}
	b.names, b.values = append(b.names, name), append(b.values, v)
}

func (b *body) text(name, s string) { b.raw(name, quote(s)) }

func (b *body) integer(name string, n *int64) {
	if n != nil {
		b.raw(name, strconv.AppendInt(nil, *n, 10))
	}
}

func (b *body) number(name string, n *float64) {
	if n != nil {
		b.raw(name, strconv.AppendFloat(nil, *n, 'g', -1, 64))
	}
}

func (b *body) texts(name string, list []string) {
	if list == nil {
		return
	}
	v := []byte{'['}
	for i, s := range list {
		if i > 0 {
			v = append(v, ',')
		}
		v = append(v, quote(s)...)
	}
	b.raw(name, append(v, ']'))
}

// overlay lays the fields of an object over those that stand; the value is
// known to be an object.
func (b *body) overlay(v jsontext.Value) error {
	if v == nil {
		return nil
	}
	fields, err := members(v)
	if err != nil {
		return err
	}
	for _, f := range fields {
		b.raw(f.name, f.value)
	}
	return nil
}

func (b *body) bytes() []byte {
	size := 2
	for i := range b.names {
		size += len(b.names[i]) + len(b.values[i]) + 4
	}
	out := append(make([]byte, 0, size), '{')
	for i, n := range b.names {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(append(append(out, quote(n)...), ':'), b.values[i]...)
	}
	return append(out, '}')
}

// quote is s as a JSON string. Only valid UTF-8 gets here (job.Parser).
func quote(s string) jsontext.Value {
	v, _ := jsontext.AppendQuote(make([]byte, 0, len(s)+2), s)
	return v
}
