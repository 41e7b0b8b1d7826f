package provider

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"sort"
	"strings"

	"github.com/promptforge/promptforge/job"
)

const defaultGroup = "default"

// NotOffered says why a provider or a model can't be used here.
type NotOffered struct {
	Model    bool   // the provider is offered, the model is not
	Sentence string // for the operator, who may read where a credential is to be
	Public   string // for callers
}

// Error is the operator's sentence.
func (e *NotOffered) Error() string { return e.Sentence }

func notOffered(model bool, format string, a ...any) *NotOffered {
	sentence := fmt.Sprintf(format, a...)
	return &NotOffered{Model: model, Sentence: sentence, Public: sentence}
}

// Registry knows the providers of this deployment. It never changes: a new
// configuration makes a new one.
type Registry struct {
	providers map[string]*entry
	unread    []UnreadFile
}

// UnreadFile is a file that was to hold a credential and does not.
type UnreadFile struct {
	Setting string // such as providers.openai.api_keys[0].file
	File    string
	Cause   string // the end of a sentence that begins with the file
}

// Error is a sentence that names the setting, the file and the cause.
func (u *UnreadFile) Error() string { return u.Setting + ": " + u.File + " " + u.Cause }

type entry struct {
	groups []Group // those that have a credential, or want none
	vacant []Group // those that have none
	models []string
	unset  []lack // where credentials are missing
}

