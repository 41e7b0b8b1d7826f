package main

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/promptforge/promptforge/server/admin"
	"github.com/promptforge/promptforge/server/webhook"
)

// ranges are the internal networks that webhooks may go to.
type ranges webhook.Allowed

func (r *ranges) UnmarshalText(text []byte) error {
	*r = nil
	for item := range strings.SplitSeq(string(text), ",") {
		p, err := netip.ParsePrefix(strings.TrimSpace(item))
		if err != nil {
			return fmt.Errorf("needs networks such as 10.0.0.0/8 or 192.168.1.7/32, separated by commas, not %q", text)
		}
		*r = append(*r, p.Masked())
	}
	return nil
}

type clientsWebhookSecretCmd struct {
	clientsFlags
	Client string `arg:"" help:"Whose webhooks."`
	Rotate bool   `help:"Make a new secret; for 24 hours the one before signs too."`
}

// Help is the long help.
func (c *clientsWebhookSecretCmd) Help() string {
	return `The last line of standard output is the secret alone, as the libraries of Standard Webhooks take it:

	promptforge clients webhook-secret alice | tail -n 1

After --rotate a delivery carries a signature by each of the two secrets for 24 hours, so that the receiver can change over at its leisure.
`
}

// Run prints the newest secret.
func (c *clientsWebhookSecretCmd) Run(p *program) error {
	return c.with(func(clients admin.Clients) error {
		secrets, err := clients.WebhookSecrets(p.ctx, c.Client, c.Rotate)
		if err != nil {
			return err
		}
		if n := len(secrets); n > 1 {
			fmt.Fprintf(p.stderr, "Deliveries to %s carry %d signatures: by this secret, and by those that it replaced less than 24 hours ago.\n", c.Client, n)
		}
		fmt.Fprintln(p.stdout, secrets[0])
		return nil
	})
}
