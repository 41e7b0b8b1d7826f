package simulator

import (
	"encoding/json"
	"strings"
	"testing"
)

// refusalCase is a body that a provider does not take.
type refusalCase struct {
	body   string
	status int
	word   string
}

func (s *setup) refuses(d *talk, path string, cases []refusalCase) {
	s.t.Helper()
	for _, c := range cases {
		got, err := s.send(d.raw(s.url, path, c.body))
		if err != nil || got.status != c.status || !strings.Contains(got.body, c.word) {
			s.t.Errorf("%s: %s: %v %d %s", d.name, c.body, err, got.status, got.body)
		}
		if !json.Valid([]byte(got.body)) {
			s.t.Errorf("%s: %s: no JSON: %s", d.name, c.body, got.body)
		}
	}
	if st := s.Stats(); st.Answered != 0 || st.Errors != int64(len(cases)) {
		s.t.Errorf("%s: %+v", d.name, st)
	}
}

func TestOpenAIRefuses(t *testing.T) {
	const user = `"messages":[{"role":"user","content":"a"}]`
	start(t, Config{}).refuses(&talks[0], "/v1/chat/completions", []refusalCase{
		{`{"model":"m",` + user + `,"top_k":5}`, 400, "Unrecognized request argument supplied: top_k"},
		{`{"model":"m",` + user + `,"temperature":2.5}`, 400, "decimal_above_max_value"},
		{`{"model":"m",` + user + `,"top_p":-1}`, 400, "decimal_below_min_value"},
		{`{"model":"m",` + user + `,"stop":["a","b","c","d","e"]}`, 400, "array_above_max_length"},
		{`{"model":"m","messages":[{"role":"robot","content":"a"}]}`, 400, "invalid_value"},
		{`{"model":"m","messages":[{"content":"a"}]}`, 400, "messages[0].role"},
		{`{"model":"gpt-5-mini","max_tokens":5,` + user + `}`, 400, "unsupported_parameter"},
		{`{"model":"m",` + user + `,"tool_choice":"auto"}`, 400, "only allowed when"},
		{`{"model":"m",` + user + `,"tools":[{"type":"function","function":{}}]}`, 400, "tools[0].function.name"},
		{`{"model":"m",` + user + `,"response_format":{"type":"json_schema","json_schema":{"schema":{}}}}`, 400, "response_format.json_schema.name"},
	})
}

