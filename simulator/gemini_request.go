package simulator

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"net/http"
	"slices"
	"strings"
)

// The fields that the API takes at each place; any other is refused. Source:
// the Gemini API's reference, "GenerateContentRequest" and what it refers to.
var (
	geminiFields = setOf(
		"model", "contents", "tools", "toolConfig", "safetySettings", "systemInstruction", "generationConfig", "cachedContent",
		"serviceTier", "store",
	)
	geminiConfigFields = setOf(
		"stopSequences", "responseMimeType", "responseSchema", "responseJsonSchema", "_responseJsonSchema", "responseModalities",
		"candidateCount", "maxOutputTokens", "temperature", "topP", "topK", "seed", "presencePenalty", "frequencyPenalty",
		"responseLogprobs", "logprobs", "enableEnhancedCivicAnswers", "speechConfig", "thinkingConfig", "imageConfig",
		"mediaResolution", "audioTranscriptionConfig",
	)
	geminiContentFields = setOf("parts", "role")
	geminiPartFields    = setOf(
		"text", "inlineData", "fileData", "functionCall", "functionResponse", "executableCode", "codeExecutionResult", "thought",
		"thoughtSignature", "partMetadata", "videoMetadata", "mediaResolution", "toolCall", "toolResponse",
	)
	geminiBlobFields = setOf("mimeType", "data", "displayName")
	geminiFileFields = setOf("mimeType", "fileUri", "displayName")
	geminiToolFields = setOf(
		"functionDeclarations", "googleSearch", "googleSearchRetrieval", "codeExecution", "urlContext", "fileSearch", "googleMaps",
		"computerUse", "mcpServers",
	)
	geminiFunctionFields   = setOf("name", "description", "behavior", "parameters", "parametersJsonSchema", "response", "responseJsonSchema")
	geminiToolConfigFields = setOf("functionCallingConfig", "retrievalConfig", "includeServerSideToolInvocations")
	geminiCallingFields    = setOf("mode", "allowedFunctionNames")
	geminiSchemaFields     = setOf(
		"type", "format", "title", "description", "nullable", "enum", "maxItems", "minItems", "properties", "required", "minProperties",
		"maxProperties", "minLength", "maxLength", "pattern", "example", "anyOf", "propertyOrdering", "default", "items", "minimum",
		"maximum",
	)
)

// geminiReader walks a body. Its first mistake sticks.
type geminiReader struct{ failed *failure }

func (g *geminiReader) fail(f *failure) {
	if g.failed == nil {
		g.failed = f
	}
}

// fields is an object's members by their names in camel case; Google takes
// snake case too. at is the object's place in the request, empty for the whole.
func (g *geminiReader) fields(at string, v any, known map[string]bool) map[string]any {
	if v == nil {
		return nil
	}
	object, ok := v.(map[string]any)
	if !ok {
		g.invalid(at, "expected an object")
		return nil
	}
	out := make(map[string]any, len(object))
	for _, name := range slices.Sorted(maps.Keys(object)) {
		camel := camelCase(name)
		if known != nil && !known[camel] {
			message := fmt.Sprintf("Invalid JSON payload received. Unknown name %q: Cannot find field.", name)
			if at != "" {
				message = fmt.Sprintf("Invalid JSON payload received. Unknown name %q at '%s': Cannot find field.", name, at)
			}
			g.fail(&failure{kind: badRequest, message: message, param: at})
		}
		out[camel] = object[name]
	}
	return out
}

func (g *geminiReader) invalid(at, what string) {
	g.fail(&failure{kind: badRequest, message: fmt.Sprintf("Invalid value at '%s': %s", at, what), param: at})
}

func (g *geminiReader) list(at string, v any) []any {
	list, ok := v.([]any)
	if !ok && v != nil {
		// A single message stands for a list of one.
		if _, object := v.(map[string]any); object {
			return []any{v}
		}
		g.invalid(at, "expected a list")
	}
	return list
}

func (g *geminiReader) text(at string, v any) string {
	text, ok := v.(string)
	if !ok && v != nil {
		g.invalid(at, "(TYPE_STRING)")
	}
	return text
}

// number is a number from least to most; without one, none.
func (g *geminiReader) number(at string, v any, least, most float64) (n float64, is bool) {
	n, is = v.(float64)
	switch {
	case v == nil:
	case !is:
		g.invalid(at, "(TYPE_NUMBER)")
	case n < least || n > most:
		g.fail(&failure{kind: badRequest, message: fmt.Sprintf("* GenerateContentRequest.%s: must be in the range [%v, %v].\n", at, least, most)})
	}
	return n, is
}

