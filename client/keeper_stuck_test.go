package client_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/nightjarmq/nightjar/client"
	"github.com/nightjarmq/nightjar/packet"
)

// fussy is a server with one session that hangs up on some messages. Its connect is for Options.Dial.
type fussy struct {
	t    *testing.T
	v    packet.Version
	hate func(p *packet.Publish) bool

	mu    sync.Mutex
	there bool            // guarded by mu: the session
	open  map[uint16]bool // guarded by mu: QoS 2 numbers that await their PUBREL
	got   []string        // guarded by mu: payloads
}

func (f *fussy) connect(context.Context, string, string) (net.Conn, error) {
	near, far := net.Pipe()
	go func() {
		defer far.Close()
		p := &peer{t: f.t, conn: far, v: f.v}
		for f.answer(p, p.read()) {
		}
	}()
	return near, nil
}

// answer reports whether the connection goes on.
func (f *fussy) answer(p *peer, q packet.Packet) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out packet.Packet
	switch q := q.(type) {
	case *packet.Connect:
		if q.CleanStart {
			f.open = nil
		}
		out = &packet.Connack{SessionPresent: f.there && !q.CleanStart}
		f.there = true
	case *packet.Publish:
		if f.hate(q) {
			if f.v == packet.V5 {
				p.conn.Write((&packet.Disconnect{Code: packet.PayloadFormatInvalid}).Append(nil, f.v))
			}
			return false
		}
		if q.QoS == 2 && f.open[q.PacketID] {
			out = &packet.Pubrec{PacketID: q.PacketID}
			break
		}
		f.got = append(f.got, string(q.Payload))
		if out = packet.Packet(&packet.Puback{PacketID: q.PacketID}); q.QoS == 2 {
			if f.open == nil {
				f.open = make(map[uint16]bool)
			}
			f.open[q.PacketID] = true
			out = &packet.Pubrec{PacketID: q.PacketID}
		}
	case *packet.Pubrel:
		delete(f.open, q.PacketID)
		out = &packet.Pubcomp{PacketID: q.PacketID}
	default: // the end
		return false
	}
	_, err := p.conn.Write(out.Append(nil, f.v))
	return err == nil
}

func (f *fussy) received() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Compact(slices.Clone(f.got))
}

// A server hangs up on one of several messages. The Keeper finds out which, asks whether to give it up, tells its publisher
// when it has, and sends the others, in order. [MQTT-4.6.0-1]
func TestKeeperAbandons(t *testing.T) {
	for name, o := range map[string]client.Options{
		"3.1.1 with a session": {Version: packet.V311, ClientID: "x", Resume: true},
		"3.1.1 without":        {Version: packet.V311, ClientID: "x"},
		"5.0":                  {Version: packet.V5, ClientID: "x"},
	} {
		for qos := byte(1); qos <= 2; qos++ {
			for _, journal := range []string{"", filepath.Join(t.TempDir(), "journal")} {
				t.Run(fmt.Sprintf("%s qos%d journal %t", name, qos, journal != ""), func(t *testing.T) {
					abandons(t, client.KeeperOptions{Options: o, Queue: client.Queue{Journal: journal}}, qos)
				})
			}
		}
	}
}

