package webhook

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/promptforge/promptforge/job"
	"github.com/promptforge/promptforge/storage"
)

const (
	// atOnce bounds how many deliveries are under way.
	atOnce = 32
	// perHost bounds how many of them go to one receiver, so that one that
	// answers slowly holds up its own deliveries alone.
	perHost = 4
	// GiveUpAfter is how long after the settlement a delivery is tried.
	GiveUpAfter = 24 * time.Hour
	// SecretOverlap is how long both secrets sign after a rotation.
	SecretOverlap = 24 * time.Hour

	firstRetry = 5 * time.Second
	lastRetry  = time.Hour
	// storeRetry is how long the sender waits after the store failed.
	storeRetry = 5 * time.Second
	// mostAnswer is how much of an answer is read, for the connection's sake.
	mostAnswer = 16 << 10
)

// Store is what the sender asks of the service's memory.
type Store interface {
	storage.Webhooks
	Watch(id job.ID) (changed <-chan struct{}, stop func())
}

// Config is what a Sender is made of. Store, Body, Now and Log are required.
type Config struct {
	Store   Store
	Allowed Allowed
	// Body makes a delivery's body of a settled job.
	Body func(*job.Job) ([]byte, error)
	Now  func() time.Time
	Log  *slog.Logger
	// UserAgent names the service to receivers.
	UserAgent string
	// TLS says whom to trust, nil: the system's authorities.
	TLS *tls.Config
	// Resolver looks names up, nil: the system's.
	Resolver *net.Resolver
	// Transport replaces the one that refuses addresses inside; nil: none.
	Transport http.RoundTripper
}

// Sender delivers what settled jobs owe.
type Sender struct {
	cfg    Config
	client *http.Client
	last   string // the host that a delivery was begun to last; begin's

	mu       sync.Mutex
	underWay map[job.ID]bool
	hosts    map[string]int // deliveries under way
	freed    chan struct{}  // one pending signal: a delivery has ended
	running  sync.WaitGroup
}

// NewSender makes a sender. Run runs it.
func NewSender(cfg Config) *Sender {
	s := &Sender{
		cfg: cfg, client: cfg.Allowed.client(cfg.TLS, cfg.Resolver),
		underWay: map[job.ID]bool{}, hosts: map[string]int{}, freed: make(chan struct{}, 1),
	}
	if cfg.Transport != nil {
		s.client.Transport = cfg.Transport
	}
	return s
}

// Run delivers until ctx is done. Deliveries that are then under way are broken
// off, and owed as before.
func (s *Sender) Run(ctx context.Context) {
	changed, stop := s.cfg.Store.Watch("")
	defer stop()
	defer s.running.Wait()
	for {
		wait := s.begin(ctx)
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-changed:
		case <-s.freed:
		case <-timer.C:
		}
		timer.Stop()
		if ctx.Err() != nil {
			return
		}
	}
}

// begin starts the deliveries that are due and returns how long to wait for
// others, if nothing happens before.
func (s *Sender) begin(ctx context.Context) time.Duration {
	now := s.cfg.Now().UTC()
	// Of a delivery that ends while the lists are read, they may say what was
	// before.
	before := s.busy()
	hosts, err := s.cfg.Store.OwedHosts(ctx)
	next := now.Add(lastRetry)
	for _, h := range s.inTurn(hosts) {
		first := h.Due
		if !first.After(now) {
			if s.room(h.Host) == 0 {
				continue // the end of one of its deliveries says so
			}
			first, err = s.beginHost(ctx, h.Host, now, before)
		}
		if err != nil {
			break
		}
		if first.After(now) && first.Before(next) {
			next = first
		}
	}
	if err != nil {
		if ctx.Err() == nil {
			s.cfg.Log.Error("the webhooks that are owed could not be read; it is tried again", "error", err)
		}
		return storeRetry
	}
	return next.Sub(now)
}

// beginHost starts what is due to one host, as far as there is room, and returns
// when more is.
func (s *Sender) beginHost(ctx context.Context, host string, now time.Time, before map[job.ID]bool) (next time.Time, err error) {
	// Those under way are among the due ones.
	due, next, err := s.cfg.Store.OwedDeliveries(ctx, host, now, perHost)
	for _, j := range due {
		if !before[j.ID] && s.take(j.ID, host) {
			s.last = host
			s.running.Go(func() {
				defer s.free(j.ID, host)
				s.deliver(ctx, j)
			})
		}
	}
	return next, err
}