var nameRule = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,63}$`)

// NewRegistry reads the configured providers and the built-in ones, with
// credentials out of getenv. An error is a sentence that names the setting.
func NewRegistry(configured map[string]Config, getenv func(string) string) (*Registry, error) {
	r := &Registry{providers: map[string]*entry{}}
	for name, b := range builtin {
		cfg, from := b.fill(configured[name], getenv)
		if from != "" {
			if err := CheckBaseURL(cfg.BaseURL); err != nil {
				return nil, fmt.Errorf("%s: %w", from, err)
			}
		}
		if err := r.add(name, cfg, getenv); err != nil {
			return nil, err
		}
	}
	for name, cfg := range configured {
		if _, ok := builtin[name]; ok {
			continue
		}
		if err := r.add(name, cfg, getenv); err != nil {
			return nil, err
		}
	}
	return r, nil
}

func (r *Registry) add(name string, cfg Config, getenv func(string) string) error {
	if !nameRule.MatchString(name) {
		return fmt.Errorf("providers: %q is no name; use lower-case letters, digits, '-', '.' and '_'", name)
	}
	dialect, ok := dialects[strings.TrimSpace(cfg.Dialect)]
	if cfg.Dialect == "" {
		dialect, ok = OpenAI{}, true
	}
	if !ok {
		return fmt.Errorf("providers.%s.dialect: %q is not known; known: %s", name, cfg.Dialect, knownDialects)
	}
	if err := CheckBaseURL(cfg.BaseURL); err != nil {
		return fmt.Errorf("providers.%s.base_url: %w", name, err)
	}
	for what, n := range map[string]int{"rpm": cfg.RPM, "tpm": cfg.TPM, "rpd": cfg.RPD, "concurrency": cfg.Concurrency} {
		if n < 0 {
			return fmt.Errorf("providers.%s.%s: must be 0 (no cap) or more", name, what)
		}
	}
	if cfg.DefaultMaxTokens < 0 {
		return fmt.Errorf("providers.%s.default_max_tokens: must be 0 (the dialect's own) or more", name)
	}
	if cfg.Shards < 0 || cfg.Shards > 1 {
		return fmt.Errorf("providers.%s.shards: must be 1; more split a lane over several machines, and this store has one", name)
	}
	base := Endpoint{
		Provider: name, Group: defaultGroup, Dialect: dialect, BaseURL: strings.TrimRight(cfg.BaseURL, "/"),
		RPM: cfg.RPM, TPM: cfg.TPM, RPD: cfg.RPD, Concurrency: cfg.Concurrency, DefaultMaxTokens: cfg.DefaultMaxTokens,
	}
	e := &entry{models: cfg.Models}
	r.providers[name] = e
	if len(cfg.APIKeys) == 0 {
		e.groups = []Group{{base}}
		return nil
	}
	for i, ref := range cfg.APIKeys {
		key, source, cause, err := ref.read(getenv)
		if err != nil {
			return fmt.Errorf("providers.%s.api_keys[%d]%w", name, i, err)
		}
		one := base
		one.Key, one.KeyName, one.KeyFile, one.Group = key, source, ref.File != "", cmp.Or(ref.QuotaGroup, defaultGroup)
		if key != "" {
			e.put(one)
			continue
		}
		one.Missing = ref.missing(name, cause)
		e.vacate(one)
		if ref.File != "" {
			r.unread = append(r.unread, UnreadFile{fmt.Sprintf("providers.%s.api_keys[%d].file", name, i), ref.File, cause})
		}
		e.unset = append(e.unset, lack{ref, cause})
	}
	return nil
}

// missing says what a lane waits for.
func (ref *KeyRef) missing(provider, cause string) string {
	if ref.File != "" {
		return fmt.Sprintf("There is no credential for %s: the file %s %s. Put the credential there and send SIGHUP to the server.", provider, ref.File, cause)
	}
	return fmt.Sprintf("There is no credential for %s: the variable %s %s. Set it and start the server again.", provider, ref.Env, cause)
}

// vacate notes that a quota group lacks a credential. Which of several is told
// first does not matter: any of them will do.
func (e *entry) vacate(one Endpoint) {
	if !slices.ContainsFunc(e.vacant, func(g Group) bool { return g.Name() == one.Group }) {
		e.vacant = append(e.vacant, Group{one})
	}
}

// Unread are the files that were to hold a credential and do not.
func (r *Registry) Unread() []UnreadFile { return r.unread }

// Lost tells of a file that holds no credential now, and was not known for that
// before: a *UnreadFile, nil if there is none.
func (r *Registry) Lost(before *Registry) error {
	for i, u := range r.unread {
		if !slices.ContainsFunc(before.unread, func(old UnreadFile) bool { return old.File == u.File }) {
			return &r.unread[i]
		}
	}
	return nil
}

// put adds a credential to its quota group; one that stands there twice counts
// once.
func (e *entry) put(one Endpoint) {
	for i, g := range e.groups {
		if g.Name() != one.Group {
			continue
		}
		if !slices.ContainsFunc(g, func(other Endpoint) bool { return other.Key == one.Key }) {
			e.groups[i] = append(g, one)
		}
		return
	}
	e.groups = append(e.groups, Group{one})
}

// Offered tells whether jobs of a provider's model can run here; the error is
// *NotOffered.
func (r *Registry) Offered(provider, model string) error {
	e, ok := r.providers[provider]
	switch {
	case !ok:
		return notOffered(false, "The provider %q is not offered here; offered: %s.", clip(provider), r.offered())
	case len(e.groups) == 0:
		const sentence = "The provider %q is not offered here: no credential is set; %s."
		return &NotOffered{
			Sentence: fmt.Sprintf(sentence, provider, remedy(e.unset, func(path string) string { return path })),
			Public:   fmt.Sprintf(sentence, provider, remedy(e.unset, func(string) string { return keyFile })),
		}
	case strings.TrimSpace(model) == "":
		return notOffered(true, "The model has no name; give it by the provider's name for it.")
	case len(e.models) > 0 && !slices.Contains(e.models, model):
		return notOffered(true, "The model %q of %q is not offered here; offered: %s.", clip(model), provider, strings.Join(e.models, ", "))
	}
	return nil
}

// Groups are the quota groups that jobs of a provider can go to.
func (r *Registry) Groups(provider string) []Group {
	if e, ok := r.providers[provider]; ok {
		return e.groups
	}
	return nil
}

// Group finds where a lane's requests go. false if the configuration has no
// such provider or group any more.
func (r *Registry) Group(l job.Lane) (Group, bool) {
	for _, g := range r.Groups(l.Provider) {
		if g.Name() == l.Group {
			return g, true
		}
	}
	return nil, false
}

// Lane is where a lane's requests go: its quota group, or one that only says
// what is missing.
func (r *Registry) Lane(l job.Lane) Group {
	if g, ok := r.Group(l); ok {
		return g
	}
	e, ok := r.providers[l.Provider]
	if !ok {
		return Group{{
			Provider: l.Provider, Group: l.Group, Dialect: OpenAI{},
			Missing: fmt.Sprintf("The provider %q is not configured here any more. Put it back into the configuration and send SIGHUP to the server.", l.Provider),
		}}
	}
	for _, g := range e.vacant {
		if g.Name() == l.Group {
			return g
		}
	}
	return Group{{
		Provider: l.Provider, Group: l.Group, Dialect: OpenAI{},
		Missing: fmt.Sprintf("The quota group %q of %s is not configured here any more. Put it back into the configuration and send SIGHUP to the server.", l.Group, l.Provider),
	}}
}

// Vacant is a quota group of a provider of which none has a credential; it says
// what is missing.
func (r *Registry) Vacant(provider string) Group {
	group := defaultGroup
	if e, ok := r.providers[provider]; ok && len(e.vacant) > 0 {
		group = e.vacant[0].Name()
	}
	return r.Lane(job.Lane{Provider: provider, Group: group})
}

func (r *Registry) offered() string {
	var names []string
	for name, e := range r.providers {
		if len(e.groups) > 0 {
			names = append(names, name)
		}
	}
	if names == nil {
		return "none, since no provider has a credential (set OPENAI_API_KEY, ANTHROPIC_API_KEY, GEMINI_API_KEY or MISTRAL_API_KEY for the server)"
	}
	sort.Strings(names)
	return strings.Join(names, ", ")
}

// clip keeps a caller's text from filling an error.
func clip(s string) string {
	if len(s) > 64 {
		return strings.ToValidUTF8(s[:64], "") + "…"
	}
	return s
}
