package server

import (
	"errors"
	"log/slog"
	"net/url"
	"strings"
	"time"

	"github.com/promptforge/promptforge/server/quota"
	"github.com/promptforge/promptforge/server/webhook"
	"github.com/promptforge/promptforge/storage"
)

// Config is what a Server is made of. Store, Files and Offers are required;
// whoever opened them closes them, after Serve has returned.
type Config struct {
	Store  storage.Store
	Files  storage.Files
	Offers Offers
	Log    *slog.Logger // nil: slog.Default

	HTTPAddr string // host:port; port 0 picks a free one
	GRPCAddr string
	// PublicURL is what absolute URLs begin with: http or https, a host, and
	// perhaps a path. Empty: the HTTP listener's own address.
	PublicURL string

	UploadURLTTL   time.Duration // 0: 15 minutes
	ResultsURLTTL  time.Duration // 0: 1 hour
	MaxUploadBytes int64         // of an upload after decompression; 0: 20 GiB

	// Quotas are every client's, and ClientQuotas goes before it; what the store
	// has goes before both. Of a field that is 0 there is no limit.
	Quotas       quota.Limits
	ClientQuotas map[string]storage.Quota
	// FailedAuthentications is how many a minute an address may have; at once it
	// may be twice as many. 0: no limit.
	FailedAuthentications int

	// WebhookAllow are the internal ranges that webhooks may go to.
	WebhookAllow webhook.Allowed

	// Room is the disk's; nil: nobody looks after it. While it is short uploads
	// are refused, and the server is not ready.
	Room storage.Room

	// Retention is how long a job is kept after it is settled. 0: 30 days.
	Retention time.Duration

	// DataDir is the folder of the admin socket, admin.sock. Empty: none.
	DataDir string

	// TLSCert and TLSKey are PEM files, both or neither; both listeners then
	// speak TLS.
	TLSCert string
	TLSKey  string

	// DrainTimeout is how long calls in progress may take to end once Serve is
	// told to stop; then they are cut. 0: 10 seconds.
	DrainTimeout time.Duration

	Version string           // of the program, for the admin socket
	Now     func() time.Time // nil: time.Now
}

// Offers says which providers and models this deployment speaks to.
type Offers interface {
	// Offered is nil, or a *NotOffered.
	Offered(provider, model string) error
}

// NotOffered says that a job cannot be sent anywhere. Sentence is shown to the
// caller.
type NotOffered struct {
	Model    bool // the provider is offered, only the model is not
	Sentence string
}

// Error is the sentence.
func (e *NotOffered) Error() string { return e.Sentence }

const (
	defaultUploadURLTTL   = 15 * time.Minute
	defaultResultsURLTTL  = time.Hour
	defaultMaxUploadBytes = 20 << 30
	defaultRetention      = 30 * 24 * time.Hour
	defaultDrainTimeout   = 10 * time.Second
)

// withDefaults fills in what was left out and checks the rest. Its errors name
// the flag at fault.
func (c Config) withDefaults() (Config, error) {
	if c.Store == nil || c.Files == nil || c.Offers == nil {
		return c, errors.New("server: Store, Files and Offers are required")
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	if c.Room == nil {
		c.Room = storage.EndlessRoom{}
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	setDefault(&c.UploadURLTTL, defaultUploadURLTTL)
	setDefault(&c.ResultsURLTTL, defaultResultsURLTTL)
	setDefault(&c.MaxUploadBytes, defaultMaxUploadBytes)
	setDefault(&c.Retention, defaultRetention)
	setDefault(&c.DrainTimeout, defaultDrainTimeout)
	if (c.TLSCert == "") != (c.TLSKey == "") {
		return c, errors.New("--tls-cert and --tls-key go together: give both or neither")
	}
	c.PublicURL = strings.TrimRight(c.PublicURL, "/")
	return c, checkPublicURL(c.PublicURL)
}

func setDefault[T comparable](v *T, value T) {
	var zero T
	if *v == zero {
		*v = value
	}
}

func checkPublicURL(text string) error {
	if text == "" {
		return nil
	}
	u, err := url.Parse(text)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" ||
		u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return errors.New("--public-url must be an absolute http or https URL without a query, such as https://promptforge.example.com")
	}
	return nil
}
