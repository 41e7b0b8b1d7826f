package sdktest

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/anthropics/anthropic-sdk-go"
	"github.com/google/go-cmp/cmp"
	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
	"github.com/openai/openai-go/v3/shared"
	"google.golang.org/genai"

	"github.com/promptforge/promptforge/simulator"
)

const question = "What is a \"mirror\"?\nü😀"

var city = map[string]any{"type": "object", "properties": map[string]any{"city": map[string]any{"type": "string"}}, "required": []any{"city"}}

// arguments are what a call of a function of a city gets.
func arguments(prompt string) string { return `{"city":"` + simulator.PromptKey(prompt) + `"}` }

func chat(prompt string) openai.ChatCompletionNewParams {
	return openai.ChatCompletionNewParams{Model: gpt, Messages: []openai.ChatCompletionMessageParamUnion{openai.UserMessage(prompt)}}
}

func message(prompt string) anthropic.MessageNewParams {
	return anthropic.MessageNewParams{Model: claude, MaxTokens: 4096, Messages: []anthropic.MessageParam{anthropic.NewUserMessage(anthropic.NewTextBlock(prompt))}}
}

func TestOpenAIAnswersDecode(t *testing.T) {
	w := start(t, simulator.Config{Headers: true, RPM: 600_000})
	client := w.openai()
	tool := openai.ChatCompletionFunctionTool(shared.FunctionDefinitionParam{Name: "f", Parameters: shared.FunctionParameters(city)})
	for name, c := range map[string]struct {
		change               func(*openai.ChatCompletionNewParams)
		prompt, text, finish string
	}{
		"text":   {nil, question, simulator.Answer(question), "stop"},
		"length": {func(p *openai.ChatCompletionNewParams) { p.MaxCompletionTokens = openai.Int(20) }, question, "", "length"},
		"tool": {func(p *openai.ChatCompletionNewParams) {
			p.Tools = []openai.ChatCompletionToolUnionParam{tool}
			p.ToolChoice.OfAuto = openai.String("required")
		}, question, "", "tool_calls"},
		"json": {func(p *openai.ChatCompletionNewParams) {
			p.ResponseFormat.OfJSONSchema = &shared.ResponseFormatJSONSchemaParam{JSONSchema: shared.ResponseFormatJSONSchemaJSONSchemaParam{Name: "n", Schema: city}}
		}, question, arguments(question), "stop"},
		"filtered": {nil, "[[simulate:content_filter]]", "", "content_filter"},
		"refused":  {nil, "[[simulate:refusal]]", "", "stop"},
		"empty":    {nil, "[[simulate:empty]]", "", "length"},
	} {
		t.Run(name, func(t *testing.T) {
			p := chat(c.prompt)
			if c.change != nil {
				c.change(&p)
			}
			got, err := client.Chat.Completions.New(t.Context(), p)
			if err != nil {
				t.Fatal(err)
			}
			whole(t, "completion", reflect.ValueOf(*got))
			choice := got.Choices[0]
			text := choice.Message.Content
			if name == "length" {
				c.text = text
				if !strings.HasPrefix(simulator.Answer(question), text) || text == "" {
					t.Errorf("cut to %q", text)
				}
			}
			if text != c.text || choice.FinishReason != c.finish || got.Model != gpt {
				t.Errorf("%q, %s, %s", text, choice.FinishReason, got.Model)
			}
			if u := got.Usage; u.TotalTokens != u.PromptTokens+u.CompletionTokens || u.PromptTokens == 0 || (u.CompletionTokens == 0) != (name == "filtered") {
				t.Errorf("usage: %s", u.RawJSON())
			}
			if name == "tool" {
				if calls := choice.Message.ToolCalls; len(calls) != 1 || calls[0].Function.Name != "f" || calls[0].Function.Arguments != arguments(question) {
					t.Errorf("%s", choice.RawJSON())
				}
			}
			if refused := choice.Message.Refusal != ""; refused != (name == "refused") {
				t.Errorf("%s", choice.RawJSON())
			}
		})
	}
	list, err := client.Models.List(t.Context())
	if err != nil || len(list.Data) == 0 {
		t.Errorf("%v %+v", err, list)
	}
	vector, err := client.Embeddings.New(t.Context(), openai.EmbeddingNewParams{Model: "text-embedding-3-small", Input: openai.EmbeddingNewParamsInputUnion{OfString: openai.String("a")}})
	if err != nil {
		t.Fatal(err)
	}
	whole(t, "embedding", reflect.ValueOf(*vector))
}

