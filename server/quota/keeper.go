package quota

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"sync"
	"time"

	"github.com/promptforge/promptforge/server/problem"
	"github.com/promptforge/promptforge/storage"
)

// refresh is how long a client's limits are believed without asking the store:
// another process may have set them.
const refresh = 500 * time.Millisecond

// When to try again where time alone does not mend it.
const (
	retryOpenJobs = 10 * time.Second
	retryAtOnce   = 5 * time.Second
	retryBytes    = time.Minute
)

// Store is what a Keeper asks.
type Store interface {
	Quota(ctx context.Context, client string) (storage.Quota, error)
	Usage(ctx context.Context, client string) (storage.Usage, error)
}

// Config is what a Keeper works with. Store is required.
type Config struct {
	Store   Store
	Limits  Limits                   // of every client
	Clients map[string]storage.Quota // goes before Limits; what the store has goes before both
	Now     func() time.Time         // nil: time.Now
}

// Keeper keeps clients within their quotas. What runs at once is counted within
// this process. A nil *Keeper refuses nothing.
type Keeper struct {
	cfg     Config
	mu      sync.Mutex
	clients map[string]*client
}

// client is under Keeper.mu.
type client struct {
	limits   Limits
	asked    time.Time // of the store; zero: never
	requests bucket
	uploads  int
	streams  int
	room     chan struct{} // taken while something is measured and then stored
}

// NewKeeper makes a Keeper.
func NewKeeper(c Config) *Keeper {
	if c.Now == nil {
		c.Now = time.Now
	}
	return &Keeper{cfg: c, clients: map[string]*client{}}
}

// of is called under k.mu. The names are those of clients that have keys, so
// that there are not too many.
func (k *Keeper) of(name string) *client {
	c := k.clients[name]
	if c == nil {
		c = &client{room: make(chan struct{}, 1)}
		k.clients[name] = c
	}
	return c
}

// Limits are a client's, as they are now or were half a second ago.
func (k *Keeper) Limits(ctx context.Context, name string) (Limits, error) {
	now := k.cfg.Now()
	k.mu.Lock()
	c := k.of(name)
	limits, age := c.limits, now.Sub(c.asked)
	fresh := !c.asked.IsZero() && age >= 0 && age < refresh
	k.mu.Unlock()
	if fresh {
		return limits, nil
	}
	set, err := k.cfg.Store.Quota(ctx, name)
	if err != nil && !errors.Is(err, storage.ErrNotFound) {
		return Limits{}, unavailable(err)
	}
	k.mu.Lock()
	limits = k.cfg.Limits.With(k.cfg.Clients[name]).With(set)
	if limits.RequestsPerSecond != c.limits.RequestsPerSecond {
		c.requests = bucket{} // what was taken at the old rate would be waited for at the old rate
	}
	c.limits, c.asked = limits, now
	k.mu.Unlock()
	return limits, nil
}

// Configure goes by other limits from now on.
func (k *Keeper) Configure(limits Limits, clients map[string]storage.Quota) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.cfg.Limits, k.cfg.Clients = limits, clients
	for _, c := range k.clients {
		c.asked = time.Time{}
	}
}

