package config

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// authority issues certificates into a directory.
type authority struct {
	t    *testing.T
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	next int64
}

func newAuthority(t *testing.T, dir, name string) *authority {
	a := &authority{t: t, dir: dir, next: 2}
	var err error
	if a.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		t.Fatal(err)
	}
	a.cert = &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, a.cert, a.cert, a.key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	a.write(name+".pem", "CERTIFICATE", der)
	return a
}

func (a *authority) write(name, kind string, der []byte) {
	a.t.Helper()
	b := pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
	if err := os.WriteFile(filepath.Join(a.dir, name), b, 0o600); err != nil {
		a.t.Fatal(err)
	}
}

// issue writes NAME.crt and NAME.key and returns the pair; it ended is so long
// ago.
func (a *authority) issue(name string, ended time.Duration) tls.Certificate {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(a.next), Subject: pkix.Name{CommonName: name}, DNSNames: []string{"localhost"},
		NotBefore: time.Now().Add(-30 * time.Minute), NotAfter: time.Now().Add(30*time.Minute - ended),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
	}
	a.next++
	der, err := x509.CreateCertificate(rand.Reader, c, a.cert, key.Public(), a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		a.t.Fatal(err)
	}
	a.write(name+".crt", "CERTIFICATE", der)
	a.write(name+".key", "PRIVATE KEY", keyDER)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// revoke writes a list.
func (a *authority) revoke(name string, until time.Time, certs ...tls.Certificate) {
	a.t.Helper()
	l := &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: time.Now().Add(-time.Hour), NextUpdate: until}
	for _, c := range certs {
		x, err := x509.ParseCertificate(c.Certificate[0])
		if err != nil {
			a.t.Fatal(err)
		}
		l.RevokedCertificateEntries = append(l.RevokedCertificateEntries, x509.RevocationListEntry{SerialNumber: x.SerialNumber, RevocationTime: time.Now()})
	}
	der, err := x509.CreateRevocationList(rand.Reader, l, a.cert, a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	a.write(name, "X509 CRL", der)
}

// shake does a handshake over the loopback address; err is that of the server.
func shake(t *testing.T, server *tls.Config, client *tls.Config) (tls.ConnectionState, error) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	done := make(chan struct{})
	go func() {
		defer close(done)
		c, err := tls.Dial("tcp", l.Addr().String(), client)
		if err == nil {
			c.Read(make([]byte, 1))
			c.Close()
		}
	}()
	raw, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	c := tls.Server(raw, server)
	c.SetDeadline(time.Now().Add(time.Minute))
	err = c.Handshake()
	state := c.ConnectionState()
	c.Close()
	<-done
	return state, err
}

