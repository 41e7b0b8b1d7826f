package main

import (
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestLines(t *testing.T) {
	for _, row := range []struct {
		s    snapshot
		want string
	}{
		{snapshot{state: "QUEUED", total: 10}, "0 of 10 done, QUEUED"},
		{snapshot{state: "PROCESSING", total: 12345, done: 1234, failed: 2, rate: 600, boundBy: "rpm", tokens: 99999}, "1,234 of 12,345 done, 2 failed, 600/min, bound by rpm, 99,999 tokens, 18m31s left"},
		{snapshot{state: "PROCESSING", total: 100, boundBy: "cap"}, "0 of 100 done, bound by cap"},
		{snapshot{state: "PROCESSING", total: 10, done: 3, rate: 60, held: "The provider is down: no route."}, "3 of 10 done, held: The provider is down: no route"},
		{snapshot{
			state: "PROCESSING", total: 10, done: 3, held: "A day's quota is used up.",
			heldSince: time.Date(2020, 1, 2, 3, 4, 5, 0, time.Local), heldUntil: time.Date(2020, 1, 3, 0, 0, 0, 0, time.Local),
		}, "3 of 10 done, held since 2020-01-02 at 03:04:05 until 2020-01-03 at 00:00:00: A day's quota is used up"},
		{snapshot{state: "PROCESSING", total: 10, done: 3, rate: 60, stopped: true}, "3 of 10 done, stopping: waiting for what is in flight"},
		{snapshot{state: "PROCESSING", total: 10, done: 10, rate: 60}, "10 of 10 done, 60/min"},
	} {
		if got := row.s.line(); got != row.want {
			t.Errorf("got  %s\nwant %s", got, row.want)
		}
	}
}

func TestMeter(t *testing.T) {
	at := time.Unix(0, 0)
	var m meter
	if got := m.rate(at, 100); got != 0 {
		t.Errorf("%v at once", got)
	}
	for i := range 200 {
		if got := m.rate(at.Add(time.Duration(i+1)*time.Second), int64(100+i+1)); math.Abs(got-60) > 1e-6 {
			t.Fatalf("%v after %d s", got, i+1)
		}
	}
	if got := m.rate(at.Add(400*time.Second), 300); got != 0 {
		t.Errorf("%v after a long pause", got)
	}
}

func TestPlainProgress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var stderr safeBuffer
		p := &program{stderr: &stderr, every: 3 * time.Second}
		show := p.newProgress(func(s snapshot) snapshot { s.boundBy = "tpm"; return s })
		show.update(snapshot{state: "PROCESSING", total: 4, done: 1, rate: 60})
		show.update(snapshot{state: "PROCESSING", total: 4, done: 2, rate: 60})
		time.Sleep(20 * time.Second) // of the bubble's clock
		show.update(snapshot{state: "PROCESSING", total: 4, done: 3, rate: 60})
		time.Sleep(20 * time.Second)
		show.end()
		want := "2 of 4 done, 60/min, bound by tpm, 2s left\n3 of 4 done, 60/min, bound by tpm, 1s left\n"
		if got := stderr.String(); got != want {
			t.Errorf("it printed\n%s\nwant\n%s", got, want)
		}
		if strings.Contains(stderr.String(), "\r") {
			t.Error("carriage returns where there is no terminal")
		}
	})
}
