package sdktest

import (
	"encoding/base64"
	"testing"

	"github.com/anthropics/anthropic-sdk-go"
	anthropicoption "github.com/anthropics/anthropic-sdk-go/option"
	"github.com/openai/openai-go/v3"
	openaioption "github.com/openai/openai-go/v3/option"
	"github.com/openai/openai-go/v3/shared"
	"google.golang.org/genai"
)

// saying says a line in an SDK's words.
type saying func(t *testing.T) error

// sayings are, for each dialect, the SDK's words for each of lines.
func sayings(w *world) map[string]map[string]saying {
	return map[string]map[string]saying{
		"openai":    openaiSayings(w.openai(), gpt, "seed", "presence_penalty", 0.5),
		"mistral":   openaiSayings(w.mistral(), large, "random_seed", "safe_prompt", true),
		"anthropic": anthropicSayings(w.anthropic()),
		"gemini":    geminiSayings(w.gemini()),
	}
}

func openaiSayings(client openai.Client, model, seed, extra string, value any) map[string]saying {
	type params = openai.ChatCompletionNewParams
	say := func(change func(*params), options ...openaioption.RequestOption) saying {
		return func(t *testing.T) error {
			p := params{Model: model, Messages: []openai.ChatCompletionMessageParamUnion{openai.UserMessage("q")}}
			change(&p)
			_, err := client.Chat.Completions.New(t.Context(), p, options...)
			return err
		}
	}
	tools := []openai.ChatCompletionToolUnionParam{openai.ChatCompletionFunctionTool(shared.FunctionDefinitionParam{
		Name: "f", Description: openai.String("finds"), Parameters: shared.FunctionParameters(city),
	})}
	call := openai.ChatCompletionMessageToolCallUnionParam{OfFunction: &openai.ChatCompletionMessageFunctionToolCallParam{
		ID:       "call12345",
		Function: openai.ChatCompletionMessageFunctionToolCallFunctionParam{Name: "f", Arguments: `{"city":"Paris"}`},
	}}
	return map[string]saying{
		"prompt": say(func(p *params) {
			p.Messages = []openai.ChatCompletionMessageParamUnion{openai.SystemMessage("Be brief."), openai.UserMessage("q")}
		}),
		"sampling": say(func(p *params) {
			p.Temperature, p.TopP, p.MaxTokens = openai.Float(0.5), openai.Float(0.25), openai.Int(100)
			p.Stop.OfStringArray = []string{"x", "y"}
		}),
		"seed": say(func(*params) {}, openaioption.WithJSONSet(seed, 7)),
		"images": say(func(p *params) {
			p.Messages = []openai.ChatCompletionMessageParamUnion{
				openai.SystemMessage("Be brief."),
				openai.UserMessage([]openai.ChatCompletionContentPartUnionParam{
					openai.TextContentPart("one"),
					openai.ImageContentPart(openai.ChatCompletionContentPartImageImageURLParam{URL: "data:image/png;base64," + pixel}),
					openai.ImageContentPart(openai.ChatCompletionContentPartImageImageURLParam{URL: "https://example.com/y.png"}),
				}),
				openai.AssistantMessage("two"),
				openai.UserMessage("three"),
			}
		}),
		"tools":  say(func(p *params) { p.Tools, p.ToolChoice.OfAuto = tools, openai.String("auto") }),
		"forced": say(func(p *params) { p.Tools, p.ToolChoice.OfAuto = tools, openai.String("required") }),
		"named": say(func(p *params) {
			p.Tools = tools
			p.ToolChoice.OfFunctionToolChoice = &openai.ChatCompletionNamedToolChoiceParam{Function: openai.ChatCompletionNamedToolChoiceFunctionParam{Name: "f"}}
		}),
		"called": say(func(p *params) {
			p.Tools = tools
			p.Messages = []openai.ChatCompletionMessageParamUnion{
				openai.UserMessage("q"),
				{OfAssistant: &openai.ChatCompletionAssistantMessageParam{ToolCalls: []openai.ChatCompletionMessageToolCallUnionParam{call}}},
				openai.ToolMessage(`{"output":"7"}`, "call12345"),
			}
		}),
		"schema": say(func(p *params) {
			p.ResponseFormat.OfJSONSchema = &shared.ResponseFormatJSONSchemaParam{JSONSchema: shared.ResponseFormatJSONSchemaJSONSchemaParam{Name: "n", Schema: city}}
		}),
		"json_object": say(func(p *params) { p.ResponseFormat.OfJSONObject = &shared.ResponseFormatJSONObjectParam{} }),
		"extra":       say(func(*params) {}, openaioption.WithJSONSet(extra, value)),
	}
}

