//go:build unix

package realclients

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"maps"
	"math/big"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nightjarmq/nightjar/internal/mosquittotest"
)

const sideConf = `user root
persistence true
persistence_location <dir>/
allow_anonymous false
password_file <dir>/pw
acl_file <dir>/acl
max_queued_messages 5
log_dest stderr
listener <a> 127.0.0.1
listener <b> 127.0.0.1
certfile <dir>/server.crt
keyfile <dir>/server.key
cafile <dir>/ca.crt
listener 0 <dir>/socket
listener <c> 127.0.0.1
max_qos 1
mount_point mounted/
`

const sideACL = `topic read open/#
user ann
topic readwrite house/#
topic readwrite open/#
topic readwrite mounted/#
topic read $SYS/#
topic deny house/safe
user bob
topic read house/+/temperature
pattern readwrite own/%u/%c/#
`

// sideScript is what is done to both brokers: a name, and a command line. A line that begins with & goes on in the
// background once it is subscribed; its name alone, later, waits for its end; "kill NAME" ends it without a word. @
// stands for "-p <a> -u ann -P secret".
const sideScript = `
no user:            mosquitto_pub -p <a> -t open/x -m 1
no user in 5.0:     mosquitto_pub -p <a> -V 5 -t open/x -m 1
wrong password:     mosquitto_pub -p <a> -u ann -P wrong -t open/x -m 1
wrong in 5.0:       mosquitto_pub -p <a> -V 5 -u ann -P wrong -t open/x -m 1
nobody listens:     mosquitto_pub -p <d> -t open/x -m 1
retain:             mosquitto_pub @ -t house/a/temperature -m 21 -r -q 1
retain in 5.0:      mosquitto_pub @ -V 5 -t house/b/temperature -m 22 -r -q 2 -D publish content-type text/plain -D publish user-property k v -D publish message-expiry-interval 1000
retained:           mosquitto_sub @ -t house/a/# -C 1 -F '%t|%q|%r|%l|%p' -q 2
retained low:       mosquitto_sub @ -V 5 -t house/b/# -C 1 -F '%t|%q|%r|%l|%p|%C|%P' -q 1
read by ACL:        mosquitto_sub -p <a> -u bob -P secret -t house/a/temperature -t house/b/temperature -C 2 -v
not by ACL:         mosquitto_sub -p <a> -u bob -P secret -t own/x/# -E
denied in 5.0:      mosquitto_pub @ -V 5 -t house/safe -m 1 -q 1
denied in 3.1.1:    mosquitto_pub @ -V 311 -t house/safe -m 1 -q 1
denied QoS 2:       mosquitto_pub @ -V 5 -t house/safe -m 1 -q 2
own topics:         mosquitto_pub -p <a> -u bob -P secret -i robot -V 5 -t own/bob/robot/x -m 1 -q 1
others' topics:     mosquitto_pub -p <a> -u bob -P secret -i robot -V 5 -t own/ann/robot/x -m 1 -q 1
no receiver:        mosquitto_pub @ -V 5 -t open/nobody -m 1 -q 1
wildcard topic:     mosquitto_pub @ -t open/+ -m 1
bad filter:         mosquitto_sub @ -t open/#/x -W 1
all:                & mosquitto_sub @ -t open/# -v -q 2 -C 6
lines:              mosquitto_pub @ -t open/lines -l -q 1 < one\ntwo\n
empty:              mosquitto_pub @ -t open/empty -n -q 1
whole input:        mosquitto_pub @ -t open/s -s -q 2 < a\nb
3.1:                mosquitto_pub @ -V 31 -t open/31 -m old -q 2
repeated:           mosquitto_pub @ -t open/r -m again --repeat 1 -q 1
all
no local:           & mosquitto_sub @ -V 5 -t open/n -C 1 -F '%r %p' --retain-as-published
published retained: mosquitto_pub @ -V 5 -t open/n -m kept -r -q 1
no local
removed:            mosquitto_pub @ -t open/n -n -r -q 1
never retained:     & mosquitto_sub @ -t open/n -C 1 -F '%r %p'
not retained:       mosquitto_pub @ -t open/n -m now -q 1
never retained
sleeps:             mosquitto_sub @ -i sleeper -c -q 1 -t open/s1 -E
while asleep 1:     mosquitto_pub @ -t open/s1 -m first -q 1
while asleep 2:     mosquitto_pub @ -t open/s1 -m second -q 2
while asleep 3:     mosquitto_pub @ -t open/s1 -m lost -q 0
wakes:              mosquitto_sub @ -i sleeper -c -q 1 -t open/s1 -C 2 -F '%q %p'
will:               & mosquitto_sub @ -t open/will -C 1 -F '%q %p'
dies:               & mosquitto_sub @ -i mortal -t open/x --will-topic open/will --will-payload gone --will-qos 1
kill dies
will
asks:               & mosquitto_sub @ -V 5 -t open/ask -C 1 -F '%p %R %D'
request:            && mosquitto_rr @ -V 5 -t open/ask -e open/answer -m what? -D publish correlation-data 7
asks
answer:             mosquitto_pub @ -t open/answer -m this -q 1
request
TLS:                mosquitto_pub --cafile <dir>/ca.crt -h localhost -p <b> -u ann -P secret -t open/x -m 1 -q 1
TLS, wrong CA:      mosquitto_pub --cafile <dir>/other.crt -h localhost -p <b> -u ann -P secret -t open/x -m 1
TLS on plain:       mosquitto_pub --cafile <dir>/ca.crt -h localhost -p <a> -u ann -P secret -t open/x -m 1
plain on TLS:       mosquitto_pub -p <b> -u ann -P secret -t open/x -m 1
Unix socket:        mosquitto_pub --unix <dir>/socket -u ann -P secret -t open/x -m 1 -q 1
mounted:            & mosquitto_sub @ -t mounted/# -C 1 -v
behind the mount:   mosquitto_pub -p <c> -u ann -P secret -t door -m open -q 1
mounted
above max_qos:      mosquitto_pub -p <c> -V 5 -u ann -P secret -t door -m open -q 2
granted:            mosquitto_sub -p <c> -V 5 -u ann -P secret -t x -q 2 -E -d
version:            mosquitto_sub @ -t $SYS/broker/version -C 1
clients:            mosquitto_sub @ -t $SYS/broker/clients/connected -C 1 -F %t
uptime:             mosquitto_sub @ -t $SYS/broker/uptime -C 1 -F %t
overlap:            & mosquitto_sub @ -t open/o/# -t open/+/p -C 1 -v
overlapping:        mosquitto_pub @ -t open/o/p -m once -q 1
overlap
overflow:           mosquitto_sub @ -i sleeper2 -c -q 1 -t open/q -E
overflows:          mosquitto_pub @ -t open/q -l -q 1 < 1\n2\n3\n4\n5\n6\n7\n
overflowed:         & mosquitto_sub @ -i sleeper2 -c -q 1 -t open/q -C 6
last of all:        mosquitto_pub @ -t open/q -m last -q 1
overflowed
`

