package provider

import (
	"fmt"
	"math"
	"net/http"
	"net/url"
	"path"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/promptforge/promptforge/job"
)

// Gemini is the dialect of the Gemini API's generateContent.
// Source: Gemini API reference, "Generating content", v1beta.
type Gemini struct{}

// Name is gemini.
func (Gemini) Name() string { return "gemini" }

const geminiName = "Gemini"

// Authorize sends the key in a header: in the address, where the API takes it
// too, logs on the way would keep it.
func (Gemini) Authorize(e *Endpoint, h http.Header) {
	if e.Key != "" {
		h.Set("x-goog-api-key", e.Key)
	}
}

// geminiPath names the model, which is one segment, lest a model's name leads
// elsewhere.
func geminiPath(e *Endpoint, model string) string {
	kind, name := "models", model
	for _, k := range []string{"models", "tunedModels"} {
		if rest, ok := strings.CutPrefix(model, k+"/"); ok {
			kind, name = k, rest
		}
	}
	p := "/" + kind + "/" + url.PathEscape(name) + ":generateContent"
	for _, version := range []string{"/v1", "/v1alpha"} {
		if strings.HasSuffix(e.BaseURL, version) {
			return p
		}
	}
	return versioned(e, "/v1beta", p)
}

// Request says a prompt as contents. Gemini lacks strict tools, an image's
// detail, a speaker's name, and seeds beyond 32 bits.
func (Gemini) Request(e *Endpoint, model string, p *job.Prompt) (string, []byte, error) {
	system, conversation, err := instructions(geminiName, p)
	if err != nil {
		return "", nil, err
	}
	contents, err := geminiContents(conversation)
	if err != nil {
		return "", nil, err
	}
	var b body
	if system != "" {
		b.raw("systemInstruction", geminiContent("", geminiText(system)))
	}
	b.raw("contents", contents)
	if err := geminiTools(&b, p); err != nil {
		return "", nil, err
	}
	config, err := geminiConfig(e, p)
	if err != nil {
		return "", nil, err
	}
	b.object("generationConfig", config)
	if err := b.overlay(model, p.ExtraBody, "generationConfig", "toolConfig"); err != nil {
		return "", nil, err
	}
	return geminiPath(e, model), b.bytes(), nil
}

// Canary asks for one token.
func (Gemini) Canary(e *Endpoint, model string) (string, []byte) {
	return geminiPath(e, model), []byte(`{"contents":[{"role":"user","parts":[{"text":"ping"}]}],"generationConfig":{"maxOutputTokens":1}}`)
}

func geminiConfig(e *Endpoint, p *job.Prompt) (*body, error) {
	var c body
	c.number("temperature", p.Temperature)
	c.number("topP", p.TopP)
	c.integer("maxOutputTokens", maxTokens(e, p))
	c.texts("stopSequences", p.Stop)
	if p.Seed != nil && (*p.Seed > math.MaxInt32 || *p.Seed < math.MinInt32) {
		return nil, sentence(geminiName + " takes a seed of 32 bits alone.")
	}
	c.integer("seed", p.Seed)
	f, err := readFormat(p.ResponseFormat)
	if err != nil {
		return nil, err
	}
	if f.Type != "text" {
		c.text("responseMimeType", "application/json")
	}
	if f.Type == "json_schema" {
		c.raw("responseJsonSchema", f.JSONSchema.Schema)
	}
	return &c, nil
}

// geminiTools sets tools and the choice among them.
func geminiTools(b *body, p *job.Prompt) error {
	tools, err := readTools(p.Tools)
	if err != nil {
		return err
	}
	var declared list
	for i, t := range tools {
		if t.Strict != nil && *t.Strict {
			return lacks(geminiName, fmt.Sprintf("tools[%d].function.strict", i))
		}
		var d body
		d.text("name", t.Name)
		if t.Description != "" {
			d.text("description", t.Description)
		}
		d.raw("parametersJsonSchema", t.Parameters)
		declared.add(d.bytes())
	}
	if !declared.empty() {
		var group body
		var groups list
		group.raw("functionDeclarations", declared.value())
		groups.add(group.bytes())
		b.raw("tools", groups.value())
	}
	choice, err := readToolChoice(p.ToolChoice)
	if err != nil {
		return err
	}
	var calling, config body
	switch {
	case choice.function != "":
		calling.text("mode", "ANY")
		calling.texts("allowedFunctionNames", []string{choice.function})
	case choice.mode == "required":
		calling.text("mode", "ANY")
	case choice.mode != "":
		calling.text("mode", strings.ToUpper(choice.mode))
	}
	config.object("functionCallingConfig", &calling)
	b.object("toolConfig", &config)
	return nil
}

