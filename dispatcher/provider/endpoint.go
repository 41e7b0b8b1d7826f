package provider

import (
	"fmt"
	"net/url"
	"strings"
)

// Endpoint is one account at one provider: where its lanes' requests go.
type Endpoint struct {
	Provider string // its name for callers, such as openai
	Group    string // its quota group
	Dialect  Dialect
	BaseURL  string // without a slash at the end
	Key      string // the credential; empty for a server that wants none
	KeyName  string // the variable or file that the credential came from, for sentences
	KeyFile  bool   // KeyName is a file's path, which is the operator's business alone
	Missing  string // why there is no credential, a sentence; such a one sends nothing. Empty: there is one, or none is wanted

	RPM, TPM, RPD, Concurrency int // the operator's caps; 0: none

	// DefaultMaxTokens is max_tokens for lines that give none; 0: the dialect's.
	DefaultMaxTokens int64
}

// CheckBaseURL tells what is wrong with an endpoint's address.
func CheckBaseURL(s string) error {
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https"):
		return fmt.Errorf("%q is no http or https address", redactURL(s))
	case u.User != nil || u.RawQuery != "":
		return fmt.Errorf("the address of %s holds a credential or a query; credentials belong in an environment variable", u.Host)
	}
	return nil
}

func redactURL(s string) string {
	s, _, _ = strings.Cut(s, "?")
	if i := strings.LastIndexByte(s, '@'); i >= 0 {
		return "…" + s[i:]
	}
	return s
}
