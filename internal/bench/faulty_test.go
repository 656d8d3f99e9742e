//go:build linux

package bench

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/nightjarmq/nightjar/packet"
)

// faulty is a broker for one subscriber and any number of publishers, which does to each message what fault says. It
// acknowledges nothing that is not said.
type faulty struct {
	fault   func(n int, frame []byte) [][]byte // of the nth PUBLISH; what the subscriber gets
	hangsUp int                                // behind which message the subscriber's connection ends
	grants  byte                               // to each subscription
	answer  packet.Type                        // to each PUBLISH; 0: none

	mu  sync.Mutex
	n   int
	sub net.Conn
}

func (f *faulty) serve(t *testing.T) (url string) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go f.client(c)
		}
	}()
	return "mqtt://" + ln.Addr().String()
}

func (f *faulty) client(c net.Conn) {
	defer c.Close()
	var in []byte
	for buf := make([]byte, 64<<10); ; {
		n, err := c.Read(buf)
		if err != nil {
			return
		}
		in = append(in, buf[:n]...)
		for {
			h, ok, err := packet.ReadHeader(in)
			if err != nil || !ok || len(in) < h.Size+h.Remaining {
				break
			}
			frame := in[:h.Size+h.Remaining]
			f.packet(c, h.Type, frame, frame[h.Size:])
			in = in[len(frame):]
		}
	}
}

func (f *faulty) packet(c net.Conn, kind packet.Type, frame, body []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var answers [][]byte
	to := c
	switch kind {
	case packet.TypeConnect:
		answers = [][]byte{{0x20, 2, 0, 0}}
	case packet.TypeSubscribe:
		f.sub = c
		answers = [][]byte{{0x90, 3, body[0], body[1], f.grants}}
	case packet.TypePublish:
		f.n++
		to, answers = f.sub, f.fault(f.n, bytes.Clone(frame))
		if f.answer != 0 {
			at := 2 + int(binary.BigEndian.Uint16(body))
			c.Write(packet.AppendAck(nil, f.answer, binary.BigEndian.Uint16(body[at:])))
		}
		if f.n == f.hangsUp {
			raw, _ := to.(*net.TCPConn).SyscallConn()
			raw.Control(func(fd uintptr) { syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, syscall.TCP_CORK, 1) })
			defer to.Close() // in the segment that holds the message
		}
	}
	for _, a := range answers {
		to.Write(a)
	}
}