func anthropicSayings(client anthropic.Client) map[string]saying {
	type params = anthropic.MessageNewParams
	say := func(change func(*params), options ...anthropicoption.RequestOption) saying {
		return func(t *testing.T) error {
			p := message("q")
			change(&p)
			_, err := client.Messages.New(t.Context(), p, options...)
			return err
		}
	}
	tools := []anthropic.ToolUnionParam{{OfTool: &anthropic.ToolParam{
		Name: "f", Description: anthropic.String("finds"),
		InputSchema: anthropic.ToolInputSchemaParam{Properties: city["properties"], Required: []string{"city"}},
	}}}
	brief := []anthropic.TextBlockParam{{Text: "Be brief."}}
	return map[string]saying{
		"prompt": say(func(p *params) { p.System = brief }),
		"sampling": say(func(p *params) {
			p.Temperature, p.TopP, p.MaxTokens = anthropic.Float(0.5), anthropic.Float(0.25), 100
			p.StopSequences = []string{"x", "y"}
		}),
		"images": say(func(p *params) {
			p.System = brief
			p.Messages = []anthropic.MessageParam{
				anthropic.NewUserMessage(
					anthropic.NewTextBlock("one"),
					anthropic.NewImageBlockBase64("image/png", pixel),
					anthropic.NewImageBlock(anthropic.URLImageSourceParam{URL: "https://example.com/y.png"}),
				),
				anthropic.NewAssistantMessage(anthropic.NewTextBlock("two")),
				anthropic.NewUserMessage(anthropic.NewTextBlock("three")),
			}
		}),
		"tools":  say(func(p *params) { p.Tools, p.ToolChoice.OfAuto = tools, &anthropic.ToolChoiceAutoParam{} }),
		"forced": say(func(p *params) { p.Tools, p.ToolChoice.OfAny = tools, &anthropic.ToolChoiceAnyParam{} }),
		"named":  say(func(p *params) { p.Tools, p.ToolChoice = tools, anthropic.ToolChoiceParamOfTool("f") }),
		"called": say(func(p *params) {
			p.Tools = tools
			p.Messages = append(
				p.Messages,
				anthropic.NewAssistantMessage(anthropic.NewToolUseBlock("call12345", map[string]any{"city": "Paris"}, "f")),
				anthropic.NewUserMessage(anthropic.NewToolResultBlock("call12345", `{"output":"7"}`, false)),
			)
		}),
		"schema": say(func(p *params) { p.OutputConfig.Format = anthropic.JSONOutputFormatParam{Schema: city} }),
		"extra":  say(func(p *params) { p.TopK = anthropic.Int(5) }),
	}
}

func geminiSayings(client *genai.Client) map[string]saying {
	type config = genai.GenerateContentConfig
	converse := func(c *config, contents ...*genai.Content) saying {
		return func(t *testing.T) error {
			_, err := client.Models.GenerateContent(t.Context(), flash, contents, c)
			return err
		}
	}
	say := func(c *config) saying { return converse(c, genai.Text("q")...) }
	tools := []*genai.Tool{{FunctionDeclarations: []*genai.FunctionDeclaration{{Name: "f", Description: "finds", ParametersJsonSchema: city}}}}
	choice := func(c genai.FunctionCallingConfig) *genai.ToolConfig {
		return &genai.ToolConfig{FunctionCallingConfig: &c}
	}
	brief := genai.NewContentFromText("Be brief.", genai.RoleUser)
	image, err := base64.StdEncoding.DecodeString(pixel)
	if err != nil {
		panic(err)
	}
	return map[string]saying{
		"prompt": say(&config{SystemInstruction: brief}),
		"sampling": say(&config{
			Temperature: genai.Ptr[float32](0.5), TopP: genai.Ptr[float32](0.25), MaxOutputTokens: 100, StopSequences: []string{"x", "y"},
		}),
		"seed": say(&config{Seed: genai.Ptr[int32](7)}),
		"images": converse(
			&config{SystemInstruction: brief},
			genai.NewContentFromParts([]*genai.Part{
				genai.NewPartFromText("one"), genai.NewPartFromBytes(image, "image/png"), genai.NewPartFromURI("https://example.com/y.png", "image/png"),
			}, genai.RoleUser),
			genai.NewContentFromText("two", genai.RoleModel),
			genai.NewContentFromText("three", genai.RoleUser),
		),
		"tools":  say(&config{Tools: tools, ToolConfig: choice(genai.FunctionCallingConfig{Mode: genai.FunctionCallingConfigModeAuto})}),
		"forced": say(&config{Tools: tools, ToolConfig: choice(genai.FunctionCallingConfig{Mode: genai.FunctionCallingConfigModeAny})}),
		"named":  say(&config{Tools: tools, ToolConfig: choice(genai.FunctionCallingConfig{Mode: genai.FunctionCallingConfigModeAny, AllowedFunctionNames: []string{"f"}})}),
		"called": converse(
			&config{Tools: tools},
			genai.NewContentFromText("q", genai.RoleUser),
			genai.NewContentFromParts([]*genai.Part{{FunctionCall: &genai.FunctionCall{ID: "call12345", Name: "f", Args: map[string]any{"city": "Paris"}}}}, genai.RoleModel),
			genai.NewContentFromParts([]*genai.Part{{FunctionResponse: &genai.FunctionResponse{ID: "call12345", Name: "f", Response: map[string]any{"output": "7"}}}}, genai.RoleUser),
		),
		"schema":      say(&config{ResponseMIMEType: "application/json", ResponseJsonSchema: city}),
		"json_object": say(&config{ResponseMIMEType: "application/json"}),
		"extra":       say(&config{TopK: genai.Ptr[float32](5)}),
	}
}
