//go:build unix

package realclients

import (
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	osuser "os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nightjarmq/nightjar/internal/mosquittotest"
)

// house is a folder with configuration files, and the broker that is made of them.
type house struct {
	t     testing.TB
	dir   string
	ports map[string]string
	p     *beside
	subs  int // how many sentinels were used
}

// newHouse makes the folder. In files, <a> to <d> stand for free ports and <dir> for the folder.
func newHouse(t testing.TB) *house {
	t.Helper()
	dir, err := os.MkdirTemp("", "nj") // short, because the path of a Unix socket is limited
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	h := &house{t: t, dir: dir, ports: map[string]string{}}
	for _, letter := range []string{"a", "b", "c", "d"} {
		h.ports[letter] = mosquittotest.Port(t)
	}
	return h
}

func (h *house) path(name string) string { return filepath.Join(h.dir, name) }

func (h *house) fill(text string) string {
	pairs := []string{"<dir>", h.dir}
	for letter, port := range h.ports {
		pairs = append(pairs, "<"+letter+">", port)
	}
	return strings.NewReplacer(pairs...).Replace(text)
}

// write puts a file in its place at once: a broker that looks after its files never sees half of one.
func (h *house) write(name, text string) {
	h.t.Helper()
	if err := os.WriteFile(h.path(name)+".new", []byte(h.fill(text)), 0o600); err != nil {
		h.t.Fatal(err)
	}
	if err := os.Rename(h.path(name)+".new", h.path(name)); err != nil {
		h.t.Fatal(err)
	}
}

// open starts the program under mosquitto's name, with the file mosquitto.conf.
func (h *house) open(args ...string) {
	h.t.Helper()
	h.p = start(h.t, h.link(), append([]string{"-c", h.path("mosquitto.conf")}, args...)...)
	h.p.stderr.Until(h.t, " running")
}

// link is the program under mosquitto's name.
func (h *house) link() string {
	h.t.Helper()
	link := h.path("mosquitto")
	if _, err := os.Lstat(link); err != nil {
		if err := os.Symlink(program(h.t), link); err != nil {
			h.t.Fatal(err)
		}
	}
	return link
}

func (h *house) pub(letter string, args ...string) {
	h.t.Helper()
	run(h.t, "", "mosquitto_pub", append([]string{"-p", h.ports[letter]}, args...)...)
}

// sub starts a subscriber and waits until it is there.
func (h *house) sub(letter, topic string, args ...string) *beside {
	h.t.Helper()
	h.subs++
	ready := fmt.Sprint(sentinel, "/", h.subs)
	h.pub(letter, append([]string{"-t", ready, "-m", sentinel, "-r", "-q", "1"}, credentials(args)...)...)
	p := start(h.t, "mosquitto_sub", append([]string{"-p", h.ports[letter], "-t", topic, "-t", ready}, args...)...)
	p.Until(h.t, sentinel)
	return p
}

