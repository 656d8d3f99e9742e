package abuse

import (
	"bytes"
	"context"
	"testing"
	"time"

	"github.com/nightjarmq/nightjar/broker"
	"github.com/nightjarmq/nightjar/packet"
)

// door lets in who says the password.
type door struct{}

func (door) Authenticate(_ context.Context, a *broker.Attempt) (string, error) {
	if string(a.Password.Value) != "secret" {
		return "", &packet.Error{Code: packet.BadUserNameOrPassword, Clause: "MQTT-3.1.4-2", Msg: "wrong password"}
	}
	return a.Username.Value, nil
}

// as makes p a CONNECT of a user.
func as(user, password string, k *packet.Connect) *packet.Connect {
	k.Username, k.Password = packet.Some(user), packet.Some([]byte(password))
	return k
}

// TestBehindRefusal: what was sent together with a CONNECT that is refused does
// nothing, however late the refusal comes. [MQTT-3.1.4-6] [3.1.1: MQTT-3.1.4-5]
func TestBehindRefusal(t *testing.T) {
	_, addr := start(t, broker.Config{Auth: door{}})
	watch := joinAs(t, addr, as("w", "secret", &packet.Connect{Version: packet.V5, ClientID: "watch", CleanStart: true}))
	watch.subscribe(1, "#")
	for _, v := range []packet.Version{packet.V311, packet.V5} {
		bad := dial(t, addr, v)
		bad.send(
			as("u", "guess", &packet.Connect{Version: v, ClientID: "watch", CleanStart: true, Will: &packet.Will{Topic: "will", Payload: []byte("x")}}),
			&packet.Publish{Topic: []byte("a"), Payload: []byte("smuggled"), QoS: 1, PacketID: 1, Retain: true},
			&packet.Subscribe{PacketID: 2, Filters: []packet.SubscribeFilter{{Filter: "#"}}},
			&packet.Connect{Version: v, ClientID: "watch", CleanStart: true},
		)
		if ack := bad.want(packet.TypeConnack).(*packet.Connack); ack.Code != packet.BadUserNameOrPassword {
			t.Errorf("%v: %v", v, ack.Code)
		}
		bad.closed()
	}
	watch.alive()
	late := joinAs(t, addr, as("w", "secret", &packet.Connect{Version: packet.V5, ClientID: "late", CleanStart: true}))
	late.subscribe(1, "#")
	late.alive() // nothing was retained
}

// TestBigConnect: until somebody is let in, packets are small; what is larger is
// refused by its length.
func TestBigConnect(t *testing.T) {
	_, addr := start(t, broker.Config{})
	for _, tc := range []struct {
		name, head string
		ok         bool
	}{
		{"64 KiB", "10 fc ff 03", true},
		{"one byte more", "10 fd ff 03", false},
		{"256 MiB", "10 ff ff ff 7f", false},
	} {
		p := dial(t, addr, packet.V311)
		p.raw(tc.head)
		if !tc.ok {
			p.closed()
			continue
		}
		body := bytesOf("0004 'MQTT' 04 c2 0000 0001 'a' 0001 'u'")
		password := 65536 - 4 - len(body) - 2
		body = append(body, byte(password>>8), byte(password))
		p.write(append(body, make([]byte, password)...))
		if ack := p.want(packet.TypeConnack).(*packet.Connack); ack.Code != packet.Success {
			t.Errorf("%s: %v", tc.name, ack.Code)
		}
	}
}

// TestDribble: who sends a CONNECT, or later any packet, byte by byte, is silent as
// long as no packet is whole: neither parts nor WebSocket pings keep it alive.
// [MQTT-3.1.2-22] [3.1.1: MQTT-3.1.2-24]
func TestDribble(t *testing.T) {
	hello := func(v packet.Version, id string) []byte {
		return (&packet.Connect{Version: v, ClientID: id, CleanStart: true, KeepAlive: 1}).Append(nil, v)
	}
	for _, tc := range []struct {
		name   string
		web    bool
		before []byte // answered
		drop   string // sent over and over
		said   byte   // last packet of the broker, 0 for none
	}{
		{"CONNECT", false, nil, "", 0},
		{"3.1.1", false, hello(packet.V311, "old"), "", 0},
		{"5.0", false, hello(packet.V5, "new"), "", byte(packet.KeepAliveTimeout)},
		{"WebSocket before CONNECT", true, nil, "8a80 00000000 8980 00000000", 0},
		{"WebSocket", true, hello(packet.V311, "web"), "8980 00000000 8280 00000000 8281 00000000 78", 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			cfg := broker.Config{Listeners: []broker.Listener{{Anonymous: true, WebSocket: tc.web}}}
			if tc.before == nil {
				cfg.ConnectTimeout = time.Second
			}
			_, addr := start(t, cfg)
			p := dial(t, addr, packet.V5)
			if tc.web {
				p.write([]byte(webUpgrade))
			}
			out := tc.before
			if tc.web && out != nil {
				out = append([]byte{0x82, 0x80 | byte(len(out)), 0, 0, 0, 0}, out...)
			}
			p.write(out)
			dribble(p, tc.drop, tc.before == nil, tc.web)
			heard, err := readAll(p)
			if err != nil {
				t.Fatal("the connection is not closed: ", err)
			}
			if tc.web && !bytes.HasSuffix(heard, bytesOf("88 02 03e8")) {
				t.Errorf("at last came %x, want a close frame", heard)
			}
			if n := len(heard); tc.said != 0 && (n < 3 || heard[n-3] != 0xe0 || heard[n-1] != tc.said) {
				t.Errorf("at last came %x, want DISCONNECT with %x", heard, tc.said)
			}
		})
	}
}

// dribble sends a small piece every now and then until the broker has had enough.
// The pieces never make a packet.
func dribble(p *peer, drop string, connecting, web bool) {
	piece := bytesOf(drop)
	first, next := byte(0x30), byte('x')
	if connecting {
		first, next = 0x10, 0
	}
	head := []byte{first, 0xff, 0x7f}
	if web {
		head = append(bytesOf("82 83 00000000"), head...)
	} else {
		piece = []byte{next}
	}
	p.write(head)
	go func() {
		for tick := time.NewTicker(50 * time.Millisecond); ; <-tick.C {
			if _, err := p.conn.Write(piece); err != nil {
				tick.Stop()
				return
			}
		}
	}()
}

// readAll reads to the end; a reset is an end too.
func readAll(p *peer) (all []byte, err error) {
	for {
		b, err := p.r.ReadByte()
		if err == nil {
			all = append(all, b)
			continue
		}
		if err == errTimeout(err) {
			return all, err
		}
		return all, nil
	}
}
