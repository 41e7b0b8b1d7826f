package webhook

import (
	"net/url"
	"strings"
)

// MaxURL is how many bytes a webhook's URL has at most.
const MaxURL = 2048

// Refusal is why a URL can be no webhook's: a sentence for the client.
type Refusal string

// Error is the sentence.
func (r Refusal) Error() string { return string(r) }

// CheckURL refuses, with a Refusal, what no webhook could ever be sent to. A name is looked up, and refused if it leads inside,
// at each delivery.
func (a Allowed) CheckURL(text string) error {
	if len(text) > MaxURL {
		return Refusal("The webhook_url is longer than 2048 bytes.")
	}
	u, err := url.Parse(text)
	if err != nil {
		return Refusal("The webhook_url is not a URL; it must look like https://example.com/hook.")
	}
	host := strings.TrimSuffix(strings.ToLower(u.Hostname()), ".")
	if u.Scheme != "https" || host == "" {
		return Refusal("The webhook_url must be an https URL with a host, such as https://example.com/hook.")
	}
	if u.User != nil {
		return Refusal("The webhook_url must not hold a user name or password; deliveries are signed instead.")
	}
	addr, isLiteral := literal(host)
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		addr, isLiteral = loopback, true
	}
	if isLiteral && !a.reachable(addr) {
		return Refusal("The webhook_url must not be a loopback, private, link-local or otherwise internal address.")
	}
	return nil
}