func TestAnthropicRefuses(t *testing.T) {
	s := start(t, Config{})
	r := talks[1].request(s.url, "a")
	r.Header.Del(versionHeader)
	if got, err := s.send(r); err != nil || got.status != 400 || !strings.Contains(got.body, "anthropic-version: header is required") {
		t.Errorf("without a version: %v %d %s", err, got.status, got.body)
	}
	s.must("POST", "/_reset", "")
	const user = `"messages":[{"role":"user","content":"a"}]`
	message := func(messages string) string { return `{"model":"m","max_tokens":5,"messages":[` + messages + `]}` }
	tools := func(rest string) string { return `{"model":"m","max_tokens":5,` + user + `,` + rest + `}` }
	s.refuses(&talks[1], "/v1/messages", []refusalCase{
		{`{`, 400, "not valid JSON"},
		{`{"max_tokens":5,` + user + `}`, 400, "model: Field required"},
		{`{"model":"m",` + user + `}`, 400, "max_tokens: Field required"},
		{`{"model":"m","max_tokens":0,` + user + `}`, 400, "greater than or equal to 1"},
		{`{"model":"m","max_tokens":"5",` + user + `}`, 400, "max_tokens: Input should be a valid int"},
		{`{"model":"m","max_tokens":5}`, 400, "messages: Field required"},
		{message(``), 400, "at least one message"},
		{`{"model":"m","max_tokens":5,"seed":7,` + user + `}`, 400, "seed: Extra inputs are not permitted"},
		{`{"model":"m","max_tokens":5,"stream":true,` + user + `}`, 400, "does not stream"},
		{`{"model":"m","max_tokens":5,"temperature":1.5,` + user + `}`, 400, "temperature: range: 0..1"},
		{`{"model":"m","max_tokens":5,"top_p":2,` + user + `}`, 400, "top_p: range: 0..1"},
		{`{"model":"m","max_tokens":5,"stop_sequences":[" "],` + user + `}`, 400, "non-whitespace"},
		{`{"model":"m","max_tokens":5,"system":" ",` + user + `}`, 400, "non-whitespace"},
		{`{"model":"no-such","max_tokens":5,` + user + `}`, 404, "model: no-such"},
		{message(`{"role":"system","content":"a"}`), 400, "Unexpected role"},
		{message(`{"role":"tool","content":"a"}`), 400, "messages.0.role"},
		{message(`{"role":"assistant","content":"a"}`), 400, `first message must use the \"user\" role`},
		{message(`{"role":"user","content":"a","name":"x"}`), 400, "messages.0.name: Extra inputs"},
		{message(`7`), 400, "valid dictionary"},
		{message(`{"role":"user"}`), 400, "messages.0.content: Field required"},
		{message(`{"role":"user","content":7}`), 400, "messages.0.content: Input should be a valid list"},
		{message(`{"role":"user","content":""}`), 400, "non-whitespace text"},
		{message(`{"role":"user","content":[]}`), 400, "non-empty content"},
		{message(`{"role":"user","content":[{"type":"text","text":" "}]}`), 400, "non-whitespace text"},
		{message(`{"role":"user","content":[{"type":"image_url","image_url":{"url":"x"}}]}`), 400, "Input tag 'image_url'"},
		{message(`{"role":"user","content":[{"type":"image"}]}`), 400, "source: Field required"},
		{message(`{"role":"user","content":[{"type":"image","source":{"type":"url"}}]}`), 400, "url: Field required"},
		{message(`{"role":"user","content":[{"type":"image","source":{"type":"path"}}]}`), 400, "Input tag 'path'"},
		{message(`{"role":"user","content":[{"type":"image","source":{"type":"base64","media_type":"image/png"}}]}`), 400, "data: Field required"},
		{message(`{"role":"user","content":[{"type":"image","source":{"type":"base64","media_type":"image/bmp","data":"AAAA"}}]}`), 400, "media_type"},
		{message(`{"role":"user","content":[{"type":"tool_result","tool_use_id":"x"}]}`), 400, "unexpected `tool_use_id`"},
		{tools(`"tool_choice":{"type":"any"}`), 400, "while providing `tools`"},
		{tools(`"tools":[7]`), 400, "tools.0: "},
		{tools(`"tools":[{"type":"function","function":{"name":"f"}}],"tool_choice":{"type":"tool","name":"g"}`), 400, "Tool 'g' not found"},
		{tools(`"tools":[{"name":"f","parameters":{}}]`), 400, "tools.0.custom.parameters: Extra inputs"},
		{tools(`"tools":[{"input_schema":{"type":"object"}}]`), 400, "tools.0.custom.name: Field required"},
		{tools(`"tools":[{"name":"f"}]`), 400, "tools.0.custom.input_schema: Field required"},
		{tools(`"tools":[{"name":"f","input_schema":{}}]`), 400, "input_schema.type"},
		{tools(`"tools":[{"name":"f","input_schema":{"type":"object"}}],"tool_choice":{"type":"required"}`), 400, "Input tag 'required'"},
		{tools(`"output_config":{"format":{"type":"json_object"}}`), 400, "schema: Field required"},
	})
}

