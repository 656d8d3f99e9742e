package script

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nightjarmq/nightjar/broker"
	"github.com/nightjarmq/nightjar/packet"
	"github.com/nightjarmq/nightjar/topic"
)

// TestScripts plays every script against a broker in this process, whose time
// is under control.
func TestScripts(t *testing.T) {
	each(t, func(t *testing.T, s *Script) {
		if slices.Contains(s.Broker, "refuse-version=5") {
			t.Skip("about a listener")
		}
		synctest.Test(t, func(t *testing.T) {
			if err := playInProcess(t, s); err != nil {
				t.Error(err)
			}
		})
	})
}

// TestScriptsTCP plays the scripts in which no time passes over TCP.
func TestScriptsTCP(t *testing.T) {
	each(t, func(t *testing.T, s *Script) {
		if s.Advances() {
			t.Skip("time passes in it")
		}
		t.Parallel()
		cfg := configure(t, s)
		cfg.Listeners[0].Address = "127.0.0.1:0"
		b, stop := start(t, cfg)
		addr := b.Addrs()[0].String()
		err := Run(s, &World{Dial: func() (net.Conn, error) { return net.Dial("tcp", addr) }, Stop: stop})
		if err != nil {
			t.Error(err)
		}
	})
}

// playInProcess plays s in a bubble of synctest, where the broker's clock moves
// only when a step says so, and where it is known when the broker is idle.
func playInProcess(t *testing.T, s *Script) error {
	cfg := configure(t, s)
	cfg.Listeners, cfg.Loops = nil, -1 // event loops would wait outside of the bubble
	b, stop := start(t, cfg)
	synctest.Wait()
	return Run(s, &World{Dial: b.Pipe, Stop: stop, Pass: time.Sleep, Settle: synctest.Wait})
}

func each(t *testing.T, play func(*testing.T, *Script)) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, f := range files {
		t.Run(strings.TrimSuffix(filepath.Base(f), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			s, err := Parse(string(text))
			if err != nil {
				t.Fatal(err)
			}
			play(t, s)
		})
	}
}

// start runs a broker until the test ends. stop tells it to end.
func start(t *testing.T, cfg broker.Config) (b *broker.Broker, stop func()) {
	b, err := broker.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- b.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return b, cancel
}

// configure makes the configuration that the script asks for.
func configure(t *testing.T, s *Script) broker.Config {
	cfg := broker.Config{
		SysInterval: -1, MaxTopicAlias: -1, MaxPacketSize: -1,
		Listeners: []broker.Listener{{Anonymous: true}},
	}
	for _, o := range s.Broker {
		key, value, _ := strings.Cut(o, "=")
		n, err := strconv.Atoi(value)
		if err != nil {
			t.Fatalf("broker %s: %v", o, err)
		}
		set := options[key]
		if set == nil {
			t.Fatalf("broker %s: no such option", o)
		}
		set(&cfg, n)
	}
	return cfg
}