func TestMistralAnswersDecode(t *testing.T) {
	w := start(t, simulator.Config{Headers: true, RPM: 600_000})
	client := w.mistral()
	p := chat(question)
	p.Model = large
	got, err := client.Chat.Completions.New(t.Context(), p, option.WithJSONSet("random_seed", 7))
	if err != nil {
		t.Fatal(err)
	}
	if c := got.Choices[0]; c.Message.Content != simulator.Answer(question) || c.FinishReason != "stop" || got.Usage.TotalTokens == 0 || got.ID == "" || got.Created == 0 {
		t.Errorf("%s", got.RawJSON())
	}
	p.Tools = []openai.ChatCompletionToolUnionParam{openai.ChatCompletionFunctionTool(shared.FunctionDefinitionParam{Name: "f", Parameters: shared.FunctionParameters(city)})}
	p.ToolChoice.OfAuto = openai.String("any")
	if got, err = client.Chat.Completions.New(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	if c := got.Choices[0]; c.FinishReason != "tool_calls" || len(c.Message.ToolCalls) != 1 || c.Message.ToolCalls[0].Function.Arguments != arguments(question) {
		t.Errorf("%s", got.RawJSON())
	}
}

func TestAnthropicAnswersDecode(t *testing.T) {
	w := start(t, simulator.Config{Headers: true, RPM: 600_000})
	client := w.anthropic()
	tool := anthropic.ToolUnionParam{OfTool: &anthropic.ToolParam{Name: "f", InputSchema: anthropic.ToolInputSchemaParam{Properties: city["properties"], Required: []string{"city"}}}}
	for name, c := range map[string]struct {
		change       func(*anthropic.MessageNewParams)
		prompt, text string
		stop         anthropic.StopReason
	}{
		"text":     {nil, question, simulator.Answer(question), anthropic.StopReasonEndTurn},
		"length":   {func(p *anthropic.MessageNewParams) { p.MaxTokens = 20 }, question, "", anthropic.StopReasonMaxTokens},
		"filtered": {nil, "[[simulate:content_filter]]", "", anthropic.StopReasonRefusal},
		"refused":  {nil, "[[simulate:refusal]]", "", anthropic.StopReasonRefusal},
		"empty":    {nil, "[[simulate:empty]]", "", anthropic.StopReasonMaxTokens},
		"tool": {func(p *anthropic.MessageNewParams) {
			p.Tools = []anthropic.ToolUnionParam{tool}
			p.ToolChoice.OfAny = &anthropic.ToolChoiceAnyParam{}
		}, question, "", anthropic.StopReasonToolUse},
		"json": {func(p *anthropic.MessageNewParams) {
			p.OutputConfig.Format = anthropic.JSONOutputFormatParam{Schema: city}
		}, question, arguments(question), anthropic.StopReasonEndTurn},
	} {
		t.Run(name, func(t *testing.T) {
			p := message(c.prompt)
			if c.change != nil {
				c.change(&p)
			}
			got, err := client.Messages.New(t.Context(), p)
			if err != nil {
				t.Fatal(err)
			}
			whole(t, "message", reflect.ValueOf(*got))
			var text string
			for _, block := range got.Content {
				text += block.Text
			}
			if name == "length" {
				c.text = text
				if !strings.HasPrefix(simulator.Answer(question), text) || text == "" {
					t.Errorf("cut to %q", text)
				}
			}
			if text != c.text || got.StopReason != c.stop || got.Model != claude {
				t.Errorf("%s", got.RawJSON())
			}
			if u := got.Usage; u.InputTokens == 0 || (u.OutputTokens == 0) != (name == "filtered") {
				t.Errorf("usage: %s", u.RawJSON())
			}
			if name == "tool" {
				use, ok := got.Content[0].AsAny().(anthropic.ToolUseBlock)
				if !ok || use.Name != "f" || string(use.Input) != arguments(question) {
					t.Errorf("%s", got.RawJSON())
				}
			}
		})
	}
	list, err := client.Models.List(t.Context(), anthropic.ModelListParams{})
	if err != nil || len(list.Data) == 0 || list.Data[0].DisplayName == "" {
		t.Errorf("%v %+v", err, list)
	}
}

func TestGeminiAnswersDecode(t *testing.T) {
	w := start(t, simulator.Config{Headers: true, RPM: 600_000})
	client := w.gemini()
	tools := []*genai.Tool{{FunctionDeclarations: []*genai.FunctionDeclaration{{Name: "f", ParametersJsonSchema: city}}}}
	for name, c := range map[string]struct {
		config       *genai.GenerateContentConfig
		prompt, text string
		finish       genai.FinishReason
	}{
		"text":     {nil, question, simulator.Answer(question), genai.FinishReasonStop},
		"length":   {&genai.GenerateContentConfig{MaxOutputTokens: 20}, question, "", genai.FinishReasonMaxTokens},
		"filtered": {nil, "[[simulate:content_filter]]", "", genai.FinishReasonSafety},
		"blocked":  {nil, "[[simulate:blocked]]", "", ""},
		"empty":    {nil, "[[simulate:empty]]", "", genai.FinishReasonMaxTokens},
		"json":     {&genai.GenerateContentConfig{ResponseMIMEType: "application/json", ResponseJsonSchema: city}, question, arguments(question), genai.FinishReasonStop},
		"schema": {&genai.GenerateContentConfig{ResponseMIMEType: "application/json", ResponseSchema: &genai.Schema{
			Type: genai.TypeObject, Properties: map[string]*genai.Schema{"city": {Type: genai.TypeString}}, Required: []string{"city"},
		}}, question, arguments(question), genai.FinishReasonStop},
		"tool": {&genai.GenerateContentConfig{Tools: tools, ToolConfig: &genai.ToolConfig{
			FunctionCallingConfig: &genai.FunctionCallingConfig{Mode: genai.FunctionCallingConfigModeAny},
		}}, question, "", genai.FinishReasonStop},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := client.Models.GenerateContent(t.Context(), flash, genai.Text(c.prompt), c.config)
			if err != nil {
				t.Fatal(err)
			}
			// The SDK drops what it does not know, so the body is read again.
			var strict genai.GenerateContentResponse
			d := json.NewDecoder(strings.NewReader(string(w.take().answer)))
			d.DisallowUnknownFields()
			if err := d.Decode(&strict); err != nil {
				t.Errorf("unknown to the SDK: %v", err)
			}
			if got.ModelVersion != flash || got.UsageMetadata == nil || got.UsageMetadata.PromptTokenCount == 0 ||
				got.UsageMetadata.TotalTokenCount != got.UsageMetadata.PromptTokenCount+got.UsageMetadata.CandidatesTokenCount+got.UsageMetadata.ThoughtsTokenCount {
				t.Errorf("%+v", got.UsageMetadata)
			}
			if name == "blocked" {
				if len(got.Candidates) > 0 || got.PromptFeedback == nil || got.PromptFeedback.BlockReason != genai.BlockedReasonProhibitedContent {
					t.Errorf("%+v", got)
				}
				return
			}
			candidate := got.Candidates[0]
			text := got.Text()
			if name == "length" {
				c.text = text
				if !strings.HasPrefix(simulator.Answer(question), text) || text == "" {
					t.Errorf("cut to %q", text)
				}
			}
			if text != c.text || candidate.FinishReason != c.finish || got.ResponseID == "" {
				t.Errorf("%q, %s", text, candidate.FinishReason)
			}
			if name == "tool" {
				calls := got.FunctionCalls()
				if len(calls) != 1 || calls[0].Name != "f" || !cmp.Equal(calls[0].Args, map[string]any{"city": simulator.PromptKey(question)}) {
					t.Errorf("%+v", calls)
				}
			}
		})
	}
	page, err := client.Models.List(t.Context(), nil)
	if err != nil || len(page.Items) == 0 {
		t.Errorf("%v %+v", err, page)
	}
}
