package pjson_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"
	"pgregory.net/rapid"

	promptforgev1 "github.com/promptforge/promptforge/gen/go/promptforge/v1"
	"github.com/promptforge/promptforge/server/pjson"
)

// messages are all messages of the contract.
func messages() []protoreflect.MessageDescriptor {
	var all []protoreflect.MessageDescriptor
	for _, file := range []protoreflect.FileDescriptor{
		promptforgev1.File_promptforge_v1_job_proto,
		promptforgev1.File_promptforge_v1_outcome_proto,
		promptforgev1.File_promptforge_v1_error_proto,
		promptforgev1.File_promptforge_v1_job_service_proto,
	} {
		for i := range file.Messages().Len() {
			all = append(all, file.Messages().Get(i))
		}
	}
	return all
}

// TestRoundTrip: whatever message of the contract there is, it is valid JSON,
// always the same bytes, and comes back as it was, to this reader and to
// protobuf's own.
func TestRoundTrip(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		message := dynamicpb.NewMessage(rapid.SampledFrom(messages()).Draw(t, "message"))
		fill(t, message)
		body, err := pjson.Marshaler{}.Marshal(message)
		if err != nil {
			t.Fatal(err)
		}
		if !json.Valid(body) {
			t.Fatalf("not valid JSON: %s", body)
		}
		again, err := pjson.Marshaler{}.Marshal(proto.Clone(message))
		if err != nil || !bytes.Equal(body, again) {
			t.Fatalf("two forms of one message: %s and %s, %v", body, again, err)
		}
		for name, read := range map[string]func([]byte, proto.Message) error{
			"pjson":     func(body []byte, m proto.Message) error { return pjson.Marshaler{}.Unmarshal(body, m) },
			"protojson": protojson.Unmarshal,
		} {
			back := dynamicpb.NewMessage(message.Descriptor())
			if err := read(body, back); err != nil {
				t.Fatalf("%s refuses %s: %v", name, body, err)
			}
			if !proto.Equal(message, back) {
				t.Fatalf("%s made %v of %v, which is %s", name, back, message, body)
			}
		}
	})
}

// fill sets about half of the fields. Times are whole seconds, since no more
// comes back.
func fill(t *rapid.T, m protoreflect.Message) {
	if m.Descriptor().FullName() == "google.protobuf.Timestamp" {
		seconds := rapid.Int64Range(-62135596800, 253402300799).Draw(t, "seconds")
		m.Set(m.Descriptor().Fields().ByName("seconds"), protoreflect.ValueOfInt64(seconds))
		return
	}
	for i := range m.Descriptor().Fields().Len() {
		field := m.Descriptor().Fields().Get(i)
		// An enum without a value has a name that no request may carry.
		if field.Enum() == nil && rapid.Bool().Draw(t, "unset") {
			continue
		}
		switch {
		case field.IsMap():
			for range rapid.IntRange(0, 3).Draw(t, "entries") {
				key := protoreflect.ValueOfString(rapid.String().Draw(t, "key")).MapKey()
				m.Mutable(field).Map().Set(key, scalar(t, field.MapValue()))
			}
		case field.IsList():
			for range rapid.IntRange(0, 3).Draw(t, "elements") {
				fill(t, m.Mutable(field).List().AppendMutable().Message())
			}
		case field.Message() != nil:
			fill(t, m.Mutable(field).Message())
		default:
			m.Set(field, scalar(t, field))
		}
	}
}

func scalar(t *rapid.T, field protoreflect.FieldDescriptor) protoreflect.Value {
	name := string(field.Name())
	switch field.Kind() {
	case protoreflect.BoolKind:
		return protoreflect.ValueOfBool(rapid.Bool().Draw(t, name))
	case protoreflect.StringKind:
		return protoreflect.ValueOfString(rapid.String().Draw(t, name))
	case protoreflect.BytesKind:
		return protoreflect.ValueOfBytes(rapid.SliceOf(rapid.Byte()).Draw(t, name))
	case protoreflect.EnumKind:
		last := field.Enum().Values().Len() - 1
		return protoreflect.ValueOfEnum(protoreflect.EnumNumber(rapid.Int32Range(1, int32(last)).Draw(t, name)))
	case protoreflect.Int32Kind:
		return protoreflect.ValueOfInt32(rapid.Int32().Draw(t, name))
	case protoreflect.Int64Kind:
		return protoreflect.ValueOfInt64(rapid.Int64().Draw(t, name))
	default:
		t.Fatalf("the contract has a field of kind %s now: teach this test about it", field.Kind())
		return protoreflect.Value{}
	}
}

