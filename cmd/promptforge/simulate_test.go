package main

import (
	"io"
	"net/http"
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