// The log has the lines that tools look for, and the program the exit statuses of Mosquitto.
func TestMosquittoCommandLine(t *testing.T) {
	h := newHouse(t)
	h.write("mosquitto.conf", "user root\npid_file <dir>/pid\nlistener <a> 127.0.0.1\nlistener <b> 127.0.0.1\nprotocol websockets\nallow_anonymous true\n")
	h.open("-v", "-p", h.ports["c"])
	if pid, err := os.ReadFile(h.path("pid")); string(pid) != strconv.Itoa(h.p.cmd.Process.Pid) {
		t.Errorf("pid_file holds %q, %v", pid, err)
	}
	sub := h.sub("a", "door", "-i", "bob", "-u", "joe")
	h.pub("a", "-i", "eve", "-V", "5", "-t", "door", "-m", "open", "-q", "1")
	expect(t, sub, "open")
	sub.signal(t, syscall.SIGINT)
	sub.exit(t)
	log := h.p.stderr
	log.Until(t, "Client bob disconnected.")
	h.p.signal(t, syscall.SIGTERM)
	if code := h.p.exit(t); code != 0 {
		t.Errorf("exit status %d after SIGTERM", code)
	}
	all := log.String()
	for _, want := range []string{
		": Config loaded from " + h.path("mosquitto.conf") + ".\n", ": Opening ipv4 listen socket on port " + h.ports["a"] + ".\n",
		": Opening websockets listen socket on port " + h.ports["b"] + ".\n", ": New connection from 127.0.0.1:", " on port " + h.ports["a"] + ".\n",
		" as bob (p2, c1, k60, u'joe').\n", " as eve (p5, c1, k60).\n", ": Received PUBLISH from eve (d0, q1, r0, m1, 'door', ... (4 bytes))\n",
		": Sending PUBACK to eve (m1, rc0)\n", ": Sending PUBLISH to bob (d0, q0, r0, m0, 'door', ... (4 bytes))\n", ": bob 0 door\n", " terminating",
	} {
		if !strings.Contains(all+"\n", want) {
			t.Errorf("the log lacks %q", want)
		}
	}
	if strings.Contains(all, "port "+h.ports["c"]) {
		t.Error("-p won against the listeners of the file")
	}
	if _, err := os.Stat(h.path("pid")); err == nil {
		t.Error("pid_file was left behind")
	}
	h.write("wrong.conf", "listener <a>\nallow_anonimous true\n")
	busy, err := net.Listen("tcp", "127.0.0.1:"+h.ports["d"])
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	for _, tc := range []struct {
		code int
		says string
		args []string
	}{
		{3, "did you mean allow_anonymous?", []string{"-c", h.path("wrong.conf")}},
		{3, "did you mean allow_anonymous?", []string{"-c", h.path("wrong.conf"), "--test-config"}},
		{0, "Configuration file is OK.", []string{"-c", h.path("mosquitto.conf"), "--test-config"}},
		{3, "no such file", []string{"-c", h.path("missing.conf")}},
		{3, "Unknown option '-x'", []string{"-x"}},
		{3, "-p PORT", []string{"-h"}},
		{1, "address already in use", []string{"-p", h.ports["d"]}},
	} {
		p := start(t, h.link(), tc.args...)
		if code := p.exit(t); code != tc.code || !strings.Contains(p.String()+p.stderr.String(), tc.says) {
			t.Errorf("%q: exit status %d, want %d and %q", tc.args, code, tc.code, tc.says)
		}
	}
}

