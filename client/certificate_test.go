package client_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
)

// certificate writes the files of a certificate for 127.0.0.1 that nobody
// trusts, and of its key.
func certificate(t *testing.T) [2]string {
	t.Helper()
	lender := httptest.NewTLSServer(nil)
	defer lender.Close()
	pair := lender.TLS.Certificates[0]
	key, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	must(t, err)
	return [2]string{
		writePEM(t, "CERTIFICATE", pair.Certificate[0]),
		writePEM(t, "PRIVATE KEY", key),
	}
}

func writePEM(t *testing.T, kind string, der []byte) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "pem")
	must(t, os.WriteFile(name, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600))
	return name
}

// tlsOf trusts the certificate in a file, and no other.
func tlsOf(t *testing.T, file string) *tls.Config {
	t.Helper()
	text, err := os.ReadFile(file)
	must(t, err)
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		t.Fatal("no certificate in the file")
	}
	return &tls.Config{RootCAs: pool}
}
