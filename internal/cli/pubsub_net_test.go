package cli

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nightjarmq/nightjar/internal/mosquittotest"
)

// writeCertificates makes a CA, a server certificate for the name broker.test and a client certificate in dir.
func writeCertificates(t *testing.T, dir string) {
	t.Helper()
	var caCert *x509.Certificate
	var caKey *ecdsa.PrivateKey
	for i, name := range []string{"ca", "broker.test", "client"} {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		c := &x509.Certificate{SerialNumber: big.NewInt(int64(i + 1)), Subject: pkix.Name{CommonName: name},
			NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{name},
			KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, BasicConstraintsValid: true, IsCA: i == 0,
			ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}}
		if i == 0 {
			caCert, caKey = c, key
		}
		der, err := x509.CreateCertificate(rand.Reader, c, caCert, &key.PublicKey, caKey)
		if err != nil {
			t.Fatal(err)
		}
		keyDER, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			t.Fatal(err)
		}
		for file, block := range map[string]*pem.Block{
			name + ".crt": {Type: "CERTIFICATE", Bytes: der}, name + ".key": {Type: "PRIVATE KEY", Bytes: keyDER},
		} {
			if err := os.WriteFile(filepath.Join(dir, file), pem.EncodeToMemory(block), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// The TLS options accept and refuse the same servers as mosquitto's.
func TestTLSLikeMosquitto(t *testing.T) {
	dir := t.TempDir()
	writeCertificates(t, dir)
	port := mosquittotest.Port(t)
	p := startPrograms(t, "listener "+port+" 127.0.0.1\ncafile "+dir+"/ca.crt\ncertfile "+dir+"/broker.test.crt\nkeyfile "+
		dir+"/broker.test.key\nrequire_certificate true\n")
	got := p.recorder()
	one := filepath.Join(dir, "only")
	if err := os.Mkdir(one, 0o700); err != nil {
		t.Fatal(err)
	}
	base := "-h 127.0.0.1 -p " + port + " -t x/tls -m m -q 1"
	client := " --cert " + dir + "/client.crt --key " + dir + "/client.key"
	for _, test := range []struct {
		args string
		ok   bool
	}{
		{base + " --cafile " + dir + "/ca.crt --insecure" + client, true},
		{base + " --cafile " + dir + "/ca.crt --insecure --tls-version tlsv1.3 --keyform pem" + client, true},
		{base + " --cafile " + dir + "/ca.crt --insecure --tls-version tlsv1.2 --ciphers ECDHE-ECDSA-AES128-GCM-SHA256" + client, true},
		{base + " --cafile " + dir + "/ca.crt --insecure --tls-alpn mqtt" + client, true},
		{base + " --cafile " + dir + "/ca.crt" + client, false},                // wrong host name
		{base + " --cafile " + dir + "/client.crt --insecure" + client, false}, // not signed by it
		{base + " --tls-use-os-certs --insecure", false},                       // nor known to the system
		{base + " --cafile " + dir + "/ca.crt --insecure -V 5", false},         // no client certificate
	} {
		theirs, ours := p.theirs("pub", "", strings.Fields(test.args)...), p.ours("pub", "", strings.Fields(test.args)...)
		if (theirs.status == 0) != test.ok || (ours.status == 0) != test.ok || test.ok == (ours.err != "") {
			t.Errorf("%s:\n%+v\n%+v", test.args, theirs, ours)
		}
		n := len(p.published(got))
		if test.ok != (n == 2) || !test.ok && n > 0 {
			t.Errorf("%s: %d messages", test.args, n)
		}
	}
	r := p.ours("pub", "", strings.Fields(base+" --capath "+dir+" --insecure"+client)...)
	if n := len(p.published(got)); r.status != 0 || n != 1 {
		t.Errorf("--capath: %+v, %d messages", r, n)
	}
	for args, hint := range map[string]string{
		base + " --tls-use-os-certs --insecure" + client: "--cafile FILE",
		base + " --cafile " + dir + "/ca.crt" + client:   "a name that the certificate has",
		"-h 127.0.0.1:" + port + " -t x/tls -m m":        "write -h 127.0.0.1 -p " + port,
		"-h localhost:" + port + " -p 1884 -t x/tls -n":  "write -h localhost -p " + port,
	} {
		if r := p.ours("pub", "", strings.Fields(args)...); r.status == 0 || !strings.Contains(r.err, hint) {
			t.Errorf("%s: %+v, want a hint: %s", args, r, hint)
		}
	}
}

// WebSocket by option and by URL.
func TestWebSocketOptions(t *testing.T) {
	p := startPrograms(t, "")
	got := p.recorder()
	_, port, _ := strings.Cut(strings.TrimPrefix(p.b.WS, "ws://"), ":")
	for _, args := range []string{"-h 127.0.0.1 -p " + port + " --ws -t x/w -m m -q 1", "-L " + p.b.WS + "/x/w -m m -q 2"} {
		r := p.ours("pub", "", strings.Fields(args)...)
		if list := p.published(got); r.status != 0 || len(list) != 1 || !strings.HasPrefix(list[0], "x/w ") {
			t.Errorf("%s: %+v %q", args, r, list)
		}
	}
}

// socksServer is a SOCKS5 proxy for one test. It records what it is asked for.
type socksServer struct {
	t     *testing.T
	auth  string // "user:password" that it wants, "" for none
	mu    sync.Mutex
	asked []string // guarded by mu
}

func (s *socksServer) serve(conn net.Conn) {
	defer conn.Close()
	take := func(n byte) []byte {
		b := make([]byte, n)
		if _, err := io.ReadFull(conn, b); err != nil {
			return make([]byte, n)
		}
		return b
	}
	methods := take(take(2)[1])
	if s.auth == "" {
		conn.Write([]byte{5, 0})
	} else {
		if methods[0] != 2 {
			conn.Write([]byte{5, 0xFF})
			return
		}
		conn.Write([]byte{5, 2})
		user := take(take(2)[1])
		if string(user)+":"+string(take(take(1)[0])) != s.auth {
			conn.Write([]byte{1, 1})
			return
		}
		conn.Write([]byte{1, 0})
	}
	host := string(take(take(5)[4]))
	port := take(2)
	address := net.JoinHostPort(host, strconv.Itoa(int(port[0])<<8|int(port[1])))
	s.mu.Lock()
	s.asked = append(s.asked, address)
	s.mu.Unlock()
	far, err := net.Dial("tcp", address)
	if err != nil {
		conn.Write([]byte{5, 5, 0, 1, 0, 0, 0, 0, 0, 0})
		return
	}
	defer far.Close()
	conn.Write([]byte{5, 0, 0, 1, 127, 0, 0, 1, 0, 1})
	go func() {
		io.Copy(far, conn)
		far.(*net.TCPConn).CloseWrite()
	}()
	io.Copy(conn, far)
}

// A proxy is asked for the name, with and without a password.
func TestProxy(t *testing.T) {
	p := startPrograms(t, "")
	got := p.recorder()
	for _, auth := range []string{"", "user:p@ss"} {
		s := &socksServer{t: t, auth: auth}
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		var served sync.WaitGroup
		served.Go(func() {
			for {
				conn, err := l.Accept()
				if err != nil {
					return
				}
				served.Go(func() { s.serve(conn) })
			}
		})
		url := "socks5h://" + strings.ReplaceAll(auth, "@", "%40")
		if auth != "" {
			url += "@"
		}
		url += l.Addr().String()
		args := []string{"-h", "localhost", "-p", p.b.Port, "-t", "x/p", "-m", "m", "-q", "1", "--proxy", url}
		ours := p.ours("pub", "", args...)
		if list := p.published(got); ours.status != 0 || len(list) != 1 {
			t.Errorf("%q: %+v %q", auth, ours, list)
		}
		if refused := p.ours("pub", "", append(args, "-p", "1")...); refused.status != 1 || !strings.Contains(refused.err, "cannot connect to localhost:1") {
			t.Errorf("%+v", refused)
		}
		l.Close()
		served.Wait()
		if want := "localhost:" + p.b.Port; len(s.asked) != 2 || s.asked[0] != want {
			t.Errorf("asked for %q", s.asked)
		}
	}
}
