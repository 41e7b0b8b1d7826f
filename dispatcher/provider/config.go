package provider

// Config is a provider as the operator describes it. Endpoints come from here
// and from the environment only, never from a caller.
type Config struct {
	Dialect string   `yaml:"dialect"`  // openai (the default)
	BaseURL string   `yaml:"base_url"` // for openai it ends in /v1
	APIKeys []KeyRef `yaml:"api_keys"` // empty: the server wants no credential
	Models  []string `yaml:"models"`   // empty: any model

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