func TestGeminiRefuses(t *testing.T) {
	const user = `"contents":[{"role":"user","parts":[{"text":"a"}]}]`
	with := func(rest string) string { return `{` + user + `,` + rest + `}` }
	part := func(p string) string { return `{"contents":[{"parts":[` + p + `]}]}` }
	start(t, Config{}).refuses(&talks[2], talks[2].path, []refusalCase{
		{`{`, 400, "Invalid JSON payload"},
		{`{}`, 400, "contents is not specified"},
		{with(`"messages":[]`), 400, `Unknown name \"messages\": Cannot find field`},
		{with(`"generationConfig":{"maxTokens":5}`), 400, `Unknown name \"maxTokens\" at 'generation_config'`},
		{with(`"generationConfig":7`), 400, "expected an object"},
		{with(`"generationConfig":{"temperature":3}`), 400, "generation_config.temperature"},
		{with(`"generationConfig":{"temperature":"hot"}`), 400, "TYPE_NUMBER"},
		{with(`"generationConfig":{"topP":2}`), 400, "generation_config.top_p"},
		{with(`"generationConfig":{"maxOutputTokens":0}`), 400, "max_output_tokens"},
		{with(`"generationConfig":{"seed":99999999999}`), 400, "TYPE_INT32"},
		{with(`"generationConfig":{"stopSequences":["a","b","c","d","e","f"]}`), 400, "at most 5"},
		{with(`"generationConfig":{"stopSequences":"a"}`), 400, "expected a list"},
		{with(`"generationConfig":{"responseMimeType":"text/csv"}`), 400, "allowed mimetypes"},
		{with(`"generationConfig":{"responseMimeType":7}`), 400, "TYPE_STRING"},
		{with(`"generationConfig":{"responseSchema":{"type":"OBJECT"}}`), 400, "only allowed when mime_type"},
		{with(`"generationConfig":{"responseMimeType":"application/json","responseSchema":{"type":"OBJECT","properties":{"a":{"type":"STRING","additionalProperties":false}}}}`), 400, `Unknown name \"additionalProperties\" at 'generation_config.response_schema.properties[a].value'`},
		{with(`"generationConfig":{"responseMimeType":"application/json","responseSchema":{"type":["STRING","NULL"]}}`), 400, "not repeating"},
		{with(`"generationConfig":{"responseMimeType":"application/json","responseSchema":{"anyOf":[{"x":1}],"items":{"type":"STRING"}}}`), 400, "any_of[0]"},
		{`{"contents":[{"role":"assistant","parts":[{"text":"a"}]}]}`, 400, "Please use a valid role"},
		{`{"contents":[{"role":"user","parts":[]}]}`, 400, "must not be empty"},
		{`{"contents":[{"role":"user","content":"a"}]}`, 400, `Unknown name \"content\" at 'contents[0]'`},
		{part(`{}`), 400, "oneof field 'data'"},
		{part(`{"image":"x"}`), 400, `Unknown name \"image\"`},
		{part(`{"inlineData":{"mimeType":"image/png","data":"%%%"}}`), 400, "Base64 decoding failed"},
		{part(`{"inlineData":{"data":"AAAA"}}`), 400, "Unable to process input image"},
		{part(`{"fileData":{}}`), 400, "file_uri is not specified"},
		{with(`"tools":[{"type":"function"}]`), 400, `Unknown name \"type\" at 'tools[0]'`},
		{with(`"tools":[{"functionDeclarations":[{}]}]`), 400, "Invalid function name"},
		{with(`"tools":[{"functionDeclarations":[{"name":"f","strict":true}]}]`), 400, `Unknown name \"strict\"`},
		{with(`"tools":[{"functionDeclarations":[{"name":"f","parameters":{"$schema":"x"}}]}]`), 400, `Unknown name \"$schema\"`},
		{with(`"toolConfig":{"functionCallingConfig":{"mode":"ANY"}}`), 400, "needs function declarations"},
		{with(`"toolConfig":{"functionCallingConfig":{"mode":"MUST"}}`), 400, "FunctionCallingConfig.Mode"},
		{with(`"toolConfig":{"functionCallingConfig":{"mode":"AUTO","allowedFunctionNames":["f"]}}`), 400, "ANY or VALIDATED"},
	})
	s := start(t, Config{})
	s.refuses(&talks[2], "/v1beta/models/no-such:generateContent", []refusalCase{{`{` + user + `}`, 404, "models/no-such is not found"}})
}

