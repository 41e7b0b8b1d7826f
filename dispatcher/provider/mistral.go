package provider

import (
	"crypto/sha256"
	"fmt"
	"net/http"
	"regexp"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/promptforge/promptforge/job"
)

// Mistral is the dialect of Mistral's chat completions: OpenAI's shapes, but
// for some names, and strict about everything that it does not know.
// Source: Mistral's API reference, "Chat Completion".
type Mistral struct{}

// Name is mistral.
func (Mistral) Name() string { return "mistral" }

const mistralName = "Mistral"

// Authorize sends the key as a bearer token.
func (Mistral) Authorize(e *Endpoint, h http.Header) { OpenAI{}.Authorize(e, h) }

func mistralPath(e *Endpoint) string { return versioned(e, "/v1", chatPath) }

// Request says a prompt as a chat completion. Mistral lacks a speaker's name.
func (Mistral) Request(e *Endpoint, model string, p *job.Prompt) (string, []byte, error) {
	messages, err := mistralMessages(p)
	if err != nil {
		return "", nil, err
	}
	tools, err := mistralTools(p)
	if err != nil {
		return "", nil, err
	}
	if p.Seed != nil && *p.Seed < 0 {
		return "", nil, sentence(mistralName + " takes a seed of 0 or more.")
	}
	if _, err := readToolChoice(p.ToolChoice); err != nil {
		return "", nil, err
	}
	if _, err := readFormat(p.ResponseFormat); err != nil {
		return "", nil, err
	}
	var b body
	b.text("model", model)
	b.raw("messages", messages)
	b.number("temperature", p.Temperature)
	b.number("top_p", p.TopP)
	b.integer("max_tokens", maxTokens(e, p))
	b.texts("stop", p.Stop)
	b.integer("random_seed", p.Seed)
	b.raw("response_format", p.ResponseFormat)
	b.raw("tools", tools)
	b.raw("tool_choice", p.ToolChoice)
	if err := b.overlay(model, p.ExtraBody); err != nil {
		return "", nil, err
	}
	return mistralPath(e), b.bytes(), nil
}

// Canary asks for one token.
func (Mistral) Canary(e *Endpoint, model string) (string, []byte) {
	one := int64(1)
	var b body
	b.text("model", model)
	b.raw("messages", jsontext.Value(`[{"role":"user","content":"ping"}]`))
	b.integer("max_tokens", &one)
	return mistralPath(e), b.bytes()
}

// mistralTools are the line's tools; each wants parameters.
func mistralTools(p *job.Prompt) (jsontext.Value, error) {
	if p.Tools == nil {
		return nil, nil
	}
	tools, err := readTools(p.Tools)
	if err != nil {
		return nil, err
	}
	var out list
	for _, t := range tools {
		var f, d body
		f.text("name", t.Name)
		if t.Description != "" {
			f.text("description", t.Description)
		}
		if t.Strict != nil {
			f.raw("strict", fmt.Appendf(nil, "%t", *t.Strict))
		}
		f.raw("parameters", jsontext.Value(`{"type":"object","properties":{}}`))
		f.raw("parameters", t.Parameters)
		d.text("type", "function")
		d.object("function", &f)
		out.add(d.bytes())
	}
	return out.value(), nil
}

// mistralMessages holds nothing but what the API knows of each role: it
// refuses a message for one field more.
func mistralMessages(p *job.Prompt) (jsontext.Value, error) {
	all, err := turns(p)
	if err != nil {
		return nil, err
	}
	var out list
	if p.System != "" {
		out.add(mistralTurn("system", quote(p.System)).bytes())
	}
	for i := range all {
		t := &all[i]
		if t.name != "" && t.Role != "tool" {
			return nil, lacks(mistralName, t.where+".name")
		}
		role := t.Role
		if role == "developer" {
			role = "system"
		}
		content := quote(t.Text)
		if t.Parts != nil {
			content = mistralParts(t)
		}
		m := mistralTurn(role, content)
		if t.Role == "tool" {
			m.text("tool_call_id", mistralCallID(t.call))
			if t.name != "" {
				m.text("name", t.name)
			}
		}
		if len(t.calls) > 0 {
			m.raw("tool_calls", mistralCalls(t.calls))
		}
		out.add(m.bytes())
	}
	return out.value(), nil
}

func mistralTurn(role string, content jsontext.Value) *body {
	var m body
	m.text("role", role)
	m.raw("content", content)
	return &m
}

func mistralParts(t *turn) jsontext.Value {
	var out list
	for _, part := range t.parts() {
		var p, image body
		if part.ImageURL == "" {
			p.text("type", "text")
			p.text("text", part.Text)
		} else {
			image.text("url", part.ImageURL)
			if part.Detail != "" {
				image.text("detail", part.Detail)
			}
			p.text("type", "image_url")
			p.object("image_url", &image)
		}
		out.add(p.bytes())
	}
	return out.value()
}

func mistralCalls(calls []toolCall) jsontext.Value {
	var out callsAsOpenAI
	for i := range calls {
		arguments, _ := calls[i].arguments()
		out.add(i, mistralCallID(calls[i].ID), calls[i].Function.Name, arguments, nil)
	}
	return out.value()
}

// ownCallID is what Mistral takes as the id of a call: other providers' ids
// are refused ("Tool call id was … but must be a-z, A-Z, 0-9, with a length of 9").
var ownCallID = regexp.MustCompile(`^[a-zA-Z0-9]{9}$`)

// mistralCallID is a call's id, or nine letters that stand for it.
func mistralCallID(id string) string {
	if ownCallID.MatchString(id) {
		return id
	}
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
	digest := sha256.Sum256([]byte(id))
	out := make([]byte, 9)
	for i := range out {
		out[i] = letters[int(digest[i])%len(letters)]
	}
	return string(out)
}

// Answer reads an answer of any status. Reasoning models answer in parts, of
// which what they thought is left out.
func (Mistral) Answer(e *Endpoint, status int, h http.Header, body []byte) Answer {
	a := Answer{RequestID: requestID(h), Limits: mistralLimits(h)}
	readCompletion(e, &a, mistralVerdicts, status, h, body)
	a.ToolCalls = asOpenAICalls(a.ToolCalls)
	return a
}

// asOpenAICalls brings calls to OpenAI's shape: Mistral may give arguments as
// an object and leave out the type.
func asOpenAICalls(v jsontext.Value) jsontext.Value {
	var calls []toolCall
	if v == nil || json.Unmarshal(v, &calls, json.JoinOptions(lenient...)) != nil {
		return v
	}
	var out callsAsOpenAI
	for i := range calls {
		out.add(i, calls[i].ID, calls[i].Function.Name, calls[i].Function.Arguments, nil)
	}
	return out.value()
}
