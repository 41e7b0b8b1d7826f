package server

import (
	"net/netip"
	"net/url"
	"strings"
)

const maxWebhookURL = 2048

// checkWebhookURL refuses what no webhook could ever be sent to. A name is
// looked up, and refused if it leads inside, at each delivery.
func checkWebhookURL(text string) error {
	if len(text) > maxWebhookURL {
		return badRequest("The webhook_url is longer than 2048 bytes.")
	}
	u, err := url.Parse(text)
	if err != nil {
		return badRequest("The webhook_url is not a URL; it must look like https://example.com/hook.")
	}
	if u.Scheme != "https" || u.Hostname() == "" {
		return badRequest("The webhook_url must be an https URL with a host, such as https://example.com/hook.")
	}
	if u.User != nil {
		return badRequest("The webhook_url must not hold a user name or password; deliveries are signed instead.")
	}
	host := strings.TrimSuffix(strings.ToLower(u.Hostname()), ".")
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return badRequest("The webhook_url must not lead to this machine itself.")
	}
	if addr, err := netip.ParseAddr(host); err == nil && insideAddr(addr) {
		return badRequest("The webhook_url must not be a loopback, private, link-local or otherwise internal address.")
	}
	return nil
}

// internal are the ranges that netip has no question for: "this network",
// carrier-grade NAT (where some clouds keep their metadata), protocol
// assignments, benchmarking, reserved, and IPv6's ways of writing IPv4.
var internal = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"),
	netip.MustParsePrefix("100.64.0.0/10"),
	netip.MustParsePrefix("192.0.0.0/24"),
	netip.MustParsePrefix("198.18.0.0/15"),
	netip.MustParsePrefix("240.0.0.0/4"),
	netip.MustParsePrefix("::/96"),
	netip.MustParsePrefix("64:ff9b::/96"),
	netip.MustParsePrefix("64:ff9b:1::/48"),
	netip.MustParsePrefix("2002::/16"),
	netip.MustParsePrefix("fec0::/10"),
}

// insideAddr tells whether an address is not one of the public internet.
func insideAddr(addr netip.Addr) bool {
	addr = addr.Unmap().WithZone("")
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
