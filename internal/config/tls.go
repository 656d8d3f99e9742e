package config

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"time"
)

// TLS is how a listener encrypts. It does when CertFile is set.
type TLS struct {
	CertFile, KeyFile  string
	CAFile, CAPath     string // authorities of client certificates
	CRLFile            string
	RequireCertificate bool
	IgnoreDates        bool   // of client certificates
	MinVersion         string // tlsv1.2 or tlsv1.3; "" is 1.2
	Ciphers            string // of TLS 1.2, in OpenSSL's names
	Ciphers13          string
	ALPN               []string
	PSKHint            string
	Engine             string
	EnginePassword     string
	EngineKey          bool // the key is in an engine
}

// On reports whether the listener encrypts.
func (t *TLS) On() bool { return t.CertFile != "" }

// Reloader serves the TLS configuration of a listener from its files.
type Reloader struct {
	listener Listener
	current  atomic.Pointer[tls.Config]
}

// TLSConfig reads the certificates of a listener. It returns nil for one that
// does not encrypt. Errors name the file and what to do.
func TLSConfig(l *Listener) (*Reloader, error) {
	if !l.TLS.On() {
		return nil, nil
	}
	r := &Reloader{listener: *l}
	return r, r.Reload()
}

// Config returns the configuration for the next handshake.
func (r *Reloader) Config() *tls.Config { return r.current.Load() }

// Reload reads the files again. After an error the old configuration holds.
func (r *Reloader) Reload() error {
	c, err := r.listener.tlsConfig()
	if err == nil {
		r.current.Store(c)
	}
	return err
}

// Files returns the files to watch for changes.
func (r *Reloader) Files() []string {
	t := &r.listener.TLS
	return slices.DeleteFunc([]string{t.CertFile, t.KeyFile, t.CAFile, t.CAPath, t.CRLFile}, func(s string) bool { return s == "" })
}

func (l *Listener) tlsConfig() (*tls.Config, error) {
	t := &l.TLS
	c := &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: slices.Clone(t.ALPN)}
	if t.MinVersion == "tlsv1.3" {
		c.MinVersion = tls.VersionTLS13
	}
	c.CipherSuites, _ = cipherSuites(t.Ciphers)
	cert, err := l.keyPair()
	if err != nil {
		return nil, err
	}
	c.Certificates = []tls.Certificate{cert}
	if t.CAFile == "" && t.CAPath == "" {
		return c, nil
	}
	if c.ClientCAs, err = l.authorities(); err != nil {
		return nil, err
	}
	c.ClientAuth = tls.VerifyClientCertIfGiven
	if t.RequireCertificate {
		c.ClientAuth = tls.RequireAndVerifyClientCert
	} else if !l.IdentityAsUsername && !l.SubjectAsUsername {
		c.ClientAuth = tls.NoClientCert // as Mosquitto, which then asks for none
	}
	if c.ClientAuth == tls.NoClientCert {
		return c, nil
	}
	if t.IgnoreDates {
		c.ClientAuth = tls.RequestClientCert
		if t.RequireCertificate {
			c.ClientAuth = tls.RequireAnyClientCert
		}
		l.verifyWith(c, func([][]*x509.Certificate) error { return nil })
	}
	if t.CRLFile != "" {
		err = l.revocation(c)
	}
	return c, err
}

func (l *Listener) keyPair() (tls.Certificate, error) {
	t := &l.TLS
	cert, err := l.read("certfile", t.CertFile)
	if err != nil {
		return tls.Certificate{}, err
	}
	key, err := l.read("keyfile", t.KeyFile)
	if err != nil {
		return tls.Certificate{}, err
	}
	if bytes.Contains(key, []byte("ENCRYPTED")) {
		return tls.Certificate{}, l.fault("keyfile", t.KeyFile, errors.New("the key is encrypted"), "decrypt it with openssl pkey -in FILE -out FILE")
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return pair, l.fault("certfile", t.CertFile, err, "certfile must hold the server's certificate first, then its chain, and keyfile "+quote(t.KeyFile)+" its key, all as PEM")
	}
	return pair, nil
}

// authorities reads cafile and the files of capath.
func (l *Listener) authorities() (*x509.CertPool, error) {
	t := &l.TLS
	pool := x509.NewCertPool()
	if t.CAFile != "" {
		b, err := l.read("cafile", t.CAFile)
		if err != nil {
			return nil, err
		}
		if !pool.AppendCertsFromPEM(b) {
			return nil, l.fault("cafile", t.CAFile, errors.New("no certificate in it"), "it must hold certificates as PEM")
		}
	}
	if t.CAPath == "" {
		return pool, nil
	}
	entries, err := os.ReadDir(t.CAPath)
	if err != nil {
		return nil, l.fault("capath", t.CAPath, cause(err), "name a directory that can be read")
	}
	found := false
	for _, e := range entries {
		if ext := filepath.Ext(e.Name()); ext != ".pem" && ext != ".crt" {
			continue
		}
		b, err := l.read("capath", filepath.Join(t.CAPath, e.Name()))
		if err != nil {
			return nil, err
		}
		found = pool.AppendCertsFromPEM(b) || found
	}
	if !found {
		return nil, l.fault("capath", t.CAPath, errors.New("no certificate in it"), "put PEM files there that end in .pem or .crt")
	}
	return pool, nil
}

