package simulator

import (
	"strconv"
	"strings"
)

// markers are the classes that [[simulate:CLASS]] and [[simulate:CLASS:N]],
// [Fault] and [Weather] name, in the order in which an error lists them. To add
// one, add a row.
var markers = []struct {
	name string
	outcome
}{
	// Of the prompt.
	{"400", fails(badRequest)},         // the request is at fault
	{"context_length", fails(tooLong)}, // 400, the prompt is longer than the model takes
	{"413", fails(bodyTooLarge)},       // the body is larger than the provider takes
	{"blocked", fails(blocked)},        // a filter refuses the prompt; 200 at Gemini
	{"too_large", fails(tooLarge)},     // 429 that no waiting helps; OpenAI alone says so
	// Of the account.
	{"401", fails(badCredential)},           // the credential is wrong; 400 at Gemini
	{"403", fails(forbidden)},               // the credential may not
	{"unknown_model", fails(noModel)},       // 404; 400 at Mistral
	{"insufficient_quota", fails(noCredit)}, // the credit is used up: 429, 400 at Anthropic, 402 at Mistral
	{"402", fails(unpaid)},
	{"spend_limit", fails(spendLimit)},                                   // a limit of money is reached: 429, 403 at Mistral
	{"day_quota", fails(dayUsedUp)},                                      // 429, the day's quota is used up
	{"429", fails(rateLimited)},                                          // slow down; counted as an attempt, unlike a real one
	{"429_silent", outcome{act: actFail, kind: rateLimited, mute: true}}, // the same without a word on how long
	// Of the provider.
	{"408", fails(timedOut)},
	{"409", fails(conflict)},
	{"500", fails(serverError)},       // an internal error
	{"502", fails(badGateway)},        // a page in HTML
	{"503", fails(unavailable)},       // overloaded
	{"504", fails(gatewayTimeout)},    // nothing from behind
	{"529", fails(overloaded)},        // overloaded, as Anthropic says it
	{"hang", outcome{act: actHang}},   // no answer until the client leaves
	{"reset", outcome{act: actReset}}, // TCP RST before any byte
	// Answers.
	{"content_filter", outcome{act: actFilter}}, // 200, the text withheld
	{"refusal", outcome{act: actRefuse}},        // 200, the model will not; mere text at Gemini and Mistral
	{"empty", outcome{act: actSpend}},           // 200, no text, ended by the limit of tokens
	{"answer", outcome{act: actAnswer}},         // as without a marker, and spared the shares
	// Answers that are none, with 200.
	{"garbage", outcome{act: actCut}},        // half the JSON, Content-Length of that half
	{"truncated", outcome{act: actTruncate}}, // half the JSON, Content-Length of the whole
	{"empty_body", outcome{act: actNothing}}, // no byte
	{"html", outcome{act: actHTML}},          // a page of some proxy
	{"sse_error", outcome{act: actSSE}},      // an error as a server-sent event
	{"error_200", outcome{act: actError200}}, // an error's JSON
}

const markerStart = "[[simulate:"

// marked reads the markers of a prompt for its attempt (from 0). found is
// whether there is any; a class or number that is not known is badMarker.
func marked(prompt string, attempt uint32) (o outcome, found bool) {
	for {
		i := strings.Index(prompt, markerStart)
		if i < 0 {
			// All markers are used up: it answers.
			return outcome{act: actAnswer}, found
		}
		found = true
		prompt = prompt[i+len(markerStart):]
		body, _, closed := strings.Cut(prompt, "]]")
		name, number, counted := strings.Cut(body, ":")
		o, known := classNamed(name)
		if !closed || !known {
			return fails(badMarker), true
		}
		if counted {
			n, err := strconv.ParseUint(number, 10, 32)
			if err != nil {
				return fails(badMarker), true
			}
			if uint64(attempt) >= n {
				continue
			}
		}
		return o, true
	}
}

func classNamed(name string) (outcome, bool) {
	for i := range markers {
		if markers[i].name == name {
			return markers[i].outcome, true
		}
	}
	return outcome{}, false
}

// Classes are the names that a marker, a [Fault] and a [Weather] may have, from
// the prompt's own to the provider's.
func Classes() []string {
	names := make([]string, len(markers))
	for i := range markers {
		names[i] = markers[i].name
	}
	return names
}

// markerSentence says what is wrong with a marker.
func markerSentence() string {
	return "A [[simulate:CLASS]] or [[simulate:CLASS:N]] in the prompt is not understood. The classes are " +
		strings.Join(Classes(), ", ") + "; N is a whole number."
}
