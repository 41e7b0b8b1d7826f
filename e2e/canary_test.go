package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/klauspost/compress/zstd"
)

// What no file may hold once it is deleted, and no log ever.
const (
	inPrompt   = "canary-prompt-7f3a91"
	inSystem   = "canary-system-52c0de"
	inMetadata = "canary-metadata-e81b46"
	inJob      = "canary-job-19ab7c"
	inID       = "canary-id-c4d2f0"
	inBadLine  = "canary_field_a06e35"
	inAnswer   = `You asked: \"` + inPrompt
	inError    = "I refuse " + inPrompt
)

var canaries = []string{inPrompt, inSystem, inMetadata, inJob, inID, inBadLine, inAnswer, inError}

// What no file and no log may ever hold.
const (
	credential        = "sk-canary-credential-3b8f"
	hostileCredential = "sk-canary-hostile-91d4"
)

// hostile is a provider whose errors quote what it was sent, credential and
// all.
func hostile(t *testing.T) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var in struct {
			Messages []struct{ Content string }
		}
		if err := json.NewDecoder(r.Body).Decode(&in); err != nil || len(in.Messages) == 0 {
			t.Errorf("a request that is none: %v", err)
			return
		}
		prompt := in.Messages[len(in.Messages)-1].Content
		status := 400
		for _, s := range []int{200, 401, 500} {
			if strings.Contains(prompt, fmt.Sprintf("answer %d", s)) {
				status = s
			}
		}
		quoted, err := json.Marshal("I refuse " + prompt + " of " + r.Header.Get("Authorization"))
		if err != nil {
			t.Error(err)
		}
		w.WriteHeader(status)
		if status == 200 { // and nothing that can be read
			fmt.Fprintf(w, "%s", quoted)
			return
		}
		fmt.Fprintf(w, `{"error":{"message":%s,"type":"odd","code":null}}`, quoted)
	}))
	t.Cleanup(s.Close)
	return s
}

// aviary is a deployment with canaries in everything that it is given.
type aviary struct {
	*deployment
	logs strings.Builder // of the servers that have ended
}

func newAviary(t *testing.T, latency string) *aviary {
	t.Helper()
	d := &deployment{t: t, dir: t.TempDir()}
	d.sim = start(t, nil, "simulate", "--addr", "127.0.0.1:0", "--latency", latency)
	config := filepath.Join(d.dir, "promptforge.yaml")
	text := "providers:\n  hostile:\n    base_url: " + hostile(t).URL + "/v1\n    api_keys: [{env: HOSTILE_KEY}]\n"
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	d.flags = []string{"--log-level", "debug", "--config", config, "--max-hold", "1s", "--max-outage", "1s", "--retry-base", "1ms"}
	d.environ = []string{"OPENAI_API_KEY=" + credential, "HOSTILE_KEY=" + hostileCredential, "OPENAI_BASE_URL=" + d.sim.url + "/v1"}
	d.up()
	d.key = d.newKey("tester")
	return &aviary{deployment: d}
}

// stop ends the server and keeps what it logged.
func (a *aviary) stop(s syscall.Signal, want int) {
	a.t.Helper()
	if code := a.server.signal(s); code != want {
		a.t.Fatalf("the server ended with %d: %s", code, a.server.log)
	}
	a.logs.Write(a.server.log.Bytes())
}

// lines are prompts with a canary wherever there is room for one.
func lines(texts ...string) string {
	var b strings.Builder
	for i, text := range texts {
		fmt.Fprintf(&b, `{"prompt_id":"%s-%d","prompt":"%s %s","system":"%s","metadata":{"tag":"%s"}}`+"\n", inID, i, inPrompt, text, inSystem, inMetadata)
	}
	return b.String()
}