// revocation makes the configuration refuse the certificates of the CRL. The
// list must be signed by an authority in cafile or capath and must not have
// expired: otherwise nobody is let in, as with OpenSSL.
func (l *Listener) revocation(c *tls.Config) error {
	b, err := l.read("crlfile", l.TLS.CRLFile)
	if err != nil {
		return err
	}
	var lists []*x509.RevocationList
	for block, rest := pem.Decode(b); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "X509 CRL" {
			continue
		}
		list, err := x509.ParseRevocationList(block.Bytes)
		if err != nil {
			return l.fault("crlfile", l.TLS.CRLFile, err, "write it again with openssl ca -gencrl")
		}
		lists = append(lists, list)
	}
	if len(lists) == 0 {
		return l.fault("crlfile", l.TLS.CRLFile, errors.New("no revocation list in it"), "it must hold lists as PEM, with X509 CRL in their first line")
	}
	l.verifyWith(c, func(chains [][]*x509.Certificate) error { return notRevoked(chains, lists, time.Now()) })
	return nil
}

// notRevoked checks every certificate below an authority against that
// authority's list. One chain that holds is enough.
func notRevoked(chains [][]*x509.Certificate, lists []*x509.RevocationList, now time.Time) error {
	err := errors.New("the certificate was not verified")
	for _, chain := range chains {
		if err = chainNotRevoked(chain, lists, now); err == nil {
			return nil
		}
	}
	return err
}

func chainNotRevoked(chain []*x509.Certificate, lists []*x509.RevocationList, now time.Time) error {
	for i := 0; i+1 < len(chain); i++ {
		cert, issuer := chain[i], chain[i+1]
		covered := false
		for _, list := range lists {
			if !bytes.Equal(list.RawIssuer, issuer.RawSubject) || list.CheckSignatureFrom(issuer) != nil {
				continue
			}
			if !list.NextUpdate.IsZero() && now.After(list.NextUpdate) {
				return fmt.Errorf("the revocation list of %s expired at %s", issuer.Subject, list.NextUpdate.Format(time.RFC3339))
			}
			covered = true
			for _, e := range list.RevokedCertificateEntries {
				if e.SerialNumber.Cmp(cert.SerialNumber) == 0 {
					return fmt.Errorf("the certificate of %s is revoked", cert.Subject)
				}
			}
		}
		if !covered {
			return fmt.Errorf("no revocation list of %s", issuer.Subject)
		}
	}
	return nil
}

// verifyWith adds a check of the chains that a client's certificate has to the
// authorities. With IgnoreDates they are looked for here, as of a day on which
// the certificate was valid; else they were found by the handshake.
func (l *Listener) verifyWith(c *tls.Config, check func(chains [][]*x509.Certificate) error) {
	roots, ignore := c.ClientCAs, l.TLS.IgnoreDates
	c.VerifyConnection = func(s tls.ConnectionState) error {
		if len(s.PeerCertificates) == 0 {
			return nil
		}
		chains := s.VerifiedChains
		if ignore {
			leaf := s.PeerCertificates[0]
			o := x509.VerifyOptions{Roots: roots, Intermediates: x509.NewCertPool(), CurrentTime: leaf.NotBefore, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
			for _, i := range s.PeerCertificates[1:] {
				o.Intermediates.AddCert(i)
			}
			var err error
			if chains, err = leaf.Verify(o); err != nil {
				return err
			}
		}
		return check(chains)
	}
}

func (l *Listener) read(keyword, path string) ([]byte, error) {
	b, err := os.ReadFile(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil, l.fault(keyword, path, cause(err), "create it, or correct the path")
	case errors.Is(err, os.ErrPermission):
		return nil, l.fault(keyword, path, cause(err), "let the user that the broker runs as read it")
	case err != nil:
		return nil, l.fault(keyword, path, cause(err), "name a file that can be read")
	}
	return b, nil
}

func (l *Listener) fault(keyword, path string, err error, fix string) error {
	return &Error{Pos: l.Pos, Word: keyword + " " + path, Msg: err.Error(), Fix: fix}
}

// cipherSuites translates OpenSSL's list of ciphers. Those that are missing are
// either unsafe or classes such as HIGH, which Go does not have.
func cipherSuites(list string) (known []uint16, missing []string) {
	names := map[string]string{}
	for _, s := range tls.CipherSuites() {
		names[opensslName(s.Name)] = s.Name
		names[s.Name] = s.Name
	}
	for name := range strings.FieldsFuncSeq(list, func(c rune) bool { return c == ':' || c == ',' || c == ' ' }) {
		full, ok := names[name]
		if !ok {
			missing = append(missing, name)
			continue
		}
		for _, s := range tls.CipherSuites() {
			if s.Name == full {
				known = append(known, s.ID)
			}
		}
	}
	return known, missing
}

// opensslName turns TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256 into
// ECDHE-RSA-AES128-GCM-SHA256.
func opensslName(s string) string {
	s = strings.TrimPrefix(s, "TLS_")
	s = strings.Replace(s, "_WITH_", "_", 1)
	s = strings.Replace(s, "AES_", "AES", 1)
	s = strings.TrimSuffix(strings.Replace(s, "CHACHA20_POLY1305_SHA256", "CHACHA20_POLY1305", 1), "_CBC_SHA")
	return strings.ReplaceAll(s, "_", "-")
}
