package main

import (
	"strconv"

	"github.com/getkin/kin-openapi/openapi3"
)

// failures are the errors, by status: what each means on any route.
var failures = map[int]string{
	400: "Malformed JSON, a wrong type, an unknown or missing field, a value out of range; a broken, cut or mismatching upload.",
	401: "No API key, more than one, an unknown or a revoked one.",
	403: "A transfer URL that is expired, altered or used with another method, or whose client has no key any more.",
	404: "No such job, another client's job, or an id that is no UUID; no such route.",
	405: "Another method is wanted: see the header Allow.",
	409: "The job's state does not allow this, or the Idempotency-Key came before with another request.",
	412: "If-Match names another version of the file.",
	413: "An upload over the limit of bytes or lines.",
	416: "A range outside the file.",
	422: "The provider or the model is not offered here.",
	429: "The client is over its own quota: see the header Retry-After.",
	500: "A fault of the service.",
	503: "The store cannot take the write now, or the server is stopping; repeating is safe: see the header Retry-After.",
}

// everywhere are the errors of every route that wants a key.
var everywhere = []int{400, 401, 429, 500, 503}

// describeCalls gives each call its errors, and what its proto cannot say.
func describeCalls(doc *openapi3.T) {
	for path, item := range doc.Paths.Map() {
		for _, operation := range item.Operations() {
			operation.Responses.Delete("default")
			for _, status := range everywhere {
				fail(operation, status)
			}
			if path != "/v1/jobs" && path != "/v1/jobs/init" {
				fail(operation, 404)
			}
		}
	}
	find := func(path string) *openapi3.PathItem { return doc.Paths.Find(path) }

	begin := find("/v1/jobs/init").Post
	begin.Responses.Set("202", begin.Responses.Value("200"))
	begin.Responses.Delete("200")
	for _, status := range []int{404, 409, 422} {
		fail(begin, status)
	}
	begin.AddParameter(openapi3.NewHeaderParameter("Idempotency-Key").
		WithSchema(openapi3.NewStringSchema().WithMinLength(1).WithMaxLength(255)).
		WithDescription("The same key with the same request within 24 hours answers the same job."))
	fail(find("/v1/jobs/{job_id}/upload-url").Post, 409)
	fail(find("/v1/jobs/{job_id}/cancel").Post, 409)

	results := find("/v1/jobs/{job_id}/results").Get
	fail(results, 409)
	results.Parameters.GetByInAndName("query", "view").Schema.Value.Enum = []any{"full"}

	list := find("/v1/jobs").Get
	size := list.Parameters.GetByInAndName("query", "page_size").Schema.Value
	size.Min, size.Max = new(1.0), new(1000.0)

	ok := find("/v1/jobs/{job_id}").Get.Responses.Value("200").Value
	ok.Content = openapi3.NewContentWithJSONSchemaRef(schemaRef("Job"))
}

// fail adds an error to a call.
func fail(operation *openapi3.Operation, status int) {
	response := openapi3.NewResponse().WithDescription(failures[status]).WithJSONSchemaRef(schemaRef("Error"))
	header := func(name, description string, schema *openapi3.Schema) {
		response.Headers = openapi3.Headers{name: {Value: &openapi3.Header{Parameter: openapi3.Parameter{
			Description: description, Schema: openapi3.NewSchemaRef("", schema),
		}}}}
	}
	switch status {
	case 405:
		header("Allow", "The methods of the route.", openapi3.NewStringSchema())
	case 416:
		header("Content-Range", "How long the file is, as bytes */SIZE.", openapi3.NewStringSchema())
	case 429, 503:
		header("Retry-After", "Seconds to wait.", openapi3.NewIntegerSchema().WithMin(1))
	}
	operation.Responses.Set(strconv.Itoa(status), &openapi3.ResponseRef{Value: response})
}

func schemaRef(name string) *openapi3.SchemaRef {
	return openapi3.NewSchemaRef("#/components/schemas/"+name, nil)
}
