package e2e

import (
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// hookReceiver takes webhooks over TLS once it is up.
type hookReceiver struct {
	*httptest.Server
	mu   sync.Mutex
	up   bool
	got  map[string][]hook // by webhook-id, those that were taken
	down int               // deliveries that were not taken
}

// hook is one delivery as it came.
type hook struct {
	Headers map[string]string `json:"headers"`
	Body    string            `json:"body"`
}

func newHookReceiver(t *testing.T) *hookReceiver {
	t.Helper()
	r := &hookReceiver{got: map[string][]hook{}}
	r.Server = httptest.NewTLSServer(r)
	t.Cleanup(r.Close)
	return r
}

func (r *hookReceiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(req.Body)
	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil || !r.up {
		r.down++
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	h := hook{map[string]string{}, string(body)}
	for name := range req.Header {
		h.Headers[strings.ToLower(name)] = req.Header.Get(name)
	}
	id := h.Headers["webhook-id"]
	r.got[id] = append(r.got[id], h)
}

func (r *hookReceiver) setUp() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.up = true
}

func (r *hookReceiver) counts() (taken, down int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.got), r.down
}

// environ makes a server trust the receiver's certificate.
func (r *hookReceiver) environ(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "ca.pem")
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: r.Certificate().Raw})
	if err := os.WriteFile(path, block, 0o600); err != nil {
		t.Fatal(err)
	}
	return "SSL_CERT_FILE=" + path
}

// hooked starts a server that may deliver to the receiver.
func hooked(t *testing.T, r *hookReceiver) *deployment {
	t.Helper()
	d := deploy(t, []string{"--latency", "1ms"}, "--webhook-allow", "127.0.0.0/8", "--max-active-jobs-per-client", "10").pinned()
	d.killed()
	d.environ = append(d.environ, r.environ(t))
	d.up()
	return d
}

// hookedJob runs a job that has a webhook to its end.
func (d *deployment) hookedJob(url string) string {
	d.t.Helper()
	return d.submit(d.key, fmt.Sprintf(`,"webhook_url":%q`, url), promptLines(3, "hook"))
}

// TestWebhooksSurviveKills: the server is killed between the settlement of its
// jobs and their deliveries, again and again, and none is lost.
func TestWebhooksSurviveKills(t *testing.T) {
	r := newHookReceiver(t)
	d := hooked(t, r)
	jobs := map[string]bool{}
	for range 5 {
		for range 4 {
			id := d.hookedJob(r.URL + "/hook")
			d.settled(d.key, id)
			jobs[id] = true
		}
		d.killed()
		d.up()
	}
	if taken, down := r.counts(); taken != 0 || down == 0 {
		t.Fatalf("while the receiver was down: %d taken, %d tried", taken, down)
	}
	r.setUp()
	until(t, "the deliveries", func() bool {
		taken, _ := r.counts()
		return taken == len(jobs)
	})
	for id := range jobs {
		hooks := r.got["msg_"+id]
		if len(hooks) == 0 {
			t.Fatalf("%s was not delivered", id)
		}
		var said struct {
			Type string
			Data struct {
				JobID  string `json:"job_id"`
				Status string
			}
		}
		if err := json.Unmarshal([]byte(hooks[0].Body), &said); err != nil || said.Type != "job.completed" || said.Data.JobID != id || said.Data.Status != "COMPLETED" {
			t.Errorf("%s: %s (%v)", id, hooks[0].Body, err)
		}
		until(t, "the job's showing it", func() bool {
			var j struct {
				WebhookState    string `json:"webhook_state"`
				WebhookAttempts int    `json:"webhook_attempts"`
			}
			call(t, d.request("GET", "/v1/jobs/"+id, d.key, ""), 200, &j)
			return j.WebhookState == "delivered" && j.WebhookAttempts > 0
		})
	}
	_, down := r.counts()
	t.Logf("%d jobs, 5 kills, %d deliveries refused before", len(jobs), down)
}
