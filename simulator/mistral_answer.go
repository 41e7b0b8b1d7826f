package simulator

import (
	"encoding/hex"
	"strconv"
	"strings"
	"time"
)

func (mistral) appendAnswer(b []byte, rq *request, a *answer, id uint64) []byte {
	b = append(b, `{"id":"`...)
	b = appendHex64(appendHex64(b, splitmix(id)), rq.key.hash(id, 0, forID))
	b = append(b, `","created":`...)
	b = strconv.AppendInt(b, time.Now().Unix(), 10)
	b = append(b, `,"model":`...)
	b = appendString(b, rq.model)
	b = append(b, `,"usage":{"prompt_tokens":`...)
	b = strconv.AppendInt(b, int64(rq.promptTokens), 10)
	b = append(b, `,"total_tokens":`...)
	b = strconv.AppendInt(b, int64(rq.promptTokens+a.tokens), 10)
	b = append(b, `,"completion_tokens":`...)
	b = strconv.AppendInt(b, int64(a.tokens), 10)
	b = append(b, `,"prompt_tokens_details":{"cached_tokens":0}},"object":"chat.completion","choices":[{"index":0,"finish_reason":"`...)
	b = append(b, a.finish.openAI()...)
	b = append(b, `","message":{"role":"assistant",`...)
	b = appendMistralMessage(b, rq, a)
	return append(b, `}}]}`...)
}

// appendMistralMessage appends the members of the message after its role. A
// reasoning model's content is a list that begins with its thoughts.
func appendMistralMessage(b []byte, rq *request, a *answer) []byte {
	if a.tool != "" {
		b = append(b, `"tool_calls":[{"id":"`...)
		b = hex.AppendEncode(b, rq.key[:5])[:len(b)+9] // Mistral's ids have 9 characters
		b = append(b, `","function":{"name":`...)
		b = appendString(b, a.tool)
		b = append(b, `,"arguments":`...)
		b = appendString(b, a.text)
		return append(b, `},"index":0}],"content":""`...)
	}
	b = append(b, `"tool_calls":null,"content":`...)
	if !strings.HasPrefix(rq.model, "magistral-") || rq.json || a.text == "" {
		return appendString(b, a.text)
	}
	b = append(b, `[{"type":"thinking","thinking":[{"type":"text","text":"Let me think."}]},{"type":"text","text":`...)
	b = appendString(b, a.text)
	return append(b, `}]`...)
}
