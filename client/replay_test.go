package client

import (
	"io"
	"net"
	"path/filepath"
	"testing"

	"github.com/nightjarmq/nightjar/client/internal/journal"
	"github.com/nightjarmq/nightjar/packet"
)

// FuzzReplay: no journal, whatever its records, makes NewKeeper panic, and what it restores is what a snapshot of it
// restores.
func FuzzReplay(f *testing.F) {
	_, encoded, err := encodeMessage(&packet.Publish{Topic: []byte("a"), QoS: 2, Payload: []byte("p")})
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte{recordMessage, 1, recordNumber, 1, recordTaken, 1, recordInbound, 7}, append(make([]byte, 8), encoded...), []byte{0, 5})
	f.Add([]byte{recordMessage, 1, recordDone, 1, recordInbound, 7, recordReleased, 7}, []byte{}, []byte{})
	f.Fuzz(func(t *testing.T, steps, message, number []byte) {
		path := filepath.Join(t.TempDir(), "journal")
		j, _, err := journal.Open(path, nil)
		if err != nil {
			t.Fatal(err)
		}
		var last journal.Ticket
		for ; len(steps) >= 2; steps = steps[2:] {
			data := map[byte][]byte{recordMessage: message, recordNumber: number}[steps[0]]
			last = j.Append(journal.Record{Kind: steps[0], Seq: uint64(steps[1]), Data: data})
		}
		if err := j.Commit(last); err != nil {
			t.Fatal(err)
		}
		j.Close()
		o := KeeperOptions{Servers: []string{"mqtt://x"}, Queue: Queue{Journal: path}}
		k, err := NewKeeper(o)
		if err != nil {
			return
		}
		before, inbound := len(k.out.all()), len(k.inbound)
		if err := k.journal.Compact(func(cut func()) []journal.Record { cut(); return k.snapshot() }); err != nil {
			t.Fatal(err)
		}
		k.journal.Close()
		if k, err = NewKeeper(o); err != nil {
			t.Fatal(err)
		}
		defer k.journal.Close()
		if n := len(k.out.all()); n != before || k.Pending() != before || len(k.inbound) != inbound {
			t.Errorf("%d messages and %d numbers became %d and %d", before, inbound, n, len(k.inbound))
		}
	})
}

// FuzzProxyAnswer: whatever a proxy answers, asking it ends without a panic.
func FuzzProxyAnswer(f *testing.F) {
	f.Add([]byte("\x05\x02\x01\x00\x05\x00\x00\x03\x04abcdxx"))
	f.Add([]byte("HTTP/1.1 200 OK\r\nA: b\r\n\r\n"))
	f.Add([]byte("HTTP/1.1\r\n\r\n"))
	f.Fuzz(func(t *testing.T, answer []byte) {
		x := proxy{user: "u", password: "p"}
		for _, ask := range []func(net.Conn, string) error{x.socks, x.connect} {
			near, far := net.Pipe()
			read := make(chan struct{})
			go func() {
				defer close(read)
				io.Copy(io.Discard, far)
			}()
			go func() {
				far.Write(answer)
				far.Close()
			}()
			ask(near, "host:1883")
			near.Close()
			<-read
		}
	})
}