var options = map[string]func(*broker.Config, int){
	"receive-maximum":   func(c *broker.Config, n int) { c.ReceiveMaximum = uint16(n) },
	"topic-alias":       func(c *broker.Config, n int) { c.MaxTopicAlias = n },
	"max-packet":        func(c *broker.Config, n int) { c.MaxPacketSize = n },
	"max-keepalive":     func(c *broker.Config, n int) { c.MaxKeepAlive = time.Duration(n) * time.Second },
	"max-expiry":        func(c *broker.Config, n int) { c.MaxSessionExpiry = time.Duration(n) * time.Second },
	"max-qos":           func(c *broker.Config, n int) { q := byte(n); c.MaxQoS = &q },
	"max-subscriptions": func(c *broker.Config, n int) { c.MaxSubscriptions = n },
	"max-retained":      func(c *broker.Config, n int) { c.MaxRetained = n },
	"max-queued":        func(c *broker.Config, n int) { c.MaxQueuedMessages = n },
	"queue-age": func(c *broker.Config, n int) {
		c.Queues = map[string]broker.Queue{"aged": {Messages: 3, Age: time.Duration(n) * time.Second}}
	},
	"drop-oldest":     func(c *broker.Config, n int) { c.DropOldest = n == 1 },
	"no-retain":       func(c *broker.Config, n int) { c.NoRetain = n == 1 },
	"refuse-empty-id": func(c *broker.Config, n int) { c.RefuseEmptyClientID = n == 1 },
	"refuse-version":  func(c *broker.Config, n int) { c.Listeners[0].RefuseVersions = []byte{byte(n)} },
	"sys":             func(c *broker.Config, n int) { c.SysInterval = time.Duration(n) * time.Second },
	"users":           func(c *broker.Config, _ int) { c.Auth = users{} },
	"access":          func(c *broker.Config, _ int) { c.Access = access{} },
	"auth-method":     func(c *broker.Config, _ int) { c.Methods = []broker.Method{riddle{}} },
	"response-information": func(c *broker.Config, _ int) {
		c.ResponseInformation = func(id string) string { return "reply/" + id }
	},
}

// users lets everybody in who says "secret".
type users struct{}

func (users) Authenticate(_ context.Context, a *broker.Attempt) (string, error) {
	if string(a.Password.Value) != "secret" {
		return "", &packet.Error{Code: packet.BadUserNameOrPassword, Clause: "MQTT-3.1.4-2", Msg: "wrong password"}
	}
	return a.Username.Value, nil
}

// access forbids what begins with "secret".
type access struct{}

func (access) Publish(_ *broker.Client, name []byte, _ byte, _ bool) bool {
	return !strings.HasPrefix(string(name), "secret")
}
func (access) Subscribe(_ *broker.Client, f topic.Filter, _ byte) bool {
	return !strings.HasPrefix(f.Filter, "secret")
}
func (access) Receive(_ *broker.Client, name []byte) bool {
	return !strings.HasPrefix(string(name), "secret")
}

// riddle is an authentication method: the client says a name, is asked, and must
// answer "42". A name of its own gets in at once.
type riddle struct{}

func (riddle) Name() string                          { return "riddle" }
func (riddle) Start(*broker.Attempt) broker.Exchange { return &asked{} }

type asked struct{ name string }

func (a *asked) Step(_ context.Context, data []byte) ([]byte, bool, string, error) {
	switch {
	case a.name == "":
		a.name = string(data)
		return []byte("6x7"), false, "", nil
	case string(data) == "42":
		return []byte("welcome"), true, a.name, nil
	}
	return nil, false, "", errors.New("wrong answer")
}

var clause = regexp.MustCompile(`\[(3\.1\.1: )?MQTT-\d+\.\d+\.\d+-\d+\]`)

// TestHeads holds that every script says what it is about and what it proves.
func TestHeads(t *testing.T) {
	each(t, func(t *testing.T, s *Script) {
		head := strings.Join(s.Head, "\n")
		if len(s.Head) < 2 || !clause.MatchString(head) {
			t.Errorf("the script does not begin with a comment that cites what it proves:\n%s", head)
		}
		if len(s.Steps) == 0 {
			t.Error("nothing happens in it")
		}
	})
}

// TestMismatch holds that a conversation that goes another way is noticed.
func TestMismatch(t *testing.T) {
	const connect = "c1> CONNECT v=5 id=a clean=1\nc1< CONNACK code=0 present=0\n"
	for _, tc := range []struct{ name, script, want string }{
		{"another packet", "c1> CONNECT v=5 id=a clean=1\nc1< CONNACK code=0x87", "got   c1< CONNACK present=0 code=0x00"},
		{"nothing came", connect + "c1< PINGRESP", "got   nothing"},
		{"something came", connect + "c1> PINGREQ\nc1<", "got   c1< PINGRESP"},
		{"still open", connect + "c1!", "got   nothing: the connection is open"},
		{"closed", connect + "c1> DISCONNECT\nc1<", "got   c1!"},
		{"closed early", connect + "c1> DISCONNECT\nc1< PINGRESP", "got   c1!"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s, err := Parse(tc.script)
			if err != nil {
				t.Fatal(err)
			}
			synctest.Test(t, func(t *testing.T) {
				err := playInProcess(t, s)
				if err == nil || !strings.Contains(err.Error(), tc.want) {
					t.Errorf("got %v, want %s", err, tc.want)
				}
			})
		})
	}
}

