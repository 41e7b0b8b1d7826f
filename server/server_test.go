package server

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/promptforge/promptforge/server/admin"
)

// TestAdminSocket: keys are made and revoked while the server runs, and count
// at once.
func TestAdminSocket(t *testing.T) {
	dir := t.TempDir()
	e := start(t, func(c *Config) { c.DataDir = dir })
	operator, err := admin.Dial(dir)
	must(t, err)
	plain, key, err := operator.CreateKey(e.ctx(), "fresh")
	must(t, err)
	if r := e.rest("GET", "/v1/jobs", "", "X-API-Key", plain); r.status != http.StatusOK {
		t.Errorf("with a fresh key: %d %s", r.status, r.body)
	}
	must(t, operator.RevokeKey(e.ctx(), key.ID))
	if r := e.rest("GET", "/v1/jobs", "", "X-API-Key", plain); r.status != http.StatusUnauthorized {
		t.Errorf("with a revoked key: %d %s", r.status, r.body)
	}
	e.stop()
	if _, err := admin.Dial(dir); !errors.Is(err, admin.ErrNobodyListens) {
		t.Errorf("after the stop: %v", err)
	}
}

// TestClose: a server that is never served leaves nothing behind.
func TestClose(t *testing.T) {
	store, dir := openStore(t), t.TempDir()
	defer store.Close()
	cfg := Config{Store: store, Files: noFiles{}, Offers: offersOnly{}, HTTPAddr: "127.0.0.1:0", GRPCAddr: "127.0.0.1:0", DataDir: dir}
	s, err := New(cfg)
	must(t, err)
	cfg.HTTPAddr, cfg.GRPCAddr = s.HTTPAddr(), s.GRPCAddr()
	must(t, s.Close())
	if _, err := os.Stat(filepath.Join(dir, admin.SocketName)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("admin.sock: %v", err)
	}
	s, err = New(cfg) // the same addresses are free again
	must(t, err)
	must(t, s.Close())
}

func TestConfig(t *testing.T) {
	store := openStore(t)
	defer store.Close()
	for flag, change := range map[string]func(*Config){
		"--public-url": func(c *Config) { c.PublicURL = "forge.example.com" },
		"--tls-key":    func(c *Config) { c.TLSCert = "cert.pem" },
		"--http-addr":  func(c *Config) { c.HTTPAddr = "nonsense" },
		"Offers":       func(c *Config) { c.Offers = nil },
	} {
		cfg := Config{Store: store, Files: noFiles{}, Offers: offersOnly{}, HTTPAddr: "127.0.0.1:0", GRPCAddr: "127.0.0.1:0"}
		change(&cfg)
		if _, err := New(cfg); err == nil || !strings.Contains(err.Error(), flag) {
			t.Errorf("%s: %v", flag, err)
		}
	}
}