// Forget makes the next question go to the store.
func (k *Keeper) Forget(name string) {
	if k == nil {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if c := k.clients[name]; c != nil {
		c.asked = time.Time{}
	}
}

// Request counts a request.
func (k *Keeper) Request(ctx context.Context, name string) error {
	if k == nil {
		return nil
	}
	limits, err := k.Limits(ctx, name)
	if err != nil || limits.RequestsPerSecond <= 0 {
		return err
	}
	now := k.cfg.Now()
	k.mu.Lock()
	wait := k.of(name).requests.take(now, perSecond(limits.RequestsPerSecond))
	k.mu.Unlock()
	if wait == 0 {
		return nil
	}
	return refuse(wait, usedUp("requests a second", strconv.FormatFloat(limits.RequestsPerSecond, 'g', -1, 64)), "")
}

// Upload counts an upload until end is called.
func (k *Keeper) Upload(ctx context.Context, name string) (end func(), err error) {
	return k.atOnce(ctx, name, "uploads", func(l Limits) int { return l.Uploads }, func(c *client) *int { return &c.uploads })
}

// Stream counts a stream until end is called.
func (k *Keeper) Stream(ctx context.Context, name string) (end func(), err error) {
	return k.atOnce(ctx, name, "streams", func(l Limits) int { return l.Streams }, func(c *client) *int { return &c.streams })
}

// atOnce counts also where there is no limit: there may be one tomorrow.
func (k *Keeper) atOnce(ctx context.Context, name, what string, limit func(Limits) int, running func(*client) *int) (end func(), err error) {
	if k == nil {
		return func() {}, nil
	}
	limits, err := k.Limits(ctx, name)
	if err != nil {
		return nil, err
	}
	most := limit(limits)
	k.mu.Lock()
	defer k.mu.Unlock()
	n := running(k.of(name))
	if most > 0 && *n >= most {
		return nil, refuse(retryAtOnce, usedUp(what+" at once", strconv.Itoa(most)), "once one of them has ended")
	}
	*n++
	return sync.OnceFunc(func() {
		k.mu.Lock()
		defer k.mu.Unlock()
		*n--
	}), nil
}

// Room makes sure that a client has room for so many more open jobs and stored
// bytes. They are to be stored before release is called: until then nobody else
// in this process is given the client's room.
func (k *Keeper) Room(ctx context.Context, name string, jobs int, bytes int64) (release func(), err error) {
	if k == nil {
		return func() {}, nil
	}
	limits, err := k.Limits(ctx, name)
	if err != nil {
		return nil, err
	}
	if limits.OpenJobs <= 0 && limits.Bytes <= 0 {
		return func() {}, nil
	}
	k.mu.Lock()
	room := k.of(name).room
	k.mu.Unlock()
	select {
	case room <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	release = sync.OnceFunc(func() { <-room })
	if err := k.fits(ctx, name, limits, jobs, bytes); err != nil {
		release()
		return nil, err
	}
	return release, nil
}

func (k *Keeper) fits(ctx context.Context, name string, limits Limits, jobs int, bytes int64) error {
	usage, err := k.cfg.Store.Usage(ctx, name)
	if err != nil {
		return unavailable(err)
	}
	if limits.OpenJobs > 0 && jobs > 0 && usage.Open+jobs > limits.OpenJobs {
		return refuse(retryOpenJobs, usedUp("open jobs", strconv.Itoa(limits.OpenJobs)), "once one of them is settled")
	}
	if limits.Bytes > 0 && (usage.Bytes >= limits.Bytes || bytes > limits.Bytes-usage.Bytes) {
		return full(limits.Bytes)
	}
	return nil
}

// Left is how many bytes a client may still store; it refuses where there are
// none.
func (k *Keeper) Left(ctx context.Context, name string) (int64, error) {
	if k == nil {
		return math.MaxInt64, nil
	}
	limits, err := k.Limits(ctx, name)
	if err != nil {
		return 0, err
	}
	if limits.Bytes <= 0 {
		return math.MaxInt64, nil
	}
	usage, err := k.cfg.Store.Usage(ctx, name)
	if err != nil {
		return 0, unavailable(err)
	}
	if usage.Bytes >= limits.Bytes {
		return 0, full(limits.Bytes)
	}
	return limits.Bytes - usage.Bytes, nil
}

func full(most int64) error {
	return refuse(retryBytes, usedUp("stored bytes", strconv.FormatInt(most, 10)), "once jobs of it are deleted")
}

func usedUp(what, most string) string {
	return fmt.Sprintf("This client's quota of %s (%s) is used up", what, most)
}

// refuse makes the problem; or says what else than time mends it.
func refuse(wait time.Duration, what, or string) error {
	seconds := max(1, int64((wait+time.Second-1)/time.Second))
	sentence := what + "; try again in " + strconv.FormatInt(seconds, 10) + " s"
	if or != "" {
		sentence += ", or " + or
	}
	p := problem.New(problem.QuotaExceeded, sentence+".")
	p.RetryAfter = time.Duration(seconds) * time.Second
	return p
}

// unavailable is for a store that could not tell.
func unavailable(err error) error {
	p := problem.From(err)
	if p.Kind != problem.Internal {
		return p
	}
	return problem.New(problem.Unavailable, "The store cannot answer now; repeating the request is safe.").Because(err)
}
