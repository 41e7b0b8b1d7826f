package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"golang.org/x/term"

	"github.com/promptforge/promptforge/job"
	"github.com/promptforge/promptforge/server/admin"
	"github.com/promptforge/promptforge/storage/erase"
)

// clientsCmd is for the operator, as keysCmd is.
type clientsCmd struct {
	List  clientsListCmd  `cmd:"" help:"List the clients with their keys, jobs and bytes."`
	Quota clientsQuotaCmd `cmd:"" help:"Show, set or clear the quota of a client."`

	WebhookSecret clientsWebhookSecretCmd `cmd:"" help:"Print what the webhooks of a client are signed with."`

	Purge clientsPurgeCmd `cmd:"" help:"Remove all of a client: keys, jobs, quota."`
}

type clientsFlags struct {
	configFlag
	dataDirFlag
}

// with does something with the clients of the data folder.
func (f *clientsFlags) with(do func(admin.Clients) error) error {
	return f.reach(false,
		func(c *admin.Client) error { return do(c) },
		func(m *memory) error { return do(admin.LocalClients{Store: m.store, Erase: m.erase}) })
}

// erase removes what deleted jobs left in a folder that no server works on.
func (m *memory) erase(ctx context.Context) error {
	if err := erase.Abandoned(ctx, m.store, time.Now()); err != nil {
		return err
	}
	return erase.Doomed(ctx, m.store, m.files, func(job.ID) {})
}

type clientsListCmd struct{ clientsFlags }

// Run lists the clients.
func (c *clientsListCmd) Run(p *program) error {
	return c.with(func(clients admin.Clients) error {
		list, err := clients.ListClients(p.ctx)
		if err != nil {
			return err
		}
		if len(list) == 0 {
			fmt.Fprintln(p.stderr, "There is no client yet; promptforge keys create CLIENT makes a key for one.")
			return nil
		}
		w := tabwriter.NewWriter(p.stdout, 0, 8, 2, ' ', 0)
		fmt.Fprintln(w, "CLIENT\tKEYS\tJOBS\tBYTES")
		for _, c := range list {
			fmt.Fprintf(w, "%s\t%d\t%d\t%d\n", c.Name, c.Keys, c.Jobs, c.Bytes)
		}
		return w.Flush()
	})
}

type clientsPurgeCmd struct {
	Client string `arg:"" help:"Whose keys and jobs go."`
	Yes    bool   `help:"Do not ask."`
	clientsFlags
}

// Help is the long help.
func (c *clientsPurgeCmd) Help() string {
	return `Cancels what runs, and removes prompts, results, errors, jobs, keys, quota and all else of the client for good. While a server runs the command comes back when everything is erased, or says what is still in flight and will be erased once it has ended.

What was deleted may still lie in free pages of the store until promptforge compact rewrites it.
`
}

// Run purges a client.
func (c *clientsPurgeCmd) Run(p *program) error {
	if !c.Yes {
		sure, err := p.confirm(fmt.Sprintf("All keys and all jobs of %s are removed for good.", c.Client), c.Client)
		if err != nil {
			return err
		}
		if !sure {
			return errors.New("nothing was changed")
		}
	}
	return c.with(func(clients admin.Clients) error {
		purged, err := clients.PurgeClient(p.ctx, c.Client)
		if err != nil {
			return err
		}
		fmt.Fprintf(p.stderr, "%s: keys revoked: %d; jobs deleted: %d.\n", c.Client, purged.Keys, purged.Jobs)
		if len(purged.InFlight) == 0 {
			fmt.Fprintln(p.stderr, "Nothing of it is left.")
			return nil
		}
		fmt.Fprintln(p.stderr, "Requests are still in flight for these jobs; the server erases them once these have ended (the same command waits again):")
		for _, id := range purged.InFlight {
			fmt.Fprintln(p.stdout, id)
		}
		return nil
	})
}

// confirm asks a person to type a word. Where nobody can answer it is an error.
func (p *program) confirm(what, word string) (bool, error) {
	f, ok := p.stdin.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return false, errors.New("--yes is needed where nobody can be asked: what it deletes is gone for good")
	}
	fmt.Fprintf(p.stderr, "%s Type %s to go on: ", what, word)
	line, err := bufio.NewReader(p.stdin).ReadString('\n')
	if err != nil && line == "" {
		return false, nil // ctrl-D
	}
	return strings.TrimSpace(line) == word, nil
}
