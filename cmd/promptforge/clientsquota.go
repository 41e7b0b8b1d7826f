package main

import (
	"fmt"
	"strconv"
	"text/tabwriter"

	"github.com/promptforge/promptforge/server/admin"
	"github.com/promptforge/promptforge/server/quota"
)

type clientsQuotaCmd struct {
	Client string `arg:"" help:"Whose quota."`
	clientQuota
	Clear bool `help:"Forget what was set here, so that what is configured holds again; what is set beside it stays."`
	clientsFlags
}

// Help is the long help.
func (c *clientsQuotaCmd) Help() string {
	return `Without a quota it shows them. What is set here goes before clients.NAME.quota in the configuration file, and that before serve's --quota flags; what is not named stays as it is. A running server holds to it at once.

	promptforge clients quota alice --requests-per-second 20 --open-jobs 5 --bytes 10GiB
	promptforge clients quota alice --clear
`
}

// Run shows and changes a client's quota.
func (c *clientsQuotaCmd) Run(p *program) error {
	do := func(quotas admin.Quotas) error {
		info, err := quotas.ChangeQuota(p.ctx, c.Client, c.quota(), c.Clear)
		if err != nil {
			return err
		}
		return showQuota(p, info)
	}
	return c.reach(false,
		func(client *admin.Client) error { return do(client) },
		func(m *memory) error { return do(&admin.LocalQuotas{Store: m.store}) })
}

// showQuota lists what holds where a server runs, and what was set here.
func showQuota(p *program, info admin.QuotaInfo) error {
	var now quota.Limits
	if info.Limits != nil {
		now = *info.Limits
	}
	w := tabwriter.NewWriter(p.stdout, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "QUOTA\tSET\tHOLDS NOW")
	set := info.Set
	for _, row := range []struct{ name, set, now string }{
		{"requests a second", limitText(set.RequestsPerSecond), limitText(&now.RequestsPerSecond)},
		{"open jobs", limitText(set.OpenJobs), limitText(&now.OpenJobs)},
		{"uploads at once", limitText(set.Uploads), limitText(&now.Uploads)},
		{"streams at once", limitText(set.Streams), limitText(&now.Streams)},
		{"bytes", bytesText(set.Bytes), bytesText(&now.Bytes)},
	} {
		if info.Limits == nil {
			row.now = "no server runs"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\n", row.name, row.set, row.now)
	}
	return w.Flush()
}

// bytesText is a limit of bytes as --bytes takes it.
func bytesText(v *int64) string {
	for _, u := range []struct {
		bytes int64
		name  string
	}{{1 << 30, "GiB"}, {1 << 20, "MiB"}, {1 << 10, "KiB"}} {
		if v != nil && *v > 0 && *v%u.bytes == 0 {
			return strconv.FormatInt(*v/u.bytes, 10) + u.name
		}
	}
	return limitText(v)
}

func limitText[T int | int64 | float64](v *T) string {
	switch {
	case v == nil:
		return "-"
	case *v == 0:
		return "no limit"
	}
	return strconv.FormatFloat(float64(*v), 'f', -1, 64)
}
