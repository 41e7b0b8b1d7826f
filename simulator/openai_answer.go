package simulator

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"math"
	"strconv"
	"time"
)

func (openAI) appendAnswer(b []byte, rq *request, a *answer, id uint64) []byte {
	if rq.op == opEmbed {
		return appendOpenAIEmbeddings(b, rq)
	}
	b = append(b, `{"id":"chatcmpl-`...)
	b = appendHex64(b, rq.key.hash(id, 0, forID))
	b = append(b, `","object":"chat.completion","created":`...)
	b = strconv.AppendInt(b, time.Now().Unix(), 10)
	b = append(b, `,"model":`...)
	b = appendString(b, rq.model)
	b = append(b, `,"choices":[{"index":0,"message":{"role":"assistant",`...)
	b = appendOpenAIMessage(b, rq, a)
	b = append(b, `,"annotations":[]},"logprobs":null,"finish_reason":"`...)
	b = append(b, a.finish.openAI()...)
	b = append(b, `"}],"usage":{"prompt_tokens":`...)
	b = strconv.AppendInt(b, int64(rq.promptTokens), 10)
	b = append(b, `,"completion_tokens":`...)
	b = strconv.AppendInt(b, int64(a.tokens), 10)
	b = append(b, `,"total_tokens":`...)
	b = strconv.AppendInt(b, int64(rq.promptTokens+a.tokens), 10)
	b = append(b, `,"prompt_tokens_details":{"cached_tokens":0,"audio_tokens":0},"completion_tokens_details":{"reasoning_tokens":`...)
	b = strconv.AppendInt(b, int64(a.reasoning), 10)
	return append(b, `,"audio_tokens":0,"accepted_prediction_tokens":0,"rejected_prediction_tokens":0}},`+
		`"service_tier":"default","system_fingerprint":"fp_simulator"}`...)
}

// appendOpenAIMessage appends the members of the message after its role.
func appendOpenAIMessage(b []byte, rq *request, a *answer) []byte {
	switch {
	case a.tool != "":
		b = append(b, `"content":null,"tool_calls":[{"id":"call_`...)
		b = hex.AppendEncode(b, rq.key[:12])
		b = append(b, `","type":"function","function":{"name":`...)
		b = appendString(b, a.tool)
		b = append(b, `,"arguments":`...)
		b = appendString(b, a.text)
		return append(b, `}}],"refusal":null`...)
	case a.finish == finishRefusal:
		b = append(b, `"content":null,"refusal":`...)
		return appendString(b, a.text)
	}
	b = append(b, `"content":`...)
	b = appendString(b, a.text)
	return append(b, `,"refusal":null`...)
}

func (f finish) openAI() string {
	switch f {
	case finishLength:
		return "length"
	case finishTool:
		return "tool_calls"
	case finishFilter:
		return "content_filter"
	}
	return "stop"
}

func appendOpenAIEmbeddings(b []byte, rq *request) []byte {
	b = append(b, `{"object":"list","data":[`...)
	for i, input := range rq.inputs {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, `{"object":"embedding","index":`...)
		b = strconv.AppendInt(b, int64(i), 10)
		b = append(b, `,"embedding":`...)
		b = appendVector(b, embed(input), rq.base64)
		b = append(b, '}')
	}
	b = append(b, `],"model":`...)
	b = appendString(b, rq.model)
	b = append(b, `,"usage":{"prompt_tokens":`...)
	b = strconv.AppendInt(b, int64(rq.promptTokens), 10)
	b = append(b, `,"total_tokens":`...)
	b = strconv.AppendInt(b, int64(rq.promptTokens), 10)
	return append(b, `}}`...)
}

// embed is a vector of length 1 that depends on the text alone, and tells
// nothing of its meaning.
func embed(text string) (v [8]float32) {
	sum := sha256.Sum256([]byte(text))
	var square float64
	for i := range v {
		v[i] = float32(int32(binary.LittleEndian.Uint32(sum[4*i:])))
		square += float64(v[i]) * float64(v[i])
	}
	for i := range v {
		v[i] = float32(float64(v[i]) / math.Sqrt(square))
	}
	return v
}

// appendVector appends v as numbers, or as encoding_format "base64" wants it:
// little-endian float32.
func appendVector(b []byte, v [8]float32, inBase64 bool) []byte {
	if inBase64 {
		var raw []byte
		for _, x := range v {
			raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(x))
		}
		b = append(b, '"')
		b = base64.StdEncoding.AppendEncode(b, raw)
		return append(b, '"')
	}
	b = append(b, '[')
	for i, x := range v {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendFloat(b, float64(x), 'f', -1, 32)
	}
	return append(b, ']')
}
