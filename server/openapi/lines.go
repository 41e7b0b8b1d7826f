package main

import "github.com/getkin/kin-openapi/openapi3"

// describeLines adds the lines of the files, which no proto has: JSON that is
// never seen by protobuf.
func describeLines(doc *openapi3.T) {
	text := openapi3.NewStringSchema
	number := openapi3.NewInt64Schema
	object := func() *openapi3.Schema { return openapi3.NewObjectSchema().WithAnyAdditionalProperties() }
	id := func() *openapi3.Schema { return openapi3.NewOneOfSchema(text().WithMaxLength(256), number()) }
	schemas := doc.Components.Schemas

	line := object().
		WithProperty("prompt_id", id()).
		WithProperty("prompt", text()).
		WithProperty("system", text()).
		WithProperty("messages", openapi3.NewArraySchema().WithItems(object())).
		WithProperty("temperature", openapi3.NewFloat64Schema()).
		WithProperty("top_p", openapi3.NewFloat64Schema()).
		WithProperty("max_tokens", number().WithMin(1)).
		WithProperty("stop", openapi3.NewOneOfSchema(text(), openapi3.NewArraySchema().WithItems(text()))).
		WithProperty("seed", number()).
		WithProperty("response_format", object()).
		WithProperty("tools", openapi3.NewArraySchema().WithItems(object())).
		WithProperty("tool_choice", openapi3.NewOneOfSchema(text(), object())).
		WithProperty("extra_body", object()).
		WithProperty("metadata", object())
	line.Required = []string{"prompt_id"}
	line.AdditionalProperties = openapi3.AdditionalProperties{Has: new(false)}
	line.Description = "A line of the prompts file. It has either `prompt` or `messages`. An unknown field makes the line unusable, since a misspelt parameter is money."
	schemas["PromptLine"] = line.NewRef()

	result := openapi3.NewObjectSchema().
		WithProperty("prompt_id", id()).
		WithProperty("result", text()).
		WithProperty("model", text()).
		WithProperty("tokens_used", number().WithNullable()).
		WithProperty("prompt_tokens", number().WithNullable()).
		WithProperty("completion_tokens", number().WithNullable()).
		WithProperty("finish_reason", text().WithEnum("stop", "length", "content_filter", "tool_calls", "other")).
		WithProperty("attempts", number().WithMin(1)).
		WithProperty("latency_ms", number().WithMin(0))
	for name := range result.Properties {
		result.Required = append(result.Required, name)
	}
	result.WithProperty("tool_calls", openapi3.NewArraySchema().WithItems(object())).
		WithProperty("metadata", object()).
		WithProperty("response", openapi3.NewSchema().WithNullable())
	result.Description = "A line of results_part_NNN.jsonl. `tool_calls` has OpenAI's shape, whatever the provider; `response` is the provider's whole answer, with view=full."
	schemas["ResultLine"] = sorted(result).NewRef()

	failed := openapi3.NewObjectSchema().
		WithProperty("prompt_id", openapi3.NewOneOfSchema(text(), number()).WithNullable()).
		WithProperty("error", text().WithEnum("invalid_line", "duplicate_prompt_id", "invalid_request", "content_filtered",
			"context_length_exceeded", "timeout", "server_error", "rate_limit_exceeded", "bad_response")).
		WithProperty("attempts", number().WithMin(0)).
		WithProperty("message", text())
	for name := range failed.Properties {
		failed.Required = append(failed.Required, name)
	}
	failed.WithProperty("line", number().WithMin(1)).
		WithProperty("metadata", object()).
		WithProperty("response", openapi3.NewSchema().WithNullable())
	failed.Description = "A line of errors.jsonl. `line` is there for a line that could not be used."
	schemas["ErrorLine"] = sorted(failed).NewRef()
}