// inTurn begins with the host after the one that a delivery was begun to last,
// so that none waits for ever behind others that have much.
func (s *Sender) inTurn(hosts []storage.OwedHost) []storage.OwedHost {
	i, _ := slices.BinarySearchFunc(hosts, s.last, func(h storage.OwedHost, last string) int {
		if h.Host <= last {
			return -1
		}
		return 1
	})
	return slices.Concat(hosts[i:], hosts[:i])
}

// room is how many deliveries more may be begun to a host.
func (s *Sender) room(host string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return max(0, min(atOnce-len(s.underWay), perHost-s.hosts[host]))
}

// busy are the deliveries under way now.
func (s *Sender) busy() map[job.ID]bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.underWay)
}

func (s *Sender) take(id job.ID, host string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.underWay[id] || len(s.underWay) >= atOnce || s.hosts[host] >= perHost {
		return false
	}
	s.underWay[id] = true
	s.hosts[host]++
	return true
}

func (s *Sender) free(id job.ID, host string) {
	s.mu.Lock()
	delete(s.underWay, id)
	if s.hosts[host]--; s.hosts[host] == 0 {
		delete(s.hosts, host)
	}
	s.mu.Unlock()
	select {
	case s.freed <- struct{}{}:
	default:
	}
}

// deliver makes one attempt and keeps how it went.
func (s *Sender) deliver(ctx context.Context, j *job.Job) {
	err := s.attempt(ctx, j)
	if ctx.Err() != nil {
		return // nobody knows how it went; it is owed as before
	}
	d := outcome(j, err, s.cfg.Now().UTC())
	log := s.cfg.Log.With("job", j.ID, "attempts", d.Attempts)
	switch d.State {
	case job.Delivered:
		log.Info("a webhook was delivered")
	case job.DeliveryGivenUp:
		log.Warn("a webhook was given up", "error", d.Error)
	case job.DeliveryOwed:
		log.Info("a webhook was not taken; it is tried again", "error", d.Error, "at", d.Due)
	}
	for {
		err := s.cfg.Store.KeepDelivery(ctx, j.ID, d)
		if err == nil || errors.Is(err, storage.ErrNotFound) || ctx.Err() != nil {
			return
		}
		// To forget it would deliver it again and again.
		log.Error("how a webhook went could not be kept; it is tried again", "error", err)
		timer := time.NewTimer(storeRetry)
		select {
		case <-ctx.Done():
		case <-timer.C:
		}
		timer.Stop()
	}
}

// outcome is what becomes of a delivery after an attempt.
func outcome(j *job.Job, err error, now time.Time) job.Delivery {
	d := job.Delivery{State: job.Delivered, Attempts: j.Delivery.Attempts + 1}
	if err == nil {
		return d
	}
	d.Error = sentence(err)
	last := j.SettledAt.Add(GiveUpAfter)
	if !now.Before(last) {
		d.State = job.DeliveryGivenUp
		return d
	}
	d.State = job.DeliveryOwed
	d.Due = now.Add(backoff(d.Attempts))
	if d.Due.After(last) {
		d.Due = last // once more at the very end
	}
	return d
}

// backoff is how long to wait after so many attempts: 5 s, doubled up to an
// hour, and a quarter of it up or down, so that receivers that come back are
// not met by everything at once.
func backoff(attempts int) time.Duration {
	d := lastRetry
	if attempts <= 10 {
		d = min(d, firstRetry<<(attempts-1))
	}
	return d*3/4 + rand.N(d/2)
}

// StatusError is an answer that does not take the delivery.
type StatusError struct{ Status int }

func (e *StatusError) Error() string {
	if e.Status/100 == 3 {
		return fmt.Sprintf("it answered %d; redirects are not followed", e.Status)
	}
	return fmt.Sprintf("it answered %d; 2xx takes the delivery", e.Status)
}

func (s *Sender) attempt(ctx context.Context, j *job.Job) error {
	body, err := s.cfg.Body(j)
	if err != nil {
		return fmt.Errorf("its body could not be made: %w", err)
	}
	// A URL that was allowed once may not be any more.
	if err := s.cfg.Allowed.CheckURL(j.WebhookURL); err != nil {
		return err
	}
	now := s.cfg.Now()
	secrets, err := s.cfg.Store.WebhookSecrets(ctx, j.Client, now)
	if err != nil {
		return fmt.Errorf("its secret could not be read: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, j.WebhookURL, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("its URL cannot be used: %w", err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", s.cfg.UserAgent)
	sign(req.Header, secrets, "msg_"+string(j.ID), now, body)
	resp, err := s.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode/100 != 2 {
		return &StatusError{resp.StatusCode}
	}
	// An answer that breaks off took the delivery all the same.
	_, _ = io.CopyN(io.Discard, resp.Body, mostAnswer)
	return nil
}
