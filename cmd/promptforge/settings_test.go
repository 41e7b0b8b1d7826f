package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"

	"github.com/promptforge/promptforge/dispatcher/provider"
)

// parse parses a command line and returns the grammar that it fills.
func parse(t *testing.T, e env, args ...string) (*cli, *settings) {
	t.Helper()
	var grammar cli
	s := &settings{getenv: e.get}
	parser, err := kong.New(&grammar, kong.Resolvers(s))
	if err != nil {
		t.Fatal(err)
	}
	s.known = knownSettings(parser.Model)
	if _, err := parser.Parse(args); err != nil {
		t.Fatal(err)
	}
	return &grammar, s
}

func TestFlagGoesBeforeVariableAndVariableBeforeFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "c.yaml")
	write(t, file, "max_in_flight: 1\nretry_base: 1m\nmax_upload_bytes: 3MiB\ndata_dir: from-file\nlog_level: debug\n")
	e := env{"PROMPTFORGE_MAX_IN_FLIGHT": "2", "PROMPTFORGE_RETRY_BASE": "2m"}
	grammar, _ := parse(t, e, "serve", "--config", file, "--max-in-flight", "3")
	got := grammar.Serve
	if got.MaxInFlight != 3 || time.Duration(got.RetryBase) != 2*time.Minute || got.MaxUploadBytes != 3<<20 || got.DataDir != "from-file" {
		t.Errorf("got %d, %v, %d, %q", got.MaxInFlight, time.Duration(got.RetryBase), got.MaxUploadBytes, got.DataDir)
	}
	if time.Duration(got.MaxHold) != time.Hour {
		t.Errorf("the default of --max-hold is %v", time.Duration(got.MaxHold))
	}
}

func TestConfigFileFromTheEnvironment(t *testing.T) {
	file := filepath.Join(t.TempDir(), "c.yaml")
	write(t, file, "data_dir: there\n")
	grammar, _ := parse(t, env{"PROMPTFORGE_CONFIG": file}, "keys", "list")
	if grammar.Keys.List.DataDir != "there" {
		t.Errorf("data_dir is %q", grammar.Keys.List.DataDir)
	}
}

func TestDefaultsOfDesign(t *testing.T) {
	grammar, _ := parse(t, env{}, "serve")
	c := grammar.Serve
	for _, row := range []struct {
		name      string
		got, want any
	}{
		{"http-addr", string(c.HTTPAddr), "127.0.0.1:8080"},
		{"grpc-addr", string(c.GRPCAddr), "127.0.0.1:9090"},
		{"max-active-jobs", int(c.MaxActiveJobs), 1000},
		{"max-active-jobs-per-client", int(c.MaxActiveJobsPerClient), 1},
		{"max-in-flight", int(c.MaxInFlight), 4096},
		{"upload-url-ttl", time.Duration(c.UploadURLTTL), 15 * time.Minute},
		{"retention", time.Duration(c.Retention), 720 * time.Hour},
		{"results-url-ttl", time.Duration(c.ResultsURLTTL), time.Hour},
		{"max-upload-bytes", int64(c.MaxUploadBytes), int64(20 << 30)},
		{"request-timeout", time.Duration(c.RequestTimeout), 10 * time.Minute},
		{"retry-base", time.Duration(c.RetryBase), time.Second},
		{"max-hold", time.Duration(c.MaxHold), time.Hour},
		{"max-outage", time.Duration(c.MaxOutage), 24 * time.Hour},
		{"drain-timeout", time.Duration(c.DrainTimeout), 5 * time.Minute},
	} {
		if row.got != row.want {
			t.Errorf("--%s is %v, want %v", row.name, row.got, row.want)
		}
	}
}

func TestProvidersOfTheFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "c.yaml")
	write(t, file, `
providers:
  local:
    dialect: openai
    base_url: http://127.0.0.1:8000/v1
    models: [a, b]
    rpm: 60
  two:
    base_url: https://example.com/v1
    api_keys:
      - {env: KEY_A}
      - {env: KEY_B, quota_group: other}
  anthropic:
    dialect: anthropic
    default_max_tokens: 1000
`)
	_, s := parse(t, env{}, "run", "x", "--provider=local", "--model=a", "--config", file)
	local, two := s.providers["local"], s.providers["two"]
	if local.Dialect != "openai" || len(local.Models) != 2 || local.RPM != 60 {
		t.Errorf("local is %+v", local)
	}
	if len(two.APIKeys) != 2 || two.APIKeys[1] != (provider.KeyRef{Env: "KEY_B", QuotaGroup: "other"}) {
		t.Errorf("two is %+v", two)
	}
	if a := s.providers["anthropic"]; a.Dialect != "anthropic" || a.DefaultMaxTokens != 1000 {
		t.Errorf("anthropic is %+v", a)
	}
}

