package server

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/promptforge/promptforge/job"
)

// TestDelete: from the answer on every route answers 404 for the job, its
// transfer URLs too, and once it is settled nothing of it is on the disk but
// what other jobs share.
func TestDelete(t *testing.T) {
	e := start(t)
	id := e.completed(3)
	kept := e.completed(2)
	list := e.rest("GET", "/v1/jobs/"+string(id)+"/results", "")
	url := firstURL(t, list.body)
	if r := e.rest("DELETE", "/v1/jobs/"+string(id), ""); r.status != http.StatusOK ||
		r.body != fmt.Sprintf(`{"job_id":"%s","status":"COMPLETED"}`, id) {
		t.Fatalf("DELETE answered %d %s", r.status, r.body)
	}
	unknown := e.rest("GET", "/v1/jobs/"+string(job.NewID()), "")
	for _, c := range []struct{ method, path string }{
		{"GET", "/status"}, {"GET", ""}, {"GET", "/results"}, {"GET", "/events"}, {"POST", "/cancel"}, {"POST", "/upload-url"}, {"DELETE", ""},
	} {
		if r := e.rest(c.method, "/v1/jobs/"+string(id)+c.path, ""); r.status != http.StatusNotFound || r.body != unknown.body {
			t.Errorf("%s %s answers %d %s", c.method, c.path, r.status, r.body)
		}
	}
	res, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != http.StatusNotFound {
		t.Errorf("its download URL answers %d", res.StatusCode)
	}
	erased(t, e, id)
	if names := filesOf(t, e, kept); len(names) == 0 {
		t.Error("another job lost its files")
	}
}

func TestDeleteOfARunningJob(t *testing.T) {
	e := start(t)
	id := e.claimed(5)
	answered := make(chan reply, 1)
	go func() { answered <- e.rest("DELETE", "/v1/jobs/"+string(id), "") }()
	changed, stop := e.store.Watch(id)
	defer stop()
	for {
		j, err := e.store.Job(e.ctx(), "", id)
		must(t, err)
		if j.Deleted {
			break
		}
		<-changed
	}
	select {
	case r := <-answered:
		t.Fatalf("it answered before the holder had stopped: %d %s", r.status, r.body)
	default:
	}
	e.settle(id)
	if r := <-answered; r.status != http.StatusOK || r.body != fmt.Sprintf(`{"job_id":"%s","status":"CANCELLED"}`, id) {
		t.Fatalf("DELETE answered %d %s", r.status, r.body)
	}
	erased(t, e, id)
}

func TestRetention(t *testing.T) {
	e := start(t, func(c *Config) { c.Retention = time.Hour })
	id := e.completed(2)
	e.clock.Advance(59 * time.Minute)
	e.expireJobs(e.ctx())
	if r := e.rest("GET", "/v1/jobs/"+string(id)+"/status", ""); r.status != http.StatusOK {
		t.Fatalf("before its retention was over: %d", r.status)
	}
	e.clock.Advance(2 * time.Minute)
	e.expireJobs(e.ctx())
	if r := e.rest("GET", "/v1/jobs/"+string(id)+"/status", ""); r.status != http.StatusNotFound {
		t.Fatalf("after its retention was over: %d", r.status)
	}
	erased(t, e, id)
}

// erased waits until a job has left nothing behind.
func erased(t *testing.T, e *env, id job.ID) {
	t.Helper()
	forgotten(t, e, id)
	if names := filesOf(t, e, id); len(names) != 0 {
		t.Errorf("it left %v", names)
	}
}

// forgotten waits until the store knows a job no more.
func forgotten(t *testing.T, e *env, id job.ID) {
	t.Helper()
	changed, stop := e.store.Watch(id)
	defer stop()
	late := time.NewTimer(10 * time.Second)
	defer late.Stop()
	for {
		if _, err := e.store.Job(e.ctx(), "", id); err != nil {
			break
		}
		select {
		case <-changed:
		case <-late.C:
			t.Fatal("the job was not erased")
		}
	}
}

// firstURL is the URL of the first file of a results answer.
func firstURL(t *testing.T, body string) string {
	t.Helper()
	var list struct{ Files []struct{ URL string } }
	must(t, json.Unmarshal([]byte(body), &list))
	return list.Files[0].URL
}

// filesOf finds what lies on the disk for a job.
func filesOf(t *testing.T, e *env, id job.ID) []string {
	t.Helper()
	var names []string
	err := filepath.WalkDir(e.dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() && filepath.Base(filepath.Dir(path)) == string(id) {
			names = append(names, path)
		}
		return err
	})
	must(t, err)
	return names
}
