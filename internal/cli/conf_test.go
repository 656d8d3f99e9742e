package cli

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nightjarmq/nightjar/broker"
	"github.com/nightjarmq/nightjar/client"
	"github.com/nightjarmq/nightjar/internal/mosquittotest"
	"github.com/nightjarmq/nightjar/packet"
)

const patience = time.Minute

// house is a broker made of a mosquitto.conf.
type house struct {
	t     *testing.T
	dir   string
	ports map[string]string // by the letter in the file
	b     *broker.Broker
	log   *lines
}

// lines is what was logged.
type lines struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// furnish starts a broker until the end of the test. In the file, <a> to <d> are
// free ports and <dir> is a folder of the test.
func furnish(t *testing.T, conf string, files ...string) *house {
	t.Helper()
	h := &house{t: t, dir: t.TempDir(), ports: make(map[string]string), log: new(lines)}
	for i := 0; i+1 < len(files); i += 2 {
		h.write(files[i], files[i+1])
	}
	for _, letter := range []string{"a", "b", "c", "d"} {
		h.ports[letter] = mosquittotest.Port(t)
	}
	return h.open(conf)
}

func (h *house) write(name, text string) string {
	h.t.Helper()
	path := filepath.Join(h.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		h.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		h.t.Fatal(err)
	}
	return path
}

func (h *house) fill(conf string) string {
	pairs := []string{"<dir>", h.dir}
	for letter, port := range h.ports {
		pairs = append(pairs, "<"+letter+">", port)
	}
	return strings.NewReplacer(pairs...).Replace(conf)
}

func (h *house) config(conf string) (broker.Config, error) {
	h.t.Helper()
	cfg, _, err := fromFile(h.write("mosquitto.conf", h.fill(conf)), slog.New(slog.NewTextHandler(h.log, nil)))
	return cfg, err
}

func (h *house) open(conf string) *house {
	h.t.Helper()
	cfg, err := h.config(conf)
	if err != nil {
		h.t.Fatal(err)
	}
	if h.b, err = broker.New(cfg); err != nil {
		h.t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- h.b.Run(ctx) }()
	h.t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			h.t.Errorf("the broker ended with an error: %v", err)
		}
		if h.t.Failed() {
			h.t.Logf("log of the broker:\n%s", h.log)
		}
	})
	return h
}

// url is that of a listener: mqtt://<a>.
func (h *house) url(letter string) string { return "mqtt://127.0.0.1:" + h.ports[letter] }

func (h *house) dial(url string, o client.Options) (*client.Client, error) {
	ctx, cancel := context.WithTimeout(h.t.Context(), patience)
	defer cancel()
	c, err := client.Dial(ctx, url, o)
	if err == nil {
		h.t.Cleanup(func() { c.Close() })
	}
	return c, err
}

// guest connects or ends the test.
func (h *house) guest(letter string, o client.Options) *client.Client {
	h.t.Helper()
	c, err := h.dial(h.url(letter), o)
	if err != nil {
		h.t.Fatal(err)
	}
	return c
}

// hears subscribes and returns what comes, as "topic payload qos".
func (h *house) hears(c *client.Client, filter string, qos byte) <-chan string {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(h.t.Context(), patience)
	defer cancel()
	got := make(chan string, 100)
	if _, err := c.Subscribe(ctx, client.To(filter, qos), func(_ context.Context, p *packet.Publish) {
		got <- fmt.Sprintf("%s %s %d", p.Topic, p.Payload, p.QoS)
	}); err != nil {
		h.t.Fatal(err)
	}
	return got
}

func (h *house) says(c *client.Client, topic, payload string, qos byte, retain bool) error {
	ctx, cancel := context.WithTimeout(h.t.Context(), patience)
	defer cancel()
	return c.Publish(ctx, &packet.Publish{Topic: []byte(topic), Payload: []byte(payload), QoS: qos, Retain: retain})
}

func (h *house) want(got <-chan string, want ...string) {
	h.t.Helper()
	for _, w := range want {
		select {
		case g := <-got:
			if g != w {
				h.t.Errorf("got %q, want %q", g, w)
			}
		case <-time.After(patience):
			h.t.Fatalf("%q did not come", w)
		}
	}
}