// Each mistake stops the start with one sentence that names where it stands,
// and touches nothing.
func TestMistakesInSettings(t *testing.T) {
	for _, row := range []struct {
		name string
		env  env
		file string
		args []string
		want []string
	}{
		{name: "unknown flag", args: []string{"--max-in-flght", "3"}, want: []string{"unknown flag --max-in-flght", `did you mean "--max-in-flight"`}},
		{name: "later work", args: []string{"--store", "postgres://x"}, want: []string{"unknown flag --store"}},
		{name: "flag", args: []string{"--max-in-flight", "0"}, want: []string{"--max-in-flight: needs a whole number from 1", `"0"`}},
		{name: "flag without a value", args: []string{"--max-in-flight"}, want: []string{"--max-in-flight: needs a value"}},
		{name: "variable", env: env{"PROMPTFORGE_MAX_HOLD": "soon"}, want: []string{"PROMPTFORGE_MAX_HOLD: needs a time span", `"soon"`}},
		{name: "file", file: "# a comment\nmax_upload_bytes: 3 MB\n", want: []string{"c.yaml: max_upload_bytes (line 2): needs a number of bytes"}},
		{name: "unknown key", file: "max_in_flight: 3\nmax-hold: 1h\n", want: []string{"c.yaml: max-hold (line 2) is no setting"}},
		{name: "key twice", file: "max_hold: 1h\nmax_hold: 2h\n", want: []string{"c.yaml", "max_hold", "twice"}},
		{name: "list for a value", file: "max_hold: [1h]\n", want: []string{"c.yaml: max_hold (line 1): needs one plain value"}},
		{name: "no value", file: "max_hold:\n", want: []string{"max_hold (line 1): needs one plain value"}},
		{name: "not YAML", file: "max_hold: [\n", want: []string{"c.yaml is not valid YAML", "line"}},
		{name: "a list", file: "- max_hold\n", want: []string{"c.yaml: needs keys with values"}},
		{name: "provider key", file: "providers:\n  a:\n    base_ulr: x\n", want: []string{"c.yaml: providers.a.base_ulr (line 3) is no setting", "base_url"}},
		{name: "provider key below a list", file: "providers:\n  a:\n    api_keys: [{envv: X}]\n", want: []string{"providers.a.api_keys[0].envv (line 3) is no setting"}},
		{name: "provider value", file: "providers:\n  a:\n    rpm: many\n", want: []string{"providers.a.rpm (line 3) needs a whole number"}},
		{name: "provider list", file: "providers: [a]\n", want: []string{"providers (line 1) needs names"}},
		{name: "provider address", file: "providers:\n  a:\n    base_url: ftp://x\n", want: []string{"c.yaml", "providers.a.base_url", "ftp://x"}},
		{name: "client key", file: "clients:\n  a:\n    quotas: {}\n", want: []string{"c.yaml: clients.a.quotas (line 3) is no setting; there are: quota"}},
		{name: "client quota", file: "clients:\n  a:\n    quota: {open_job: 1}\n", want: []string{"clients.a.quota.open_job (line 3) is no setting", "open_jobs"}},
		{name: "client value", file: "clients:\n  a:\n    quota:\n      bytes: -1\n", want: []string{"clients.a.quota.bytes (line 4) needs a number of bytes"}},
		{name: "no client value", file: "clients: {a: {quota: {uploads: }}}\n", want: []string{"clients.a.quota.uploads (line 1) needs one plain value"}},
		{name: "client name", file: "clients: {a b: {}}\n", want: []string{"c.yaml: clients.a b: A client's name is"}},
		{name: "requests a second", args: []string{"--quota-requests-per-second=-1"}, want: []string{"--quota-requests-per-second: needs 0, or a number from 0.001 to 1000000"}},
		{name: "provider variable", env: env{"OPENAI_BASE_URL": "nowhere"}, want: []string{"OPENAI_BASE_URL", "nowhere"}},
		{name: "half of TLS", args: []string{"--tls-cert", "a.pem"}, want: []string{"--tls-cert and --tls-key go together"}},
		{name: "no TLS file", args: []string{"--tls-cert", "a.pem", "--tls-key", "b.pem"}, want: []string{"--tls-cert a.pem --tls-key b.pem", "no such file"}},
		{name: "public URL", args: []string{"--public-url", "example.com"}, want: []string{"--public-url: needs an absolute http or https URL"}},
		{name: "address", args: []string{"--http-addr", "8080"}, want: []string{"--http-addr: needs an address such as 127.0.0.1:8080"}},
		{name: "port", args: []string{"--grpc-addr", "localhost:99999"}, want: []string{"--grpc-addr: needs an address"}},
		{name: "level", args: []string{"--log-level", "loud"}, want: []string{"--log-level: needs debug, info, warn or error"}},
		{name: "argument too many", args: []string{"now"}, want: []string{"unexpected argument now"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			dir := t.TempDir()
			data := filepath.Join(dir, "data")
			args := append([]string{"serve", "--data-dir", data}, row.args...)
			if row.file != "" {
				file := filepath.Join(dir, "c.yaml")
				write(t, file, row.file)
				args = append(args, "--config", file)
			}
			exec(t, row.env, args...).wantSentence(t, 1, row.want...)
			if _, err := os.Stat(data); err == nil {
				t.Error("the data folder was made")
			}
		})
	}
}