// give makes a job of a provider.
func (a *aviary) give(provider, model, prompts string) (id string) {
	a.t.Helper()
	var made struct {
		JobID     string `json:"job_id"`
		UploadURL string `json:"upload_url"`
	}
	body := fmt.Sprintf(`{"provider":%q,"model":%q,"max_retries":1,"metadata":{"about":%q}}`, provider, model, inJob)
	call(a.t, a.request("POST", "/v1/jobs/init", a.key, body), 202, &made)
	put, err := http.NewRequest("PUT", made.UploadURL, strings.NewReader(prompts))
	if err != nil {
		a.t.Fatal(err)
	}
	call(a.t, put, 200, nil)
	return made.JobID
}

// fly runs jobs that end in every way, and checks that the canaries can be
// found: else nothing that comes after it could fail.
func (a *aviary) fly() (ids []string) {
	a.t.Helper()
	unusable := fmt.Sprintf(`{"prompt_id":1,"prompt":"x",%q:1}`+"\n", inBadLine)
	for _, j := range []struct{ provider, model, prompts, status string }{
		{"openai", "gpt-4o-mini", lines("one", "two", "three") + unusable, "COMPLETED"},
		{"hostile", "refuses", lines("answer 400", "answer 200"), "COMPLETED"},
		{"hostile", "wants a key", lines("answer 401"), "FAILED"},
		{"hostile", "is down", lines("answer 500"), ""},
	} {
		id := a.give(j.provider, j.model, j.prompts)
		if got := a.settled(a.key, id); j.status != "" && got.Status != j.status {
			a.t.Fatalf("%s %s: %+v", j.provider, j.model, got)
		}
		ids = append(ids, id)
	}
	found := a.find(canaries...)
	for _, c := range canaries {
		if len(found[c]) == 0 {
			a.t.Errorf("%q is nowhere in the data folder, so this test can't fail", c)
		}
	}
	return ids
}

// find searches every file of the data folder, as it is and decompressed.
func (a *aviary) find(texts ...string) (where map[string][]string) {
	a.t.Helper()
	where = map[string][]string{}
	err := filepath.WalkDir(a.data(), func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		raw, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		all := append([][]byte{raw, []byte(path)}, frames(a.t, raw)...)
		for _, text := range texts {
			for _, content := range all {
				if bytes.Contains(content, []byte(text)) {
					where[text] = append(where[text], path)
					break
				}
			}
		}
		return nil
	})
	if err != nil {
		a.t.Fatal(err)
	}
	return where
}

// frames decompresses whatever begins like zstd, as far as it goes.
func frames(t *testing.T, raw []byte) (contents [][]byte) {
	t.Helper()
	decoder, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1))
	if err != nil {
		t.Fatal(err)
	}
	defer decoder.Close()
	for at := 0; ; at++ {
		next := bytes.Index(raw[at:], []byte{0x28, 0xb5, 0x2f, 0xfd})
		if next < 0 {
			return contents
		}
		at += next
		if decoder.Reset(bytes.NewReader(raw[at:])) != nil {
			continue
		}
		content, _ := io.ReadAll(decoder) // what follows the frame is none
		contents = append(contents, content)
	}
}

// nothing checks that what must not be there is not: in the data folder, and
// in what was logged since the beginning.
func (a *aviary) nothing(secret ...string) {
	a.t.Helper()
	for text, where := range a.find(append(secret, canaries...)...) {
		a.t.Errorf("%q is left in %v", text, where)
	}
	a.silent(secret...)
}

func (a *aviary) silent(secret ...string) {
	a.t.Helper()
	logged := a.logs.String()
	if strings.Count(logged, "job claimed") == 0 {
		a.t.Errorf("the log is not what it was thought to be: %s", logged)
	}
	for _, text := range append(secret, canaries...) {
		if before, _, found := strings.Cut(logged, text); found {
			a.t.Errorf("%q was logged: …%s", text, before[strings.LastIndexByte(before, '\n')+1:])
		}
	}
}

// secrets are what may never be anywhere.
func (a *aviary) secrets() []string {
	_, secret, _ := strings.Cut(strings.TrimPrefix(a.key, "pf_"), "_")
	return []string{credential, hostileCredential, secret}
}

