package provider

// Config is a provider as the operator describes it. Endpoints come from here
// and from the environment only, never from a caller.
type Config struct {
	Dialect string   `yaml:"dialect"`  // openai (the default), anthropic, gemini or mistral
	BaseURL string   `yaml:"base_url"` // for openai it ends in /v1, or what the server has in its place
	APIKeys []KeyRef `yaml:"api_keys"` // empty: the server wants no credential
	Models  []string `yaml:"models"`   // empty: any model

	// DefaultMaxTokens is max_tokens for lines that give none. 0: none, but for
	// anthropic, which wants one: 4096.
	DefaultMaxTokens int64 `yaml:"default_max_tokens"`

	// Caps of each quota group; 0: none.
	RPM         int `yaml:"rpm"`         // requests a minute
	TPM         int `yaml:"tpm"`         // tokens a minute
	Concurrency int `yaml:"concurrency"` // requests at once
}

// KeyRef names a credential without holding it.
type KeyRef struct {
	Env        string `yaml:"env"`         // the environment variable that holds it
	QuotaGroup string `yaml:"quota_group"` // keys of one account share a group; default "default"
}