// everything returns a message type with a field of each scalar kind, named
// for it, and a field `self` of its own type: what the contract does not use
// must work too, before somebody uses it.
func everything(t *testing.T) protoreflect.MessageDescriptor {
	t.Helper()
	message := &descriptorpb.DescriptorProto{Name: proto.String("Everything")}
	add := func(name string, kind descriptorpb.FieldDescriptorProto_Type, typeName string) {
		label := descriptorpb.FieldDescriptorProto_LABEL_OPTIONAL
		if strings.HasPrefix(name, "many_") {
			label = descriptorpb.FieldDescriptorProto_LABEL_REPEATED
		}
		field := &descriptorpb.FieldDescriptorProto{
			Name: proto.String(name), Number: proto.Int32(int32(len(message.GetField()) + 1)),
			Type: kind.Enum(), Label: label.Enum(),
		}
		if typeName != "" {
			field.TypeName = proto.String(typeName)
		}
		message.Field = append(message.Field, field)
	}
	add("uint32", descriptorpb.FieldDescriptorProto_TYPE_UINT32, "")
	add("uint64", descriptorpb.FieldDescriptorProto_TYPE_UINT64, "")
	add("float", descriptorpb.FieldDescriptorProto_TYPE_FLOAT, "")
	add("double", descriptorpb.FieldDescriptorProto_TYPE_DOUBLE, "")
	add("bytes", descriptorpb.FieldDescriptorProto_TYPE_BYTES, "")
	add("many_int32", descriptorpb.FieldDescriptorProto_TYPE_INT32, "")
	add("self", descriptorpb.FieldDescriptorProto_TYPE_MESSAGE, ".test.Everything")
	add("many_selves", descriptorpb.FieldDescriptorProto_TYPE_MESSAGE, ".test.Everything")
	add("time", descriptorpb.FieldDescriptorProto_TYPE_MESSAGE, ".google.protobuf.Timestamp")
	file, err := protodesc.NewFile(&descriptorpb.FileDescriptorProto{
		Name: proto.String("test.proto"), Package: proto.String("test"), Syntax: proto.String("proto3"),
		Dependency:  []string{"google/protobuf/timestamp.proto"},
		MessageType: []*descriptorpb.DescriptorProto{message},
	}, files{})
	if err != nil {
		t.Fatal(err)
	}
	return file.Messages().Get(0)
}

// files resolves the one import of the type that everything makes.
type files struct{}

func (files) FindFileByPath(string) (protoreflect.FileDescriptor, error) {
	return promptforgev1.File_promptforge_v1_job_proto.Imports().Get(0).FileDescriptor, nil
}

func (files) FindDescriptorByName(name protoreflect.FullName) (protoreflect.Descriptor, error) {
	return promptforgev1.File_promptforge_v1_job_proto.Imports().Get(0).Messages().ByName(name.Name()), nil
}