// geminiContents are turns of the user and of the model. Tools' answers that
// follow each other go into one turn, named by the calls that they answer.
func geminiContents(conversation []turn) (jsontext.Value, error) {
	var contents, results list
	called := map[string]string{} // a call's id → the function
	flush := func() {
		if !results.empty() {
			contents.add(geminiContent("user", results.value()))
			results = list{}
		}
	}
	for i := range conversation {
		t := &conversation[i]
		if t.Role == "tool" {
			result, err := geminiResult(t, called)
			if err != nil {
				return nil, err
			}
			results.add(result)
			continue
		}
		flush()
		parts, err := geminiParts(t)
		if err != nil {
			return nil, err
		}
		for j := range t.calls {
			c := &t.calls[j]
			called[c.ID] = c.Function.Name
			arguments, _ := c.arguments()
			var call, part body
			if c.ID != "" {
				call.text("id", c.ID)
			}
			call.text("name", c.Function.Name)
			call.raw("args", arguments)
			part.object("functionCall", &call)
			if s := c.ExtraContent.Google.ThoughtSignature; s != "" {
				part.text("thoughtSignature", s)
			}
			parts.add(part.bytes())
		}
		role := "user"
		if t.Role == "assistant" {
			role = "model"
		}
		contents.add(geminiContent(role, parts.value()))
	}
	flush()
	return contents.value(), nil
}

func geminiContent(role string, parts jsontext.Value) jsontext.Value {
	var b body
	if role != "" {
		b.text("role", role)
	}
	b.raw("parts", parts)
	return b.bytes()
}

func geminiText(s string) jsontext.Value {
	var part body
	var parts list
	part.text("text", s)
	parts.add(part.bytes())
	return parts.value()
}

// geminiResult is what a tool answered: its object, or its text as output.
func geminiResult(t *turn, called map[string]string) (jsontext.Value, error) {
	name := firstOf(called[t.call], t.name)
	if name == "" {
		return nil, sentence(t.where + ".tool_call_id names no call of a message before it.")
	}
	text, err := t.textAlone(geminiName)
	if err != nil {
		return nil, err
	}
	response := jsontext.Value(strings.TrimSpace(text))
	if !response.IsValid() || response.Kind() != '{' {
		var output body
		output.text("output", text)
		response = output.bytes()
	}
	var r, part body
	r.text("id", t.call)
	r.text("name", name)
	r.raw("response", response)
	part.object("functionResponse", &r)
	return part.bytes(), nil
}

// geminiParts are a turn's texts and images.
func geminiParts(t *turn) (*list, error) {
	var parts list
	for _, part := range t.parts() {
		var p body
		if part.ImageURL == "" {
			p.text("text", part.Text)
			parts.add(p.bytes())
			continue
		}
		if part.Detail != "" && part.Detail != "auto" {
			return nil, lacks(geminiName, t.where+".image_url.detail (generationConfig.mediaResolution in extra_body is its own)")
		}
		img, inline, err := readDataURL(part.ImageURL)
		var data body
		switch {
		case err != nil:
			return nil, err
		case inline:
			data.text("mimeType", img.mediaType)
			data.text("data", img.data)
			p.object("inlineData", &data)
		case strings.HasPrefix(part.ImageURL, "https://"):
			if kind := mediaTypeOf(part.ImageURL); kind != "" {
				data.text("mimeType", kind)
			}
			data.text("fileUri", part.ImageURL)
			p.object("fileData", &data)
		default:
			return nil, sentence(geminiName + " takes an image_url that is https: or data: alone.")
		}
		parts.add(p.bytes())
	}
	if parts.empty() && len(t.calls) == 0 {
		parts.add(jsontext.Value(`{"text":""}`))
	}
	return &parts, nil
}

// mediaTypeOf guesses an image's type by its address; empty where that tells
// nothing.
func mediaTypeOf(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	switch ext := strings.ToLower(path.Ext(u.Path)); ext {
	case ".png", ".gif", ".webp", ".jpeg", ".heic", ".heif":
		return "image/" + ext[1:]
	case ".jpg":
		return "image/jpeg"
	default:
		return ""
	}
}
