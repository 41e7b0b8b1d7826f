package simulator

import (
	"math"
	"strings"
	"testing"
	"time"
)

func TestConfigValidate(t *testing.T) {
	for _, good := range []Config{
		{},
		{Latency: time.Second, RPM: 1, TPM: 1, Concurrency: 1, LimitKind: Sliding},
		{Errors: 0.25, Resets: 0.25, Hang: 0.25, Garbage: 0.25},
	} {
		if err := good.Validate(); err != nil {
			t.Errorf("%+v: %v", good, err)
		}
	}
	for _, c := range []struct {
		cfg  Config
		want []string
	}{
		{Config{Latency: -1}, []string{"latency"}},
		{Config{PerToken: -1}, []string{"per-token"}},
		{Config{RPM: -1, TPM: -1, Concurrency: -1}, []string{"rpm", "tpm", "concurrency"}},
		{Config{LimitKind: "leaky"}, []string{"limit-kind"}},
		{Config{Errors: 1.5}, []string{"errors"}},
		{Config{Hang: math.NaN()}, []string{"hang"}},
		{Config{Errors: 0.6, Garbage: 0.6}, []string{"together"}},
	} {
		err := c.cfg.Validate()
		if err == nil {
			t.Errorf("%+v is taken", c.cfg)
			continue
		}
		lines := strings.Split(err.Error(), "\n")
		if len(lines) != len(c.want) {
			t.Errorf("%+v: %d sentences for %d mistakes: %v", c.cfg, len(lines), len(c.want), err)
			continue
		}
		for i := range lines {
			if !strings.Contains(lines[i], c.want[i]) {
				t.Errorf("%+v: %q does not name %s", c.cfg, lines[i], c.want[i])
			}
		}
		if _, err := New(c.cfg); err == nil {
			t.Errorf("New takes %+v", c.cfg)
		}
	}
}