// After -d the program runs without its caller.
func TestMosquittoInBackground(t *testing.T) {
	h := newHouse(t)
	h.write("mosquitto.conf", "user root\npid_file <dir>/pid\nlistener <a> 127.0.0.1\nallow_anonymous true\nlog_dest file <dir>/log\nlog_timestamp_format %Y\n")
	p := start(t, h.link(), "-d", "-c", h.path("mosquitto.conf"))
	if code := p.exit(t); code != 0 {
		t.Fatalf("exit status %d", code)
	}
	pid := await(t, "a process id", func() (int, bool) {
		b, _ := os.ReadFile(h.path("pid"))
		n, err := strconv.Atoi(string(b))
		return n, err == nil
	})
	await(t, "the line that it runs", func() (string, bool) {
		b, _ := os.ReadFile(h.path("log"))
		return "", strings.Contains(string(b), fmt.Sprintf("%d: nightjar version", time.Now().Year())) && strings.Contains(string(b), "running")
	})
	h.pub("a", "-t", "x", "-m", "y", "-q", "1")
	if err := syscall.Kill(pid, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	await(t, "its end", func() (int, bool) { return 0, syscall.Kill(pid, 0) != nil })
}

// await asks until the answer is yes.
func await[T any](t testing.TB, what string, ask func() (T, bool)) T {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for late := time.After(Patience); ; {
		if v, ok := ask(); ok {
			return v
		}
		select {
		case <-tick.C:
		case <-late:
			t.Fatalf("no sign of %s for %v", what, Patience)
		}
	}
}

// SIGHUP takes up what the file says now: listeners come and go, and the clients of those that stay notice nothing. A file
// that is wrong changes nothing.
func TestReload(t *testing.T) {
	h := newHouse(t)
	const base = "user root\nper_listener_settings true\nlistener <a> 127.0.0.1\nallow_anonymous true\n"
	h.write("mosquitto.conf", base+"listener <b> 127.0.0.1\nallow_anonymous true\n")
	h.open()
	stays, goes := h.sub("a", "news"), h.sub("b", "news")
	reload := func(conf, says string) {
		t.Helper()
		h.write("mosquitto.conf", conf)
		h.p.signal(t, syscall.SIGHUP)
		h.p.stderr.Until(t, says)
	}
	reload(base+"listener <b> 127.0.0.1\nmax_qos 7\n", "max_qos: 7 is out of range")
	h.pub("b", "-t", "news", "-m", "one")
	reload(base+"listener <c> 127.0.0.1\nallow_anonymous true\nlistener <c> 192.0.2.1\n", "does not have that address")
	h.pub("b", "-t", "news", "-m", "two")
	expect(t, goes, "one", "two")
	if _, err := net.Dial("tcp", "127.0.0.1:"+h.ports["c"]); err == nil {
		t.Error("a reload that failed left a listener behind")
	}
	reload(base+"mount_point in/\nlistener <c> 127.0.0.1\nallow_anonymous true\n", "was reloaded")
	h.pub("c", "-t", "news", "-m", "three")
	expect(t, stays, "one", "two", "three")
	h.pub("a", "-t", "news", "-m", "four") // comes as in/news
	h.pub("c", "-t", "news", "-m", "five")
	expect(t, stays, "five")
	if _, err := net.Dial("tcp", "127.0.0.1:"+h.ports["b"]); err == nil {
		t.Error("a listener that was removed takes connections")
	}
	goes.signal(t, syscall.SIGINT) // it tries to connect again for ever
	h.p.signal(t, syscall.SIGUSR1)
	h.p.stderr.Until(t, "stored already")
	h.p.signal(t, syscall.SIGUSR2)
	h.p.Until(t, "news (QoS 0): ")
}

// Users and access lists are taken up when their files change, without a signal; what cannot be read changes nothing.
func TestFilesChange(t *testing.T) {
	h := newHouse(t)
	passwords := func(users ...string) {
		t.Helper()
		h.write("pw.new", "")
		for _, u := range users {
			run(t, "", "mosquitto_passwd", "-b", h.path("pw.new"), u, "secret")
		}
		if err := os.Rename(h.path("pw.new"), h.path("pw")); err != nil {
			t.Fatal(err)
		}
	}
	passwords("ann")
	h.write("acl", "user ann\ntopic readwrite #\nuser bob\ntopic read #\n")
	h.write("mosquitto.conf", "user root\nlistener <a> 127.0.0.1\npassword_file <dir>/pw\nacl_file <dir>/acl\n")
	h.open()
	ann := h.sub("a", "door", "-u", "ann", "-P", "secret")
	refused := func() {
		t.Helper()
		p := start(t, "mosquitto_pub", "-p", h.ports["a"], "-u", "bob", "-P", "secret", "-t", "door", "-m", "x")
		if code := p.exit(t); code != 5 {
			t.Errorf("bob: exit status %d", code)
		}
	}
	refused()
	passwords("ann", "bob")
	h.p.stderr.Until(t, "taken up")
	h.pub("a", "-u", "bob", "-P", "secret", "-t", "door", "-m", "bob was here", "-q", "1")
	h.p.stderr.Until(t, "not allowed", "user bob", "no rule grants it")
	h.write("acl", "user ann\ntopic readwrite #\nuser bob\ntopic write door\n")
	h.p.stderr.Until(t, "taken up")
	h.pub("a", "-u", "bob", "-P", "secret", "-t", "door", "-m", "bob may", "-q", "1")
	expect(t, ann, "bob may")
	h.write("pw", "bob:in the clear\n")
	h.p.stderr.Until(t, "not taken up", "not hashed")
	h.pub("a", "-u", "bob", "-P", "secret", "-t", "door", "-m", "bob still", "-q", "1")
	expect(t, ann, "bob still")
}

// The files of most tutorials: a listener, a password file that mosquitto_passwd -c made, persistence, and include_dir.
// What root adds to its password file is no longer readable for who the broker has become: the log says so, and to give
// the file away is enough.
func TestTutorialFiles(t *testing.T) {
	h := newHouse(t)
	if err := os.Chmod(h.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	user := ""
	if os.Geteuid() == 0 {
		user = "user nobody\n"
	}
	if err := os.Mkdir(h.path("conf.d"), 0o755); err != nil {
		t.Fatal(err)
	}
	h.write("mosquitto.conf", user+"persistence true\npersistence_location <dir>/lib/\ninclude_dir <dir>/conf.d\n")
	h.write("conf.d/local.conf", "listener <a>\nallow_anonymous false\npassword_file <dir>/pwfile\n")
	run(t, "", "mosquitto_passwd", "-c", "-b", h.path("pwfile"), "ann", "secret")
	if err := os.Chmod(h.path("pwfile"), 0o600); err != nil {
		t.Fatal(err)
	}
	h.open()
	h.pub("a", "-u", "ann", "-P", "secret", "-t", "door", "-m", "open", "-r", "-q", "1")
	p := start(t, "mosquitto_pub", "-p", h.ports["a"], "-t", "door", "-m", "x")
	if code := p.exit(t); code != 5 {
		t.Errorf("without a name: exit status %d", code)
	}
	if user == "" {
		return
	}
	run(t, "", "mosquitto_passwd", "-b", h.path("pwfile"), "bob", "secret")
	h.p.stderr.Until(t, "not taken up", "permission denied", "chown")
	owner, err := osuser.Lookup("nobody")
	if err != nil {
		t.Fatal(err)
	}
	id, err := strconv.Atoi(owner.Uid)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(h.path("pwfile"), id, -1); err != nil {
		t.Fatal(err)
	}
	h.p.stderr.Until(t, "were taken up")
	h.pub("a", "-u", "bob", "-P", "secret", "-t", "door", "-m", "bob", "-q", "1")
}

// revoke writes the list of the authority's certificates that are revoked.
func (h *house) revoke(serials ...int64) {
	h.t.Helper()
	der := func(name string) []byte {
		b, err := os.ReadFile(h.path(name))
		if err != nil {
			h.t.Fatal(err)
		}
		block, _ := pem.Decode(b)
		return block.Bytes
	}
	ca, err := x509.ParseCertificate(der("ca.crt"))
	if err != nil {
		h.t.Fatal(err)
	}
	key, err := x509.ParsePKCS8PrivateKey(der("ca.key"))
	if err != nil {
		h.t.Fatal(err)
	}
	list := &x509.RevocationList{Number: big.NewInt(time.Now().UnixNano()), ThisUpdate: time.Now().Add(-time.Minute), NextUpdate: time.Now().Add(time.Hour)}
	for _, n := range serials {
		list.RevokedCertificateEntries = append(list.RevokedCertificateEntries, x509.RevocationListEntry{SerialNumber: big.NewInt(n), RevocationTime: time.Now()})
	}
	b, err := x509.CreateRevocationList(rand.Reader, list, ca, key.(crypto.Signer))
	if err != nil {
		h.t.Fatal(err)
	}
	h.write("list.crl", string(pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: b})))
}

