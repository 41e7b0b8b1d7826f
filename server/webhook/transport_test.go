package webhook

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
)

// nameServer answers each question for an address with the next of its own, the
// last one again and again.
type nameServer struct {
	answers []netip.Addr
	asked   atomic.Int32
}

// resolver asks the name server over UDP.
func (n *nameServer) resolver(t *testing.T) *net.Resolver {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		question := make([]byte, 1500)
		for {
			size, from, err := conn.ReadFrom(question)
			if err != nil {
				return
			}
			if answer, err := n.answer(question[:size]); err == nil {
				conn.WriteTo(answer, from)
			}
		}
	}()
	t.Cleanup(func() {
		conn.Close()
		<-done
	})
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "udp", conn.LocalAddr().String())
	}}
}

func (n *nameServer) answer(question []byte) ([]byte, error) {
	var p dnsmessage.Parser
	h, err := p.Start(question)
	if err != nil {
		return nil, err
	}
	q, err := p.Question()
	if err != nil {
		return nil, err
	}
	b := dnsmessage.NewBuilder(nil, dnsmessage.Header{ID: h.ID, Response: true, RecursionAvailable: true})
	if err := errors.Join(b.StartQuestions(), b.Question(q), b.StartAnswers()); err != nil {
		return nil, err
	}
	addr := n.answers[min(int(n.asked.Load()), len(n.answers)-1)]
	header := dnsmessage.ResourceHeader{Name: q.Name, Class: dnsmessage.ClassINET}
	switch {
	case q.Type == dnsmessage.TypeA && addr.Is4():
		n.asked.Add(1)
		err = b.AResource(header, dnsmessage.AResource{A: addr.As4()})
	case q.Type == dnsmessage.TypeAAAA && addr.Is6():
		n.asked.Add(1)
		err = b.AAAAResource(header, dnsmessage.AAAAResource{AAAA: addr.As16()})
	}
	if err != nil {
		return nil, err
	}
	return b.Finish()
}

// TestNamesThatLeadInside: whatever a name resolves to, and however often it
// changes its mind, nothing inside is reached.
func TestNamesThatLeadInside(t *testing.T) {
	var reached atomic.Int32
	receiver := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached.Add(1) }))
	defer receiver.Close()
	_, port, err := net.SplitHostPort(receiver.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	for _, answers := range [][]string{
		{"127.0.0.1"},
		{"10.0.0.1"},
		{"169.254.169.254"},
		{"::1"},
		{"::ffff:127.0.0.1"},
		{"fd00:ec2::254"},
		{"64:ff9b::7f00:1"},
		{"2002:7f00:1::"},
		{"127.0.0.1", "1.1.1.1"},
		{"0.0.0.0"},
	} {
		names := &nameServer{}
		for _, a := range answers {
			names.answers = append(names.answers, netip.MustParseAddr(a))
		}
		client := Allowed(nil).client(nil, names.resolver(t))
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://hook.example.com:"+port+"/", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := client.Do(req)
		var refused *InsideError
		if !errors.As(err, &refused) {
			t.Errorf("%v: %v", answers, err)
		}
		if err == nil {
			resp.Body.Close()
		}
		if names.asked.Load() == 0 {
			t.Errorf("%v: nobody asked", answers)
		}
	}
	if n := reached.Load(); n != 0 {
		t.Errorf("%d requests arrived inside", n)
	}
}

// TestNoRedirectAndNoProxy: neither an answer nor the environment of the
// process leads a delivery elsewhere.
func TestNoRedirectAndNoProxy(t *testing.T) {
	var elsewhere atomic.Int32
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { elsewhere.Add(1) }))
	defer other.Close()
	receiver := httptest.NewServer(http.RedirectHandler(other.URL, http.StatusTemporaryRedirect))
	defer receiver.Close()
	t.Setenv("HTTP_PROXY", other.URL)
	client := Allowed{netip.MustParsePrefix("127.0.0.0/8")}.client(nil, nil)
	resp, err := client.Post(receiver.URL, "application/json", strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusTemporaryRedirect || elsewhere.Load() != 0 {
		t.Errorf("%d, and %d requests went elsewhere", resp.StatusCode, elsewhere.Load())
	}
}
