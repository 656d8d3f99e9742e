package cli

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// tlsOptions are the options that concern TLS.
type tlsOptions struct {
	caFile, caPath     string
	system, insecure   bool
	cert, key, keyForm string
	alpn               string
	minVersion         uint16
	ciphers            []uint16
	off                bool
	keyLog             keyLog // "": none
}

// useTLS decides as mosquitto does: any source of trust turns TLS on, and so do a mqtts URL and port 8883.
func (o *options) useTLS() bool {
	return !o.tls.off && (o.secure || o.tls.caFile != "" || o.tls.caPath != "" || o.tls.system || o.port == 8883)
}

// config makes the configuration of the handshake.
func (t *tlsOptions) config() (*tls.Config, error) {
	c := &tls.Config{MinVersion: t.minVersion, CipherSuites: t.ciphers}
	if t.alpn != "" {
		c.NextProtos = []string{t.alpn}
	}
	if t.caFile != "" || t.caPath != "" {
		pool, err := t.trusted()
		if err != nil {
			return nil, err
		}
		c.RootCAs = pool
	}
	if t.cert != "" {
		pair, err := tls.LoadX509KeyPair(t.cert, t.key)
		if err != nil {
			return nil, fmt.Errorf("--cert %s and --key %s: %w", t.cert, t.key, err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	if t.insecure {
		t.skipHostname(c)
	}
	if t.keyLog != "" {
		c.KeyLogWriter = t.keyLog
	}
	return c, nil
}

// keyLog is the name of a file that lines are appended to. There are a few in a handshake, so it is not kept open.
type keyLog string

// Write appends line. Its error ends the handshake.
func (name keyLog) Write(line []byte) (int, error) {
	f, err := os.OpenFile(string(name), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return 0, fmt.Errorf("--tls-keylog: %w", err)
	}
	n, err := f.Write(line)
	return n, errors.Join(err, f.Close())
}

// skipHostname leaves the chain to be verified, which --insecure does not turn off in mosquitto either.
func (t *tlsOptions) skipHostname(c *tls.Config) {
	c.InsecureSkipVerify = true
	roots := c.RootCAs
	c.VerifyConnection = func(s tls.ConnectionState) error {
		others := x509.NewCertPool()
		for _, cert := range s.PeerCertificates[1:] {
			others.AddCert(cert)
		}
		_, err := s.PeerCertificates[0].Verify(x509.VerifyOptions{Roots: roots, Intermediates: others})
		return err
	}
}

func (t *tlsOptions) trusted() (*x509.CertPool, error) {
	pool := x509.NewCertPool()
	if t.system {
		system, err := x509.SystemCertPool()
		if err != nil {
			return nil, fmt.Errorf("--tls-use-os-certs: %w", err)
		}
		pool = system
	}
	if t.caFile != "" {
		pem, err := os.ReadFile(t.caFile)
		if err != nil {
			return nil, fmt.Errorf("--cafile: %w", err)
		}
		if !pool.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("--cafile %s: no PEM certificate in it", t.caFile)
		}
	}
	if t.caPath != "" {
		files, err := filepath.Glob(filepath.Join(t.caPath, "*"))
		if err != nil {
			return nil, fmt.Errorf("--capath: %w", err)
		}
		found := false
		for _, f := range files {
			if pem, err := os.ReadFile(f); err == nil && pool.AppendCertsFromPEM(pem) {
				found = true
			}
		}
		if !found {
			return nil, fmt.Errorf("--capath %s: no PEM certificate in it", t.caPath)
		}
	}
	return pool, nil
}

func (o *options) setTLSVersion(v string) error {
	switch v {
	case "tlsv1.3":
		o.tls.minVersion = tls.VersionTLS13
	case "tlsv1.2":
		o.tls.minVersion = tls.VersionTLS12
	case "tlsv1.1":
		o.tls.minVersion = tls.VersionTLS11
	default:
		return errors.New("must be tlsv1.3, tlsv1.2 or tlsv1.1")
	}
	return nil
}

// setCiphers takes names of cipher suites. OpenSSL's keywords for "the good ones" mean Go's choice.
func (o *options) setCiphers(v string) error {
	o.tls.ciphers = nil
	known := append(tls.CipherSuites(), tls.InsecureCipherSuites()...)
next:
	for _, name := range strings.FieldsFunc(v, func(r rune) bool { return r == ':' || r == ',' || r == ' ' }) {
		if name == "DEFAULT" || name == "HIGH" {
			continue
		}
		for _, suite := range known {
			if name == suite.Name || name == opensslName(suite.Name) {
				o.tls.ciphers = append(o.tls.ciphers, suite.ID)
				continue next
			}
		}
		return fmt.Errorf("%s is not a cipher suite this program has; one is ECDHE-RSA-AES128-GCM-SHA256, and DEFAULT chooses good ones", name)
	}
	return nil
}

// opensslName translates TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256 to ECDHE-RSA-AES128-GCM-SHA256.
func opensslName(iana string) string {
	return strings.NewReplacer("TLS_RSA_WITH_", "", "TLS_", "", "_WITH_", "-", "AES_128", "AES128", "AES_256", "AES256",
		"_CBC", "", "CHACHA20_POLY1305_SHA256", "CHACHA20-POLY1305", "3DES_EDE", "DES-CBC3", "_", "-").Replace(iana)
}