// camelCase is max_output_tokens as maxOutputTokens.
func camelCase(name string) string {
	head, tail, found := strings.Cut(name, "_")
	if !found || head == "" {
		return name
	}
	var b strings.Builder
	b.WriteString(head)
	for word := range strings.SplitSeq(tail, "_") {
		if word != "" {
			b.WriteString(strings.ToUpper(word[:1]) + word[1:])
		}
	}
	return b.String()
}

func (gemini) parse(_ *http.Request, path string, _ operation, body []byte) (request, *failure) {
	model, _ := geminiModel(path)
	rq := request{model: strings.TrimSuffix(model, generateSuffix)}
	var whole map[string]any
	if json.Unmarshal(body, &whole) != nil {
		return rq, &failure{kind: badJSON}
	}
	g := &geminiReader{}
	top := g.fields("", whole, geminiFields)
	g.contents(top["contents"], &rq)
	if v := top["systemInstruction"]; v != nil {
		_, texts, _ := g.content("system_instruction", v)
		rq.promptTokens += tokensIn(strings.Join(texts, "\n"))
	}
	g.config(top["generationConfig"], &rq)
	tools := g.tools(top["tools"])
	rq.tool = g.chosen(top["toolConfig"], tools)
	return rq, g.failed
}

// contents sets the prompt and the tokens of all texts.
func (g *geminiReader) contents(v any, rq *request) {
	contents := g.list("contents", v)
	if len(contents) == 0 {
		g.fail(refused("* GenerateContentRequest.contents: contents is not specified\n"))
	}
	var user []string
	for i, v := range contents {
		role, texts, result := g.content(fmt.Sprintf("contents[%d]", i), v)
		text := strings.Join(texts, "\n")
		rq.promptTokens += tokensIn(text)
		switch role {
		case "", "user":
			// What a function answered is a message of its own in other dialects.
			if len(texts) > 0 || !result {
				user = append(user, text)
			}
		case "model", "function":
		default:
			g.fail(refused("Please use a valid role: user, model."))
		}
	}
	rq.prompt = strings.Join(user, "\n")
}

// content is the role and the texts of a content's parts, and whether one is
// what a function answered.
func (g *geminiReader) content(at string, v any) (role string, texts []string, result bool) {
	c := g.fields(at, v, geminiContentFields)
	parts := g.list(at+".parts", c["parts"])
	if len(parts) == 0 {
		g.fail(refused("* GenerateContentRequest.%s.parts: contents.parts must not be empty.\n", at))
	}
	for i, v := range parts {
		at := fmt.Sprintf("%s.parts[%d]", at, i)
		p := g.fields(at, v, geminiPartFields)
		if len(p) == 0 {
			g.fail(refused("* GenerateContentRequest.%s.data: required oneof field 'data' must have one initialized field\n", at))
		}
		if _, ok := p["functionResponse"]; ok {
			result = true
		}
		if v, ok := p["text"]; ok {
			texts = append(texts, g.text(at+".text", v))
		}
		if v, ok := p["inlineData"]; ok {
			blob := g.fields(at+".inline_data", v, geminiBlobFields)
			data := g.text(at+".inline_data.data", blob["data"])
			if _, err := base64.StdEncoding.DecodeString(data); err != nil || data == "" {
				g.invalid(at+".inline_data.data", "(TYPE_BYTES), Base64 decoding failed")
			}
			if g.text(at+".inline_data.mime_type", blob["mimeType"]) == "" {
				g.fail(refused("Unable to process input image. Please retry or report in https://developers.generativeai.google/guide/troubleshooting"))
			}
		}
		if v, ok := p["fileData"]; ok {
			file := g.fields(at+".file_data", v, geminiFileFields)
			if g.text(at+".file_data.file_uri", file["fileUri"]) == "" {
				g.fail(refused("* GenerateContentRequest.%s.file_data.file_uri: file_uri is not specified\n", at))
			}
		}
	}
	return g.text(at+".role", c["role"]), texts, result
}