func TestNoConfigFile(t *testing.T) {
	exec(t, nil, "serve", "--config", "nowhere.yaml").wantSentence(t, 1, "nowhere.yaml: there is no such configuration file")
}

func TestSizes(t *testing.T) {
	for text, want := range map[string]int64{"1": 1, "2KiB": 2 << 10, "512MiB": 512 << 20, "20GiB": 20 << 30} {
		var s size
		if err := s.UnmarshalText([]byte(text)); err != nil || int64(s) != want {
			t.Errorf("%s is %d, %v", text, s, err)
		}
	}
	for _, text := range []string{"", "0", "-1", "1MB", "1.5GiB", "GiB", "9999999999GiB", "1 MiB"} {
		var s size
		if s.UnmarshalText([]byte(text)) == nil {
			t.Errorf("%q is taken for %d", text, s)
		}
	}
}

func TestHelp(t *testing.T) {
	for _, row := range []struct {
		args []string
		want []string
	}{
		{nil, []string{"prompts file", "promptforge run", "promptforge serve", "promptforge simulate"}},
		{[]string{"--help"}, []string{"serve", "run", "jobs submit", "keys create", "simulate"}},
		{[]string{"help"}, []string{"jobs submit"}},
		{[]string{"help", "run"}, []string{"--provider"}},
		{[]string{"serve", "--help"}, []string{"PROMPTFORGE_MAX_IN_FLIGHT", "4096", "providers:", "127.0.0.1:8080"}},
		{[]string{"run", "--help"}, []string{"promptforge run prompts.jsonl", "Exit code 0", "goes on where"}},
		{[]string{"jobs", "--help"}, []string{"submit", "watch", "results"}},
		{[]string{"jobs", "submit", "--help"}, []string{"--idempotency-key", "PROMPTFORGE_URL"}},
		{[]string{"keys", "create", "--help"}, []string{"promptforge keys create alice"}},
		{[]string{"simulate", "--help"}, []string{"OPENAI_BASE_URL", "--limit-kind"}},
		{[]string{"version"}, []string{"promptforge dev"}},
		{[]string{"--version"}, []string{"promptforge dev"}},
	} {
		t.Run(strings.Join(row.args, " "), func(t *testing.T) {
			got := exec(t, nil, row.args...)
			got.want(t, 0)
			for _, text := range row.want {
				if !strings.Contains(got.stdout, text) {
					t.Errorf("stdout lacks %q:\n%s", text, got.stdout)
				}
			}
			if got.stderr != "" {
				t.Errorf("stderr: %s", got.stderr)
			}
		})
	}
}

func TestUnknownCommands(t *testing.T) {
	exec(t, nil, "srve").wantSentence(t, 1, `did you mean "serve"`, "promptforge --help")
	exec(t, nil, "jobs").wantSentence(t, 1, "submit", "promptforge jobs --help")
	exec(t, nil, "keys", "make", "x").wantSentence(t, 1, "make")
}
