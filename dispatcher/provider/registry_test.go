package provider

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/promptforge/promptforge/job"
)

func env(pairs ...string) func(string) string {
	return func(name string) string {
		for i := 0; i < len(pairs); i += 2 {
			if pairs[i] == name {
				return pairs[i+1]
			}
		}
		return ""
	}
}

func TestRegistryOffers(t *testing.T) {
	r, err := NewRegistry(map[string]Config{
		"local": {BaseURL: "http://127.0.0.1:8000/v1", Models: []string{"llama", "qwen"}},
		"keyed": {BaseURL: "https://x.example/v1", APIKeys: []KeyRef{{Env: "A", QuotaGroup: "one"}, {Env: "B", QuotaGroup: "two"}, {Env: "C", QuotaGroup: "one"}, {Env: "D", QuotaGroup: "one"}, {Env: "A", QuotaGroup: "one"}}},
	}, env("OPENAI_API_KEY", "k", "A", "a", "B", "b", "D", "d\n"))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		provider, model string
		want            string // in the sentence; empty: offered
		isModel         bool
	}{
		{"openai", "anything", "", false},
		{"local", "llama", "", false},
		{"local", "gpt", `The model "gpt" of "local" is not offered here; offered: llama, qwen.`, true},
		{"nobody", "x", `offered: keyed, local, openai`, false},
	} {
		err := r.Offered(c.provider, c.model)
		var not *NotOffered
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%s/%s: %v", c.provider, c.model, err)
		case c.want != "" && (!errors.As(err, &not) || !strings.Contains(not.Sentence, c.want) || not.Public != not.Sentence || not.Model != c.isModel):
			t.Errorf("%s/%s: %v", c.provider, c.model, err)
		}
	}
	groups := r.Groups("keyed")
	if len(groups) != 2 || groups[0][0].Key != "a" || groups[1][0].Key != "b" {
		t.Errorf("groups %+v", groups)
	}
	if one := groups[0]; len(one) != 2 || one[1].Key != "d" || strings.Join(one.KeyNames(), " ") != "A D" {
		t.Errorf("of five references, one not set and one there twice, group one has %+v", one)
	}
	if g, ok := r.Group(job.Lane{Provider: "keyed", Group: "two", Model: "m"}); !ok || g[0].Key != "b" {
		t.Errorf("group %+v %v", g, ok)
	}
	if _, ok := r.Group(job.Lane{Provider: "keyed", Group: "three"}); ok {
		t.Error("a group that is not there was found")
	}
}

func TestRegistryWithoutACredential(t *testing.T) {
	r, err := NewRegistry(nil, env())
	if err != nil {
		t.Fatal(err)
	}
	err = r.Offered("openai", "gpt-4o-mini")
	if err == nil || !strings.Contains(err.Error(), "set OPENAI_API_KEY") {
		t.Errorf("it says %v", err)
	}
}

// theEndpoint is the one endpoint of a provider.
func theEndpoint(t *testing.T, r *Registry, provider string) Endpoint {
	t.Helper()
	groups := r.Groups(provider)
	if len(groups) != 1 {
		t.Fatalf("%s has %d quota groups, want one", provider, len(groups))
	}
	return groups[0][0]
}

func TestRegistryBuiltIn(t *testing.T) {
	for _, c := range []struct {
		provider, dialect string
		env               []string
		base, key, from   string // empty base: not offered, and from is what is missing
	}{
		{"openai", "openai", []string{"OPENAI_API_KEY", "k"}, "https://api.openai.com/v1", "k", "OPENAI_API_KEY"},
		{"openai", "openai", []string{"OPENAI_API_KEY", "k", "OPENAI_BASE_URL", "http://x.example/v1/"}, "http://x.example/v1", "k", "OPENAI_API_KEY"},
		{"anthropic", "anthropic", []string{"ANTHROPIC_API_KEY", "k"}, "https://api.anthropic.com", "k", "ANTHROPIC_API_KEY"},
		{"anthropic", "anthropic", []string{"ANTHROPIC_API_KEY", "k", "ANTHROPIC_BASE_URL", "http://x.example"}, "http://x.example", "k", "ANTHROPIC_API_KEY"},
		{"gemini", "gemini", []string{"GEMINI_API_KEY", "k"}, "https://generativelanguage.googleapis.com", "k", "GEMINI_API_KEY"},
		{"gemini", "gemini", []string{"GOOGLE_API_KEY", "g", "GEMINI_BASE_URL", "http://x.example"}, "http://x.example", "g", "GOOGLE_API_KEY"},
		{"gemini", "gemini", []string{"GOOGLE_API_KEY", "g", "GEMINI_API_KEY", "k", "GOOGLE_GEMINI_BASE_URL", "http://y.example"}, "http://y.example", "k", "GEMINI_API_KEY"},
		{"mistral", "mistral", []string{"MISTRAL_API_KEY", "k", "MISTRAL_BASE_URL", "http://x.example/v1"}, "http://x.example/v1", "k", "MISTRAL_API_KEY"},
		{"gemini", "", nil, "", "", "set GEMINI_API_KEY or GOOGLE_API_KEY"},
		{"anthropic", "", nil, "", "", "set ANTHROPIC_API_KEY"},
		{"mistral", "", nil, "", "", "set MISTRAL_API_KEY"},
	} {
		r, err := NewRegistry(nil, env(c.env...))
		if err != nil {
			t.Fatal(err)
		}
		if c.base == "" {
			if err := r.Offered(c.provider, "m"); err == nil || !strings.Contains(err.Error(), c.from) {
				t.Errorf("%s without a credential: %v", c.provider, err)
			}
			continue
		}
		if e := theEndpoint(t, r, c.provider); e.BaseURL != c.base || e.Key != c.key || e.KeyName != c.from || e.Dialect.Name() != c.dialect {
			t.Errorf("%s with %v: %+v", c.provider, c.env, e)
		}
	}
}