func (g *geminiReader) config(v any, rq *request) {
	const at = "generation_config"
	c := g.fields(at, v, geminiConfigFields)
	g.number(at+".temperature", c["temperature"], 0, 2)
	g.number(at+".top_p", c["topP"], 0, 1)
	if n, is := g.number(at+".max_output_tokens", c["maxOutputTokens"], 1, math.MaxInt32); is {
		rq.maxTokens = int(n)
	}
	if n, is := c["seed"].(float64); is && (n < math.MinInt32 || n > math.MaxInt32 || n != math.Trunc(n)) {
		g.invalid(at+".seed", fmt.Sprintf("(TYPE_INT32), %v", n))
	}
	if len(g.list(at+".stop_sequences", c["stopSequences"])) > 5 {
		g.fail(refused("* GenerateContentRequest.generation_config.stop_sequences: at most 5 stop sequences are allowed.\n"))
	}
	mime := g.text(at+".response_mime_type", c["responseMimeType"])
	switch mime {
	case "", "text/plain", "application/json", "text/x.enum":
	default:
		g.fail(refused("* GenerateContentRequest.generation_config.response_mime_type: allowed mimetypes are `text/plain`, `application/json` and `text/x.enum`.\n"))
	}
	rq.json = mime == "application/json"
	if s := c["responseSchema"]; s != nil {
		g.checkSchema(at+".response_schema", s)
		rq.schema = marshal(s)
	}
	for _, name := range [...]string{"responseJsonSchema", "_responseJsonSchema"} {
		if s := c[name]; s != nil {
			rq.schema = marshal(s)
		}
	}
	if rq.schema != nil && !rq.json {
		g.fail(refused("* GenerateContentRequest.generation_config.response_schema: only allowed when mime_type is application/json.\n"))
	}
}

// checkSchema refuses what Google's Schema, a part of OpenAPI's, does not know.
func (g *geminiReader) checkSchema(at string, v any) {
	s := g.fields(at, v, geminiSchemaFields)
	for _, list := range [...]any{s["anyOf"]} {
		for i, v := range g.list(at+".any_of", list) {
			g.checkSchema(fmt.Sprintf("%s.any_of[%d]", at, i), v)
		}
	}
	if items := s["items"]; items != nil {
		g.checkSchema(at+".items", items)
	}
	if properties, ok := s["properties"].(map[string]any); ok {
		for _, name := range slices.Sorted(maps.Keys(properties)) {
			g.checkSchema(fmt.Sprintf("%s.properties[%s].value", at, name), properties[name])
		}
	}
	if v, ok := s["type"]; ok {
		if _, list := v.([]any); list {
			g.invalid(at+".type", "Proto field is not repeating, cannot start list.")
		}
	}
}

func marshal(v any) json.RawMessage {
	raw, _ := json.Marshal(v) // it was JSON
	return raw
}

func (g *geminiReader) tools(v any) (tools []tool) {
	for i, v := range g.list("tools", v) {
		at := fmt.Sprintf("tools[%d]", i)
		t := g.fields(at, v, geminiToolFields)
		for j, v := range g.list(at+".function_declarations", t["functionDeclarations"]) {
			at := fmt.Sprintf("%s.function_declarations[%d]", at, j)
			f := g.fields(at, v, geminiFunctionFields)
			one := tool{name: g.text(at+".name", f["name"])}
			if one.name == "" {
				g.fail(refused("* GenerateContentRequest.%s.name: [FIELD_INVALID] Invalid function name. Must start with a letter or an underscore.\n", at))
			}
			if s := f["parameters"]; s != nil {
				g.checkSchema(at+".parameters", s)
				one.schema = marshal(s)
			}
			if s := f["parametersJsonSchema"]; s != nil {
				one.schema = marshal(s)
			}
			tools = append(tools, one)
		}
	}
	return tools
}

// chosen is the tool that mode ANY makes the model call: the first one that is
// allowed.
func (g *geminiReader) chosen(v any, tools []tool) *tool {
	c := g.fields("tool_config", v, geminiToolConfigFields)
	const at = "tool_config.function_calling_config"
	f := g.fields(at, c["functionCallingConfig"], geminiCallingFields)
	allowed := g.list(at+".allowed_function_names", f["allowedFunctionNames"])
	switch mode := strings.ToUpper(g.text(at+".mode", f["mode"])); mode {
	case "", "AUTO", "NONE", "VALIDATED", "MODE_UNSPECIFIED":
		if len(allowed) > 0 && mode != "VALIDATED" {
			g.fail(refused("* GenerateContentRequest.tool_config.function_calling_config.allowed_function_names: should only be set when the mode is ANY or VALIDATED.\n"))
		}
		return nil
	case "ANY":
	default:
		g.invalid(at+".mode", fmt.Sprintf("(type.googleapis.com/google.ai.generativelanguage.v1beta.FunctionCallingConfig.Mode), %q", mode))
		return nil
	}
	for i := range tools {
		if len(allowed) == 0 || slices.Contains(allowed, any(tools[i].name)) {
			return &tools[i]
		}
	}
	g.fail(refused("* GenerateContentRequest.tool_config.function_calling_config: mode ANY needs function declarations, and only those may be allowed.\n"))
	return nil
}
