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
	RPD         int `yaml:"rpd"`         // requests a day, from midnight to midnight in UTC
	Concurrency int `yaml:"concurrency"` // requests at once

	// Shards is over how many processes a lane is split; 0 and 1: it is not.
	Shards int `yaml:"shards"`
}

// KeyRef names a credential without holding it: by Env or by File.
type KeyRef struct {
	Env        string `yaml:"env"`         // the environment variable that holds it
	File       string `yaml:"file"`        // the file that holds it and nothing else; white space around it does not count
	QuotaGroup string `yaml:"quota_group"` // keys of one account share a group; default "default"
}
