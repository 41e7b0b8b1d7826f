package pjson

import (
	"encoding/base64"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// scalarForm returns the JSON kind in which a scalar field is written ('t' for
// both booleans), and what to call it in a sentence.
func scalarForm(field protoreflect.FieldDescriptor) (jsontext.Kind, string) {
	switch field.Kind() {
	case protoreflect.BoolKind:
		return 't', "true or false"
	case protoreflect.Int32Kind, protoreflect.Sint32Kind, protoreflect.Sfixed32Kind,
		protoreflect.Int64Kind, protoreflect.Sint64Kind, protoreflect.Sfixed64Kind,
		protoreflect.Uint32Kind, protoreflect.Fixed32Kind,
		protoreflect.Uint64Kind, protoreflect.Fixed64Kind:
		return '0', "a whole number"
	case protoreflect.FloatKind, protoreflect.DoubleKind:
		return '0', "a number"
	case protoreflect.EnumKind:
		return '"', "one of " + enumNames(field.Enum())
	case protoreflect.BytesKind:
		return '"', "a string in base64"
	case protoreflect.MessageKind, protoreflect.GroupKind:
		return '"', "a time as RFC 3339 writes it, such as \"2024-01-15T10:15:00Z\""
	case protoreflect.StringKind:
	}
	return '"', "a string"
}

// parseScalar makes text, a JSON string's content or a literal's text, a value
// of the field's kind. What does not fit is an *Error.
func parseScalar(field protoreflect.FieldDescriptor, path, text string) (protoreflect.Value, error) {
	_, want := scalarForm(field)
	refuse := func() (protoreflect.Value, error) {
		return protoreflect.Value{}, errorf(path, "The field %s must be %s, not %s.", quote(path), want, shown(field, text))
	}
	switch field.Kind() {
	case protoreflect.BoolKind:
		switch text {
		case "true":
			return protoreflect.ValueOfBool(true), nil
		case "false":
			return protoreflect.ValueOfBool(false), nil
		}
		return refuse()
	case protoreflect.StringKind:
		if strings.ToValidUTF8(text, "") != text {
			return protoreflect.Value{}, errorf(path, "The field %s is not valid UTF-8.", quote(path))
		}
		return protoreflect.ValueOfString(text), nil
	case protoreflect.BytesKind:
		data, err := base64.StdEncoding.Strict().DecodeString(text)
		if err != nil {
			return protoreflect.Value{}, errorf(path, "The field %s must be %s.", quote(path), want)
		}
		return protoreflect.ValueOfBytes(data), nil
	case protoreflect.EnumKind:
		if value := field.Enum().Values().ByName(protoreflect.Name(text)); value != nil && !unspecified(value) {
			return protoreflect.ValueOfEnum(value.Number()), nil
		}
		return refuse()
	case protoreflect.Int32Kind, protoreflect.Sint32Kind, protoreflect.Sfixed32Kind:
		n, err := parseInt(path, text, want, 32)
		return protoreflect.ValueOfInt32(int32(n)), err
	case protoreflect.Int64Kind, protoreflect.Sint64Kind, protoreflect.Sfixed64Kind:
		n, err := parseInt(path, text, want, 64)
		return protoreflect.ValueOfInt64(n), err
	case protoreflect.Uint32Kind, protoreflect.Fixed32Kind:
		n, err := parseUint(path, text, want, 32)
		return protoreflect.ValueOfUint32(uint32(n)), err
	case protoreflect.Uint64Kind, protoreflect.Fixed64Kind:
		n, err := parseUint(path, text, want, 64)
		return protoreflect.ValueOfUint64(n), err
	case protoreflect.FloatKind:
		f, err := parseFloat(path, text, want, 32)
		return protoreflect.ValueOfFloat32(float32(f)), err
	case protoreflect.DoubleKind:
		f, err := parseFloat(path, text, want, 64)
		return protoreflect.ValueOfFloat64(f), err
	case protoreflect.MessageKind, protoreflect.GroupKind:
		t, err := time.Parse(time.RFC3339Nano, text)
		if err != nil || t.Unix() < minSeconds || t.Unix() > maxSeconds {
			return refuse()
		}
		return protoreflect.ValueOfMessage(timestamppb.New(t).ProtoReflect()), nil
	}
	return protoreflect.Value{}, fmt.Errorf("pjson: the field %s is of the unknown kind %s", field.FullName(), field.Kind())
}

func parseInt(path, text, want string, bits int) (int64, error) {
	n, err := strconv.ParseInt(text, 10, bits)
	switch {
	case errors.Is(err, strconv.ErrRange):
		return 0, errorf(path, "The field %s must be between %d and %d.", quote(path),
			int64(math.MinInt64)>>(64-bits), int64(math.MaxInt64)>>(64-bits))
	case err != nil || strings.HasPrefix(text, "+"):
		return 0, errorf(path, "The field %s must be %s, not %s.", quote(path), want, shorten(text))
	}
	return n, nil
}

func parseUint(path, text, want string, bits int) (uint64, error) {
	n, err := strconv.ParseUint(text, 10, bits)
	switch {
	case errors.Is(err, strconv.ErrRange), err != nil && isNegativeInt(text):
		return 0, errorf(path, "The field %s must be between 0 and %d.", quote(path),
			uint64(math.MaxUint64)>>(64-bits))
	case err != nil:
		return 0, errorf(path, "The field %s must be %s, not %s.", quote(path), want, shorten(text))
	}
	return n, nil
}

func parseFloat(path, text, want string, bits int) (float64, error) {
	f, err := strconv.ParseFloat(text, bits)
	if err != nil || math.IsNaN(f) || math.IsInf(f, 0) || strings.ContainsAny(text, "xX_") {
		return 0, errorf(path, "The field %s must be %s in the range of a %d-bit float, not %s.",
			quote(path), want, bits, shorten(text))
	}
	return f, nil
}

func isNegativeInt(text string) bool {
	_, err := strconv.ParseInt(text, 10, 64)
	return (err == nil || errors.Is(err, strconv.ErrRange)) && strings.HasPrefix(text, "-")
}

// shown is a refused value in a sentence: a text in quotes, a literal without.
func shown(field protoreflect.FieldDescriptor, text string) string {
	if kind, _ := scalarForm(field); kind == '"' {
		return quote(text)
	}
	return shorten(text)
}

// shorten is quote for what is a number or ought to be one: without quotes
// where it looks like one, so that 5.0 is not taken for a string.
func shorten(text string) string {
	if text == "" || len(text) > maxShown || strings.Trim(text, "+-.0123456789eE") != "" {
		return quote(text)
	}
	return text
}

func enumNames(enum protoreflect.EnumDescriptor) string {
	var names []string
	for i := range enum.Values().Len() {
		if value := enum.Values().Get(i); !unspecified(value) {
			names = append(names, string(value.Name()))
		}
	}
	return strings.Join(names, ", ")
}

// unspecified reports whether the value only stands for "none given", which a
// caller says by leaving the field out.
func unspecified(value protoreflect.EnumValueDescriptor) bool {
	return value.Number() == 0 && strings.HasSuffix(string(value.Name()), "_UNSPECIFIED")
}