// A client's certificate is its user name, by its common name or the whole subject, and the access list is about that;
// nobody comes without one, with one of another authority, or with one that was revoked while the broker runs.
func TestCertificateNames(t *testing.T) {
	h := newHouse(t)
	certify(t, h)
	h.revoke()
	const secure = "certfile <dir>/server.crt\nkeyfile <dir>/server.key\ncafile <dir>/ca.crt\ncrlfile <dir>/list.crl\nrequire_certificate true\n"
	h.write("acl", "user server\ntopic readwrite by/name\nuser CN=server\ntopic readwrite by/subject\n")
	h.write("mosquitto.conf", "user root\nacl_file <dir>/acl\nlistener <a> 127.0.0.1\n"+secure+"use_identity_as_username true\nlistener <b> 127.0.0.1\n"+secure+"use_subject_as_username true\n")
	h.open()
	pub := func(port, who, topic string) string {
		return h.runLine("mosquitto_pub --cafile <dir>/ca.crt -h localhost -V 5 -p " + port + " -t " + topic + " -m y -q 1 -u liar -P x" + who)
	}
	const server, other, done = " --cert <dir>/server.crt --key <dir>/server.key", " --cert <dir>/other.crt --key <dir>/other.key", "exit status 0: "
	if got := pub("<a>", server, "by/name"); got != done {
		t.Errorf("by name: %s", got)
	}
	h.p.stderr.Until(t, "New client connected", "u'server'")
	if got := pub("<b>", server, "by/subject"); got != done {
		t.Errorf("by subject: %s", got)
	}
	h.p.stderr.Until(t, "New client connected", "u'CN=server'")
	pub("<b>", server, "by/name")
	h.p.stderr.Until(t, "not allowed", "user CN=server", "no rule grants it")
	for what, who := range map[string]string{"none": "", "foreign": other} {
		if got := pub("<a>", who, "by/name"); got == done {
			t.Errorf("%s: let in", what)
		}
	}
	h.revoke(2)
	h.p.stderr.Until(t, "certificates", "taken up")
	if got := pub("<a>", server, "by/name"); got == done {
		t.Error("revoked: let in")
	}
}