// noFiles waits until nothing is left in the files folder.
func (a *aviary) noFiles() {
	a.t.Helper()
	until(a.t, "the erasure of all files", func() bool {
		left := 0
		err := filepath.WalkDir(filepath.Join(a.data(), "files"), func(_ string, entry fs.DirEntry, err error) error {
			if err == nil && entry.Type().IsRegular() {
				left++
			}
			if os.IsNotExist(err) { // gone meanwhile
				return nil
			}
			return err
		})
		if err != nil {
			a.t.Fatal(err)
		}
		return left == 0
	})
}

func (a *aviary) compact() {
	a.t.Helper()
	code, out, errs := command(a.t, nil, "compact", "--data-dir", a.data())
	if code != 0 || !strings.Contains(out, "before") {
		a.t.Fatalf("compact ended with %d: %s%s", code, out, errs)
	}
	a.t.Log(strings.TrimSpace(out))
}

// TestDeletedIsGone deletes jobs in each of the ways in which they go.
func TestDeletedIsGone(t *testing.T) {
	for name, remove := range map[string]func(a *aviary, ids []string){
		"DELETE": func(a *aviary, ids []string) {
			for _, id := range ids {
				call(a.t, a.request("DELETE", "/v1/jobs/"+id, a.key, ""), 200, nil)
			}
			a.noFiles()
			a.stop(syscall.SIGTERM, 0)
		},
		"retention": func(a *aviary, _ []string) {
			a.stop(syscall.SIGTERM, 0)
			a.flags = append(a.flags, "--retention", "1ns")
			a.up()
			a.noFiles()
			a.stop(syscall.SIGTERM, 0)
		},
		"purge": func(a *aviary, _ []string) {
			code, _, errs := command(a.t, nil, "clients", "purge", "tester", "--yes", "--data-dir", a.data())
			if code != 0 || !strings.Contains(errs, "Nothing of it is left") {
				a.t.Fatalf("purge ended with %d: %s", code, errs)
			}
			a.noFiles()
			a.stop(syscall.SIGTERM, 0)
		},
		"purge without a server": func(a *aviary, _ []string) {
			a.stop(syscall.SIGTERM, 0)
			code, _, errs := command(a.t, nil, "clients", "purge", "tester", "--yes", "--data-dir", a.data())
			if code != 0 || !strings.Contains(errs, "Nothing of it is left") {
				a.t.Fatalf("purge ended with %d: %s", code, errs)
			}
			a.noFiles()
		},
	} {
		t.Run(name, func(t *testing.T) {
			a := newAviary(t, "1ms")
			ids := a.fly()
			secrets := a.secrets()
			for text, where := range a.find(secrets...) {
				t.Errorf("%q lies in %v", text, where)
			}
			remove(a, ids)
			a.compact()
			a.nothing(secrets...)
		})
	}
}

// TestPurgeAfterAKill purges a client whose job was running when the server
// died.
func TestPurgeAfterAKill(t *testing.T) {
	a := newAviary(t, "1h")
	a.give("openai", "gpt-4o-mini", lines("one", "two"))
	a.give("openai", "gpt-4o-mini", lines("three"))
	until(t, "a request", func() bool { return a.stats().InFlight == 2 })
	pid := a.server.cmd.Process.Pid
	if code, _, errs := command(t, nil, "compact", "--data-dir", a.data()); code != 1 || !strings.Contains(errs, fmt.Sprintf("(PID %d)", pid)) {
		t.Errorf("compact beside a server ended with %d: %s", code, errs)
	}
	a.stop(syscall.SIGKILL, -1)
	code, _, errs := command(t, nil, "clients", "purge", "tester", "--yes", "--data-dir", a.data())
	if code != 0 || !strings.Contains(errs, "jobs deleted: 2") {
		t.Fatalf("purge ended with %d: %s", code, errs)
	}
	a.compact()
	a.nothing(a.secrets()...)
	a.up()
	call(t, a.request("GET", "/v1/jobs", a.key, ""), 401, nil)
}
