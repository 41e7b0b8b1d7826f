package provider

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"time"

	"github.com/promptforge/promptforge/job"
)

// apiError is what an answer's body says went wrong, whatever its dialect.
type apiError struct {
	message    string
	code       string   // the error's own name, such as insufficient_quota
	kind       string   // its type or status, such as rate_limit_error
	details    []string // what else is named for machines: reasons, quotas
	status     int      // the status that the body names; 0: none
	retryAfter time.Duration
	requestID  string
}

// refused is an answer that is no success, as the tables look at it. Names and
// texts are in lower case.
type refused struct {
	status  int
	names   []string // code, kind and details
	message string
	header  http.Header
}

// verdict is a row of the table that says what an error means.
type verdict struct {
	class Class
	code  string // the code of the error record
	fault fault
	when  func(*refused) bool
}

// fault is what an operator can mend.
type fault int

const (
	faultOther fault = iota
	faultCredential
	faultCredit
	faultModel
	faultAddress
)

func statusIs(want ...int) func(*refused) bool {
	return func(r *refused) bool {
		for _, w := range want {
			if r.status == w {
				return true
			}
		}
		return false
	}
}

// says fits an error of one status that is named by a word or has it in its
// message.
func says(status int, words ...string) func(*refused) bool {
	return func(r *refused) bool {
		if r.status != status {
			return false
		}
		for _, w := range words {
			for _, n := range r.names {
				if n == w {
					return true
				}
			}
			if strings.Contains(r.message, w) {
				return true
			}
		}
		return false
	}
}

// misdirected fits the answer of a router or a proxy: the API is not there, so
// nobody has read the prompt. An error that the API names itself is none.
// Source: net/http and FastAPI ("Not Found"), OpenAI ("Invalid URL (POST …)"),
// nginx (405 for a POST to a page), Kong before Mistral ("no Route matched").
func misdirected(r *refused) bool {
	switch r.status {
	case http.StatusProxyAuthRequired:
		return true
	case http.StatusNotFound, http.StatusMethodNotAllowed:
	default:
		return false
	}
	if strings.HasPrefix(r.message, "invalid url (") || strings.HasPrefix(r.message, "no route matched") {
		return true
	}
	plain := r.message == "" || r.message == "not found" || r.message == "method not allowed"
	return plain && len(r.names) == 0
}

// commonVerdicts end every dialect's table: what a status means where nothing
// more is known.
var commonVerdicts = []verdict{
	{TooLarge, job.CodeRateLimit, faultOther, says(429, "request too large")},
	{SlowDown, job.CodeRateLimit, faultOther, statusIs(429)},
	{Fatal, job.CodeServerError, faultCredential, statusIs(401)},
	{Fatal, job.CodeServerError, faultCredit, statusIs(402)},
	{Fatal, job.CodeServerError, faultOther, statusIs(403)},
	// Redirects are not followed: they would take the credential elsewhere.
	{Fatal, job.CodeServerError, faultOther, func(r *refused) bool { return r.status >= 300 && r.status < 400 }},
	{Fatal, job.CodeServerError, faultAddress, misdirected},
	{Terminal, job.CodeContextLength, faultOther, statusIs(413)},
	{Transient, job.CodeTimeout, faultOther, statusIs(408, 504)},
	{Transient, job.CodeServerError, faultOther, statusIs(409, 425)},
	{Terminal, job.CodeInvalidRequest, faultOther, func(r *refused) bool { return r.status >= 400 && r.status < 500 }},
	{Transient, job.CodeServerError, faultOther, func(*refused) bool { return true }},
}

// classify says what an error means: the first row that fits decides, the
// dialect's own before the common ones.
func classify(e *Endpoint, a *Answer, table []verdict, status int, h http.Header, found *apiError) {
	r := refused{status: status, message: strings.ToLower(found.message), header: h}
	for _, n := range append([]string{found.code, found.kind}, found.details...) {
		if n != "" {
			r.names = append(r.names, strings.ToLower(n))
		}
	}
	v := decide(table, &r)
	a.Class, a.Code = v.class, v.code
	a.RequestID = firstOf(a.RequestID, found.requestID)
	a.Message = found.message
	if a.Message == "" {
		a.Message = fmt.Sprintf("The provider answered %d %s.", status, http.StatusText(status))
	}
	if !placeholder(e.Key) {
		// Some servers quote the key that they refuse.
		a.Message = strings.ReplaceAll(a.Message, e.Key, "…")
	}
	if a.Class == SlowDown || a.Class == UsedUp || a.Class == TooLarge {
		a.RetryAfter = askedWait(h, found.retryAfter, r.message)
	}
	if a.RetryAfter == nonsense {
		a.RetryAfter = 0
		if a.Class == SlowDown {
			a.RetryAfter, a.Senseless = afterNonsense, true
		}
	}
	if a.Class == Fatal {
		a.Message = fatalSentence(e, v.fault, status, found.code, a.Message)
	}
}

func decide(table []verdict, r *refused) verdict {
	for _, rows := range [][]verdict{table, commonVerdicts} {
		for _, v := range rows {
			if v.when(r) {
				return v
			}
		}
	}
	return commonVerdicts[len(commonVerdicts)-1]
}

func firstOf(texts ...string) string {
	for _, t := range texts {
		if t != "" {
			return t
		}
	}
	return ""
}

// plainCode is an error's name that can quote nobody's prompt.
var plainCode = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_.-]{0,63}$`)

// fatalSentence says what an operator can do about a refused credential,
// account or model.
func fatalSentence(e *Endpoint, f fault, status int, code, message string) string {
	switch {
	case f == faultCredential && e.KeyFile:
		return fmt.Sprintf("%s refused the credential in %s; put a valid one there. It said: %s", e.Provider, e.KeyName, message)
	case f == faultCredential && e.KeyName != "":
		return fmt.Sprintf("%s refused the credential in %s; set %s to a valid key. It said: %s", e.Provider, e.KeyName, e.KeyName, message)
	case f == faultCredential:
		return fmt.Sprintf("%s wants a credential; set one in its configuration. It said: %s", e.Provider, message)
	case f == faultCredit:
		return fmt.Sprintf("%s says that the account's credit or spend limit is used up (%d); add credit or raise the limit there. It said: %s", e.Provider, status, message)
	case f == faultModel:
		return fmt.Sprintf("%s does not offer the model (%d). It said: %s", e.Provider, status, message)
	case status == http.StatusProxyAuthRequired:
		return fmt.Sprintf("A proxy before %s wants a credential (407); check its base URL and HTTPS_PROXY.", e.Provider)
	case f == faultAddress:
		return fmt.Sprintf("%s has no such address (%d); check its base URL. It said: %s", e.Provider, status, message)
	case status >= 300 && status < 400:
		return fmt.Sprintf("%s redirects (%d), which is not followed; check its base URL.", e.Provider, status)
	case status == http.StatusForbidden:
		// What a 403 says may be about one prompt, and quote it.
		return forbiddenSentence(e, code)
	default:
		return fmt.Sprintf("%s refused (%d): %s", e.Provider, status, message)
	}
}

func forbiddenSentence(e *Endpoint, code string) string {
	what := "403 Forbidden"
	if plainCode.MatchString(code) {
		what += ", " + code
	}
	check := "whether it serves this place"
	if e.KeyName != "" {
		check = "what the credential in " + e.KeyName + " may do, and " + check
	}
	return fmt.Sprintf("%s refused (%s); check %s.", e.Provider, what, check)
}
