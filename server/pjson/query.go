package pjson

import (
	"maps"
	"net/url"
	"slices"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"github.com/grpc-ecosystem/grpc-gateway/v2/utilities"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// QueryParser is the gateway's runtime.QueryParameterParser, as strict as the
// Marshaler is with bodies. Its zero value is ready, and safe for concurrent
// use. A route whose fields all stand in the path never asks it.
type QueryParser struct{}

var _ runtime.QueryParameterParser = QueryParser{}

// Parse sets the fields of msg that values name: scalars of msg itself, by
// their exact snake_case names, each once (a repeated field as often as one
// likes). An empty value counts as left out, but for a boolean, where it could
// be meant as true. The fields in filter come from the path, and are refused
// here. What the caller got wrong is an *Error; of several mistakes it is the
// one whose name sorts first.
func (QueryParser) Parse(msg proto.Message, values url.Values, filter *utilities.DoubleArray) error {
	m := msg.ProtoReflect()
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if err := parseParameter(m, name, values[name], filter); err != nil {
			return err
		}
	}
	return nil
}

func parseParameter(m protoreflect.Message, name string, values []string, filter *utilities.DoubleArray) error {
	field := m.Descriptor().Fields().ByName(protoreflect.Name(name))
	switch {
	case field == nil:
		return unknownParameter(m.Descriptor(), name)
	case filter != nil && filter.HasCommonPrefix([]string{name}):
		return errorf(name, "The field %q stands in the path and cannot be given in the query.", name)
	case field.IsMap() || field.Message() != nil && field.Message().FullName() != timestampName:
		return errorf(name, "The field %q cannot be given in the query.", name)
	case !field.IsList() && len(values) > 1:
		return errorf(name, "The parameter %q is given %d times.", name, len(values))
	}
	for _, text := range values {
		if text == "" && field.Kind() != protoreflect.BoolKind {
			continue
		}
		if inOneof(field) {
			if other := m.WhichOneof(field.ContainingOneof()); other != nil {
				return errorf(name, "Only one of the fields %q and %q may be given.", other.Name(), name)
			}
		}
		v, err := parseScalar(field, name, text)
		if err != nil {
			return err
		}
		if field.IsList() {
			m.Mutable(field).List().Append(v)
		} else {
			m.Set(field, v)
		}
	}
	return nil
}

func unknownParameter(m protoreflect.MessageDescriptor, name string) error {
	if near := nearest(m, name); near != "" {
		return errorf(name, "Unknown parameter %s; did you mean %s?", quote(name), quote(near))
	}
	return errorf(name, "Unknown parameter %s.", quote(name))
}