func TestMistralRefuses(t *testing.T) {
	const user = `"messages":[{"role":"user","content":"a"}]`
	message := func(messages string) string { return `{"model":"m","messages":[` + messages + `]}` }
	with := func(rest string) string { return `{"model":"m",` + user + `,` + rest + `}` }
	start(t, Config{}).refuses(&talks[3], "/mistral/v1/chat/completions", []refusalCase{
		{`{`, 422, "json_invalid"},
		{`{` + user + `}`, 422, `"loc":["body","model"]`},
		{`{"model":"m"}`, 422, `"loc":["body","messages"]`},
		{`{"model":7,` + user + `}`, 422, "type_error"},
		{message(``), 400, "at least one message"},
		{with(`"seed":7`), 422, `"extra_forbidden","loc":["body","seed"]`},
		{with(`"stream":true`), 400, "does not stream"},
		{with(`"max_tokens":-1`), 422, `["body","max_tokens"]`},
		{with(`"temperature":2`), 422, `["body","temperature"]`},
		{with(`"top_p":2`), 422, `["body","top_p"]`},
		{with(`"response_format":{"type":"json_schema","json_schema":{"schema":{}}}`), 422, `["body","response_format","json_schema","name"]`},
		{message(`7`), 422, `["body","messages",0]`},
		{message(`{"role":"developer","content":"a"}`), 422, "union_tag_invalid"},
		{message(`{"role":"user","content":"a","name":"x"}`), 422, `["body","messages",0,"user","name"]`},
		{message(`{"role":"user","content":7}`), 422, "string_type"},
		{message(`{"role":"user","content":"a"},{"role":"assistant","content":"b","refusal":null}`), 422, `["body","messages",1,"assistant","refusal"]`},
		{message(`{"role":"user","content":"a"},{"role":"assistant","content":"b"}`), 400, "but got assistant"},
		{with(`"tools":[7]`), 422, `["body","tools",0]`},
		{with(`"tools":[{"type":"function","name":"f"}]`), 422, `["body","tools",0,"name"]`},
		{with(`"tools":[{"type":"function","function":{"name":"f","x":1}}]`), 422, `["body","tools",0,"function","x"]`},
		{with(`"tools":[{"type":"function"}]`), 422, `["body","tools",0,"function","name"]`},
		{with(`"tools":[{"type":"function","function":{"name":"f"}}]`), 422, `["body","tools",0,"function","parameters"]`},
		{with(`"tool_choice":"must"`), 422, `["body","tool_choice"]`},
		{with(`"tool_choice":"any"`), 400, "not among the tools"},
		{with(`"tool_choice":{"type":"function","function":{"name":"g"}},"tools":[{"function":{"name":"f","parameters":{}}}]`), 400, "not among the tools"},
		{`{"model":"no-such",` + user + `}`, 400, "invalid_model"},
	})
}

// wants is a body, and what is at a place of the answer to it.
type wants struct {
	body, at string
	value    any
}

func (s *setup) answers(d *talk, path string, cases []wants) {
	s.t.Helper()
	for _, c := range cases {
		got, err := s.send(d.raw(s.url, path, c.body))
		if err != nil || got.status != 200 {
			s.t.Errorf("%s: %s: %v %d %s", d.name, c.body, err, got.status, got.body)
			continue
		}
		v := got.at(s.t, c.at)
		if object, ok := v.(map[string]any); ok {
			raw, _ := json.Marshal(object)
			v = string(raw)
		}
		if v != c.value {
			s.t.Errorf("%s: %s: %s is %v, want %v: %s", d.name, c.body, c.at, v, c.value, got.body)
		}
	}
}

const pixel = "iVBORw0KGgo="

func TestAnthropicAnswers(t *testing.T) {
	key := PromptKey("a")
	const user = `"messages":[{"role":"user","content":"a"}]`
	with := func(rest string) string { return `{"model":"m","max_tokens":4096,` + user + `,` + rest + `}` }
	const tools = `"tools":[{"name":"f","description":"d","input_schema":{"type":"object","properties":{"city":{"type":"string"}}}},{"name":"g","input_schema":{"type":"object"}}]`
	start(t, Config{}).answers(&talks[1], "/v1/messages", []wants{
		{with(`"system":"Be brief."`), "usage.input_tokens", 4.0},
		{with(`"system":[{"type":"text","text":"Be brief."}]`), "usage.input_tokens", 4.0},
		{with(`"temperature":0.5,"top_p":1,"top_k":5,"stop_sequences":["x"],"metadata":{"user_id":"u"},"thinking":{"type":"disabled"},"service_tier":"auto"`), "stop_reason", "end_turn"},
		{`{"model":"m","max_tokens":20,` + user + `}`, "stop_reason", "max_tokens"},
		{with(tools + `,"tool_choice":{"type":"any"}`), "content.0.name", "f"},
		{with(tools + `,"tool_choice":{"type":"any"}`), "content.0.input", `{"city":"` + key + `"}`},
		{with(tools + `,"tool_choice":{"type":"tool","name":"g"}`), "stop_reason", "tool_use"},
		{with(tools + `,"tool_choice":{"type":"tool","name":"g"}`), "content.0.name", "g"},
		{with(tools + `,"tool_choice":{"type":"auto"}`), "content.0.text", Answer("a")},
		{with(`"tools":[{"type":"web_search_20250305","name":"web_search"}]`), "content.0.text", Answer("a")},
		{`{"model":"m","max_tokens":1,` + user + `,` + tools + `,"tool_choice":{"type":"any"}}`, "content.0.input", `{}`},
		{with(`"output_config":{"format":{"type":"json_schema","schema":{"type":"object","properties":{"k":{"type":"string"}}}}}`), "content.0.text", `{"k":"` + key + `"}`},
		{`{"model":"m","max_tokens":4096,"messages":[{"role":"user","content":[{"type":"text","text":"a"},{"type":"image","source":{"type":"base64","media_type":"image/png","data":"` + pixel + `"}},{"type":"image","source":{"type":"url","url":"https://x/y.png"}},{"type":"text","text":"b"}]}]}`, "content.0.text", Answer("a\nb")},
		{`{"model":"m","max_tokens":4096,"messages":[{"role":"user","content":"a"},{"role":"assistant","content":[{"type":"tool_use","id":"t1","name":"f","input":{}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"t1","content":"7"},{"type":"text","text":"c"}]}]}`, "content.0.text", Answer("a\nc")},
	})
}

