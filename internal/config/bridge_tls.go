package config

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"strings"
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
	if t.Insecure && c.RootCAs != nil {
		verifyChain(c)
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

// verifyChain verifies everything but the host name.
func verifyChain(c *tls.Config) {
	c.VerifyConnection = func(s tls.ConnectionState) error {
		if len(s.PeerCertificates) == 0 {
			return errors.New("the other broker shows no certificate")
		}
		between := x509.NewCertPool()
		for _, cert := range s.PeerCertificates[1:] {
			between.AddCert(cert)
		}
		_, err := s.PeerCertificates[0].Verify(x509.VerifyOptions{Roots: c.RootCAs, Intermediates: between})
		return err
	}
}
