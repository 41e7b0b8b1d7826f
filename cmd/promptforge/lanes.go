package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/promptforge/promptforge/dispatcher"
	"github.com/promptforge/promptforge/server/admin"
)

// lanesCmd is for the operator of a server that runs on this machine.
type lanesCmd struct {
	List   lanesListCmd   `cmd:"" help:"List the lanes at work: their rates, and what holds them."`
	Resume lanesResumeCmd `cmd:"" help:"Probe held lanes at once, after what held them was mended."`
}

type lanesFlags struct {
	configFlag
	dataDirFlag
	JSON bool `name:"json" help:"Print a line of JSON for each lane."`
}

// server finds the server: lanes are its own, and no folder has them.
func (f *lanesFlags) server() (*admin.Client, error) {
	client, err := admin.Dial(f.DataDir)
	if errors.Is(err, admin.ErrNobodyListens) {
		return nil, fmt.Errorf("no server runs on %s, and lanes are there only while one does; name its folder with --data-dir", f.DataDir)
	}
	return client, keptOut(f.DataDir, err)
}

type lanesListCmd struct{ lanesFlags }

// Help is the long help.
func (c *lanesListCmd) Help() string {
	return `A lane is a provider, a quota group of its credentials, and a model; limits, health and holds belong to it. HELD says what holds a lane: outage (the provider is down), refused (the credential, the account or the model is), used_up (a day's quota at the provider) or day_cap (rpd in the configuration file).
`
}

// Run lists the lanes.
func (c *lanesListCmd) Run(p *program) error {
	client, err := c.server()
	if err != nil {
		return err
	}
	lanes, err := client.ListLanes(p.ctx)
	if err != nil {
		return err
	}
	if c.JSON {
		return printLanes(p.stdout, lanes)
	}
	if len(lanes) == 0 {
		fmt.Fprintln(p.stderr, "No lane is at work.")
		return nil
	}
	w := tabwriter.NewWriter(p.stdout, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "LANE\tJOBS\tIN FLIGHT\tRATE\tBOUND BY\tHELD\tSINCE\tUNTIL\tNEXT PROBE")
	for _, l := range lanes {
		fmt.Fprintf(w, "%s\t%d\t%d\t%s/min\t%s\t%s\t%s\t%s\t%s\n", l.Lane, l.Jobs, l.InFlight, number(l.CurrentRPM),
			dash(l.BoundBy), dash(l.Hold), clock(l.HeldSince), clock(l.HeldUntil), clock(l.NextProbe))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for _, l := range lanes {
		if l.HoldReason != "" {
			fmt.Fprintf(p.stdout, "%s: %s\n", l.Lane, oneLine(l.HoldReason))
		}
		if l.RequestsADay > 0 {
			fmt.Fprintf(p.stdout, "%s: today's cap is %s, of which %s used.\n", l.Lane, plural(int64(l.RequestsADay), "request"), isAre(int64(l.RequestsToday)))
		}
		for _, k := range l.Credentials {
			if k.Aside {
				fmt.Fprintf(p.stdout, "%s: the credential in %s is refused and put aside.\n", l.Lane, k.Name)
			}
		}
	}
	return nil
}

type lanesResumeCmd struct {
	Lane string `arg:"" optional:"" help:"The lane, as lanes list shows it; left out, all that are held."`
	lanesFlags
}

// Help is the long help.
func (c *lanesResumeCmd) Help() string {
	return `A held lane tests by itself, from time to time, whether it can go on. This command has it test now, with one request: when that passes the lane goes on, and when it does not nothing has changed. promptforge lanes list shows which.

	promptforge lanes resume openai/default/gpt-4o-mini
`
}

// Run probes.
func (c *lanesResumeCmd) Run(p *program) error {
	client, err := c.server()
	if err != nil {
		return err
	}
	lanes, err := client.ResumeLanes(p.ctx, c.Lane)
	if err != nil {
		return err
	}
	if c.JSON {
		return printLanes(p.stdout, lanes)
	}
	probed := false
	for _, l := range lanes {
		switch {
		case l.Hold == "day_cap":
			probed = true
			fmt.Fprintf(p.stdout, "%s is held by the operator's own cap of %s a day (rpd) until %s; a higher one and SIGHUP let it go on.\n", l.Lane, plural(int64(l.RequestsADay), "request"), clock(l.HeldUntil))
		case l.Hold != "":
			probed = true
			fmt.Fprintf(p.stdout, "%s is probed now; it was held (%s) since %s.\n", l.Lane, l.Hold, clock(l.HeldSince))
		case c.Lane != "":
			probed = true
			fmt.Fprintf(p.stdout, "%s is not held.\n", l.Lane)
		}
	}
	if !probed {
		fmt.Fprintln(p.stderr, "No lane is held.")
	}
	return nil
}

func printLanes(w io.Writer, lanes []admin.LaneInfo) error {
	for _, l := range lanes {
		text, err := json.Marshal(l)
		if err != nil {
			return err
		}
		fmt.Fprintln(w, string(text))
	}
	return nil
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// clock is a time for a person: local, without its date if that is today.
func clock(t *time.Time) string {
	if t == nil || t.IsZero() {
		return "-"
	}
	local := t.Local()
	if time.Now().Format(time.DateOnly) == local.Format(time.DateOnly) {
		return local.Format(time.TimeOnly)
	}
	return strings.Replace(local.Format(time.DateTime), " ", " at ", 1)
}

// lanesOf are the dispatcher's lanes as the admin socket shows them.
type lanesOf struct{ d *dispatcher.Dispatcher }

var _ admin.Lanes = lanesOf{}

// ListLanes lists the lanes.
func (l lanesOf) ListLanes(ctx context.Context) ([]admin.LaneInfo, error) {
	return laneInfos(l.d.Lanes(ctx))
}

// ResumeLanes has held lanes probed.
func (l lanesOf) ResumeLanes(ctx context.Context, lane string) ([]admin.LaneInfo, error) {
	return laneInfos(l.d.ResumeLanes(ctx, lane))
}

func laneInfos(states []dispatcher.LaneState, err error) ([]admin.LaneInfo, error) {
	var list []admin.LaneInfo
	for i := range states {
		s := &states[i]
		info := admin.LaneInfo{
			Lane: s.Lane.String(), Jobs: s.Jobs, InFlight: s.InFlight,
			CurrentRPM: int64(s.Pace.CurrentRPM + 0.5), LearnedRPM: int64(s.Pace.LearnedRPM),
			LearnedTPM: int64(s.Pace.LearnedTPM), LearnedConcurrency: int64(s.Pace.LearnedConcurrency), BoundBy: s.Pace.BoundBy,
			Hold: s.Hold, HoldReason: s.Pace.HoldReason,
			HeldSince: known(s.Pace.HeldSince), HeldUntil: known(s.Pace.HeldUntil), NextProbe: known(s.NextProbe),
			Credentials:   []admin.LaneCredential{},
			RequestsToday: s.RequestsToday, RequestsADay: s.RequestsADay,
		}
		for _, c := range s.Credentials {
			if c.Name != "" {
				info.Credentials = append(info.Credentials, admin.LaneCredential(c))
			}
		}
		list = append(list, info)
	}
	return list, err
}

// known is a time in UTC, nil for the zero time.
func known(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC().Truncate(time.Second)
	return &t
}
