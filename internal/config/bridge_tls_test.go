package config

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ocsp"
)

// bridge_require_ocsp wants a stapled answer that says now, by the word of the
// authority, that the certificate is good.
func TestBridgeRequiresOCSP(t *testing.T) {
	dir := t.TempDir()
	ca, other := newAuthority(t, dir, "ca"), newAuthority(t, dir, "other")
	pair, second := ca.issue("server", 0), ca.issue("second", 0)
	leaf := func(c tls.Certificate) *x509.Certificate {
		x, err := x509.ParseCertificate(c.Certificate[0])
		if err != nil {
			t.Fatal(err)
		}
		return x
	}
	now := time.Now()
	staple := func(a *authority, c tls.Certificate, status int, from, until time.Time) []byte {
		b, err := ocsp.CreateResponse(a.cert, a.cert, ocsp.Response{Status: status, SerialNumber: leaf(c).SerialNumber, ThisUpdate: from, NextUpdate: until, RevokedAt: from}, a.key)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	ago, later := now.Add(-time.Hour), now.Add(time.Hour)
	for _, tc := range []struct {
		name   string
		staple []byte
		want   string // in the error; "" for none
	}{
		{"good", staple(ca, pair, ocsp.Good, ago, later), ""},
		{"nothing", nil, "staples no OCSP answer"},
		{"revoked", staple(ca, pair, ocsp.Revoked, ago, later), "was revoked at"},
		{"unknown", staple(ca, pair, ocsp.Unknown, ago, later), "does not know"},
		{"old", staple(ca, pair, ocsp.Good, ago, now.Add(-time.Minute)), "out of date"},
		{"of tomorrow", staple(ca, pair, ocsp.Good, later, later.Add(time.Hour)), "out of date"},
		{"about another certificate", staple(ca, second, ocsp.Good, ago, later), "read the OCSP answer"},
		{"signed by another authority", staple(other, pair, ocsp.Good, ago, later), "read the OCSP answer"},
		{"rubbish", []byte("good"), "read the OCSP answer"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := &Bridge{TLS: BridgeTLS{CAFile: filepath.Join(dir, "ca.pem"), RequireOCSP: true}}
			c, err := BridgeTLSConfig(b)
			if err != nil {
				t.Fatal(err)
			}
			c.ServerName = "localhost"
			served := pair
			served.OCSPStaple = tc.staple
			err = joins(t, served, c)
			if (err == nil) != (tc.want == "") || err != nil && !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%v; want %q", err, tc.want)
			}
			b.TLS.RequireOCSP = false
			if c, err = BridgeTLSConfig(b); err != nil {
				t.Fatal(err)
			}
			c.ServerName = "localhost"
			if err = joins(t, served, c); err != nil {
				t.Errorf("without bridge_require_ocsp: %v", err)
			}
		})
	}
}

// joins is what the client of a handshake says about it.
func joins(t *testing.T, served tls.Certificate, c *tls.Config) error {
	t.Helper()
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{served}})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if s, err := l.Accept(); err == nil {
			s.Read(make([]byte, 1)) // the handshake, and until the client goes
			s.Close()
		}
	}()
	d := net.Dialer{Timeout: 30 * time.Second}
	conn, err := tls.DialWithDialer(&d, "tcp", l.Addr().String(), c)
	if err == nil {
		conn.Close()
	}
	l.Close()
	<-done
	return err
}