// What a broker loses, repeats, alters, invents or sends to the wrong place is never reported as delivered, and the run is
// not called clean.
func TestFaultyBroker(t *testing.T) {
	const messages, warmUp = 100, 10
	only := func(n int, faulty [][]byte, frame []byte) [][]byte { // one message of the measured ones is treated so
		if n == warmUp+50 {
			return faulty
		}
		return [][]byte{frame}
	}
	type counts struct{ delivered, lost, duplicated, foreign int64 }
	for name, c := range map[string]struct {
		fault func(n int, frame []byte) [][]byte
		want  counts
	}{
		"honest": {func(_ int, b []byte) [][]byte { return [][]byte{b} }, counts{delivered: messages}},
		"loses":  {func(n int, b []byte) [][]byte { return only(n, nil, b) }, counts{delivered: messages - 1, lost: 1}},
		"repeats": {func(n int, b []byte) [][]byte { return only(n, [][]byte{b, b}, b) },
			counts{delivered: messages, duplicated: 1}},
		"alters": {func(n int, b []byte) [][]byte {
			bad := bytes.Clone(b)
			bad[len(bad)-1] ^= 1
			return only(n, [][]byte{bad}, b)
		}, counts{delivered: messages - 1, lost: 1, foreign: 1}},
		"renames": {func(n int, b []byte) [][]byte {
			bad := bytes.Clone(b)
			bad[4] ^= 1
			return only(n, [][]byte{bad}, b)
		}, counts{delivered: messages - 1, lost: 1, foreign: 1}},
		"invents": {func(n int, b []byte) [][]byte {
			bad := bytes.Clone(b)
			binary.BigEndian.PutUint32(bad[len(bad)-64+atNumber:], 1e6)
			return only(n, [][]byte{b, bad}, b)
		}, counts{delivered: messages, foreign: 1}},
		"raises the QoS": {func(n int, b []byte) [][]byte {
			p, err := packet.Decode(header(b), b[header(b).Size:], packet.V311)
			if err != nil {
				panic(err)
			}
			m := p.(*packet.Publish)
			m.QoS, m.PacketID = 1, 1
			return only(n, [][]byte{m.Append(nil, packet.V311)}, b)
		}, counts{delivered: messages - 1, lost: 1, foreign: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // what is lost is waited for
			url := (&faulty{fault: c.fault}).serve(t)
			r, err := Run(t.Context(), Options{Scenario: "pair", URL: url, Connections: 1, Messages: messages, Quiet: 10 * time.Second})
			if err != nil {
				t.Fatal(err)
			}
			s := &r.Steps[0]
			if got := (counts{s.Delivered, s.Lost, s.Duplicated, s.Foreign}); got != c.want {
				t.Errorf("%+v, want %+v", got, c.want)
			}
			if s.Units != s.Delivered || r.Clean() != (name == "honest") {
				t.Errorf("%d units, clean: %v", s.Units, r.Clean())
			}
			var text strings.Builder
			if err := r.Write(&text); err != nil && err != io.EOF {
				t.Fatal(err)
			}
			if clean := strings.Contains(text.String(), "lost 0, duplicated 0") && !strings.Contains(text.String(), "foreign"); clean != (name == "honest") {
				t.Errorf("the report says otherwise:\n%s", &text)
			}
		})
	}
}

func header(frame []byte) packet.Header {
	h, _, _ := packet.ReadHeader(frame)
	return h
}

// An end that comes together with the last message is seen.
func TestHangUpBehindMessage(t *testing.T) {
	t.Parallel() // what is lost is waited for
	f := &faulty{fault: func(_ int, b []byte) [][]byte { return [][]byte{b} }, hangsUp: 30}
	r, err := Run(t.Context(), Options{Scenario: "pair", URL: f.serve(t), Connections: 1, Messages: 100, Quiet: 10 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	if s := &r.Steps[0]; s.Broken != 1 || s.Delivered != 20 || r.Clean() {
		t.Errorf("%d connections broken, %d messages delivered, clean: %v", s.Broken, s.Delivered, r.Clean())
	}
}

// A broker that does less than is asked of it is not measured as if it did all.
func TestCheapBroker(t *testing.T) {
	all := func(_ int, b []byte) [][]byte { return [][]byte{b} }
	t.Run("grants less", func(t *testing.T) {
		_, err := Run(t.Context(), Options{Scenario: "pair", URL: (&faulty{fault: all}).serve(t), Connections: 1, QoS: 1, Quiet: time.Minute})
		if err == nil || !strings.Contains(err.Error(), "grants QoS 0 to a subscription of QoS 1") {
			t.Error(err)
		}
	})
	for name, f := range map[string]*faulty{
		"PUBCOMP for PUBLISH": {fault: all, grants: 2, answer: packet.TypePubcomp},
		"PUBACK for QoS 2":    {fault: all, grants: 2, answer: packet.TypePuback},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := Run(t.Context(), Options{Scenario: "pair", URL: f.serve(t), Connections: 1, Messages: 10, QoS: 2, Quiet: time.Second})
			if err == nil && r.Clean() {
				t.Error("the run is called clean")
			}
		})
	}
	t.Run("PUBREC for QoS 1", func(t *testing.T) {
		f := &faulty{fault: all, grants: 1, answer: packet.TypePubrec}
		r, err := Run(t.Context(), Options{Scenario: "pair", URL: f.serve(t), Connections: 1, Messages: 10, QoS: 1, Quiet: time.Second})
		if err == nil && r.Clean() {
			t.Error("the run is called clean")
		}
	})
}
