package pjson

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/emptypb"
)

// maxDepth is how many objects may stand in each other. No request needs more
// than two; the bound keeps a hostile body from growing the stack.
const maxDepth = 32

// decoder walks one body. jsontext holds the grammar, UTF-8 and that no name
// is repeated; the decoder holds names and types.
type decoder struct {
	text *jsontext.Decoder
}

func decodeBody(data []byte, m proto.Message) error {
	if len(bytes.TrimLeft(data, " \t\r\n")) == 0 {
		return io.EOF
	}
	proto.Reset(m)
	d := decoder{text: jsontext.NewDecoder(bytes.NewReader(data))}
	switch kind := d.text.PeekKind(); kind {
	case '{':
	case 0:
		return d.syntaxError()
	default:
		return errorf("", "The request body must be a JSON object, not %s.", kindName(kind))
	}
	if err := d.message(m.ProtoReflect(), "", 1); err != nil {
		return err
	}
	if _, err := d.text.ReadToken(); !errors.Is(err, io.EOF) {
		return errorf("", "Nothing may follow the JSON object in the request body.")
	}
	return nil
}

// CheckNoFields reads the body of a request that takes no fields to its end: it
// is empty, or an object without a field. What the caller got wrong is an *Error.
func CheckNoFields(r io.Reader) error {
	err := Marshaler{}.NewDecoder(r).Decode(new(emptypb.Empty))
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// message reads an object, whose path from the body's root is given: empty for
// the root itself.
func (d decoder) message(m protoreflect.Message, path string, depth int) error {
	if depth > maxDepth {
		return errorf(path, "The request body is nested more than %d levels deep.", maxDepth)
	}
	if err := supported(m.Descriptor()); err != nil {
		return err
	}
	return d.object(func(name string) error {
		field := m.Descriptor().Fields().ByName(protoreflect.Name(name))
		if field == nil {
			return unknownField(m.Descriptor(), path, name)
		}
		return d.field(m, field, join(path, name), depth)
	})
}

// object reads an object and calls member for each name, at its value.
func (d decoder) object(member func(name string) error) error {
	if _, err := d.text.ReadToken(); err != nil {
		return syntaxError(err)
	}
	for {
		token, err := d.text.ReadToken()
		if err != nil {
			return syntaxError(err)
		}
		if token.Kind() == '}' {
			return nil
		}
		if err := member(token.String()); err != nil {
			return err
		}
	}
}

func (d decoder) field(m protoreflect.Message, field protoreflect.FieldDescriptor, path string, depth int) error {
	if d.text.PeekKind() == 'n' {
		return d.skip()
	}
	if inOneof(field) {
		if other := m.WhichOneof(field.ContainingOneof()); other != nil {
			return errorf(path, "Only one of the fields %q and %q may be given.", other.Name(), field.Name())
		}
	}
	switch {
	case field.IsMap():
		return d.mapField(m.Mutable(field).Map(), field, path, depth)
	case field.IsList():
		return d.list(m.Mutable(field).List(), field, path, depth)
	default:
		v, err := d.value(field, m.NewField(field), path, depth)
		if err != nil {
			return err
		}
		m.Set(field, v)
		return nil
	}
}

func (d decoder) mapField(m protoreflect.Map, field protoreflect.FieldDescriptor, path string, depth int) error {
	if field.MapKey().Kind() != protoreflect.StringKind {
		return fmt.Errorf("pjson: the map %s has keys that are no strings", field.FullName())
	}
	if err := d.expect('{', path, "an object"); err != nil {
		return err
	}
	return d.object(func(key string) error {
		if d.text.PeekKind() == 'n' {
			return d.skip()
		}
		v, err := d.value(field.MapValue(), m.NewValue(), join(path, key), depth)
		if err != nil {
			return err
		}
		m.Set(protoreflect.ValueOfString(key).MapKey(), v)
		return nil
	})
}

func (d decoder) list(list protoreflect.List, field protoreflect.FieldDescriptor, path string, depth int) error {
	if err := d.expect('[', path, "an array"); err != nil {
		return err
	}
	if _, err := d.text.ReadToken(); err != nil {
		return syntaxError(err)
	}
	for d.text.PeekKind() != ']' {
		v, err := d.value(field, list.NewElement(), fmt.Sprintf("%s[%d]", path, list.Len()), depth)
		if err != nil {
			return err
		}
		list.Append(v)
	}
	return d.skip()
}

// value reads one value of the field's kind. For a message it is read into
// empty, a new one of the field's type.
func (d decoder) value(field protoreflect.FieldDescriptor, empty protoreflect.Value, path string, depth int) (protoreflect.Value, error) {
	if field.Message() != nil && field.Message().FullName() != timestampName {
		if err := d.expect('{', path, "an object"); err != nil {
			return empty, err
		}
		return empty, d.message(empty.Message(), path, depth+1)
	}
	kind, want := scalarForm(field)
	if err := d.expect(kind, path, want); err != nil {
		return empty, err
	}
	token, err := d.text.ReadToken()
	if err != nil {
		return empty, syntaxError(err)
	}
	return parseScalar(field, path, token.String())
}

// expect looks at the next value without reading it. Kind 't' stands for both
// booleans, and want says in words what kind is.
func (d decoder) expect(kind jsontext.Kind, path, want string) error {
	got := d.text.PeekKind()
	switch got {
	case kind:
		return nil
	case 'f':
		if kind == 't' {
			return nil
		}
	case 't', '{', '[', '"', '0', 'n':
	default:
		return d.syntaxError()
	}
	return errorf(path, "The field %s must be %s, not %s.", quote(path), want, kindName(got))
}

func (d decoder) skip() error {
	if _, err := d.text.ReadToken(); err != nil {
		return syntaxError(err)
	}
	return nil
}

// syntaxError is for where a peek has failed: the read that follows says why.
func (d decoder) syntaxError() error {
	_, err := d.text.ReadToken()
	return syntaxError(err)
}

func syntaxError(err error) error {
	var syntactic *jsontext.SyntacticError
	switch {
	case errors.Is(err, jsontext.ErrDuplicateName) && errors.As(err, &syntactic):
		path := strings.Join(slices.Collect(syntactic.JSONPointer.Tokens()), ".")
		return errorf(path, "The field %s is given twice.", quote(path))
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return errorf("", "The request body ends in the middle of the JSON object.")
	case errors.As(err, &syntactic) && syntactic.Err != nil:
		why := strings.TrimPrefix(syntactic.Err.Error(), "jsontext: ")
		return errorf("", "The request body is not valid JSON: %s (at byte %d).", why, syntactic.ByteOffset)
	default:
		return errorf("", "The request body is not valid JSON.")
	}
}

func unknownField(m protoreflect.MessageDescriptor, path, name string) error {
	sentence := "Unknown field " + quote(join(path, name))
	if near := nearest(m, name); near != "" {
		sentence += "; did you mean " + quote(join(path, near)) + "?"
	} else {
		sentence += "."
	}
	return errorf(join(path, name), "%s", sentence)
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

func kindName(kind jsontext.Kind) string {
	switch kind {
	case 'n':
		return "null"
	case 't', 'f':
		return "a boolean"
	case '"':
		return "a string"
	case '0':
		return "a number"
	case '[':
		return "an array"
	default:
		return "an object"
	}
}
