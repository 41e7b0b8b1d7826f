package simulator

import (
	"strconv"
	"strings"
)

// markers are the classes that [[simulate:CLASS]] and [[simulate:CLASS:N]]
// name, in the order in which an error lists them. To add one, add a row.
var markers = []struct {
	name string
	outcome
}{
	{"500", fails(serverError)},             // an internal error
	{"503", fails(unavailable)},             // overloaded
	{"400", fails(badRequest)},              // the request is at fault
	{"context_length", fails(tooLong)},      // 400, the prompt is longer than the model takes
	{"401", fails(badCredential)},           // the credential is wrong
	{"403", fails(forbidden)},               // the credential may not
	{"429", fails(rateLimited)},             // slow down; counted as an attempt, unlike a real one
	{"too_large", fails(tooLarge)},          // 429 that no waiting helps
	{"insufficient_quota", fails(noCredit)}, // 429, the credit is used up
	{"content_filter", outcome{act: actFilter}},
	{"refusal", outcome{act: actRefuse}},
	{"empty", outcome{act: actSpend}},        // 200, no text, ended by the limit of tokens
	{"hang", outcome{act: actHang}},          // no answer until the client leaves
	{"reset", outcome{act: actReset}},        // TCP RST before any byte
	{"garbage", outcome{act: actCut}},        // 200, half the JSON, Content-Length of that half
	{"truncated", outcome{act: actTruncate}}, // 200, half the JSON, Content-Length of the whole
	{"html", outcome{act: actHTML}},          // 200, a page of some proxy
	{"answer", outcome{act: actAnswer}},      // as without a marker, and spared the shares
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
		o, known := markedAs(name)
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

func markedAs(name string) (outcome, bool) {
	for i := range markers {
		if markers[i].name == name {
			return markers[i].outcome, true
		}
	}
	return outcome{}, false
}

// markerNames lists the classes for a sentence.
func markerNames() string {
	names := make([]string, len(markers))
	for i := range markers {
		names[i] = markers[i].name
	}
	return strings.Join(names, ", ")
}
