package main

import (
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var keyShape = regexp.MustCompile(`^pf_[a-z2-7]{12}_[0-9A-Za-z]{49}$`)

// The same verbs work on the store itself and through a running server.
func TestKeys(t *testing.T) {
	t.Parallel()
	for _, running := range []bool{false, true} {
		dir := filepath.Join(t.TempDir(), "data")
		if running {
			startServe(t, nil, dir)
		}
		created := exec(t, nil, "keys", "create", "alice", "--data-dir", dir)
		created.want(t, 0, "alice", "once")
		key := lastLine(created.stdout)
		if !keyShape.MatchString(key) {
			t.Fatalf("the last line is %q", key)
		}
		if strings.Contains(created.stderr, key) {
			t.Error("the key is on stderr too")
		}
		id := strings.Split(key, "_")[1]
		list := exec(t, nil, "keys", "list", "--data-dir", dir)
		list.want(t, 0)
		if !strings.Contains(list.stdout, id) || !strings.Contains(list.stdout, "alice") || strings.Contains(list.stdout, key) {
			t.Errorf("the list is\n%s", list.stdout)
		}
		exec(t, nil, "keys", "revoke", id, "--data-dir", dir).want(t, 0, id)
		exec(t, nil, "keys", "revoke", id, "--data-dir", dir).want(t, 0)
		if list := exec(t, nil, "keys", "list", "--data-dir", dir); strings.Contains(list.stdout, " -\n") {
			t.Errorf("the revoked key is listed as good:\n%s", list.stdout)
		}
		exec(t, nil, "keys", "revoke", "aaaaaaaaaaaa", "--data-dir", dir).wantSentence(t, 1, "no key with this id")
		exec(t, nil, "keys", "create", "al ice", "--data-dir", dir).wantSentence(t, 1, "1 to 64 letters")
	}
}

// A mistake leaves no folder behind.
func TestKeysCreateChecksFirst(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	exec(t, nil, "keys", "create", "al ice", "--data-dir", dir).wantSentence(t, 1, "1 to 64 letters")
	if there(dir) {
		t.Error("the folder was made")
	}
}

func TestARevokedKeyIsRefusedAtOnce(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := startServe(t, nil, dir)
	c := client(t, s, dir, "alice")
	exec(t, c, "jobs", "list").want(t, 0)
	id := strings.Split(c["PROMPTFORGE_API_KEY"], "_")[1]
	exec(t, nil, "keys", "revoke", id, "--data-dir", dir).want(t, 0)
	exec(t, c, "jobs", "list").wantSentence(t, 1, "not valid")
}

func TestKeysOfNoFolder(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "none")
	exec(t, nil, "keys", "list", "--data-dir", dir).wantSentence(t, 1, dir, "--data-dir")
	exec(t, nil, "keys", "revoke", "x", "--data-dir", dir).wantSentence(t, 1, dir)
}
