package simulator

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"time"
)

// Weather is trouble that is the provider's or the account's, whatever the
// prompts hold: an hour of 503, a credit that is used up, a key that is refused.
// It comes before limits, markers and shares, and spends no attempt: what a
// prompt meets after it is what it would have met without.
type Weather struct {
	// Class is one of [Classes].
	Class string `json:"class"`
	// For is how long it lasts, as Go writes durations ("90s", "1h"); empty is
	// until the weather is set again. A refusal for the rate or the day's quota
	// tells its client to wait for what is left of it.
	For string `json:"for,omitempty"`
	// After is how many answers are given before it begins; 0 is at once.
	After int64 `json:"after,omitempty"`
	// Share is the share of requests that it meets, above 0 to 1; 0 is all. It
	// is a hash of (seed, prompt, the prompt's requests before).
	Share float64 `json:"share,omitempty"`

	// Dialect, Model and Key, where they are given, say whose requests it meets:
	// those of one dialect (openai, anthropic, gemini, mistral), model or
	// credential.
	Dialect string `json:"dialect,omitempty"`
	Model   string `json:"model,omitempty"`
	Key     string `json:"key,omitempty"`
}

// sky is the weather of a moment. It is never changed, but for its clocks.
type sky struct {
	answers atomic.Int64 // since it was set
	fronts  []front
}

// front is one Weather of a sky.
type front struct {
	Weather
	outcome outcome
	last    time.Duration // 0 is without end
	began   *atomic.Int64 // nanoseconds since 1970; 0 for not yet
}

// SetWeather replaces the weather; of several, the first that meets a request
// counts. Without any it is fair. The error is a sentence, and changes nothing.
func (s *Server) SetWeather(weathers ...Weather) error {
	if len(weathers) == 0 {
		s.weather.Store(nil)
		return nil
	}
	next := &sky{}
	for _, w := range weathers {
		f, err := newFront(w)
		if err != nil {
			return err
		}
		next.fronts = append(next.fronts, f)
	}
	s.weather.Store(next)
	return nil
}

func newFront(w Weather) (front, error) {
	f := front{Weather: w, began: new(atomic.Int64)}
	var known bool
	if f.outcome, known = classNamed(w.Class); !known {
		return f, fmt.Errorf("class must be one of %s, but is %q", strings.Join(Classes(), ", "), w.Class)
	}
	if w.For != "" {
		var err error
		if f.last, err = time.ParseDuration(w.For); err != nil || f.last <= 0 {
			return f, fmt.Errorf("for must be a time such as 90s or 1h, but is %q", w.For)
		}
	}
	named := func(d dialect) bool { return d.name() == w.Dialect }
	switch {
	case w.After < 0:
		return f, fmt.Errorf("after must not be negative, but is %d", w.After)
	case !isShare(w.Share):
		return f, fmt.Errorf("share must be from 0 to 1, but is %v", w.Share)
	case w.Dialect != "" && !slices.ContainsFunc(dialects[:], named):
		return f, fmt.Errorf("dialect must be openai, anthropic, gemini or mistral, but is %q", w.Dialect)
	}
	return f, nil
}

// over finds the front that meets a request, and how long it lasts yet, 0 for
// without end. before is the prompt's requests before this one.
func (k *sky) over(x *exchange, before uint32) (f *front, left time.Duration) {
	for i := range k.fronts {
		f := &k.fronts[i]
		if k.answers.Load() < f.After {
			continue
		}
		f.began.CompareAndSwap(0, x.start.UnixNano())
		if f.last > 0 {
			left = f.last - x.start.Sub(time.Unix(0, f.began.Load()))
			if left <= 0 {
				continue
			}
		}
		if f.meets(x, before) {
			return f, left
		}
	}
	return nil, 0
}

func (f *front) meets(x *exchange, before uint32) bool {
	return (f.Dialect == "" || f.Dialect == dialects[x.place].name()) &&
		(f.Model == "" || f.Model == x.rq.model) &&
		(f.Key == "" || f.Key == dialects[x.place].credential(x.r)) &&
		(f.Share == 0 || unit(x.rq.key.hash(x.s.cfg.Seed, before, forWeather)) < f.Share)
}

// maxWeather bounds the body of POST /_weather.
const maxWeather = 1 << 20

// serveWeather answers GET, POST and DELETE /_weather.
func (s *Server) serveWeather(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodPost {
		body, err := io.ReadAll(io.LimitReader(r.Body, maxWeather))
		var weathers []Weather
		if err == nil {
			weathers, err = readWeather(body)
		}
		if err == nil {
			err = s.SetWeather(weathers...)
		}
		if err != nil {
			http.Error(w, "The weather is left as it was: "+err.Error()+".", http.StatusBadRequest)
			return
		}
	}
	if r.Method == http.MethodDelete {
		s.weather.Store(nil)
	}
	w.Header()["Content-Type"] = contentJSON
	now := []Weather{}
	if k := s.weather.Load(); k != nil {
		for i := range k.fronts {
			now = append(now, k.fronts[i].Weather)
		}
	}
	writeJSON(w, now)
}

// readWeather reads one Weather, or a list of them.
func readWeather(body []byte) (weathers []Weather, err error) {
	body = bytes.TrimSpace(body)
	var into any = &weathers
	if !bytes.HasPrefix(body, []byte("[")) {
		weathers = make([]Weather, 1)
		into = &weathers[0]
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	err = d.Decode(into)
	if err == nil && len(body) > int(d.InputOffset()) {
		err = errors.New("something follows it")
	}
	if err != nil {
		return nil, fmt.Errorf("the body must be an object with class, for, after, share, dialect, model and key, or a list of such (%s)", strings.TrimPrefix(err.Error(), "json: "))
	}
	return weathers, nil
}
