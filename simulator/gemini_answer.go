package simulator

import "strconv"

func (gemini) appendAnswer(b []byte, rq *request, a *answer, id uint64) []byte {
	c := make([]byte, 0, 1024)
	c = append(c, `{"candidates":[{`...)
	c = appendGeminiContent(c, a)
	c = append(c, `"finishReason":"`...)
	c = append(c, a.finish.gemini()...)
	c = append(c, `","index":0`...)
	if a.finish == finishFilter {
		c = append(c, `,"safetyRatings":[{"category":"HARM_CATEGORY_DANGEROUS_CONTENT","probability":"HIGH","blocked":true}]`...)
	}
	c = append(c, `}],`...)
	c = appendGeminiUsage(c, rq.promptTokens, a)
	c = append(c, `,"modelVersion":`...)
	c = appendString(c, rq.model)
	c = append(c, `,"responseId":"`...)
	c = appendHex64(c, rq.key.hash(id, 0, forID))
	return indent(b, append(c, `"}`...))
}

// appendGeminiContent appends the member content, which is left out where there
// is no text.
func appendGeminiContent(b []byte, a *answer) []byte {
	switch {
	case a.tool != "":
		b = append(b, `"content":{"parts":[{"functionCall":{"name":`...)
		b = appendString(b, a.tool)
		b = append(b, `,"args":`...)
		b = appendObject(b, a.text)
		return append(b, `}}],"role":"model"},`...)
	case a.finish == finishFilter:
		return b
	case a.text == "":
		return append(b, `"content":{"role":"model"},`...)
	}
	b = append(b, `"content":{"parts":[{"text":`...)
	b = appendString(b, a.text)
	return append(b, `}],"role":"model"},`...)
}

// appendGeminiUsage tells thoughts apart from the candidates' tokens, as Google
// does; the total has both. A count of 0 is left out.
func appendGeminiUsage(b []byte, prompt int, a *answer) []byte {
	b = append(b, `"usageMetadata":{"promptTokenCount":`...)
	b = strconv.AppendInt(b, int64(prompt), 10)
	if n := a.tokens - a.reasoning; n > 0 {
		b = append(b, `,"candidatesTokenCount":`...)
		b = strconv.AppendInt(b, int64(n), 10)
	}
	b = append(b, `,"totalTokenCount":`...)
	b = strconv.AppendInt(b, int64(prompt+a.tokens), 10)
	b = append(b, `,"promptTokensDetails":[{"modality":"TEXT","tokenCount":`...)
	b = strconv.AppendInt(b, int64(prompt), 10)
	b = append(b, `}]`...)
	if a.reasoning > 0 {
		b = append(b, `,"thoughtsTokenCount":`...)
		b = strconv.AppendInt(b, int64(a.reasoning), 10)
	}
	return append(b, '}')
}

// gemini has no word of its own for a refusal or a tool's call: both are STOP.
func (f finish) gemini() string {
	switch f {
	case finishLength:
		return "MAX_TOKENS"
	case finishFilter:
		return "SAFETY"
	}
	return "STOP"
}
