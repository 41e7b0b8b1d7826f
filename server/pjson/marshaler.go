package pjson

import (
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/protobuf/proto"
)

// Marshaler is the gateway's runtime.Marshaler for every content type. Its zero
// value is ready, and safe for concurrent use.
type Marshaler struct{}

var (
	_ runtime.Marshaler = Marshaler{}
	_ runtime.Delimited = Marshaler{}
)

// ContentType returns application/json, whatever the value.
func (Marshaler) ContentType(any) string { return "application/json" }

// Delimiter returns the newline that parts the messages of a stream.
func (Marshaler) Delimiter() []byte { return []byte("\n") }

// Marshal returns v, a proto.Message, as compact JSON without a newline at its
// end. It fails for any other type, and for what JSON or the contract cannot
// express: a NaN, a time outside the years 1 to 9999, a message of
// google.protobuf that is no Timestamp.
func (Marshaler) Marshal(v any) ([]byte, error) {
	m, err := message(v)
	if err != nil {
		return nil, err
	}
	return appendMessage(make([]byte, 0, 512), m.ProtoReflect())
}

// NewEncoder returns an encoder that writes what Marshal returns.
func (j Marshaler) NewEncoder(w io.Writer) runtime.Encoder {
	return runtime.EncoderFunc(func(v any) error {
		body, err := j.Marshal(v)
		if err != nil {
			return err
		}
		_, err = w.Write(body)
		return err
	})
}

// Unmarshal reads data, exactly one JSON object, into v, a proto.Message that
// it resets first. What the caller got wrong is an *Error, and v is then of no
// use. Where data is empty or white space alone it returns io.EOF, which the
// gateway takes for an empty message, so that the check for required fields
// answers.
func (Marshaler) Unmarshal(data []byte, v any) error {
	m, err := message(v)
	if err != nil {
		return err
	}
	return decodeBody(data, m)
}

// NewDecoder returns a decoder that reads r to its end, which the caller bounds
// with http.MaxBytesReader, and then does what Unmarshal does. A read that
// fails is an *Error with the reader's error as its cause.
func (j Marshaler) NewDecoder(r io.Reader) runtime.Decoder {
	return runtime.DecoderFunc(func(v any) error {
		data, err := io.ReadAll(r)
		if err != nil {
			return readError(err)
		}
		return j.Unmarshal(data, v)
	})
}

func readError(err error) *Error {
	e := errorf("", "The request body could not be read to its end.")
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		e = errorf("", "The request body is larger than the %d bytes allowed here.", tooLarge.Limit)
	}
	e.Cause = err
	return e
}

func message(v any) (proto.Message, error) {
	m, ok := v.(proto.Message)
	if !ok {
		return nil, fmt.Errorf("pjson: %T is no proto.Message", v)
	}
	return m, nil
}
