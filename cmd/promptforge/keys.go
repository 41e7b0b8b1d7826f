package main

import (
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/promptforge/promptforge/server/admin"
	"github.com/promptforge/promptforge/server/keys"
)

// keysCmd is for the operator: it works on the data folder itself, not over
// the network.
type keysCmd struct {
	Create keysCreateCmd `cmd:"" help:"Make an API key for a client and print it, this once."`
	List   keysListCmd   `cmd:"" help:"List all keys, without their secrets."`
	Revoke keysRevokeCmd `cmd:"" help:"Make a key refused from now on."`
}

type keysFlags struct {
	configFlag
	dataDirFlag
}

// with does something with the keys of the data folder.
func (f *keysFlags) with(makeIt bool, do func(admin.Keys) error) error {
	return f.reach(makeIt,
		func(c *admin.Client) error { return do(c) },
		func(m *memory) error { return do(admin.Local{Store: m.store}) })
}

type keysCreateCmd struct {
	Client string `arg:"" help:"Who will use the key: 1 to 64 letters, digits, '-', '_' or '.'. Clients see only their own jobs; one may have several keys."`
	keysFlags
}

// Help is the long help.
func (c *keysCreateCmd) Help() string {
	return `The last line of the output is the key alone. Only its SHA-256 is kept, so it cannot be shown again.

	promptforge keys create alice
	export PROMPTFORGE_API_KEY=$(promptforge keys create alice | tail -n 1)
`
}

// Run makes a key.
func (c *keysCreateCmd) Run(p *program) error {
	if err := keys.CheckClient(c.Client); err != nil {
		return err // before a folder is made for it
	}
	return c.with(true, func(kept admin.Keys) error {
		plain, key, err := kept.CreateKey(p.ctx, c.Client)
		if err != nil {
			return err
		}
		fmt.Fprintf(p.stderr, "A key for %s, shown this once (its id, for keys revoke, is %s):\n", key.Client, key.ID)
		fmt.Fprintln(p.stdout, plain)
		return nil
	})
}

type keysListCmd struct{ keysFlags }

// Run lists the keys.
func (c *keysListCmd) Run(p *program) error {
	return c.with(false, func(keys admin.Keys) error {
		list, err := keys.ListKeys(p.ctx)
		if err != nil {
			return err
		}
		if len(list) == 0 {
			fmt.Fprintln(p.stderr, "There is no key yet; promptforge keys create CLIENT makes one.")
			return nil
		}
		w := tabwriter.NewWriter(p.stdout, 0, 8, 2, ' ', 0)
		fmt.Fprintln(w, "ID\tCLIENT\tCREATED\tREVOKED")
		for _, k := range list {
			revoked := "-"
			if k.Revoked() {
				revoked = k.RevokedAt.UTC().Format(time.RFC3339)
			}
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", k.ID, k.Client, k.CreatedAt.UTC().Format(time.RFC3339), revoked)
		}
		return w.Flush()
	})
}

type keysRevokeCmd struct {
	ID string `arg:"" help:"The key's id, as keys list shows it."`
	keysFlags
}

// Run revokes a key.
func (c *keysRevokeCmd) Run(p *program) error {
	return c.with(false, func(keys admin.Keys) error {
		if err := keys.RevokeKey(p.ctx, c.ID); err != nil {
			return err
		}
		fmt.Fprintf(p.stderr, "The key %s is refused from now on.\n", c.ID)
		return nil
	})
}