// A listener's mount point is before all that its clients say and subscribe to,
// and they do not see it; nor do they see what is outside.
func TestMountPoint(t *testing.T) {
	h := furnish(t, "allow_anonymous true\nlistener <a> 127.0.0.1\nlistener <b> 127.0.0.1\nmount_point house/\n")
	all, inside := h.guest("a", client.Options{}), h.guest("b", client.Options{Version: packet.V5, TopicAliasMaximum: 5})
	outer, inner := h.hears(all, "#", 2), h.hears(inside, "#", 2)
	shared := h.hears(h.guest("b", client.Options{}), "$share/g/lamp", 1)
	for qos := byte(0); qos <= 2; qos++ {
		if err := h.says(inside, "door", "open", qos, false); err != nil {
			t.Fatal(err)
		}
		h.want(outer, fmt.Sprintf("house/door open %d", qos))
		h.want(inner, fmt.Sprintf("door open %d", qos))
	}
	for _, topic := range []string{"garden/gate", "house/", "house/lamp"} {
		if err := h.says(all, topic, "on", 1, true); err != nil {
			t.Fatal(err)
		}
	}
	h.want(inner, "lamp on 1")
	h.want(shared, "lamp on 1")
	late := h.guest("b", client.Options{})
	h.want(h.hears(late, "+", 1), "lamp on 1") // retained
	var cable net.Conn
	h.guest("b", client.Options{
		Will: &packet.Will{Topic: "bye", Payload: []byte("now")},
		Dial: func(ctx context.Context, network, address string) (_ net.Conn, err error) {
			cable, err = new(net.Dialer).DialContext(ctx, network, address)
			return cable, err
		},
	})
	h.want(outer, "garden/gate on 1", "house/ on 1", "house/lamp on 1")
	cable.Close()
	h.want(outer, "house/bye now 0")
	h.want(inner, "bye now 0")
}

// What a file says about clients holds, by listener where it is said there.
func TestConfiguredLimits(t *testing.T) {
	h := furnish(t, `allow_anonymous true
message_size_limit 5
upgrade_outgoing_qos true
max_packet_size 1000
auto_id_prefix house-
listener <a> 127.0.0.1
listener <b> 127.0.0.1
max_qos 1
max_topic_alias 3
max_connections 2
listener <c> 127.0.0.1
accept_protocol_versions 5
use_username_as_clientid true
`)
	a := h.guest("a", client.Options{Version: packet.V5})
	if id := a.ClientID(); !strings.HasPrefix(id, "house-") {
		t.Errorf("client identifier %s", id)
	}
	if n := a.Connack().MaximumPacketSize.Value; n != 1000 {
		t.Errorf("Maximum Packet Size %d", n)
	}
	got := h.hears(a, "#", 1)
	if err := h.says(a, "long", "123456", 1, false); err == nil {
		t.Error("a message above message_size_limit was accepted")
	}
	if err := h.says(a, "short", "12345", 0, false); err != nil {
		t.Error(err)
	}
	h.want(got, "short 12345 1") // with the QoS of the subscription
	b := h.guest("b", client.Options{Version: packet.V5})
	if ack := b.Connack(); ack.MaximumQoS.Or(2) != 1 || ack.TopicAliasMaximum.Value != 3 {
		t.Errorf("CONNACK %+v", ack)
	}
	h.guest("b", client.Options{})
	if _, err := h.dial(h.url("b"), client.Options{}); err == nil {
		t.Error("a third connection, with max_connections 2")
	}
	if _, err := h.dial(h.url("c"), client.Options{Version: packet.V311, Username: "ann"}); err == nil {
		t.Error("3.1.1 with accept_protocol_versions 5")
	}
	if _, err := h.dial(h.url("c"), client.Options{Version: packet.V5, ClientID: "x"}); err == nil {
		t.Error("nobody's name as a client identifier")
	}
	if c := h.guest("c", client.Options{Version: packet.V5, Username: "ann"}); c.Connack().AssignedClientID.Value != "ann" {
		t.Errorf("assigned client identifier %+v", c.Connack().AssignedClientID)
	}
	// mosquitto_sub ends with a protocol error when it is given another identifier.
	if c := h.guest("c", client.Options{Version: packet.V5, Username: "bob", ClientID: "x"}); c.Connack().AssignedClientID.Set {
		t.Errorf("assigned client identifier %+v for one who has its own", c.Connack().AssignedClientID)
	}
}