// A new certificate is used without a signal, for the connections that come after it, and --tls-keylog writes the secrets of
// both.
func TestCertificateChanges(t *testing.T) {
	h := newHouse(t)
	certify(t, h)
	h.write("mosquitto.conf", "user root\nallow_anonymous true\nlistener <a> 127.0.0.1\nlistener <b> 127.0.0.1\ncertfile <dir>/server.crt\nkeyfile <dir>/server.key\n")
	h.open("--tls-keylog", h.path("keys"))
	secure := func() string {
		return h.runLine("mosquitto_pub --cafile <dir>/ca.crt -h localhost -p <b> -t x -m y -q 1")
	}
	if got := secure(); got != "exit status 0: " {
		t.Fatal(got)
	}
	certify(t, h)
	h.p.stderr.Until(t, "certificates", "taken up")
	if got := await(t, "the new certificate", func() (string, bool) { s := secure(); return s, s == "exit status 0: " }); got == "" {
		t.Fatal(got)
	}
	keys, err := os.ReadFile(h.path("keys"))
	if n := strings.Count(string(keys), "CLIENT_TRAFFIC_SECRET_0"); n < 2 {
		t.Errorf("secrets of %d sessions, %v", n, err)
	}
	if err := os.WriteFile(h.path("server.crt"), []byte("nothing"), 0o600); err != nil {
		t.Fatal(err)
	}
	h.p.stderr.Until(t, "not taken up", "certfile")
	if got := secure(); got != "exit status 0: " {
		t.Errorf("after a broken certificate: %s", got)
	}
}

// log_dest topic publishes what is logged; log_type and connection_messages say what that is.
func TestLogTopics(t *testing.T) {
	h := newHouse(t)
	h.write("mosquitto.conf", "user root\nallow_anonymous true\nlistener <a> 127.0.0.1\nlog_dest topic\nlog_dest stderr\nlog_type notice\nlog_type subscribe\nlog_timestamp false\n")
	h.open()
	sub := h.sub("a", "$SYS/broker/log/#", "-v")
	h.pub("a", "-i", "visitor", "-t", "x", "-m", "y")
	if got := sub.Until(t, "New client connected", "visitor"); !strings.HasPrefix(got, "$SYS/broker/log/N New client connected from 127.0.0.1:") {
		t.Errorf("published %q", got)
	}
	run(t, "", "mosquitto_sub", "-p", h.ports["a"], "-i", "reader", "-t", "news/#", "-q", "1", "-E")
	sub.Until(t, "$SYS/broker/log/M/subscribe reader 1 news/#")
	if strings.Contains(h.p.stderr.String(), "Received PUBLISH") {
		t.Error("details were logged without log_type debug")
	}
}

// credentials are the options -i, -u and -P among args.
func credentials(args []string) (list []string) {
	for i := 0; i+1 < len(args); i++ {
		if args[i] == "-i" || args[i] == "-u" || args[i] == "-P" {
			list = append(list, args[i], args[i+1])
		}
	}
	return list
}
