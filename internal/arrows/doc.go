// Package arrows holds nothing but a test: that imports point one way, as the
// rooms of docs/architecture say. depguard says the same at lint time; the test
// says it where only Go is at hand.
package arrows