// queue_qos0_messages keeps QoS 0 for who is away, and global_max_clients counts
// those too.
func TestAbsentClients(t *testing.T) {
	h := furnish(t, "allow_anonymous true\nqueue_qos0_messages true\nglobal_max_clients 2\nlistener <a> 127.0.0.1\n")
	o := client.Options{Version: packet.V5, ClientID: "sleeper", SessionExpiry: packet.Some[uint32](100)}
	c := h.guest("a", o)
	h.hears(c, "news", 1)
	if err := c.Disconnect(t.Context(), &packet.Disconnect{}); err != nil {
		t.Fatal(err)
	}
	p := h.guest("a", client.Options{})
	for i := range 3 {
		if err := h.says(p, "news", fmt.Sprint(i), byte(i), false); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := h.dial(h.url("a"), client.Options{}); err == nil {
		t.Error("a third session, with global_max_clients 2")
	}
	got := make(chan string, 10)
	o.Resume = true
	o.Handler = func(_ context.Context, p *packet.Publish) { got <- fmt.Sprintf("%s %d", p.Payload, p.QoS) }
	h.guest("a", o)
	h.want(got, "0 0", "1 1", "2 1")
}

// A proxy tells whose connection it passes on; who comes without is refused.
func TestProxyProtocol(t *testing.T) {
	h := furnish(t, `listener <a> 127.0.0.1
enable_proxy_protocol 1
allow_anonymous true
listener <b> 127.0.0.1
enable_proxy_protocol 2
use_identity_as_username true
proxy_protocol_v2_require_tls true
`)
	through := func(header []byte) func(context.Context, string, string) (net.Conn, error) {
		return func(ctx context.Context, network, address string) (net.Conn, error) {
			c, err := new(net.Dialer).DialContext(ctx, network, address)
			if err == nil {
				_, err = c.Write(header)
			}
			return c, err
		}
	}
	h.guest("a", client.Options{Dial: through([]byte("PROXY TCP4 192.0.2.7 198.51.100.1 5000 1883\r\n"))})
	for what, header := range map[string]string{
		"nothing":        "",
		"another family": "PROXY TCP4 ::1 ::1 1 2\r\n",
		"another word":   "PRIXY TCP4 192.0.2.7 198.51.100.1 5000 1883\r\n",
		"no end":         "PROXY " + strings.Repeat("x", 200),
	} {
		if _, err := h.dial(h.url("a"), client.Options{Dial: through([]byte(header))}); err == nil {
			t.Errorf("%s in front: accepted", what)
		}
	}
	v2 := func(tlvs ...byte) []byte {
		b := append([]byte("\r\n\r\n\x00\r\nQUIT\n\x21\x11"), 0, byte(12+len(tlvs)), 192, 0, 2, 7, 198, 51, 100, 1, 0x13, 0x88, 7, 0x5b)
		return append(b, tlvs...)
	}
	cn := []byte("\x20\x00\x15\x07\x00\x00\x00\x00\x21\x00\x07TLSv1.3\x22\x00\x03ann") // TLS, certificate verified, CN
	h.guest("b", client.Options{Version: packet.V5, ClientID: "lamp", Dial: through(v2(cn...))})
	if log := h.log.String(); !strings.Contains(log, "192.0.2.7") || !strings.Contains(log, "ann") {
		t.Errorf("the log names neither the client's address nor its user:\n%s", log)
	}
	if _, err := h.dial(h.url("b"), client.Options{Dial: through(v2())}); err == nil {
		t.Error("who reached the proxy without TLS was let in")
	}
}

// A WebSocket listener serves the files of http_dir and nothing outside of it, and
// browsers of the origins that are named.
func TestWebSocketListener(t *testing.T) {
	h := furnish(t, `# WebSocket
listener <a> 127.0.0.1
protocol websockets
http_dir <dir>/www
websockets_origin https://house.example
websockets_headers_size 20000
allow_anonymous true
`, "secret", "not for all", "www/hello.txt", "good evening")
	if err := os.Symlink(filepath.Join(h.dir, "secret"), filepath.Join(h.dir, "www", "link")); err != nil {
		t.Fatal(err)
	}
	get := func(path string) (int, string) {
		t.Helper()
		r, err := http.Get("http://127.0.0.1:" + h.ports["a"] + path)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Body.Close()
		b, err := io.ReadAll(r.Body)
		if err != nil {
			t.Fatal(err)
		}
		return r.StatusCode, string(b)
	}
	if code, body := get("/hello.txt"); code != 200 || body != "good evening" {
		t.Errorf("a file: %d %q", code, body)
	}
	for _, path := range []string{"/../secret", "/%2e%2e/secret", "/link"} {
		if code, body := get(path); code == 200 {
			t.Errorf("%s: %q", path, body)
		}
	}
	url := "ws://127.0.0.1:" + h.ports["a"] + "/mqtt"
	for _, tc := range []struct {
		origin, long string
		ok           bool
	}{
		{"https://house.example", "", true},
		{"https://elsewhere.example", "", false},
		{"https://house.example", strings.Repeat("x", 15_000), true},
		{"https://house.example", strings.Repeat("x", 25_000), false},
	} {
		if _, err := h.dial(url, client.Options{Header: http.Header{"Origin": {tc.origin}, "X-Long": {tc.long}}}); (err == nil) != tc.ok {
			t.Errorf("origin %s, %d bytes: %v", tc.origin, len(tc.long), err)
		}
	}
}

// bind_interface keeps others out; a device that is not there is an error.
func TestDevice(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("sockets are bound to devices on Linux only")
	}
	h := furnish(t, "allow_anonymous true\nlistener <a>\nbind_interface lo\nsocket_domain ipv4\n")
	h.guest("a", client.Options{})
	cfg, err := h.config("allow_anonymous true\nlistener <b>\nbind_interface nowhere0\n")
	if err != nil {
		t.Fatal(err)
	}
	if err := h.b.Reload(cfg); err == nil || !strings.Contains(err.Error(), "nowhere0") {
		t.Errorf("a device that is not there: %v", err)
	}
	h.guest("a", client.Options{}) // all as it was
}