func TestGeminiAnswers(t *testing.T) {
	key := PromptKey("a")
	const user = `"contents":[{"role":"user","parts":[{"text":"a"}]}]`
	const text = "candidates.0.content.parts.0.text"
	with := func(rest string) string { return `{` + user + `,` + rest + `}` }
	const tools = `"tools":[{"functionDeclarations":[{"name":"f","description":"d","parameters":{"type":"OBJECT","properties":{"city":{"type":"STRING"}}}},{"name":"g","parametersJsonSchema":{"type":"object","properties":{"n":{"type":"integer"}},"additionalProperties":false}}]}]`
	start(t, Config{}).answers(&talks[2], talks[2].path, []wants{
		{`{"contents":{"parts":{"text":"a"}}}`, text, Answer("a")},
		{with(`"systemInstruction":{"parts":[{"text":"Be brief."}]}`), "usageMetadata.promptTokenCount", 4.0},
		{with(`"system_instruction":{"parts":[{"text":"Be brief."}]}`), "usageMetadata.promptTokenCount", 4.0},
		{with(`"generation_config":{"max_output_tokens":20}`), "candidates.0.finishReason", "MAX_TOKENS"},
		{with(`"generationConfig":{"temperature":0.5,"topP":1,"topK":5,"stopSequences":["x"],"seed":7,"candidateCount":1},"safetySettings":[]`), "candidates.0.finishReason", "STOP"},
		{with(tools + `,"toolConfig":{"functionCallingConfig":{"mode":"ANY"}}`), "candidates.0.content.parts.0.functionCall", `{"args":{"city":"` + key + `"},"name":"f"}`},
		{with(tools + `,"toolConfig":{"functionCallingConfig":{"mode":"ANY","allowedFunctionNames":["g"]}}`), "candidates.0.content.parts.0.functionCall", `{"args":{"n":1},"name":"g"}`},
		{with(tools + `,"toolConfig":{"functionCallingConfig":{"mode":"AUTO"}}`), text, Answer("a")},
		{with(`"generationConfig":{"responseMimeType":"application/json"}`), text, `{"key":"` + key + `"}`},
		{with(`"generationConfig":{"responseMimeType":"application/json","responseSchema":{"type":"OBJECT","properties":{"k":{"type":"STRING"}}}}`), text, `{"k":"` + key + `"}`},
		{with(`"generationConfig":{"responseMimeType":"application/json","responseJsonSchema":{"type":"object","properties":{"k":{"type":"string"}},"additionalProperties":false}}`), text, `{"k":"` + key + `"}`},
		{`{"contents":[{"role":"user","parts":[{"text":"a"},{"inlineData":{"mimeType":"image/png","data":"` + pixel + `"}},{"file_data":{"file_uri":"https://x/y.png"}},{"text":"b"}]}]}`, text, Answer("a\nb")},
		{`{"contents":[{"role":"user","parts":[{"text":"a"}]},{"role":"model","parts":[{"functionCall":{"name":"f","args":{}}}]},{"role":"user","parts":[{"functionResponse":{"name":"f","response":{"output":"7"}}},{"text":"c"}]}]}`, text, Answer("a\nc")},
	})
}

