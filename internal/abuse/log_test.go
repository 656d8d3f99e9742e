package abuse

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/nightjarmq/nightjar/broker"
	"github.com/nightjarmq/nightjar/packet"
)

// TestFaultsAreCounted: each end that is a client's fault is counted by its cause.
func TestFaultsAreCounted(t *testing.T) {
	b, addr := start(t, broker.Config{ReceiveMaximum: 1, Auth: door{}})
	alice := func(id string) *peer {
		return joinAs(t, addr, as("alice", "secret", &packet.Connect{Version: packet.V5, ClientID: id, CleanStart: true}))
	}
	for cause, commit := range map[string]func(){
		"first packet not connect": func() { p := dial(t, addr, packet.V5); p.raw("30"); p.closed() },
		"malformed packet":         func() { p := alice("a"); p.raw("00 00"); p.ended(packet.MalformedPacket) },
		"protocol error":           func() { p := alice("b"); p.raw("82 03 0001 00"); p.ended(packet.ProtocolError) },
		"packet too large":         func() { p := alice("c"); p.raw("30 ffffff7f"); p.ended(packet.PacketTooLarge) },
		"quota exceeded": func() {
			p := alice("d")
			p.raw("34 06 0001 't' 0001 00 34 06 0001 't' 0002 00")
			p.want(packet.TypePubrec)
			p.ended(packet.ReceiveMaximumExceeded)
		},
		"taken over": func() { p := alice("e"); alice("e"); p.ended(packet.SessionTakenOver) },
		"not authorized": func() {
			p := dial(t, addr, packet.V311)
			p.send(as("alice", "guess", &packet.Connect{Version: packet.V311, ClientID: "f", CleanStart: true}))
			p.want(packet.TypeConnack)
			p.closed()
		},
		"keep alive timeout": func() {
			p := joinAs(t, addr, as("alice", "secret", &packet.Connect{Version: packet.V5, ClientID: "g", CleanStart: true, KeepAlive: 1}))
			p.ended(packet.KeepAliveTimeout)
		},
	} {
		commit()
		counted(t, b, cause, 1)
	}
	b, addr = start(t, broker.Config{ConnectTimeout: 100 * time.Millisecond})
	dial(t, addr, packet.V5).closed()
	counted(t, b, "no connect", 1)
}

// counted awaits that so many connections have ended by the cause.
func counted(t *testing.T, b *broker.Broker, cause string, want float64) {
	t.Helper()
	for deadline := time.Now().Add(long); ; runtime.Gosched() {
		for _, f := range b.Figures() {
			if f.Topic != "connections/ended/"+cause {
				continue
			}
			if f.Value == want {
				return
			}
			if f.Value > want || time.Now().After(deadline) {
				t.Fatalf("%s was counted %v times, want %v", cause, f.Value, want)
			}
		}
	}
}

// TestLogFlood: however often somebody does wrong, the log has some lines about it,
// and says how many it has not; others are logged as ever. All are counted.
func TestLogFlood(t *testing.T) {
	const times = 500
	s := new(sink)
	b, addr := start(t, broker.Config{Log: s.logger()})
	begun := time.Now()
	for i := range times {
		p := dial(t, addr, packet.V5)
		p.raw("30")
		p.closed()
		if p.conn.Close(); i%10 == 0 { // two with one name
			joinAs(t, addr, &packet.Connect{Version: packet.V5, ClientID: "twin"})
		}
	}
	counted(t, b, "first packet not connect", times)
	counted(t, b, "taken over", times/10-1)
	text := strings.Join(s.lines(), "\n")
	allowed := int(time.Since(begun)/time.Second) + 1
	if n := strings.Count(text, "the first packet is not CONNECT"); n < 40 || n > 2*(20+allowed) { // in the sentence and as the reason
		t.Errorf("%d times it is said why in %d seconds", n, allowed)
	}
	if n := strings.Count(text, "two connections use"); n < 5 || n > 5+allowed {
		t.Errorf("%d warnings of takeovers in %d seconds", n, allowed)
	}
	if n := strings.Count(text, "New client connected"); n != times/10 {
		t.Errorf("%d lines about those who did nothing wrong, want %d", n, times/10)
	}
}

// TestLongNames: what clients call themselves and their topics is cut in the log,
// and cannot begin a line or steer a terminal.
func TestLongNames(t *testing.T) {
	s := new(sink)
	_, addr := start(t, broker.Config{Log: s.logger(), Access: new(secrets)})
	id := "client\n\x1b[2J" + strings.Repeat("i", 60_000)
	hello := &packet.Connect{Version: packet.V5, ClientID: id, CleanStart: true, Will: &packet.Will{Topic: "secret" + strings.Repeat("t", 1000)}}
	first := joinAs(t, addr, hello)
	second := joinAs(t, addr, hello)
	first.ended(packet.SessionTakenOver)
	second.raw("00 00")
	second.ended(packet.MalformedPacket)
	refused := dial(t, addr, packet.V5)
	refused.send(&packet.Connect{Version: packet.V5, ClientID: id, AuthMethod: packet.Some(strings.Repeat("m", 5000))})
	refused.want(packet.TypeConnack)
	refused.closed()
	join(t, addr, packet.V5, "end").alive()
	lines := s.lines()
	if len(lines) < 7 {
		t.Fatalf("only %d lines: %q", len(lines), lines)
	}
	for _, l := range lines {
		if len(l) > 2000 || strings.ContainsAny(l, "\x1b") || !strings.HasPrefix(l, "{") {
			t.Errorf("%d bytes are logged: %.300q", len(l), l)
		}
	}
	if text := fmt.Sprint(lines); !strings.Contains(text, "a will was refused") || !strings.Contains(text, "malformed") && !strings.Contains(text, "reserved") {
		t.Error("it is not said what was wrong")
	}
}
