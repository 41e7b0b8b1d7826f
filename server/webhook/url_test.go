package webhook

import (
	"net/netip"
	"strings"
	"testing"
)

// insideHosts are hosts that lead inside without any name being resolved.
var insideHosts = []string{
	"127.0.0.1", "127.1", "127.0.1", "127.255.255.254", "2130706433", "0x7f000001", "0x7f.0.0.1", "0x7f.1", "0177.0.0.1", "017700000001", "0177.1",
	"0", "0.0.0.0", "0.1.2.3", "10.0.0.1", "10.1", "167772161", "0xa000001", "012.0.0.1", "172.16.0.1", "172.31.255.255", "172.16.1", "192.168.0.1", "192.168.1",
	"3232235521", "0xc0a80001", "0300.0250.0.1", "169.254.169.254", "169.254.43518", "2852039166", "0xa9fea9fe", "0251.0376.0251.0376",
	"169.254.170.2", "100.100.100.200", "100.64.0.1", "192.0.0.192", "192.0.0.170", "198.18.0.1", "192.0.2.1", "198.51.100.1", "203.0.113.1", "192.88.99.1",
	"224.0.0.1", "239.1.1.1", "240.0.0.1", "255.255.255.255",
	"[::]", "[::1]", "[0:0:0:0:0:0:0:1]", "[::127.0.0.1]", "[::ffff:127.0.0.1]", "[::ffff:10.0.0.1]", "[::ffff:a9fe:a9fe]", "[::ffff:0:127.0.0.1]",
	"[fe80::1]", "[fe80::1%25eth0]", "[fec0::1]", "[fc00::1]", "[fd00::1]", "[fd00:ec2::254]", "[ff02::1]", "[64:ff9b::7f00:1]", "[64:ff9b::a9fe:a9fe]",
	"[64:ff9b:1::a00:1]", "[2002:7f00:1::]", "[2002:a00:1::1]", "[2001:0:7f00:1::]", "[2001:db8::1]", "[100::1]",
	"localhost", "LOCALHOST", "localhost.", "a.localhost", "127.0.0.1.",
}

func TestCheckURL(t *testing.T) {
	if len(insideHosts) < 60 {
		t.Fatal("fewer than 60 addresses are tried")
	}
	for _, host := range insideHosts {
		for _, url := range []string{"https://" + host + "/hook", "https://" + host + ":8443/hook?a=b"} {
			if err := Allowed(nil).CheckURL(url); err == nil || !strings.Contains(err.Error(), "internal address") {
				t.Errorf("%s: %v", url, err)
			}
		}
	}
	for _, url := range []string{
		"", "http://example.com", "https://", "https:///path", "example.com", "ftp://example.com", "https://user:pass@example.com/",
		"https://user@example.com/", "https://example.com/" + strings.Repeat("a", MaxURL), "https://exa mple.com", "//example.com/x",
	} {
		if err := Allowed(nil).CheckURL(url); err == nil {
			t.Errorf("%q passes", url)
		}
	}
	for _, url := range []string{
		"https://example.com", "https://example.com:8443/a?b=c", "https://1.1.1.1/", "https://[2606:4700::1111]/", "https://16843009/",
		"https://10.example.com/", "https://1.2.3.4.5/", "https://256.256.256.256/", "https://0x.example/", "https://08.1.1.1/",
	} {
		if err := Allowed(nil).CheckURL(url); err != nil {
			t.Errorf("%s: %v", url, err)
		}
	}
}

func TestAllowed(t *testing.T) {
	allowed := Allowed{netip.MustParsePrefix("10.1.0.0/16"), netip.MustParsePrefix("127.0.0.0/8")}
	for url, ok := range map[string]bool{
		"https://10.1.2.3/": true, "https://10.2.0.1/": false, "https://[::ffff:10.1.0.1]/": true, "https://127.1/": true,
		"https://localhost/": true, "https://[::1]/": false, "https://192.168.0.1/": false, "https://1.1.1.1/": true,
	} {
		if err := allowed.CheckURL(url); (err == nil) != ok {
			t.Errorf("%s: %v", url, err)
		}
	}
}
