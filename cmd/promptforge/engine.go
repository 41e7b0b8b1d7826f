package main

import (
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/promptforge/promptforge/dispatcher"
	"github.com/promptforge/promptforge/dispatcher/provider"
	"github.com/promptforge/promptforge/server"
	"github.com/promptforge/promptforge/storage/room"
)

// engineFlags say how prompts are sent, by a server or by run.
type engineFlags struct {
	MaxInFlight    count    `setting:"" help:"At most so many requests at once, over all jobs." default:"4096" placeholder:"N"`
	RequestTimeout duration `setting:"" help:"How long one request may take." default:"10m" placeholder:"TIME"`
	RetryBase      duration `setting:"" help:"The first retry waits up to this; the wait doubles each time, up to 30s." default:"1s" placeholder:"TIME"`
	MaxHold        duration `setting:"" help:"How long a refused credential or an empty account may take to mend before jobs fail." default:"1h" placeholder:"TIME"`
	MaxOutage      duration `setting:"" help:"How long a provider may be down before jobs fail." default:"24h" placeholder:"TIME"`
	DiskReserve    reserve  `setting:"" help:"So much stays free on the disk: below it nothing is sent and no upload taken until there is room; 0 for none." default:"512MiB" placeholder:"SIZE"`
	DrainTimeout   duration `setting:"" help:"How long requests in flight may finish when the program is told to stop." default:"5m" placeholder:"TIME"`
}

// room looks after the disk of a data folder.
func (f *engineFlags) room(dir string, log *slog.Logger) (*room.Keeper, error) {
	return room.New(room.Config{Dir: dir, Reserve: int64(f.DiskReserve), Log: log})
}

func (f *engineFlags) dispatcher(m *memory, r *room.Keeper, providers *provider.Registry, maxJobs int, log *slog.Logger) *dispatcher.Dispatcher {
	return dispatcher.New(dispatcher.Config{
		Store: m.store, Files: m.files, Room: r, Log: log, Settings: f.settings(providers),
		MaxActiveJobs: maxJobs,
		MaxInFlight:   int(f.MaxInFlight),
		DrainTimeout:  time.Duration(f.DrainTimeout),
	})
}

// settings are those that a server takes up while it runs.
func (f *engineFlags) settings(providers *provider.Registry) dispatcher.Settings {
	return dispatcher.Settings{
		Providers:      providers,
		RequestTimeout: time.Duration(f.RequestTimeout),
		RetryBase:      time.Duration(f.RetryBase),
		MaxHold:        time.Duration(f.MaxHold),
		MaxOutage:      time.Duration(f.MaxOutage),
	}
}

// providers reads what the configuration file and the environment offer.
func (s *settings) registry() (*provider.Registry, error) {
	registry, err := provider.NewRegistry(s.providers, s.getenv)
	if err != nil && s.file != "" {
		return nil, errors.New(s.file + ": " + err.Error())
	}
	return registry, err
}

// offers is the registry of now as the server asks it.
type offers struct {
	registry atomic.Pointer[provider.Registry]
}

var _ server.Offers = (*offers)(nil)

// Offered is nil, or a *server.NotOffered.
func (o *offers) Offered(name, model string) error {
	err := o.registry.Load().Offered(name, model)
	var not *provider.NotOffered
	if errors.As(err, &not) {
		return &server.NotOffered{Model: not.Model, Sentence: not.Public}
	}
	return err
}
