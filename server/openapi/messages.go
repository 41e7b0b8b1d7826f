package main

import (
	"fmt"
	"slices"

	"github.com/getkin/kin-openapi/openapi3"
	"google.golang.org/protobuf/reflect/protoreflect"

	promptforgev1 "github.com/promptforge/promptforge/gen/go/promptforge/v1"
)

// neverNull are the messages in an answer that the service always sets.
var neverNull = []protoreflect.FullName{
	"promptforge.v1.GetJobStatusResponse.created_at",
	"promptforge.v1.Job.created_at",
	"promptforge.v1.GetJobResultsResponse.File.expires_at",
	"promptforge.v1.RenewUploadUrlResponse.upload_url",
	"promptforge.v1.RenewUploadUrlResponse.expires_at",
}

// leftOut is the one field that is left out where others would be null.
const leftOut = protoreflect.FullName("promptforge.v1.GetJobResultsResponse.next_page_token")

// exact are the answers that never have another field.
var exact = []protoreflect.FullName{
	"promptforge.v1.InitJobResponse", "promptforge.v1.RenewUploadUrlResponse", "promptforge.v1.GetJobStatusResponse",
}

// describeMessages says of each field what the service's JSON makes of it.
func describeMessages(doc *openapi3.T) error {
	delete(doc.Components.Schemas, "GetJobResponse") // REST answers with the job itself
	for _, message := range messages(promptforgev1.File_promptforge_v1_error_proto, promptforgev1.File_promptforge_v1_job_proto, promptforgev1.File_promptforge_v1_job_service_proto) {
		ref, ok := doc.Components.Schemas[string(message.Name())]
		if !ok {
			continue // gRPC alone has it
		}
		if err := describeMessage(ref.Value, message); err != nil {
			return fmt.Errorf("%s: %w", message.FullName(), err)
		}
	}
	return nil
}

func messages(files ...protoreflect.FileDescriptor) (all []protoreflect.MessageDescriptor) {
	var add func(protoreflect.MessageDescriptors)
	add = func(list protoreflect.MessageDescriptors) {
		for i := range list.Len() {
			all = append(all, list.Get(i))
			add(list.Get(i).Messages())
		}
	}
	for _, f := range files {
		add(f.Messages())
	}
	return all
}

func describeMessage(schema *openapi3.Schema, message protoreflect.MessageDescriptor) error {
	request := message.FullName() == "promptforge.v1.InitJobRequest"
	fields := message.Fields()
	for i := range fields.Len() {
		field := fields.Get(i)
		name := string(field.Name())
		ref := schema.Properties[name]
		if ref == nil {
			return fmt.Errorf("the document has no field %q", name)
		}
		// A reference may have no null beside it; none of ours can be null.
		if ref.Ref == "" {
			describeField(ref.Value, field)
			ref.Value.Nullable = nullable(field, request)
		}
		if !request && field.FullName() != leftOut {
			schema.Required = append(schema.Required, name)
		}
	}
	switch {
	case request:
		schema.Required = []string{"provider", "model"}
		schema.AdditionalProperties = openapi3.AdditionalProperties{Has: new(false)}
	case slices.Contains(exact, message.FullName()):
		schema.AdditionalProperties = openapi3.AdditionalProperties{Has: new(false)}
	}
	return nil
}

func describeField(schema *openapi3.Schema, field protoreflect.FieldDescriptor) {
	switch field.Kind() {
	case protoreflect.Int64Kind:
		schema.Type, schema.Format = &openapi3.Types{"integer"}, "int64"
	case protoreflect.StringKind:
		if field.Name() == "job_id" || field.Name() == "continue_from" {
			schema.Format = "uuid"
		}
	}
}

// nullable tells whether a field may be null: in an answer whatever may be
// unset, in a request whatever may be left out.
func nullable(field protoreflect.FieldDescriptor, request bool) bool {
	if request {
		return field.Name() != "provider" && field.Name() != "model"
	}
	return field.HasPresence() && !slices.Contains(neverNull, field.FullName()) && field.FullName() != leftOut
}
