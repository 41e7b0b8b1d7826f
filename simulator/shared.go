package simulator

import "strings"

// OpenAI and Mistral share a route and look alike, and a client of either may
// be pointed at the simulator's root. Whoever leaves the prefix /mistral away
// is told apart by the model's name, and by fields that only Mistral has.

// mistralModels begin the names of Mistral's models. Source: Mistral's page
// "Models". Names under which other servers offer the same weights differ
// (mistralai/Mistral-7B-Instruct, mistral:7b).
var mistralModels = [...]string{
	"mistral-", "ministral-", "codestral-", "devstral-", "magistral-", "pixtral-", "voxtral-",
	"open-mistral-", "open-mixtral-", "open-codestral-", "labs-", "ft:mistral-", "ft:ministral-", "ft:open-mistral-", "ft:codestral-",
}

func isMistralModel(name string) bool {
	for _, prefix := range mistralModels {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

// isMistralBody tells the same of a whole body, which may be no JSON.
func isMistralBody(body []byte) (is bool) {
	q := quick{b: body}
	q.object(func(name []byte) bool {
		switch string(name) {
		case `"random_seed"`, `"safe_prompt"`, `"prompt_mode"`, `"guardrails"`:
			is = true
			return false
		case `"model"`:
			model, ok := q.plain()
			if ok && isMistralModel(string(model)) {
				is = true
			}
			return ok && !is
		}
		return q.skip()
	})
	return is
}

// parse reads a body in the words of the dialect that it is in.
func (x *exchange) parse(body []byte) (request, *failure) {
	if x.shared {
		// The quick way knows no field that is Mistral's alone.
		in, ok := (&quick{b: body}).chat()
		switch {
		case ok && !isMistralModel(in.Model):
			return in.request()
		case isMistralBody(body):
			x.speak(mistralPlace)
		}
	}
	return dialects[x.place].parse(x.r, x.path, x.op, body)
}

// speak changes the dialect, once the body has told it.
func (x *exchange) speak(place int) {
	x.s.ledger.by[x.place].requests.Add(-1)
	x.place = place
	x.s.ledger.by[place].requests.Add(1)
}
