//go:build linux

package bench

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"encoding/json"
	"net"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/nightjarmq/nightjar/broker"
	"github.com/nightjarmq/nightjar/packet"
)

// serve runs a broker in this process and returns the URLs it listens on, by scheme.
func serve(t testing.TB) map[string]string {
	t.Helper()
	web := httptest.NewTLSServer(nil) // for its certificate
	t.Cleanup(web.Close)
	secure := func() *tls.Config { return &tls.Config{Certificates: web.TLS.Certificates} }
	schemes := []string{"mqtt", "mqtts", "ws", "wss"}
	b, err := broker.New(broker.Config{Listeners: []broker.Listener{
		{Address: "127.0.0.1:0", Anonymous: true},
		{Address: "127.0.0.1:0", Anonymous: true, TLS: secure},
		{Address: "127.0.0.1:0", Anonymous: true, WebSocket: true},
		{Address: "127.0.0.1:0", Anonymous: true, WebSocket: true, TLS: secure},
	}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- b.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	urls := make(map[string]string)
	for i, a := range b.Addrs() {
		urls[schemes[i]] = schemes[i] + "://" + a.String()
	}
	return urls
}

func TestEveryScenario(t *testing.T) {
	urls := serve(t)
	for _, s := range Scenarios() {
		for _, v := range []packet.Version{packet.V311, packet.V5} {
			for scheme, url := range urls {
				t.Run(s.Name+" "+v.String()+" "+scheme, func(t *testing.T) {
					o := Options{
						Scenario: s.Name, URL: url, TLS: &tls.Config{InsecureSkipVerify: true}, Version: max(v, s.Defaults.Version), PID: os.Getpid(), QoS: 1,
						Messages: 300, Rate: 3000, Subscribers: 4, Connections: 8, Hold: time.Millisecond, Quiet: time.Minute,
						Durable: v == packet.V5,
					}
					if s.Name == "wildcard" {
						o.QoS = 0
					}
					r, err := Run(t.Context(), o)
					if err != nil {
						t.Fatal(err)
					}
					var text bytes.Buffer
					if err := r.Write(&text); err != nil {
						t.Fatal(err)
					}
					if !r.Clean() || len(r.Notes) > 1 || len(r.Steps) == 0 {
						t.Errorf("not clean:\n%s", &text)
					}
					for _, step := range r.Steps {
						if step.Units == 0 || step.Server == nil || step.Self.CPU <= 0 {
							t.Errorf("step %s measured nothing:\n%s", step.Name, &text)
						}
					}
					if _, err := json.Marshal(r); err != nil {
						t.Error(err)
					}
				})
			}
		}
	}
}

func TestQoS2(t *testing.T) {
	urls := serve(t)
	r, err := Run(t.Context(), Options{Scenario: "pair", URL: urls["mqtt"], QoS: 2, Messages: 1000, Quiet: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	if !r.Clean() || r.Steps[0].Delivered != 1000 {
		t.Errorf("%+v", r.Steps[0])
	}
}

func TestMistakes(t *testing.T) {
	for want, o := range map[string]Options{
		"is no scenario":              {Scenario: "nothing"},
		"the scheme must be":          {Scenario: "pair", URL: "http://localhost"},
		"names no host":               {Scenario: "pair", URL: "mqtt://"},
		"cannot be checked":           {Scenario: "pair", URL: "mqtt://localhost", Size: 8},
		"need MQTT 5":                 {Scenario: "shared", URL: "mqtt://localhost", Version: packet.V311},
		"must not be negative":        {Scenario: "pair", URL: "mqtt://localhost", Window: -1},
		"cannot reach":                {Scenario: "pair", URL: "mqtt://127.0.0.1", Sources: []string{"::1"}},
		"write mqtt://127.0.0.1:1883": {Scenario: "pair", URL: "127.0.0.1:1883"},
		"2147483647: no such process": {Scenario: "pair", URL: "mqtt://127.0.0.1", PID: 2147483647},
	} {
		if _, err := Run(t.Context(), o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %q", o, err, want)
		}
	}
}

// Why connections fail is said, and at once.
func TestConnectionsThatFail(t *testing.T) {
	urls := serve(t)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ln.Close() // now nobody listens there
	for want, o := range map[string]Options{
		"connection refused": {Scenario: "pair", URL: "mqtt://" + ln.Addr().String()},
		"failed to verify":   {Scenario: "pair", URL: urls["mqtts"]},
		"WebSocket with":     {Scenario: "fanin", URL: strings.Replace(urls["mqtt"], "mqtt", "ws", 1)},
		"the broker closed":  {Scenario: "paced", URL: strings.Replace(urls["mqtts"], "mqtts", "mqtt", 1)},
	} {
		o.Quiet = time.Hour
		if _, err := Run(t.Context(), o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %q", o, err, want)
		}
	}
}

// A broker that ends connections before anything is measured is not measured with those that are left.
func TestConnectionsLostInTheWarmUp(t *testing.T) {
	url := (&faulty{fault: func(int, []byte) [][]byte { return [][]byte{bytes.Repeat([]byte{0xff}, 8)} }}).serve(t) // no packet
	for _, scenario := range []string{"pair", "paced"} {
		_, err := Run(t.Context(), Options{Scenario: scenario, URL: url, Connections: 1, Messages: 20, Quiet: time.Second})
		if err == nil || !strings.Contains(err.Error(), "lost before anything was measured: 1; client") {
			t.Errorf("%s: %v", scenario, err)
		}
	}
}

// What a broker does wrong is counted as what it is, and never as delivered.
func TestLedgerSeesEveryFault(t *testing.T) {
	const run, size = 7, 64
	e := &engine{start: time.Now()}
	for name, c := range map[string]struct {
		arrive func(m [][]byte) [][]byte // of four messages
		topic  string
		want   ledger
	}{
		"all":        {func(m [][]byte) [][]byte { return m }, "t", ledger{delivered: 4}},
		"loss":       {func(m [][]byte) [][]byte { return m[1:] }, "t", ledger{delivered: 3}},
		"a copy":     {func(m [][]byte) [][]byte { return append(m, m[2]) }, "t", ledger{delivered: 4, duplicated: 1}},
		"disorder":   {func(m [][]byte) [][]byte { return [][]byte{m[1], m[0], m[2], m[3]} }, "t", ledger{delivered: 4, disordered: 1}},
		"two faults": {func(m [][]byte) [][]byte { return [][]byte{m[0], m[0], m[1], m[2]} }, "t", ledger{delivered: 3, duplicated: 1}},
		"truncated":  {func(m [][]byte) [][]byte { m[0] = m[0][:size-1]; return m }, "t", ledger{delivered: 3, bad: 1}},
		"altered":    {func(m [][]byte) [][]byte { m[0][size-1]++; return m }, "t", ledger{delivered: 3, bad: 1}},
		"another run": {func(m [][]byte) [][]byte { binary.BigEndian.PutUint64(m[3], 8); return m }, "t",
			ledger{delivered: 3, bad: 1}},
		"never sent": {func(m [][]byte) [][]byte { binary.BigEndian.PutUint32(m[3][atNumber:], 4); return m }, "t",
			ledger{delivered: 3, bad: 1}},
		"not ours": {func(m [][]byte) [][]byte { binary.BigEndian.PutUint32(m[3][atStream:], 1); return m }, "t",
			ledger{delivered: 3, bad: 1}},
		"another topic": {func(m [][]byte) [][]byte { return m }, "u", ledger{bad: 4}},
	} {
		g := newLedger(e, run, 10, size)
		from := &link{e: e, state: ready, connect: packet.Connect{Version: packet.V311}}
		s := g.stream(from, "t", 0, false, 1)
		to := &link{e: e}
		g.receives(to, 0, 1, 4)
		var messages [][]byte
		for range 4 {
			g.publish(s, e.clock())
			messages = append(messages, bytes.Clone(s.frame[s.payloadAt:]))
		}
		for _, m := range c.arrive(messages) {
			g.arrived(to, []byte(c.topic), m, 0)
		}
		got := [4]int64{g.delivered, g.duplicated, g.disordered, g.bad}
		if want := [4]int64{c.want.delivered, c.want.duplicated, c.want.disordered, c.want.bad}; got != want {
			t.Errorf("%s: delivered, duplicated, out of order, foreign are %d, want %d", name, got, want)
		}
		if clean := g.expected == g.delivered; clean != (c.want.delivered == 4) {
			t.Errorf("%s: nothing lost is %v", name, clean)
		}
	}
}

func TestQuantilesAreWithinOnePercent(t *testing.T) {
	var h histogram
	for v := int64(1); v <= 1_000_000; v++ {
		h.add(v * 13)
	}
	for _, q := range []float64{0, 0.01, 0.5, 0.9, 0.99, 0.999, 1} {
		want := q * 13e6
		if got := float64(h.quantile(q)); got < want-13 || got > want*1.01+13 {
			t.Errorf("quantile %v is %v, want %v", q, got, want)
		}
	}
	if h.add(1 << 62); h.quantile(1) != 1<<62 {
		t.Errorf("the largest value is %d", h.quantile(1))
	}
}

// Foreign bytes may end a link and nothing else, however they are cut.
func FuzzLink(f *testing.F) {
	publish := (&packet.Publish{Topic: []byte("t"), Payload: []byte("x"), QoS: 1, PacketID: 3}).Append(nil, packet.V5)
	f.Add(publish, true, byte(1))
	f.Add(append([]byte{0x82, byte(len(publish))}, publish...), true, byte(3))
	f.Add([]byte{0x89, 2, 1, 2, 0x88, 0}, true, byte(2))
	f.Add([]byte{0x40, 2, 0, 1, 0x50, 4, 0, 1, 0x10, 0, 0x90, 4, 0, 1, 0, 0, 0x20, 3, 0, 0, 0}, false, byte(5))
	f.Fuzz(func(t *testing.T, data []byte, framed bool, cut byte) {
		l := &link{e: &engine{}, fd: -1, state: ready, connect: packet.Connect{Version: packet.V5}}
		l.onReady = func(*link) {}
		l.onMessage = func(*link, []byte, []byte, byte) {}
		if framed {
			l.ws = newFraming()
		}
		for n := int(cut) + 1; len(data) > 0 && l.state != closed; data = data[min(n, len(data)):] {
			l.input(data[:min(n, len(data))])
		}
	})
}