// TestText: every packet survives the way through its text.
func TestText(t *testing.T) {
	for _, text := range []string{
		"CONNECT v=5 clean=1 keepalive=30 id=alice will-topic=w will-payload=bye will-qos=1 will-retain=1 " +
			"will-delay-interval=5 will-user=a:b username=u password=p session-expiry=10 receive-maximum=2 " +
			"maximum-packet-size=100 topic-alias-maximum=3 request-problem-info=0 user=k:v user=k:w auth-method=m auth-data=0x00ff",
		"CONNACK present=1 code=0x00 assigned-client-id=x maximum-qos=1 server-keep-alive=9",
		`PUBLISH a/b "hello world" dup=1 qos=2 retain=1 id=7 message-expiry=9 topic-alias=1 response-topic=r ` +
			`correlation-data=0x00 user="a b:c" subscription-id=1 subscription-id=300 content-type=t`,
		`PUBLISH "" "" topic-alias=1`, "PUBACK id=1 code=0x10 reason-string=no", "PUBREL id=2 code=0x92",
		"SUBSCRIBE id=1 subscription-id=5 a/# qos=1 no-local=1 retain-as-published=1 retain-handling=2 b",
		"SUBACK id=1 codes=0x00,0x80", "UNSUBSCRIBE id=3 a b/+", "UNSUBACK id=3 codes=0x00,0x11",
		"PINGREQ", "DISCONNECT code=0x04 session-expiry=0", "AUTH code=0x18 auth-method=m auth-data=d",
	} {
		p, err := ParsePacket(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		wire := p.Append(nil, packet.V5)
		h, _, err := packet.ReadHeader(wire)
		if err != nil {
			t.Fatal(err)
		}
		back, err := packet.Decode(h, wire[h.Size:], packet.V5)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		want, err := ParsePacket(PrintPacket(back, packet.V5))
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got := fmt.Sprintf("%x", want.Append(nil, packet.V5)); got != fmt.Sprintf("%x", wire) {
			t.Errorf("%s: became %s", text, PrintPacket(back, packet.V5))
		}
	}
	for _, bad := range []string{"", "NOTHING", "PUBLISH a b c", "CONNECT colour=red", "PINGREQ x", `PUBLISH "a`, "PUBACK id=70000"} {
		if p, err := ParsePacket(bad); err == nil {
			t.Errorf("%q was read as %v", bad, p)
		}
	}
}

// Who writes a first script is told how a line begins.
func TestNoStep(t *testing.T) {
	_, err := Parse("A title.\n")
	if err == nil || !strings.Contains(err.Error(), "line 1: A title.: this is no step") || !strings.Contains(err.Error(), "# before a comment") {
		t.Error(err)
	}
}

// TestIndex holds that README.md lists every script with its title, and none that is gone.
func TestIndex(t *testing.T) {
	index, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	listed := strings.Count(string(index), "](testdata/")
	each(t, func(t *testing.T, s *Script) {
		listed--
		name := strings.TrimPrefix(t.Name(), "TestIndex/")
		if line := fmt.Sprintf("[%s](testdata/%s.txt)", s.Head[0], name); !strings.Contains(string(index), line) {
			t.Errorf("README.md does not list %s", line)
		}
	})
	if listed > 0 {
		t.Errorf("README.md lists %d scripts that are not there", listed)
	}
}
