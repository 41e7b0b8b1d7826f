package provider

import (
	"cmp"
	"slices"
)

// builtin are the providers that need no configuration: a credential in a
// variable that the provider's own SDK reads is enough. Of several variables
// the first that is set counts.
var builtin = map[string]builtinProvider{
	"openai":    {"openai", "https://api.openai.com/v1", []string{"OPENAI_BASE_URL"}, []string{"OPENAI_API_KEY"}},
	"anthropic": {"anthropic", "https://api.anthropic.com", []string{"ANTHROPIC_BASE_URL"}, []string{"ANTHROPIC_API_KEY"}},
	"gemini":    {"gemini", "https://generativelanguage.googleapis.com", []string{"GEMINI_BASE_URL", "GOOGLE_GEMINI_BASE_URL"}, []string{"GEMINI_API_KEY", "GOOGLE_API_KEY"}},
	"mistral":   {"mistral", "https://api.mistral.ai", []string{"MISTRAL_BASE_URL"}, []string{"MISTRAL_API_KEY"}},
}

var dialects = map[string]Dialect{"openai": OpenAI{}, "anthropic": Anthropic{}, "gemini": Gemini{}, "mistral": Mistral{}}

const knownDialects = "openai, anthropic, gemini, mistral"

type builtinProvider struct {
	dialect, baseURL string
	baseEnvs         []string
	keyEnvs          []string
}

// fill sets what a configuration leaves out. from names the variable that the
// base URL came from; empty: none.
func (b builtinProvider) fill(cfg Config, getenv func(string) string) (_ Config, from string) {
	cfg.Dialect = cmp.Or(cfg.Dialect, b.dialect)
	if cfg.BaseURL == "" {
		cfg.BaseURL = b.baseURL
		if i := slices.IndexFunc(b.baseEnvs, func(name string) bool { return getenv(name) != "" }); i >= 0 {
			from = b.baseEnvs[i]
			cfg.BaseURL = getenv(from)
		}
	}
	if cfg.APIKeys == nil {
		for _, name := range b.keyEnvs {
			if getenv(name) != "" {
				cfg.APIKeys = []KeyRef{{Env: name}}
				break
			}
			cfg.APIKeys = append(cfg.APIKeys, KeyRef{Env: name})
		}
	}
	return cfg, from
}