func TestMistralAnswers(t *testing.T) {
	key := PromptKey("a")
	const user = `"messages":[{"role":"user","content":"a"}]`
	const text = "choices.0.message.content"
	with := func(rest string) string { return `{"model":"m",` + user + `,` + rest + `}` }
	const tools = `"tools":[{"type":"function","function":{"name":"f","parameters":{"type":"object","properties":{"city":{"type":"string"}}}}},{"function":{"name":"g","parameters":{}}}]`
	const arguments = "choices.0.message.tool_calls.0.function.arguments"
	s := start(t, Config{})
	s.answers(&talks[3], "/mistral/v1/chat/completions", []wants{
		{with(`"temperature":0.5,"top_p":1,"max_tokens":4096,"stop":["x"],"random_seed":7,"safe_prompt":false`), text, Answer("a")},
		{with(`"max_tokens":20`), "choices.0.finish_reason", "length"},
		{with(tools + `,"tool_choice":"any"`), arguments, `{"city":"` + key + `"}`},
		{with(tools + `,"tool_choice":"required"`), "choices.0.finish_reason", "tool_calls"},
		{with(tools + `,"tool_choice":{"type":"function","function":{"name":"g"}}`), arguments, `{}`},
		{with(tools + `,"tool_choice":"auto"`), text, Answer("a")},
		{with(`"response_format":{"type":"json_object"}`), text, `{"key":"` + key + `"}`},
		{with(`"response_format":{"type":"json_schema","json_schema":{"name":"n","schema":{"type":"object","properties":{"k":{"type":"string"}}}}}`), text, `{"k":"` + key + `"}`},
		{`{"model":"m","messages":[{"role":"system","content":"s"},{"role":"user","content":[{"type":"text","text":"a"},{"type":"image_url","image_url":"https://x/y.png"},{"type":"text","text":"b"}]}]}`, text, Answer("a\nb")},
		{`{"model":"m","messages":[{"role":"user","content":"a"},{"role":"assistant","content":"Well,","prefix":true}]}`, text, Answer("a")},
		{`{"model":"magistral-medium-latest",` + user + `}`, "choices.0.message.content.0.type", "thinking"},
		{`{"model":"magistral-medium-latest",` + user + `}`, "choices.0.message.content.1.text", Answer("a")},
	})
	got, err := s.send(talks[3].raw(s.url, "/mistral/v1/chat/completions", with(tools+`,"tool_choice":"any"`)))
	if id, _ := got.at(t, "choices.0.message.tool_calls.0.id").(string); err != nil || len(id) != 9 {
		t.Errorf("the id of a call has 9 characters, not %q", id)
	}
}

// Names in snake case are Google's too.
func TestCamelCase(t *testing.T) {
	for in, want := range map[string]string{
		"": "", "text": "text", "topP": "topP", "top_p": "topP", "max_output_tokens": "maxOutputTokens", "_responseJsonSchema": "_responseJsonSchema", "a__b_": "aB",
	} {
		if got := camelCase(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

// Whatever the body, nothing panics, and who is refused hears JSON.
func FuzzParse(f *testing.F) {
	for i := range talks {
		f.Add(uint8(i), []byte(talks[i].body(`"a"`)))
	}
	f.Add(uint8(1), []byte(`{"model":"m","max_tokens":5,"messages":[{"role":"user","content":[{"type":"image","source":null}]}],"tools":[null],"tool_choice":null}`))
	f.Add(uint8(2), []byte(`{"contents":[null],"tools":[{"functionDeclarations":[null]}],"toolConfig":null,"generationConfig":{"responseSchema":{"properties":{"a":null}}}}`))
	f.Add(uint8(3), []byte(`{"model":"m","messages":[null],"tools":[null],"tool_choice":{}}`))
	s, _ := New(Config{})
	f.Fuzz(func(t *testing.T, which uint8, body []byte) {
		d := &talks[int(which)%len(talks)]
		w := recorded(s, d.raw("", d.path, string(body)))
		if !json.Valid(w.Body.Bytes()) {
			t.Errorf("%s: %q: %d %s", d.name, body, w.Code, w.Body)
		}
	})
}