func TestEveryKind(t *testing.T) {
	t.Parallel()
	kinds := everything(t)
	const body = `{"uint32":4294967295,"uint64":18446744073709551615,"float":0.5,"double":-1.25e-07,"bytes":"AAE=",` +
		`"many_int32":[1,-2],"self":null,"many_selves":[],"time":"2024-01-15T10:15:00Z"}`
	message := dynamicpb.NewMessage(kinds)
	if err := (pjson.Marshaler{}).Unmarshal([]byte(body), message); err != nil {
		t.Fatal(err)
	}
	if got, err := (pjson.Marshaler{}).Marshal(message); err != nil || string(got) != body {
		t.Errorf("got  %s, %v\nwant %s", got, err, body)
	}
	for body, want := range map[string]string{
		`{"uint32":4294967296}`:     `The field "uint32" must be between 0 and 4294967295.`,
		`{"uint64":-1}`:             `The field "uint64" must be between 0 and 18446744073709551615.`,
		`{"uint64":1.5}`:            `The field "uint64" must be a whole number, not 1.5.`,
		`{"double":1e999}`:          `The field "double" must be a number in the range of a 64-bit float, not 1e999.`,
		`{"double":"1"}`:            `The field "double" must be a number, not a string.`,
		`{"bytes":"?"}`:             `The field "bytes" must be a string in base64.`,
		`{"many_int32":1}`:          `The field "many_int32" must be an array, not a number.`,
		`{"many_int32":[1,null]}`:   `The field "many_int32[1]" must be a whole number, not null.`,
		`{"many_int32":[1,]}`:       `The request body is not valid JSON: invalid character ',' at start of value (at byte 16).`,
		`{"self":{"self":{"a":1}}}`: `Unknown field "self.self.a".`,
		`{"time":"yesterday"}`:      `The field "time" must be a time as RFC 3339 writes it, such as "2024-01-15T10:15:00Z", not "yesterday".`,
		`{"time":5}`:                `The field "time" must be a time as RFC 3339 writes it, such as "2024-01-15T10:15:00Z", not a number.`,
	} {
		checkSentence(t, pjson.Marshaler{}.Unmarshal([]byte(body), dynamicpb.NewMessage(kinds)), want)
	}
}

func TestDepth(t *testing.T) {
	t.Parallel()
	kinds := everything(t)
	nested := func(depth int) []byte {
		return []byte(strings.Repeat(`{"self":`, depth-1) + `{}` + strings.Repeat(`}`, depth-1))
	}
	if err := (pjson.Marshaler{}).Unmarshal(nested(32), dynamicpb.NewMessage(kinds)); err != nil {
		t.Error(err)
	}
	err := pjson.Marshaler{}.Unmarshal(nested(33), dynamicpb.NewMessage(kinds))
	checkSentence(t, err, `The request body is nested more than 32 levels deep.`)
}

// FuzzUnmarshal: no body makes the reader panic, a refusal is a sentence, and
// what is accepted is an object to every other reader too, and comes back as
// the same message.
func FuzzUnmarshal(f *testing.F) {
	for _, body := range []string{
		``, `{}`, `{"provider":"openai","model":"m","rpm":5,"metadata":{"a":"b"}}`, `{"rpm":5.0}`, `{"rpm":"5"}`,
		`{"maxRetries":3}`, `{"model":"a","model":"b"}`, `{} {}`, `[`, `{"model":"\ud800"}`, `{"metadata":{"a":null}}`,
	} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		message := &promptforgev1.InitJobRequest{}
		err := pjson.Marshaler{}.Unmarshal(body, message)
		var mistake *pjson.Error
		switch {
		case errors.Is(err, io.EOF):
			if len(bytes.TrimSpace(body)) != 0 {
				t.Errorf("%q is not empty", body)
			}
			return
		case errors.As(err, &mistake):
			if !isSentence(mistake.Sentence) {
				t.Errorf("%q: %q is no sentence", body, mistake.Sentence)
			}
			return
		case err != nil:
			t.Fatalf("%q: %v is no *Error", body, err)
		}
		var object map[string]any
		if err := json.Unmarshal(body, &object); err != nil {
			t.Errorf("accepted %q, which is no JSON object: %v", body, err)
		}
		again, err := pjson.Marshaler{}.Marshal(message)
		if err != nil {
			t.Fatal(err)
		}
		back := &promptforgev1.InitJobRequest{}
		if err := (pjson.Marshaler{}).Unmarshal(again, back); err != nil || !proto.Equal(message, back) {
			t.Errorf("%q became %s, which reads as %v, %v", body, again, back, err)
		}
	})
}