// Files that hold no credential are named with what is the matter with them.
func TestRegistryWithoutACredentialInFiles(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(empty, []byte("\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	r, err := NewRegistry(map[string]Config{"x": {BaseURL: "https://x.example", APIKeys: []KeyRef{{File: empty}, {Env: "X"}, {File: empty + "2"}}}}, env())
	if err != nil {
		t.Fatal(err)
	}
	want := "no credential is set; write it into " + empty + ", which is empty, or write it into " + empty + "2, which is not there, or set X for the server."
	err = r.Offered("x", "m")
	if err == nil || !strings.HasSuffix(err.Error(), want) {
		t.Errorf("got %v", err)
	}
	// A caller reads no path.
	want = "no credential is set; write it into its credential file, which is empty, or write it into its credential file, which is not there, or set X for the server."
	var not *NotOffered
	if !errors.As(err, &not) || !strings.HasSuffix(not.Public, want) {
		t.Errorf("callers read %v", not)
	}
}

// A built-in provider in the file keeps what the file leaves out.
func TestRegistryBuiltInInTheFile(t *testing.T) {
	r, err := NewRegistry(map[string]Config{
		"anthropic": {RPM: 50, DefaultMaxTokens: 1000},
		"claude-eu": {Dialect: "anthropic", BaseURL: "https://eu.example", APIKeys: []KeyRef{{Env: "EU"}}},
	}, env("ANTHROPIC_API_KEY", "k", "EU", "e"))
	if err != nil {
		t.Fatal(err)
	}
	if e := theEndpoint(t, r, "anthropic"); e.Dialect.Name() != "anthropic" || e.BaseURL != "https://api.anthropic.com" || e.Key != "k" || e.RPM != 50 || e.DefaultMaxTokens != 1000 {
		t.Errorf("anthropic is %+v", e)
	}
	if e := theEndpoint(t, r, "claude-eu"); e.Dialect.Name() != "anthropic" || e.Key != "e" {
		t.Errorf("claude-eu is %+v", e)
	}
}

func TestRegistryRefusesBadSettings(t *testing.T) {
	for _, c := range []struct {
		name string
		cfg  map[string]Config
		env  []string
		want string
	}{
		{"address", map[string]Config{"x": {BaseURL: "ftp://x"}}, nil, "providers.x.base_url"},
		{"no address", map[string]Config{"x": {}}, nil, "providers.x.base_url"},
		{"credential in an address", map[string]Config{"x": {BaseURL: "https://user:secret@x.example"}}, nil, "credential"},
		{"dialect", map[string]Config{"x": {Dialect: "klingon", BaseURL: "https://x.example"}}, nil, "providers.x.dialect"},
		{"name", map[string]Config{"X Y": {BaseURL: "https://x.example"}}, nil, `"X Y" is no name`},
		{"cap", map[string]Config{"x": {BaseURL: "https://x.example", RPM: -1}}, nil, "providers.x.rpm"},
		{"days' cap", map[string]Config{"x": {BaseURL: "https://x.example", RPD: -1}}, nil, "providers.x.rpd"},
		{"shards", map[string]Config{"x": {BaseURL: "https://x.example", Shards: 2}}, nil, "providers.x.shards: must be 1"},
		{"env and file", map[string]Config{"x": {BaseURL: "https://x.example", APIKeys: []KeyRef{{Env: "A", File: "f"}}}}, nil, "providers.x.api_keys[0]: give env or file"},
		{"a folder as a credential", map[string]Config{"x": {BaseURL: "https://x.example", APIKeys: []KeyRef{{File: "."}}}}, nil, "providers.x.api_keys[0].file: cannot be read"},
		{"two lines", map[string]Config{"x": {BaseURL: "https://x.example", APIKeys: []KeyRef{{Env: "A"}}}}, []string{"A", "secret\nsecret"}, "api_keys[0]: what A holds"},
		{"key without a variable", map[string]Config{"x": {BaseURL: "https://x.example", APIKeys: []KeyRef{{}}}}, nil, "providers.x.api_keys[0].env"},
		{"default_max_tokens", map[string]Config{"x": {BaseURL: "https://x.example", DefaultMaxTokens: -1}}, nil, "providers.x.default_max_tokens"},
		{"the environment's address", nil, []string{"OPENAI_BASE_URL", "nonsense"}, "OPENAI_BASE_URL"},
		{"the environment's other address", nil, []string{"GOOGLE_GEMINI_BASE_URL", "nonsense"}, "GOOGLE_GEMINI_BASE_URL"},
	} {
		_, err := NewRegistry(c.cfg, env(c.env...))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want it to name %q", c.name, err, c.want)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: the error shows a credential: %v", c.name, err)
		}
	}
}

