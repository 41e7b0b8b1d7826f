package provider

import (
	"net/http"
	"strings"
)

// requestIDs are the headers in which providers name a request: OpenAI, Groq
// and many others, Anthropic, Mistral and the gateway before it, Azure, Google,
// and Cloudflare, which is all that is left where it answered itself.
var requestIDs = []string{
	"x-request-id", "request-id", "mistral-correlation-id", "x-kong-request-id",
	"apim-request-id", "x-ms-request-id", "x-goog-request-id", "cf-ray",
}

const maxRequestID = 200

// requestID is the provider's name for a request; empty where it gave none.
func requestID(h http.Header) string {
	for _, name := range requestIDs {
		if v := h.Get(name); v != "" {
			return strings.ToValidUTF8(v[:min(len(v), maxRequestID)], "")
		}
	}
	return ""
}
