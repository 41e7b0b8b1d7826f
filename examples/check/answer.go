package main

import (
	"encoding/json"
	"strings"

	"github.com/promptforge/promptforge/job"
	"github.com/promptforge/promptforge/simulator"
)

// answers tells whether a text is what the simulator answers to a prompt.
func answers(p *job.Prompt, text, finish string) bool {
	prompt := p.UserText()
	if finish == "tool_calls" {
		return true // what counts then is not the text
	}
	if finish == "content_filter" {
		return text == "" || strings.Contains(prompt, "[[simulate:")
	}
	var format struct {
		Type string `json:"type"`
	}
	if p.ResponseFormat != nil && json.Unmarshal(p.ResponseFormat, &format) == nil && strings.HasPrefix(format.Type, "json_") {
		return answersJSON(format.Type, prompt, text, finish)
	}
	whole := simulator.Answer(prompt)
	if finish == "length" {
		return text != "" && strings.HasPrefix(whole, text)
	}
	return text == whole
}

// answersJSON tells the same of an answer that had to be JSON. One by a schema
// holds the prompt's key only where the schema leaves a string free.
func answersJSON(format, prompt, text, finish string) bool {
	key := simulator.PromptKey(prompt)
	switch {
	case format == "json_object":
		whole := `{"key":"` + key + `"}`
		return text == whole || finish == "length" && text != "" && strings.HasPrefix(whole, text)
	case finish == "length":
		return text != ""
	default:
		return json.Valid([]byte(text))
	}
}
