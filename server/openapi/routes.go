package main

import (
	"slices"

	"github.com/getkin/kin-openapi/openapi3"
)

const ndjson = "application/x-ndjson"

// sorted puts the names of required fields in order, whatever the map gave.
func sorted(schema *openapi3.Schema) *openapi3.Schema {
	slices.Sort(schema.Required)
	return schema
}

// operation is a call of the service with its answer when all is well.
func operation(id, summary, description, status string, ok *openapi3.Response, errors ...int) *openapi3.Operation {
	op := openapi3.NewOperation()
	op.OperationID, op.Summary, op.Description = id, summary, description
	op.Tags = []string{"JobService"}
	op.Responses = openapi3.NewResponses(openapi3.WithName(status, ok))
	for _, status := range errors {
		fail(op, status)
	}
	return op
}

func body(description, mediaType string, schema *openapi3.SchemaRef) *openapi3.Response {
	return openapi3.NewResponse().WithDescription(description).
		WithContent(openapi3.NewContentWithSchemaRef(schema, []string{mediaType}))
}

func jobID() *openapi3.Parameter {
	return openapi3.NewPathParameter("job_id").WithSchema(openapi3.NewStringSchema()).WithDescription("Job identifier, a UUID.")
}

// describeEvents adds the server-sent events.
func describeEvents(doc *openapi3.T) {
	op := operation("WatchJob", "Server-sent events: the state now, then one event a change.",
		"Each event has an `id:` and `data:` with the status object, at most 4 a second; the settled state is the last, and then the stream ends. A comment comes every 15 seconds.",
		"200", body("The events.", "text/event-stream", openapi3.NewStringSchema().NewRef()), 400, 401, 404, 429, 500, 503)
	op.Responses.Set("204", &openapi3.ResponseRef{Value: openapi3.NewResponse().WithDescription("Last-Event-ID names the settled state: there is nothing more to come.")})
	op.AddParameter(jobID())
	op.AddParameter(openapi3.NewHeaderParameter("Last-Event-ID").WithSchema(openapi3.NewStringSchema()).WithDescription("The id of the last event that was received."))
	doc.AddOperation("/v1/jobs/{job_id}/events", "GET", op)
}

// describeTransfers adds the signed URLs. They are whole when they come, and
// are not to be put together.
func describeTransfers(doc *openapi3.T) {
	file := func(id string, op *openapi3.Operation) *openapi3.Operation {
		op.OperationID = id
		op.Security = openapi3.NewSecurityRequirements()
		op.AddParameter(jobID())
		op.AddParameter(openapi3.NewPathParameter("file").WithSchema(openapi3.NewStringSchema()).WithDescription("The file's name."))
		for _, name := range []string{"v", "kid", "client", "expires", "sig"} {
			op.AddParameter(openapi3.NewQueryParameter(name).WithRequired(true).WithSchema(openapi3.NewStringSchema()).WithDescription("Part of the signed URL."))
		}
		return op
	}
	done := openapi3.NewObjectSchema().
		WithProperty("job_id", openapi3.NewUUIDSchema()).
		WithPropertyRef("status", schemaRef("JobStatus")).
		WithProperty("prompt_count", openapi3.NewInt32Schema())
	done.Required = []string{"job_id", "status", "prompt_count"}
	done.Description = "What a whole upload came to."
	doc.Components.Schemas["Uploaded"] = done.NewRef()

	put := file("PutPrompts", operation("", "The upload: PUT the prompts file to the upload_url as it came.",
		"The body is JSON Lines, each a PromptLine. It answers when the file is durable and counted. A PUT that breaks leaves the URL good.",
		"200", body("The file is durable and counted.", "application/json", schemaRef("Uploaded")), 400, 403, 404, 409, 413, 429, 500, 503))
	put.RequestBody = &openapi3.RequestBodyRef{Value: openapi3.NewRequestBody().WithRequired(true).
		WithContent(openapi3.NewContentWithSchemaRef(openapi3.NewStringSchema().WithFormat("binary").NewRef(), []string{ndjson, "application/octet-stream"}))}
	for name, description := range map[string]string{
		"Content-Encoding": "gzip or zstd.",
		"Content-Digest":   "sha-256 or sha-512 of the body as sent (RFC 9530).",
	} {
		put.AddParameter(openapi3.NewHeaderParameter(name).WithSchema(openapi3.NewStringSchema()).WithDescription(description))
	}
	slices.SortFunc(put.Parameters, byName)
	doc.AddOperation("/v1/transfers/uploads/{job_id}/{file}", "PUT", put)

	whole := body("The file.", ndjson, openapi3.NewStringSchema().WithFormat("binary").NewRef())
	get := file("GetFile", operation("", "A download: GET a file's url as it came.",
		"JSON Lines: ResultLine in results_part_NNN.jsonl, ErrorLine in errors.jsonl. It takes one Range, If-Range, If-Match and If-None-Match.",
		"200", whole, 403, 404, 412, 416, 429, 500, 503))
	get.Responses.Set("206", &openapi3.ResponseRef{Value: body("The range.", ndjson, openapi3.NewStringSchema().WithFormat("binary").NewRef())})
	get.Responses.Set("304", &openapi3.ResponseRef{Value: openapi3.NewResponse().WithDescription("If-None-Match names this version of the file.")})
	get.AddParameter(openapi3.NewQueryParameter("view").WithSchema(openapi3.NewStringSchema().WithEnum("full")).WithDescription("Part of the signed URL, where the whole answers were asked for."))
	get.AddParameter(openapi3.NewHeaderParameter("Range").WithSchema(openapi3.NewStringSchema()).WithDescription("bytes=FIRST-LAST"))
	doc.AddOperation("/v1/transfers/downloads/{job_id}/{file}", "GET", get)
}

func byName(a, b *openapi3.ParameterRef) int {
	switch {
	case a.Value.In+a.Value.Name < b.Value.In+b.Value.Name:
		return -1
	default:
		return 1
	}
}

// describeHealth adds what load balancers ask.
func describeHealth(doc *openapi3.T) {
	status := openapi3.NewObjectSchema().WithProperty("status", openapi3.NewStringSchema().WithEnum("ok"))
	status.Required = []string{"status"}
	for path, summary := range map[string]string{
		"/healthz": "Whether the server is up.",
		"/readyz":  "Whether the server is up and its store can take a write.",
	} {
		op := operation(map[string]string{"/healthz": "Healthz", "/readyz": "Readyz"}[path], summary, "", "200", body("It is.", "application/json", status.NewRef()), 503)
		op.Tags = []string{"Health"}
		op.Security = openapi3.NewSecurityRequirements()
		doc.AddOperation(path, "GET", op)
	}
}