// sideDiffers are lines that print something else, explained by these names in docs/mosquitto.md.
var sideDiffers = []string{"not by ACL", "denied in 5.0", "others' topics", "version"}

// The same script of Mosquitto's clients prints the same with both brokers, which are given the same files.
func TestSideBySide(t *testing.T) {
	mosquitto := mosquittotest.Program(t, "mosquitto")
	h := newHouse(t)
	h.write("mosquitto.conf", sideConf)
	h.write("acl", sideACL)
	h.write("pw", "")
	for _, u := range []string{"ann", "bob"} {
		run(t, "", "mosquitto_passwd", "-b", h.path("pw"), u, "secret")
	}
	certify(t, h)
	doc, err := os.ReadFile("../docs/mosquitto.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range sideDiffers {
		if !strings.Contains(string(doc), "**"+name+"**") {
			t.Errorf("docs/mosquitto.md does not explain %q", name)
		}
	}
	theirs := h.side(mosquitto)
	ours := h.side(h.link())
	for _, name := range slices.Sorted(maps.Keys(theirs)) {
		same, expected := theirs[name] == ours[name], slices.Contains(sideDiffers, name)
		switch {
		case !same && !expected:
			t.Errorf("%s:\nMosquitto: %s\nNightjar:  %s", name, theirs[name], ours[name])
		case same && expected:
			t.Errorf("%s: no difference any more: %s", name, ours[name])
		}
	}
}

