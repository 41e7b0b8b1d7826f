package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/promptforge/promptforge/simulator"
)

func TestSimulate(t *testing.T) {
	s := start(t, nil, "simulate", "--addr", "127.0.0.1:0", "--latency", "0")
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.url+"/v1/chat/completions",
		strings.NewReader(`{"model": "m", "messages": [{"role": "user", "content": "hello"}]}`))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer any")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	if err != nil || !strings.Contains(string(body), simulator.PromptKey("hello")[:16]) {
		t.Errorf("it answers %s, %v", body, err)
	}
	if code := s.stop(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if got := s.stderr.String(); !strings.Contains(got, "OPENAI_BASE_URL="+s.url+"/v1") || !strings.Contains(got, "1 request, 1 of them answered") {
		t.Errorf("it said: %s", got)
	}
}

func TestSimulateMistakes(t *testing.T) {
	exec(t, nil, "simulate", "--errors", "2", "--rpm=-1").wantSentence(t, 1, "--errors must be a share", "--rpm must not be negative")
	exec(t, nil, "simulate", "--latency", "soon").wantSentence(t, 1, "--latency: needs a time span")
	exec(t, nil, "simulate", "--fault", "429=0.2", "--fault", "teapot=0.1,503=2").wantSentence(t, 1, `--fault knows no class "teapot"; the classes are 400, `, "--fault 503 must be a share")
	exec(t, nil, "simulate", "--fault", "429").wantSentence(t, 1, "--fault")
	exec(t, nil, "simulate", "--limit-kind", "leaky").wantSentence(t, 1, "--limit-kind must be bucket, fixed or sliding")
	s := start(t, nil, "simulate", "--addr", "127.0.0.1:0")
	addr := strings.TrimPrefix(s.url, "http://")
	exec(t, nil, "simulate", "--addr", addr).wantSentence(t, 1, "--addr "+addr, "in use")
}

// The page on the simulator tells of every class, and so does the help.
func TestSimulatorIsDescribed(t *testing.T) {
	page, err := os.ReadFile("../../docs/simulator.md")
	if err != nil {
		t.Fatal(err)
	}
	help := exec(t, nil, "simulate", "--help").stdout
	for _, class := range simulator.Classes() {
		if !strings.Contains(string(page), "`"+class+"`") {
			t.Errorf("docs/simulator.md does not tell of %s", class)
		}
		if !strings.Contains(strings.Join(strings.Fields(help), " "), " "+class+"") {
			t.Errorf("the help does not name %s", class)
		}
	}
}

// A live outage begins and ends by a request, and the binary says so.
func TestSimulateWeather(t *testing.T) {
	s := start(t, nil, "simulate", "--addr", "127.0.0.1:0", "--latency", "0", "--fault", "413=0.5", "--fault", "504=0.5")
	post := func(path, body string) int {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.url+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("X-Goog-Api-Key", "any")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp.StatusCode
	}
	ask := func(i int) int {
		return post("/v1beta/models/m:generateContent", fmt.Sprintf(`{"contents":[{"parts":[{"text":"%d"}]}]}`, i))
	}
	seen := map[int]int{}
	for i := range 40 {
		seen[ask(i)]++
	}
	if len(seen) != 2 || seen[400] < 5 || seen[504] < 5 { // 400 is how Gemini says 413
		t.Errorf("the shares gave %v", seen)
	}
	if got := post("/_weather", `{"class":"529"}`); got != 200 {
		t.Errorf("the weather: %d", got)
	}
	if got := ask(1); got != 529 {
		t.Errorf("in the storm: %d", got)
	}
	if got := post("/_weather", `[]`); got != 200 || ask(1) == 529 {
		t.Errorf("after it: %d", got)
	}
}
