package auth

import (
	"bufio"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/nightjarmq/nightjar/internal/mosquittotest"
	"github.com/nightjarmq/nightjar/packet"
)

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// peer is a 5.0 client that knows just enough to ask.
type peer struct {
	t *testing.T
	net.Conn
	r *bufio.Reader
}

// dial connects; password "" is none. code is that of CONNACK.
func dial(t *testing.T, addr, id, user, password string) (p *peer, code packet.Code) {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(time.Minute))
	p = &peer{t, c, bufio.NewReader(c)}
	connect := packet.Connect{Version: packet.V5, CleanStart: true, ClientID: id}
	if user != "" {
		connect.Username = packet.Some(user)
	}
	if password != "" {
		connect.Password = packet.Some([]byte(password))
	}
	p.send(&connect)
	ack, ok := p.next().(*packet.Connack)
	if !ok {
		t.Fatalf("no CONNACK")
	}
	return p, ack.Code
}

func (p *peer) send(x packet.Packet) {
	p.t.Helper()
	if _, err := p.Write(x.Append(nil, packet.V5)); err != nil {
		p.t.Fatal(err)
	}
}

func (p *peer) next() packet.Packet {
	p.t.Helper()
	head := []byte{}
	for {
		b, err := p.r.ReadByte()
		if err != nil {
			p.t.Fatal(err)
		}
		head = append(head, b)
		h, ok, err := packet.ReadHeader(head)
		if err != nil {
			p.t.Fatal(err)
		}
		if !ok {
			continue
		}
		body := make([]byte, h.Remaining)
		if _, err := io.ReadFull(p.r, body); err != nil {
			p.t.Fatal(err)
		}
		x, err := packet.Decode(h, body, packet.V5)
		if err != nil {
			p.t.Fatal(err)
		}
		return x
	}
}

// publish reports whether a message is accepted.
func (p *peer) publish(name string) bool {
	p.t.Helper()
	p.send(&packet.Publish{QoS: 1, PacketID: 1, Retain: true, Topic: []byte(name), Payload: []byte("x")})
	ack, ok := p.next().(*packet.Puback)
	return ok && ack.Code < 0x80
}

// receive reports whether a retained message of the topic is sent.
func (p *peer) receive(name string) bool {
	p.t.Helper()
	p.send(&packet.Subscribe{PacketID: 1, Filters: []packet.SubscribeFilter{{Filter: name}}})
	p.send(&packet.Pingreq{})
	got := false
	for {
		switch x := p.next().(type) {
		case *packet.Publish:
			got = got || string(x.Topic) == name
		case *packet.Pingresp:
			return got
		}
	}
}

// Every decision of the table is Mosquitto's too.
func TestAgainstMosquitto(t *testing.T) {
	path := filepath.Join(t.TempDir(), "acl")
	writeFile(t, path, sampleACL+"user root\ntopic readwrite #\n")
	addr := "127.0.0.1:" + mosquittotest.Start(t, "allow_anonymous true\nacl_file "+path+"\n").Port
	root, _ := dial(t, addr, "root", "root", "")
	for _, c := range checks {
		if c.topic[0] == '$' {
			continue // nobody may publish it, to have it received
		}
		if !root.publish(c.topic) {
			t.Fatalf("root may not publish %s", c.topic)
		}
		p, _ := dial(t, addr, c.id, c.user, "")
		var allowed bool
		if c.action == Publish {
			allowed = p.publish(c.topic)
		} else {
			allowed = p.receive(c.topic)
		}
		if allowed != c.allowed {
			t.Errorf("%s/%s %s %s: Mosquitto says %v", c.user, c.id, c.action, c.topic, allowed)
		}
		p.Close()
	}
}

// An empty list: Mosquitto, too, allows nothing to anybody.
func TestEmptyAgainstMosquitto(t *testing.T) {
	path := filepath.Join(t.TempDir(), "acl")
	writeFile(t, path, "# nothing\n")
	addr := "127.0.0.1:" + mosquittotest.Start(t, "allow_anonymous true\nacl_file "+path+"\n").Port
	for _, user := range []string{"", "alice"} {
		if p, _ := dial(t, addr, "x", user, ""); p.publish("a") {
			t.Errorf("Mosquitto lets %q publish", user)
		}
	}
}

// Mosquitto 2.0 reads the files that are written for it.
func TestPasswordsForMosquitto(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pw")
	p := NewPasswordFile(path)
	for user, form := range map[string]Form{"new": PBKDF2, "old": SHA512} {
		if _, err := p.Set(user, []byte("pass of "+user), HashOptions{Form: form, Iterations: 1000}); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.Save(); err != nil {
		t.Fatal(err)
	}
	addr := "127.0.0.1:" + mosquittotest.Start(t, "password_file "+path+"\n").Port
	for _, user := range []string{"new", "old"} {
		if _, code := dial(t, addr, user, user, "pass of "+user); code != packet.Success {
			t.Errorf("%s is refused with %v", user, code)
		}
		if _, code := dial(t, addr, user, user, "wrong"); code != packet.NotAuthorized {
			t.Errorf("%s with a wrong password: %v", user, code)
		}
	}
}

// Its own tool writes files that are read here.
func TestMosquittoPasswd(t *testing.T) {
	bin := mosquittotest.Program(t, "mosquitto_passwd")
	path := filepath.Join(t.TempDir(), "pw")
	writeFile(t, path, "")
	for user, args := range map[string][]string{"new": nil, "old": {"-H", "sha512"}} {
		if out, err := exec.Command(bin, append(args, "-b", path, user, "grüße: "+user)...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	u, err := LoadUsers(path)
	if err != nil || !u.Verify("new", []byte("grüße: new")) || !u.Verify("old", []byte("grüße: old")) || u.Verify("old", []byte("grüße: new")) {
		t.Errorf("%v, %v", u, err)
	}
}
