package config

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"time"

	"golang.org/x/crypto/ocsp"
)

// BridgeTLSConfig is how a bridge encrypts; nil if it does not.
func BridgeTLSConfig(b *Bridge) (*tls.Config, error) {
	t := &b.TLS
	if !t.On() {
		return nil, nil
	}
	// Files are read, and faults worded, as for a listener.
	l := &Listener{Pos: b.Pos, TLS: TLS{CAFile: t.CAFile, CAPath: t.CAPath, CertFile: t.CertFile, KeyFile: t.KeyFile}}
	c := &tls.Config{InsecureSkipVerify: t.Insecure, MinVersion: tls.VersionTLS12}
	if t.MinVersion == "tlsv1.3" {
		c.MinVersion = tls.VersionTLS13
	}
	if t.CAFile != "" || t.CAPath != "" {
		pool, err := l.authorities()
		if err != nil {
			return nil, ofBridge(err)
		}
		c.RootCAs = pool
	}
	var checks []func(tls.ConnectionState) error
	if t.Insecure && c.RootCAs != nil {
		checks = append(checks, chainCheck(c.RootCAs))
	}
	if t.RequireOCSP {
		checks = append(checks, stapleCheck(time.Now))
	}
	c.VerifyConnection = func(s tls.ConnectionState) error {
		for _, check := range checks {
			if err := check(s); err != nil {
				return err
			}
		}
		return nil
	}
	if t.CertFile != "" {
		pair, err := l.keyPair()
		if err != nil {
			return nil, ofBridge(err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	if t.ALPN != "" {
		c.NextProtos = []string{t.ALPN}
	}
	if t.Ciphers != "" {
		known, missing := cipherSuites(t.Ciphers)
		if len(known) == 0 {
			return nil, &Error{Pos: b.Pos, Word: "bridge_ciphers", Msg: "none of them is known here: " + quote(missing[0]), Fix: "remove it, or name ciphers such as ECDHE-RSA-AES128-GCM-SHA256"}
		}
		c.CipherSuites = known
	}
	return c, nil
}

// ofBridge makes an error about a listener's files one about a bridge's.
func ofBridge(err error) error {
	var e *Error
	if errors.As(err, &e) && !strings.HasPrefix(e.Word, "bridge_") {
		e.Word = "bridge_" + e.Word
	}
	return err
}

// chainCheck verifies everything but the host name.
func chainCheck(roots *x509.CertPool) func(tls.ConnectionState) error {
	return func(s tls.ConnectionState) error {
		if len(s.PeerCertificates) == 0 {
			return errors.New("the other broker shows no certificate")
		}
		between := x509.NewCertPool()
		for _, cert := range s.PeerCertificates[1:] {
			between.AddCert(cert)
		}
		_, err := s.PeerCertificates[0].Verify(x509.VerifyOptions{Roots: roots, Intermediates: between})
		return err
	}
}

// stapleCheck wants a fresh word of the authority, sent by the other broker, that
// its certificate is not revoked.
func stapleCheck(now func() time.Time) func(tls.ConnectionState) error {
	return func(s tls.ConnectionState) error {
		if len(s.OCSPResponse) == 0 {
			return errors.New("bridge_require_ocsp: the other broker staples no OCSP answer")
		}
		chain := s.PeerCertificates
		if len(s.VerifiedChains) > 0 {
			chain = s.VerifiedChains[0]
		}
		if len(chain) < 2 {
			return errors.New("bridge_require_ocsp: it is not known who has signed the other broker's certificate")
		}
		r, err := ocsp.ParseResponseForCert(s.OCSPResponse, chain[0], chain[1])
		if err != nil {
			return fmt.Errorf("bridge_require_ocsp: read the OCSP answer: %w", err)
		}
		switch t := now(); {
		case r.Status == ocsp.Revoked:
			return fmt.Errorf("bridge_require_ocsp: the other broker's certificate was revoked at %s", r.RevokedAt.Format(time.RFC3339))
		case r.Status != ocsp.Good:
			return errors.New("bridge_require_ocsp: the authority does not know the other broker's certificate")
		case r.ThisUpdate.After(t) || !r.NextUpdate.IsZero() && r.NextUpdate.Before(t):
			return errors.New("bridge_require_ocsp: the OCSP answer is out of date")
		}
		return nil
	}
}