func TestRegistryReadsCredentialsFromFiles(t *testing.T) {
	name := filepath.Join(t.TempDir(), "key")
	cfg := map[string]Config{"x": {BaseURL: "https://x.example/v1", APIKeys: []KeyRef{{File: name}}}}
	lane := job.Lane{Provider: "x", Group: "default"}
	r, err := NewRegistry(cfg, env())
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Offered("x", "m"); err == nil || !strings.Contains(err.Error(), name+", which is not there") {
		t.Errorf("without the file it says %v", err)
	}
	var before Group
	for _, key := range []string{"sk-one", "sk-two"} {
		if err := os.WriteFile(name, []byte(key+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if r, err = NewRegistry(cfg, env()); err != nil {
			t.Fatal(err)
		}
		g, ok := r.Group(lane)
		if !ok || g[0].Key != key || g[0].KeyName != name {
			t.Fatalf("group %+v", g)
		}
		if before != nil && g.SameKeys(before) || !g.SameKeys(g) {
			t.Error("other credentials are taken for the same, or the same for others")
		}
		before = g
	}
	if err := os.WriteFile(name, make([]byte, maxKeyFile+1), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err = NewRegistry(cfg, env()); err == nil || !strings.Contains(err.Error(), "too long") {
		t.Errorf("a long file: %v", err)
	}
}

// A file that is not there, cannot be read or is empty is told by its name and
// cause; its lane says what is missing, and a reread that loses it is refused.
func TestRegistryFilesWithoutACredential(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "key")
	cfg := map[string]Config{"x": {BaseURL: "https://x.example/v1", APIKeys: []KeyRef{{File: name, QuotaGroup: "g"}}}}
	lane := job.Lane{Provider: "x", Group: "g", Model: "m"}
	read := func() *Registry {
		t.Helper()
		r, err := NewRegistry(cfg, env())
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	put := func(text string) func() {
		return func() {
			if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	put("sk-one\n")()
	good := read()
	if g := good.Lane(lane); g.Missing() != "" || g[0].Key != "sk-one" || len(good.Unread()) != 0 {
		t.Errorf("with its file: %+v, %v", g, good.Unread())
	}
	for cause, make := range map[string]func(){
		"is not there": func() { _ = os.Remove(name) },
		"is empty":     put(" \n"),
		"cannot be read: " + syscall.ELOOP.Error(): func() { // nobody may read it, root neither
			_ = os.Remove(name)
			if err := os.Symlink(name, name); err != nil {
				t.Fatal(err)
			}
		},
	} {
		_ = os.Remove(name)
		make()
		r := read()
		want := UnreadFile{Setting: "providers.x.api_keys[0].file", File: name, Cause: cause}
		if got := r.Unread(); len(got) != 1 || got[0] != want {
			t.Errorf("%s: unread %+v", cause, got)
		}
		if g := r.Lane(lane); !strings.Contains(g.Missing(), "the file "+name+" "+cause) || g[0].Key != "" {
			t.Errorf("%s: %+v", cause, g)
		}
		if g := r.Vacant("x"); g.Name() != "g" || g.Missing() == "" {
			t.Errorf("%s: vacant %+v", cause, g)
		}
		if err := r.Lost(good); err == nil || err.Error() != want.Setting+": "+name+" "+cause {
			t.Errorf("%s: lost %v", cause, err)
		}
		if err := r.Lost(r); err != nil {
			t.Errorf("%s: what was missing before is lost: %v", cause, err)
		}
		if err := r.Offered("x", "m"); err == nil || !strings.Contains(err.Error(), "write it into "+name+", which "+cause) {
			t.Errorf("%s: offered %v", cause, err)
		}
		_ = os.Remove(name)
	}
	for l, want := range map[job.Lane]string{
		{Provider: "gone", Group: "g"}:         `The provider "gone" is not configured here any more.`,
		{Provider: "x", Group: "gone"}:         `The quota group "gone" of x is not configured`,
		{Provider: "openai", Group: "default"}: "the variable OPENAI_API_KEY is not set",
	} {
		if got := good.Lane(l).Missing(); !strings.Contains(got, want) {
			t.Errorf("%+v: %q, want %q", l, got, want)
		}
	}
}
