package provider

import (
	"slices"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"
)

// body is a JSON object being built, in the order in which fields are added.
type body struct {
	names  []string
	values []jsontext.Value
}

// object sets a field to an object, and leaves it out where that has no field.
func (b *body) object(name string, o *body) {
	if len(o.names) > 0 {
		b.raw(name, o.bytes())
	}
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
// known to be an object. Objects that the dialect itself composes (deep) are
// laid over field by field. What would change whom or how a lane asks is
// refused: the model is the job's, and answers are read whole.
func (b *body) overlay(model string, v jsontext.Value, deep ...string) error {
	if v == nil {
		return nil
	}
	fields, err := members(v)
	if err != nil {
		return err
	}
	for _, f := range fields {
		switch {
		case f.name == "stream" && f.value.Kind() == 't':
			return sentence("extra_body.stream cannot be true: answers are read whole.")
		case f.name == "model" && plain(f.value) != model:
			return sentence("extra_body.model is another model than the job's; make a job for it.")
		case slices.Contains(deep, f.name) && f.value.Kind() == '{':
			if err := b.within(f); err != nil {
				return err
			}
		default:
			b.raw(f.name, f.value)
		}
	}
	return nil
}

// within lays the fields of an object over those of one that stands.
func (b *body) within(f member) error {
	i := slices.Index(b.names, f.name)
	if i < 0 {
		b.raw(f.name, f.value)
		return nil
	}
	var inner body
	for _, v := range []jsontext.Value{b.values[i], f.value} {
		fields, err := members(v)
		if err != nil {
			return err
		}
		for _, field := range fields {
			inner.raw(field.name, field.value)
		}
	}
	b.values[i] = inner.bytes()
	return nil
}

// sentence is an error that a person reads as it stands.
type sentence string

func (s sentence) Error() string { return string(s) }

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