// side runs the script with a broker and returns what each line printed.
func (h *house) side(program string) map[string]string {
	h.t.Helper()
	broker := start(h.t, program, "-c", h.path("mosquitto.conf"))
	broker.stderr.Until(h.t, " running")
	printed := map[string]string{}
	besides := map[string]*beside{}
	for _, line := range strings.Split(strings.TrimSpace(sideScript), "\n") {
		name, command, ok := strings.Cut(line, ":  ")
		command = strings.TrimSpace(command)
		if victim, kill := strings.CutPrefix(line, "kill "); kill {
			besides[victim].signal(h.t, syscall.SIGKILL)
			<-besides[victim].ended
			continue
		}
		if !ok {
			if name, command, ok = strings.Cut(line, ": "); !ok {
				p := besides[line]
				code := p.exit(h.t)
				printed[line] = h.normal(code, p.String(), p.stderr.String())
				continue
			}
		}
		switch {
		case strings.HasPrefix(command, "&& "):
			besides[name] = start(h.t, h.words(command[3:])[0], h.words(command[3:])[1:]...)
		case strings.HasPrefix(command, "& "):
			besides[name] = h.besideOf(command[2:])
		default:
			printed[name] = h.runLine(command)
		}
	}
	broker.signal(h.t, syscall.SIGTERM)
	if code := broker.exit(h.t); code != 0 {
		h.t.Errorf("%s: exit status %d", program, code)
	}
	return printed
}

// besideOf starts a subscriber and waits until it is there: it is given one more filter, under which a retained message
// waits.
func (h *house) besideOf(command string) *beside {
	h.subs++
	ready := fmt.Sprint("house/ready/", h.subs)
	h.pub("a", "-u", "ann", "-P", "secret", "-t", ready, "-m", sentinel, "-r", "-q", "1")
	words := append(h.words(command), "-t", ready)
	if at := slices.Index(words, "-C"); at >= 0 {
		n, err := strconv.Atoi(words[at+1])
		if err != nil {
			h.t.Fatal(err)
		}
		words[at+1] = strconv.Itoa(n + 1)
	}
	p := start(h.t, words[0], words[1:]...)
	p.Until(h.t, sentinel)
	return p
}

// words splits a line as a shell does that knows single quotes only.
func (h *house) words(command string) (list []string) {
	command = h.fill(strings.Replace(command, " @ ", " -p <a> -u ann -P secret ", 1))
	for i, part := range strings.Split(command, "'") {
		if i%2 == 1 {
			list = append(list, part)
		} else {
			list = append(list, strings.Fields(part)...)
		}
	}
	return list
}

func (h *house) runLine(command string) string {
	command, stdin, _ := strings.Cut(command, " < ")
	words := h.words(command)
	ctx, cancel := context.WithTimeout(h.t.Context(), Patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, words[0], words[1:]...)
	cmd.Env = append(cmd.Environ(), "LC_ALL=C.UTF-8", "HOME="+h.dir)
	var out, said bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(strings.ReplaceAll(stdin, `\n`, "\n")), &out, &said
	cmd.Run()
	return h.normal(cmd.ProcessState.ExitCode(), out.String(), said.String())
}

// normal leaves out what differs from run to run, and the packets that -d tells.
func (h *house) normal(code int, out, said string) string {
	if strings.Contains(said, "A TLS error occurred") { // with one of two exit statuses, as the moment wants it
		return "a TLS error"
	}
	var keep []string
	for _, l := range strings.Split(out+"\n"+said, "\n") {
		if l == "" || strings.HasPrefix(l, "Client ") || strings.Contains(l, sentinel) {
			continue
		}
		keep = append(keep, l)
	}
	return fmt.Sprintf("exit status %d: %s", code, strings.Join(keep, " / "))
}

// certify makes an authority, a certificate of localhost, and an authority that has nothing to do with it.
func certify(t testing.TB, h *house) {
	t.Helper()
	var authority *x509.Certificate
	var authorityKey *ecdsa.PrivateKey
	for i, name := range []string{"ca", "server", "other"} {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		c := &x509.Certificate{
			SerialNumber: big.NewInt(int64(i + 1)), Subject: pkix.Name{CommonName: name}, DNSNames: []string{"localhost"},
			NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), BasicConstraintsValid: true, IsCA: name != "server",
			KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		}
		parent, parentKey := c, key
		if name == "server" {
			parent, parentKey = authority, authorityKey
		}
		der, err := x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, parentKey)
		if err != nil {
			t.Fatal(err)
		}
		if name == "ca" {
			authority, authorityKey = c, key
		}
		private, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			t.Fatal(err)
		}
		h.write(name+".crt", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
		h.write(name+".key", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})))
	}
}
