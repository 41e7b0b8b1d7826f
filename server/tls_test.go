package server

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	promptforgev1 "github.com/promptforge/promptforge/gen/go/promptforge/v1"
)

// TestTLS: both listeners speak TLS, and URLs say so.
func TestTLS(t *testing.T) {
	cert, key, pool := selfSigned(t)
	e := start(t, func(c *Config) { c.TLSCert, c.TLSKey = cert, key })
	e.http.Transport = &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}, ForceAttemptHTTP2: true}
	e.scheme = "https://"
	conn, err := grpc.NewClient(e.GRPCAddr(), grpc.WithTransportCredentials(credentials.NewClientTLSFromCert(pool, "")))
	must(t, err)
	defer conn.Close()
	resp, err := promptforgev1.NewJobServiceClient(conn).InitJob(e.as(e.key), &promptforgev1.InitJobRequest{Provider: "openai", Model: "gpt-4o-mini"})
	must(t, err)
	if !strings.HasPrefix(resp.GetUploadUrl(), "https://"+e.HTTPAddr()+"/") {
		t.Errorf("upload_url %s", resp.GetUploadUrl())
	}
	if r := e.rest("PUT", resp.GetUploadUrl(), prompts(1)); r.status != http.StatusOK {
		t.Errorf("upload: %d %s", r.status, r.body)
	}
	if r := e.rest("GET", "/v1/jobs/"+resp.GetJobId()+"/status", ""); r.status != http.StatusOK {
		t.Errorf("status: %d %s", r.status, r.body)
	}
	_, err = New(Config{Store: e.store, Files: noFiles{}, Offers: offersOnly{}, TLSCert: key, TLSKey: cert})
	if err == nil || !strings.Contains(err.Error(), "--tls-cert "+key) {
		t.Errorf("with a bad certificate: %v", err)
	}
}

func selfSigned(t *testing.T) (certFile, keyFile string, pool *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	must(t, err)
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	must(t, err)
	dir := t.TempDir()
	certFile, keyFile = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	certPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	must(t, os.WriteFile(certFile, certPEM, 0o600))
	must(t, os.WriteFile(keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}), 0o600))
	pool = x509.NewCertPool()
	pool.AppendCertsFromPEM(certPEM)
	return certFile, keyFile, pool
}
