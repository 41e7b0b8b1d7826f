package simulator

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
)

// key is the first half of a prompt's SHA-256.
type key [16]byte

// PromptKey is the name of a prompt in the stats and inside its answers: the
// first 32 hex digits of its SHA-256.
func PromptKey(prompt string) string { return keyOf(prompt).String() }

func keyOf(prompt string) key {
	sum := sha256.Sum256([]byte(prompt))
	return key(sum[:16])
}

// parseKey reads what String wrote.
func parseKey(s string) (k key, ok bool) {
	if len(s) != 2*len(k) {
		return key{}, false
	}
	_, err := hex.Decode(k[:], []byte(s))
	return k, err == nil
}

func (k key) String() string { return hex.EncodeToString(k[:]) }

// The uses of hash, so that one does not tell about the other.
const (
	forFault uint64 = iota + 1
	forVariant
	forJitter
	forAngle
	forText
	forID
	forWeather
)

// hash mixes its arguments into 64 even bits (splitmix64 in a chain).
func (k key) hash(seed uint64, attempt uint32, use uint64) uint64 {
	h := splitmix(seed ^ use<<56)
	h = splitmix(h ^ binary.LittleEndian.Uint64(k[:8]))
	h = splitmix(h ^ binary.LittleEndian.Uint64(k[8:]))
	return splitmix(h ^ uint64(attempt))
}

// splitmix is the finalizer of Steele, Lea and Flood's SplitMix64.
func splitmix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// unit maps 64 bits evenly to [0, 1).
func unit(h uint64) float64 { return float64(h>>11) / (1 << 53) }