// retain_expiry_interval is told to who receives the message, and with
// max_inflight_bytes everything comes, in order.
func TestRetainExpiryAndInflightBytes(t *testing.T) {
	h := furnish(t, "allow_anonymous true\nretain_expiry_interval 1\nmax_inflight_bytes 2000\nglobal_max_connections 3\nlistener <a> 127.0.0.1\n")
	c := h.guest("a", client.Options{})
	if err := h.says(c, "kept", "x", 1, true); err != nil {
		t.Fatal(err)
	}
	expiry := make(chan uint32, 1)
	if _, err := c.Subscribe(t.Context(), client.To("kept", 1), func(_ context.Context, p *packet.Publish) { expiry <- p.MessageExpiry.Value }); err != nil {
		t.Fatal(err)
	}
	select {
	case s := <-expiry:
		if s < 50 || s > 60 {
			t.Errorf("it expires in %d seconds", s)
		}
	case <-time.After(patience):
		t.Fatal("the retained message did not come")
	}
	slow := h.guest("a", client.Options{})
	got, release := make(chan int, 10), make(chan struct{})
	n := 0
	if _, err := slow.Subscribe(t.Context(), client.To("large", 1), func(context.Context, *packet.Publish) {
		n++
		got <- n
		<-release
	}); err != nil {
		t.Fatal(err)
	}
	for range 5 {
		if err := h.says(c, "large", strings.Repeat("x", 1500), 1, false); err != nil {
			t.Fatal(err)
		}
	}
	close(release)
	for i := 1; i <= 5; i++ {
		select {
		case g := <-got:
			if g != i {
				t.Errorf("message %d, want %d", g, i)
			}
		case <-time.After(patience):
			t.Fatalf("message %d did not come", i)
		}
	}
	h.guest("a", client.Options{})
	if _, err := h.dial(h.url("a"), client.Options{}); err == nil {
		t.Error("a fourth connection, with global_max_connections 3")
	}
}

// Reload while clients come, go and publish.
func TestReloadUnderLoad(t *testing.T) {
	const conf = "per_listener_settings true\nlistener <a> 127.0.0.1\nallow_anonymous true\n"
	h := furnish(t, conf)
	ctx, stop := context.WithCancel(t.Context())
	var work sync.WaitGroup
	work.Go(func() {
		for ctx.Err() == nil {
			c, err := h.dial(h.url("a"), client.Options{})
			if err != nil {
				t.Errorf("connect: %v", err)
				return
			}
			if err := h.says(c, "x", "y", 1, true); err != nil {
				t.Errorf("publish: %v", err)
			}
			c.Close()
		}
	})
	for i := range 20 {
		extra := "max_qos 1\nmount_point m/\n"
		if i%2 == 0 {
			extra = "listener <b> 127.0.0.1\nallow_anonymous true\nlistener 0 <dir>/s\nallow_anonymous true\n"
		}
		cfg, err := h.config(conf + extra)
		if err != nil {
			t.Fatal(err)
		}
		if err := h.b.Reload(cfg); err != nil {
			t.Fatal(err)
		}
		_, err = h.dial(h.url("b"), client.Options{})
		if (err == nil) != (i%2 == 0) {
			t.Errorf("reload %d: listener b: %v", i, err)
		}
		if n := len(h.b.Addrs()); n != 1+2*(1-i%2) {
			t.Errorf("reload %d: %d listeners", i, n)
		}
	}
	stop()
	work.Wait()
	if _, err := os.Stat(filepath.Join(h.dir, "s")); err == nil {
		t.Error("the file of a Unix socket was left behind")
	}
}
