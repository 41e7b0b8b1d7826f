package pjson

import (
	"encoding/base64"
	"fmt"
	"math"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// omitUnset names the fields that are left out, rather than null, while unset:
// those that the contract's body does not show at all where they say nothing.
var omitUnset = map[protoreflect.FullName]bool{
	"promptforge.v1.GetJobResultsResponse.next_page_token": true,
}

const (
	timestampName protoreflect.FullName = "google.protobuf.Timestamp"
	emptyName     protoreflect.FullName = "google.protobuf.Empty"
)

// The seconds of 0001-01-01T00:00:00Z and 9999-12-31T23:59:59Z, between which
// RFC 3339 can write a time.
const (
	minSeconds = -62135596800
	maxSeconds = 253402300799
)

func appendMessage(b []byte, m protoreflect.Message) ([]byte, error) {
	if err := supported(m.Descriptor()); err != nil {
		return nil, err
	}
	if m.Descriptor().FullName() == timestampName {
		return appendTimestamp(b, m)
	}
	b = append(b, '{')
	first := true
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		field := fields.Get(i)
		set := !field.HasPresence() || m.Has(field)
		if !set && (inOneof(field) || omitUnset[field.FullName()]) {
			continue
		}
		if !first {
			b = append(b, ',')
		}
		first = false
		b = append(b, '"')
		b = append(b, field.Name()...)
		b = append(b, '"', ':')
		if !set {
			b = append(b, "null"...)
			continue
		}
		var err error
		if b, err = appendField(b, field, m.Get(field)); err != nil {
			return nil, err
		}
	}
	return append(b, '}'), nil
}

// supported refuses the messages of google.protobuf, each of which would want a
// form of its own, but for the one that the contract uses, and the one without a
// field.
func supported(m protoreflect.MessageDescriptor) error {
	if name := m.FullName(); name.Parent() == timestampName.Parent() && name != timestampName && name != emptyName {
		return fmt.Errorf("pjson: %s has no form in this JSON", name)
	}
	return nil
}

// inOneof reports whether the field is a member of a oneof that stands in the
// proto file, and not of the one that `optional` makes.
func inOneof(field protoreflect.FieldDescriptor) bool {
	oneof := field.ContainingOneof()
	return oneof != nil && !oneof.IsSynthetic()
}

func appendField(b []byte, field protoreflect.FieldDescriptor, v protoreflect.Value) ([]byte, error) {
	switch {
	case field.IsMap():
		return appendMap(b, field, v.Map())
	case field.IsList():
		return appendList(b, field, v.List())
	default:
		return appendSingle(b, field, v)
	}
}

func appendList(b []byte, field protoreflect.FieldDescriptor, list protoreflect.List) ([]byte, error) {
	b = append(b, '[')
	for i := range list.Len() {
		if i > 0 {
			b = append(b, ',')
		}
		var err error
		if b, err = appendSingle(b, field, list.Get(i)); err != nil {
			return nil, err
		}
	}
	return append(b, ']'), nil
}

func appendMap(b []byte, field protoreflect.FieldDescriptor, m protoreflect.Map) ([]byte, error) {
	keys := make([]protoreflect.MapKey, 0, m.Len())
	m.Range(func(k protoreflect.MapKey, _ protoreflect.Value) bool {
		keys = append(keys, k)
		return true
	})
	sort.Slice(keys, func(i, j int) bool { return keys[i].String() < keys[j].String() })
	b = append(b, '{')
	for i, k := range keys {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendString(b, k.String())
		b = append(b, ':')
		var err error
		if b, err = appendSingle(b, field.MapValue(), m.Get(k)); err != nil {
			return nil, err
		}
	}
	return append(b, '}'), nil
}

func appendSingle(b []byte, field protoreflect.FieldDescriptor, v protoreflect.Value) ([]byte, error) {
	switch field.Kind() {
	case protoreflect.BoolKind:
		return strconv.AppendBool(b, v.Bool()), nil
	case protoreflect.StringKind:
		return appendString(b, v.String()), nil
	case protoreflect.BytesKind:
		b = append(b, '"')
		b = base64.StdEncoding.AppendEncode(b, v.Bytes())
		return append(b, '"'), nil
	case protoreflect.EnumKind:
		return appendEnum(b, field, v.Enum()), nil
	case protoreflect.Int32Kind, protoreflect.Sint32Kind, protoreflect.Sfixed32Kind,
		protoreflect.Int64Kind, protoreflect.Sint64Kind, protoreflect.Sfixed64Kind:
		return strconv.AppendInt(b, v.Int(), 10), nil
	case protoreflect.Uint32Kind, protoreflect.Fixed32Kind,
		protoreflect.Uint64Kind, protoreflect.Fixed64Kind:
		return strconv.AppendUint(b, v.Uint(), 10), nil
	case protoreflect.FloatKind:
		return appendFloat(b, field, v.Float(), 32)
	case protoreflect.DoubleKind:
		return appendFloat(b, field, v.Float(), 64)
	case protoreflect.MessageKind, protoreflect.GroupKind:
		return appendMessage(b, v.Message())
	default:
		return nil, fmt.Errorf("pjson: the field %s is of the unknown kind %s", field.FullName(), field.Kind())
	}
}

// appendEnum writes the value's name, or its number where the proto file knows
// no name for it: an answer of a newer service is better shown than refused.
func appendEnum(b []byte, field protoreflect.FieldDescriptor, n protoreflect.EnumNumber) []byte {
	value := field.Enum().Values().ByNumber(n)
	if value == nil {
		return strconv.AppendInt(b, int64(n), 10)
	}
	return appendString(b, string(value.Name()))
}

func appendFloat(b []byte, field protoreflect.FieldDescriptor, f float64, bits int) ([]byte, error) {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return nil, fmt.Errorf("pjson: the field %s is %v, which is no JSON number", field.FullName(), f)
	}
	return strconv.AppendFloat(b, f, 'g', -1, bits), nil
}

// appendString writes s quoted. Protobuf lets no invalid UTF-8 through, but
// whoever fills a message by hand can: it becomes U+FFFD.
func appendString(b []byte, s string) []byte {
	quoted, err := jsontext.AppendQuote(b, s)
	if err != nil {
		quoted, _ = jsontext.AppendQuote(b, strings.ToValidUTF8(s, "\uFFFD"))
	}
	return quoted
}

func appendTimestamp(b []byte, m protoreflect.Message) ([]byte, error) {
	// The nanoseconds count upwards from the seconds, also before 1970, so
	// that dropping them truncates.
	seconds := m.Get(m.Descriptor().Fields().ByNumber(1)).Int()
	if seconds < minSeconds || seconds > maxSeconds {
		return nil, fmt.Errorf("pjson: a time of %d seconds is outside the years 1 to 9999", seconds)
	}
	b = append(b, '"')
	b = time.Unix(seconds, 0).UTC().AppendFormat(b, time.RFC3339)
	return append(b, '"'), nil
}
