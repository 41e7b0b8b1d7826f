package simulator

import (
	"encoding/hex"
	"strings"
	"unicode/utf8"
)

// answer is what the provider has to say to one request, in no dialect yet.
type answer struct {
	text      string // also a JSON document, or a tool's arguments
	tool      string // the function called with text; empty for none
	finish    finish
	tokens    int // of the completion
	reasoning int // how many of tokens were spent without text
}

// finish is why an answer ended.
type finish int

const (
	finishStop    finish = iota
	finishLength         // cut at the request's limit of tokens
	finishTool           // a tool is called
	finishFilter         // withheld by the provider's filter; no text
	finishRefusal        // text is the model's refusal
)

// Answer is the text that the simulator answers to a prompt, before any limit
// of tokens cuts it: 300 to 900 bytes of UTF-8 that begin with "[", the first
// 16 digits of PromptKey and "] ", and quote the prompt's first 80 characters.
func Answer(prompt string) string { return textFor(keyOf(prompt), prompt) }

// The parts of a sentence. Kept short: with the longest quotation (80
// characters of 4 bytes) and the longest sentence an answer stays below 900
// bytes, which a test holds.
var (
	openings = [...]string{"In short,", "Seen closely,", "On the whole,", "To begin with,", "As a rule,", "In practice,", "At its heart,", "Over time,"}
	subjects = [...]string{"a patient harbor", "the northern archive", "every careful reader", "a small machine", "the oldest bridge", "a steady current", "the morning ledger", "one quiet engine"}
	verbs    = [...]string{"carries", "measures", "remembers", "outlasts", "explains", "balances", "follows", "repairs"}
	objects  = [...]string{"what the river leaves behind", "more than its own weight", "the shape of the question", "a promise made in winter", "the cost of every step", "an answer worth keeping", "the work of many hands", "a line drawn in chalk"}
)

func textFor(k key, prompt string) string {
	b := make([]byte, 0, 900)
	b = append(b, '[')
	b = hex.AppendEncode(b, k[:8])
	b = append(b, `] You asked: "`...)
	b = append(b, opening(prompt, 80)...)
	b = append(b, '"', '.')

	h := k.hash(0, 0, forText)
	for target := 300 + int(h%400); len(b) < target; {
		h = splitmix(h)
		for i, words := range [...]*[8]string{&openings, &subjects, &verbs, &objects} {
			b = append(b, ' ')
			b = append(b, words[h>>(8*i)&7]...)
		}
		b = append(b, '.')
	}
	return string(b)
}

// opening is the first n characters of s, as valid UTF-8.
func opening(s string, n int) string {
	for i := range s {
		if n == 0 {
			s = s[:i]
			break
		}
		n--
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}

// tokensIn is the simulator's whole idea of a tokenizer: 4 bytes are a token,
// the last one may be shorter. Usage, TPM, PerToken and max_tokens use it.
func tokensIn(s string) int { return (len(s) + 3) / 4 }

// cut shortens text to at most limit tokens, at a space where there is one. A
// limit of 0 is none.
func cut(text string, limit int) (_ string, wasCut bool) {
	if limit <= 0 || limit >= tokensIn(text) {
		return text, false
	}
	end := limit * 4
	if space := strings.LastIndexByte(text[:end+1], ' '); space > 0 {
		end = space
	}
	for end > 0 && !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end], true
}

// compose answers rq as it should be answered; faults come later.
func compose(rq *request) answer {
	a := answer{}
	switch {
	case rq.op == opEmbed:
		return a
	case rq.tool != nil:
		a.finish = finishTool
		a.tool = rq.tool.name
		a.text = fromSchema(rq.tool.schema, rq.key)
	case rq.json:
		a.text = fromSchema(rq.schema, rq.key)
	default:
		a.text = textFor(rq.key, rq.prompt)
	}
	var wasCut bool
	if a.text, wasCut = cut(a.text, rq.maxTokens); wasCut {
		a.finish = finishLength
	}
	a.tokens = tokensIn(a.text)
	return a
}

// withheld is the answer that a filter took away.
func withheld() answer { return answer{finish: finishFilter} }

// refusal is the answer of a model that will not.
func refusal() answer {
	text := "I'm sorry, but I can't help with that."
	return answer{text: text, finish: finishRefusal, tokens: tokensIn(text)}
}

// spent is the answer of a model that thought until its tokens were used up:
// no text, and all of them billed.
func spent(rq *request) answer {
	n := rq.maxTokens
	if n == 0 {
		n = 16
	}
	return answer{finish: finishLength, tokens: n, reasoning: n}
}
