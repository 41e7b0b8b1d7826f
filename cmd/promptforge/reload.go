package main

import (
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"reflect"
	"slices"
	"strings"
	"syscall"

	"github.com/promptforge/promptforge/dispatcher"
	"github.com/promptforge/promptforge/server"
)

// takenUp are the settings of serve that a reread takes up; a change of any
// other waits for the next start. Providers and clients are taken up too.
var takenUp = []string{
	"request_timeout", "retry_base", "max_hold", "max_outage", "log_level",
	"quota_requests_per_second", "quota_open_jobs", "quota_uploads", "quota_streams", "quota_bytes", "quota_failed_authentications",
}

// reloader has a running server go by what the configuration file, and the
// files with credentials, hold now.
type reloader struct {
	p          *program
	now        *serveCmd // what the server goes by
	offers     *offers
	server     *server.Server
	dispatcher *dispatcher.Dispatcher
	level      *slog.LevelVar
	log        *slog.Logger
}

// listen rereads at each SIGHUP, until stop is called.
func (r *reloader) listen() (stop func()) {
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	done := make(chan struct{})
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case <-hangups:
				r.reload()
			case <-done:
				return
			}
		}
	}()
	return func() {
		signal.Stop(hangups)
		close(done)
		<-ended
	}
}

// reload takes up the whole configuration, or nothing of it.
func (r *reloader) reload() {
	s := &settings{getenv: r.p.getenv}
	grammar, _, err := r.p.parse(s)
	if err == nil {
		err = r.takeUp(&grammar.Serve, s)
	}
	if err != nil {
		r.log.Error("the configuration could not be reread, and stays as it was", "error", oneLine(err.Error()))
	}
}

// takeUp changes nothing where it fails.
func (r *reloader) takeUp(c *serveCmd, s *settings) error {
	registry, err := s.registry()
	if err != nil {
		return err
	}
	if err := registry.Lost(r.offers.registry.Load()); err != nil {
		return fmt.Errorf("%s: %w", s.file, err)
	}
	later := laterSettings(r.now, c)
	r.offers.registry.Store(registry)
	r.server.Configure(c.limits(), s.clientQuotas(), int(c.QuotaFailedAuthentications))
	r.level.Set(slog.Level(c.LogLevel))
	r.dispatcher.Reload(c.settings(registry))
	r.log.Info("the configuration was reread")
	if len(later) > 0 {
		r.log.Warn("some settings take effect at the next start only", "settings", strings.Join(later, ", "))
	}
	return nil
}

// laterSettings names what differs and is not taken up.
func laterSettings(now, then *serveCmd) []string {
	before, after := settingsOf(reflect.ValueOf(now).Elem()), settingsOf(reflect.ValueOf(then).Elem())
	var names []string
	for name, value := range after {
		if !reflect.DeepEqual(before[name], value) && !slices.Contains(takenUp, name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// settingsOf are the values of a command's settings by their keys in the file.
func settingsOf(v reflect.Value) map[string]any {
	values := map[string]any{}
	for i := range v.NumField() {
		field := v.Type().Field(i)
		if field.Anonymous {
			for name, value := range settingsOf(v.Field(i)) {
				values[name] = value
			}
			continue
		}
		if _, ok := field.Tag.Lookup(settingTag); ok {
			name := field.Tag.Get("name")
			if name == "" {
				name = kebab(field.Name)
			}
			values[fileKey(name)] = v.Field(i).Interface()
		}
	}
	return values
}

// kebab is the name that the command line gives a field.
func kebab(name string) string {
	var b strings.Builder
	for i, r := range name {
		if i > 0 && r >= 'A' && r <= 'Z' {
			b.WriteByte('-')
		}
		b.WriteRune(r)
	}
	return strings.ToLower(b.String())
}
