package webhook

import (
	"net/netip"
	"strconv"
	"strings"
)

// internal are the ranges that netip has no question for: "this network",
// carrier-grade NAT (where some clouds keep their metadata), protocol
// assignments, benchmarking, reserved, and IPv6's ways of writing IPv4.
var internal = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"),
	netip.MustParsePrefix("100.64.0.0/10"),
	netip.MustParsePrefix("192.0.0.0/24"),
	netip.MustParsePrefix("192.0.2.0/24"),
	netip.MustParsePrefix("192.88.99.0/24"),
	netip.MustParsePrefix("198.18.0.0/15"),
	netip.MustParsePrefix("198.51.100.0/24"),
	netip.MustParsePrefix("203.0.113.0/24"),
	netip.MustParsePrefix("240.0.0.0/4"),
	netip.MustParsePrefix("::/96"),
	netip.MustParsePrefix("::ffff:0:0:0/96"), // IPv4 translated, RFC 2765
	netip.MustParsePrefix("64:ff9b::/96"),
	netip.MustParsePrefix("64:ff9b:1::/48"),
	netip.MustParsePrefix("100::/64"),
	netip.MustParsePrefix("2001::/23"), // Teredo among them
	netip.MustParsePrefix("2001:db8::/32"),
	netip.MustParsePrefix("2002::/16"),
	netip.MustParsePrefix("3fff::/20"),
	netip.MustParsePrefix("5f00::/16"),
	netip.MustParsePrefix("fec0::/10"),
}

// Allowed are the ranges inside that an operator lets webhooks go to.
type Allowed []netip.Prefix

// reachable tells whether a webhook may go to an address.
func (a Allowed) reachable(addr netip.Addr) bool {
	addr = addr.Unmap().WithZone("")
	for _, p := range a {
		if p.Contains(addr) {
			return true
		}
	}
	return !inside(addr)
}

// inside tells whether an address is not one of the public internet.
func inside(addr netip.Addr) bool {
	if !addr.IsGlobalUnicast() || addr.IsPrivate() {
		return true // loopback, link-local, multicast and unspecified among them
	}
	for _, p := range internal {
		if p.Contains(addr) {
			return true
		}
	}
	return false
}

// literal reads a host that is an address, also in the forms that resolvers and
// browsers take for IPv4: one to four numbers, decimal, octal or hexadecimal,
// of which the last fills what is left.
func literal(host string) (netip.Addr, bool) {
	if addr, err := netip.ParseAddr(host); err == nil {
		return addr, true
	}
	parts := strings.Split(host, ".")
	if len(parts) > 4 {
		return netip.Addr{}, false
	}
	var address uint64
	for i, part := range parts {
		bits := 8
		if i == len(parts)-1 {
			bits = 8 * (4 - i)
		}
		// Base 0 would take 0b, 0o and underscores too.
		n, err := parseNumber(part)
		if err != nil || n >= 1<<bits {
			return netip.Addr{}, false
		}
		address = address<<bits | n
	}
	return netip.AddrFrom4([4]byte{byte(address >> 24), byte(address >> 16), byte(address >> 8), byte(address)}), true
}

func parseNumber(s string) (uint64, error) {
	switch {
	case strings.HasPrefix(s, "0x"):
		return strconv.ParseUint(s[2:], 16, 32)
	case len(s) > 1 && s[0] == '0':
		return strconv.ParseUint(s[1:], 8, 32)
	default:
		return strconv.ParseUint(s, 10, 32)
	}
}
