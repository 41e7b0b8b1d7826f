package simulator

import (
	"encoding/hex"
	"encoding/json"
	"strconv"
)

func (anthropic) appendAnswer(b []byte, rq *request, a *answer, id uint64) []byte {
	b = append(b, `{"model":`...)
	b = appendString(b, rq.model)
	b = append(b, `,"id":"msg_`...)
	b = appendHex64(b, rq.key.hash(id, 0, forID))
	b = append(b, `","type":"message","role":"assistant","content":[`...)
	b = appendAnthropicContent(b, rq, a)
	b = append(b, `],"stop_reason":"`...)
	b = append(b, a.finish.anthropic()...)
	b = append(b, `","stop_sequence":null,"stop_details":`...)
	b = appendAnthropicStop(b, a)
	b = append(b, `,"usage":{"input_tokens":`...)
	b = strconv.AppendInt(b, int64(rq.promptTokens), 10)
	b = append(b, `,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"cache_creation":{"ephemeral_5m_input_tokens":0,"ephemeral_1h_input_tokens":0},"output_tokens":`...)
	b = strconv.AppendInt(b, int64(a.tokens), 10)
	b = append(b, `,"output_tokens_details":{"thinking_tokens":`...)
	b = strconv.AppendInt(b, int64(a.reasoning), 10)
	return append(b, `},"server_tool_use":null,"service_tier":"standard","inference_geo":"not_available","speed":"standard"},"container":null,"diagnostics":null}`...)
}

// appendAnthropicContent appends the blocks of the answer. Tokens that were
// spent without text, and what was withheld, have none.
func appendAnthropicContent(b []byte, rq *request, a *answer) []byte {
	switch {
	case a.tool != "":
		b = append(b, `{"type":"tool_use","id":"toolu_`...)
		b = hex.AppendEncode(b, rq.key[:12])
		b = append(b, `","name":`...)
		b = appendString(b, a.tool)
		b = append(b, `,"input":`...)
		b = appendObject(b, a.text)
		return append(b, `,"caller":{"type":"direct"}}`...)
	case a.text == "" || a.finish == finishRefusal:
		return b
	}
	b = append(b, `{"type":"text","text":`...)
	b = appendString(b, a.text)
	return append(b, `,"citations":null}`...)
}

// appendObject appends the JSON of a tool's arguments where an object is
// wanted: {} for what the limit of tokens has cut.
func appendObject(b []byte, text string) []byte {
	if !json.Valid([]byte(text)) {
		return append(b, "{}"...)
	}
	return append(b, text...)
}

func appendAnthropicStop(b []byte, a *answer) []byte {
	if a.finish != finishRefusal && a.finish != finishFilter {
		return append(b, "null"...)
	}
	b = append(b, `{"type":"refusal","category":null,"explanation":`...)
	return append(appendStringOrNull(b, a.text), '}')
}

func (f finish) anthropic() string {
	switch f {
	case finishLength:
		return "max_tokens"
	case finishTool:
		return "tool_use"
	case finishFilter, finishRefusal:
		return "refusal"
	}
	return "end_turn"
}
