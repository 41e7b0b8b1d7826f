package provider

import "strings"

// Group is a quota group: an account at a provider, with the one or more
// credentials that share its limits. Its endpoints differ in nothing but the
// credential; there is at least one.
type Group []Endpoint

// Name is the quota group's name.
func (g Group) Name() string { return g[0].Group }

// Missing is why nothing can be sent to the group, a sentence: it has no
// credential. Empty: it can.
func (g Group) Missing() string { return g[0].Missing }

// KeyNames are the variables and files that the credentials came from; the
// name is empty for a server that wants none.
func (g Group) KeyNames() []string {
	names := make([]string, len(g))
	for i := range g {
		names[i] = g[i].KeyName
	}
	return names
}

// Public is a sentence about the group as its callers may read it: where the
// operator keeps a credential is none of their business.
func (g Group) Public(sentence string) string {
	for i := range g {
		if g[i].KeyFile {
			sentence = strings.ReplaceAll(sentence, "the file "+g[i].KeyName, keyFile)
			sentence = strings.ReplaceAll(sentence, g[i].KeyName, keyFile)
		}
	}
	return sentence
}

// SameKeys tells whether two groups have the same credentials, in the same
// order, for the same address.
func (g Group) SameKeys(other Group) bool {
	if len(g) != len(other) || g[0].BaseURL != other[0].BaseURL || g[0].Dialect.Name() != other[0].Dialect.Name() {
		return false
	}
	for i := range g {
		if g[i].Key != other[i].Key {
			return false
		}
	}
	return true
}