func TestTLS(t *testing.T) {
	dir := t.TempDir()
	ca, other := newAuthority(t, dir, "ca"), newAuthority(t, dir, "other")
	ca.issue("server", 0)
	good, revoked, old, foreign := ca.issue("good", 0), ca.issue("revoked", 0), ca.issue("old", 40*time.Minute), other.issue("foreign", 0)
	ca.revoke("list.crl", time.Now().Add(time.Hour), revoked)
	ca.revoke("expired.crl", time.Now().Add(-time.Minute))
	other.revoke("other.crl", time.Now().Add(time.Hour))
	if err := os.Mkdir(filepath.Join(dir, "certs"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(dir, "other.pem"), filepath.Join(dir, "certs", "other.pem")); err != nil {
		t.Fatal(err)
	}
	in := func(s string) string { return strings.ReplaceAll(s, "DIR", dir) }
	const base = "listener 1\ncertfile DIR/server.crt\nkeyfile DIR/server.key\n"
	const required = base + "cafile DIR/ca.pem\nrequire_certificate true\n"
	pool := x509.NewCertPool()
	pool.AddCert(ca.cert)
	for _, c := range []struct {
		name   string
		text   string
		client *tls.Config
		ok     bool
		peer   bool // the server knows who the client is
	}{
		{"no certificate wanted", base, &tls.Config{}, true, false},
		{"too old a version", base, &tls.Config{MaxVersion: tls.VersionTLS11}, false, false},
		{"1.2", base, &tls.Config{MaxVersion: tls.VersionTLS12}, true, false},
		{"1.3 wanted", base + "tls_version tlsv1.3\n", &tls.Config{MaxVersion: tls.VersionTLS12}, false, false},
		{"1.1 allowed is 1.2", base + "tls_version tlsv1.1\n", &tls.Config{MaxVersion: tls.VersionTLS11}, false, false},
		{"cipher", base + "ciphers ECDHE-ECDSA-AES128-GCM-SHA256\n", &tls.Config{MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384}}, false, false},
		{"not required", base + "cafile DIR/ca.pem\n", &tls.Config{Certificates: []tls.Certificate{foreign}}, true, false},
		{"for the name", base + "cafile DIR/ca.pem\nuse_identity_as_username true\n", &tls.Config{Certificates: []tls.Certificate{good}}, true, true},
		{"for the name, none", base + "cafile DIR/ca.pem\nuse_identity_as_username true\n", &tls.Config{}, true, false},
		{"required", required, &tls.Config{Certificates: []tls.Certificate{good}}, true, true},
		{"required, none", required, &tls.Config{}, false, false},
		{"required, foreign", required, &tls.Config{Certificates: []tls.Certificate{foreign}}, false, false},
		{"required, expired", required, &tls.Config{Certificates: []tls.Certificate{old}}, false, false},
		{"capath", base + "capath DIR/certs\nrequire_certificate true\n", &tls.Config{Certificates: []tls.Certificate{foreign}}, true, true},
		{"dates ignored", required + "disable_client_cert_date_checks true\n", &tls.Config{Certificates: []tls.Certificate{old}}, true, true},
		{"dates ignored, foreign", required + "disable_client_cert_date_checks true\n", &tls.Config{Certificates: []tls.Certificate{foreign}}, false, false},
		{"dates ignored, none", required + "disable_client_cert_date_checks true\n", &tls.Config{}, false, false},
		{"listed", required + "crlfile DIR/list.crl\n", &tls.Config{Certificates: []tls.Certificate{revoked}}, false, false},
		{"not listed", required + "crlfile DIR/list.crl\n", &tls.Config{Certificates: []tls.Certificate{good}}, true, true},
		{"listed, dates ignored", required + "crlfile DIR/list.crl\ndisable_client_cert_date_checks true\n", &tls.Config{Certificates: []tls.Certificate{revoked}}, false, false},
		{"list expired", required + "crlfile DIR/expired.crl\n", &tls.Config{Certificates: []tls.Certificate{good}}, false, false},
		{"list of another", required + "crlfile DIR/other.crl\n", &tls.Config{Certificates: []tls.Certificate{good}}, false, false},
	} {
		cfg, _ := parse(t, in(c.text))
		r, err := TLSConfig(&cfg.Listeners[0])
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		c.client.RootCAs, c.client.ServerName = pool, "localhost"
		state, err := shake(t, r.Config(), c.client)
		if (err == nil) != c.ok || c.ok && (len(state.PeerCertificates) > 0) != c.peer {
			t.Errorf("%s: %v, %d certificates", c.name, err, len(state.PeerCertificates))
		}
	}
}