func abandons(t *testing.T, o client.KeeperOptions, qos byte) {
	f := &fussy{t: t, v: o.Version, hate: func(p *packet.Publish) bool { return string(p.Payload) == "7" }}
	o.Servers, o.Dial = []string{"mqtt://fussy"}, f.connect
	var asked []int
	o.Abandon = func(m *packet.Publish, times int, err error) bool {
		if string(m.Payload) != "7" || err == nil {
			t.Errorf("asked about %s, because of %v", m.Payload, err)
		}
		asked = append(asked, times)
		return times == 5
	}
	const count = 20
	var want []string
	k, events, stop := keeper(t, o)
	told := make(chan error, count)
	for i := range count {
		payload := fmt.Append(nil, i)
		hated := string(payload) == "7"
		if !hated {
			want = append(want, string(payload))
		}
		err := k.PublishAsync(deadline(t), &packet.Publish{Topic: []byte("t"), QoS: qos, Payload: payload}, func(_ packet.Ack, err error) {
			if hated != (err != nil) || hated && !errors.Is(err, client.ErrAbandoned) {
				t.Errorf("the publisher of %s was told %v", payload, err)
			}
			told <- err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for range count {
		<-told
	}
	if err := k.Flush(deadline(t)); err != nil {
		t.Error(err)
	}
	if e := event(t, events, client.MessageStuck); e.Times != 3 || string(e.Message.Payload) != "7" || e.Err == nil {
		t.Error(e)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
	if fmt.Sprint(asked) != "[3 4 5]" {
		t.Error("asked", asked)
	}
	if got := f.received(); !slices.Equal(got, want) && (qos == 2 || !slices.Equal(firsts(got), want)) {
		t.Error("the server has", got)
	}
	if o.Queue.Journal != "" { // nothing is left for the next one
		again, _, _ := keeper(t, o)
		if n := again.Pending(); n != 0 {
			t.Error("in the journal:", n)
		}
	}
}

// firsts is the list without what came again.
func firsts(list []string) (once []string) {
	for _, s := range list {
		if !slices.Contains(once, s) {
			once = append(once, s)
		}
	}
	return once
}

// Unless told otherwise the Keeper gives nothing up: it says each time what is stuck, and the server that takes the message at
// last gets everything.
func TestKeeperStuck(t *testing.T) {
	var mu sync.Mutex
	full := true
	f := &fussy{t: t, v: packet.V311, hate: func(*packet.Publish) bool {
		mu.Lock()
		defer mu.Unlock()
		return full
	}}
	o := client.KeeperOptions{Servers: []string{"mqtt://fussy"}}
	o.Version, o.ClientID, o.Resume, o.Dial = packet.V311, "x", true, f.connect
	k, events, _ := keeper(t, o)
	var want []string
	for i := range 30 {
		m := &packet.Publish{Topic: []byte("t"), QoS: 1, Payload: fmt.Append(nil, i)}
		if err := k.PublishAsync(deadline(t), m, nil); err != nil {
			t.Fatal(err)
		}
		want = append(want, fmt.Sprint(i))
	}
	for times := 3; times < 8; times++ {
		e := event(t, events, client.MessageStuck)
		if e.Times != times || e.Topic != "t" || string(e.Message.Payload) != "0" {
			t.Error(e)
		}
	}
	if k.Pending() != 30 {
		t.Error("pending:", k.Pending())
	}
	mu.Lock()
	full = false
	mu.Unlock()
	if err := k.Flush(deadline(t)); err != nil {
		t.Fatal(err)
	}
	if got := firsts(f.received()); !slices.Equal(got, want) {
		t.Error("the server has", got)
	}
}

// After a connection without an acknowledgement one message is under way at a time, until the server acknowledges one: then
// as many as ever. A PUBREL takes the one place. [MQTT-4.9.0-2]
func TestKeeperOneAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conns := make(chan net.Conn)
		o := client.KeeperOptions{Servers: []string{"mqtt://peer"}}
		o.ClientID = "x"
		o.Dial = func(ctx context.Context, _, _ string) (net.Conn, error) {
			near, far := net.Pipe()
			select {
			case conns <- far:
				return near, nil
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}
		k, _, _ := keeper(t, o)
		for _, m := range []*packet.Publish{message(0, 2, "a"), message(0, 1, "b"), message(0, 1, "c")} {
			if err := k.PublishAsync(t.Context(), m, nil); err != nil {
				t.Fatal(err)
			}
		}
		next := func(answer *packet.Connack) *peer {
			p := &peer{t: t, conn: <-conns, v: packet.V5}
			p.expect("CONNECT")
			p.send(answer)
			return p
		}
		p := next(ok())
		p.expect("PUBLISH 1 q2 a p", "PUBLISH 2 q1 b p", "PUBLISH 3 q1 c p")
		p.conn.Close()

		p = next(&packet.Connack{SessionPresent: true})
		p.expect("PUBLISH 1 q2 a p dup", "PINGREQ")
		p.send(&packet.Pubrec{PacketID: 1})
		p.expect("PUBREL 1 00", "PUBLISH 2 q1 b p dup", "PUBLISH 3 q1 c p dup")
		p.conn.Close()

		p = next(&packet.Connack{SessionPresent: true})
		p.expect("PUBREL 1 00", "PUBLISH 2 q1 b p dup", "PUBLISH 3 q1 c p dup")
		p.conn.Close()

		p = next(&packet.Connack{SessionPresent: true})
		p.expect("PUBREL 1 00", "PINGREQ")
		p.send(&packet.Pubcomp{PacketID: 1})
		p.expect("PUBLISH 2 q1 b p dup", "PUBLISH 3 q1 c p dup")
		p.send(&packet.Puback{PacketID: 2})
		p.send(&packet.Puback{PacketID: 3})
		if err := k.Flush(t.Context()); err != nil {
			t.Error(err)
		}
		p.conn.Close()
		p = next(&packet.Connack{SessionPresent: true})
		p.expect("PINGREQ")
		p.conn.Close()
	})
}
