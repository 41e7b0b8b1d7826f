// Package contract holds nothing but a test: that docs/contract-coverage.md
// names, for each section of docs/api.md, tests that are there.
package contract