// The protocol of nightjar.toml's tls.alpn is agreed on, and a client that wants
// another one only is refused.
func TestALPN(t *testing.T) {
	dir := t.TempDir()
	ca := newAuthority(t, dir, "ca")
	ca.issue("server", 0)
	c, _, err := parseTOML(strings.ReplaceAll("[[listener]]\naddress = ':1'\ntls = { certificate = 'DIR/server.crt', key = 'DIR/server.key', alpn = ['mqtt'] }\n", "DIR", dir))
	if err != nil {
		t.Fatal(err)
	}
	r, err := TLSConfig(&c.Listeners[0])
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(ca.cert)
	for offer, ok := range map[string]bool{"mqtt": true, "h2": false, "": true} {
		client := &tls.Config{RootCAs: pool, ServerName: "localhost"}
		want := ""
		if offer != "" {
			client.NextProtos = []string{offer}
		}
		if offer != "" && ok {
			want = offer
		}
		state, err := shake(t, r.Config(), client)
		if (err == nil) != ok || ok && state.NegotiatedProtocol != want {
			t.Errorf("%q: %v, agreed on %q", offer, err, state.NegotiatedProtocol)
		}
	}
}

// A listener that does not encrypt has no configuration; files that cannot be
// used are named, with what to do.
func TestTLSErrors(t *testing.T) {
	dir := t.TempDir()
	ca := newAuthority(t, dir, "ca")
	ca.issue("server", 0)
	ca.issue("another", 0)
	for name, text := range map[string]string{"empty": "", "locked.key": "-----BEGIN ENCRYPTED PRIVATE KEY-----\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	plain, _ := parse(t, "listener 1")
	if r, err := TLSConfig(&plain.Listeners[0]); r != nil || err != nil {
		t.Errorf("%v, %v", r, err)
	}
	for text, msg := range map[string]string{
		"certfile DIR/none\nkeyfile DIR/server.key":                                                                       "certfile DIR/none: no such file",
		"certfile DIR/server.crt\nkeyfile DIR/none":                                                                       "keyfile DIR/none: no such file",
		"certfile DIR/server.crt\nkeyfile DIR/another.key":                                                                "certfile DIR/server.crt: tls: private key does not match",
		"certfile DIR/empty\nkeyfile DIR/server.key":                                                                      "certfile DIR/empty",
		"certfile DIR/server.crt\nkeyfile DIR/locked.key":                                                                 "keyfile DIR/locked.key: the key is encrypted",
		"certfile DIR/server.crt\nkeyfile DIR/server.key\ncafile DIR/empty":                                               "cafile DIR/empty: no certificate",
		"certfile DIR/server.crt\nkeyfile DIR/server.key\ncapath DIR/none":                                                "capath DIR/none: no such file",
		"certfile DIR/server.crt\nkeyfile DIR/server.key\ncafile DIR/ca.pem\nrequire_certificate true\ncrlfile DIR/empty": "crlfile DIR/empty: no revocation list",
	} {
		cfg, _ := parse(t, "listener 1\n"+strings.ReplaceAll(text, "DIR", dir))
		_, err := TLSConfig(&cfg.Listeners[0])
		var e *Error
		if !errors.As(err, &e) || !strings.Contains(err.Error(), strings.ReplaceAll(msg, "DIR", dir)) || e.Fix == "" || e.Pos.Line != 1 {
			t.Errorf("%s: %v", msg, err)
		}
	}
}

// Certificates are replaced while the listener is open; ones that cannot be read
// change nothing.
func TestReload(t *testing.T) {
	dir := t.TempDir()
	ca := newAuthority(t, dir, "ca")
	first := ca.issue("server", 0)
	cfg, _ := parse(t, strings.ReplaceAll("listener 1\ncertfile DIR/server.crt\nkeyfile DIR/server.key", "DIR", dir))
	r, err := TLSConfig(&cfg.Listeners[0])
	if err != nil {
		t.Fatal(err)
	}
	served := func() string { return string(r.Config().Certificates[0].Certificate[0]) }
	second := ca.issue("server", 0)
	if served() != string(first.Certificate[0]) || len(r.Files()) != 2 {
		t.Error("another certificate before the reload")
	}
	if err := r.Reload(); err != nil || served() != string(second.Certificate[0]) {
		t.Errorf("the old certificate after the reload, %v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "server.key"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := r.Reload(); err == nil || served() != string(second.Certificate[0]) {
		t.Errorf("a bad reload changed something: %v", err)
	}
}
