package broker

import (
	"bytes"
	"testing"
	"testing/synctest"

	"github.com/nightjarmq/nightjar/packet"
	"github.com/nightjarmq/nightjar/packet/packettest"
)

// FuzzStream: whatever a client sends behind its CONNECT, the broker answers the same however the bytes are cut, ends what
// it must end, and another client notices nothing.
func FuzzStream(f *testing.F) {
	for _, c := range packettest.Cases() {
		f.Add(byte(c.Version), 1, c.Bytes)
	}
	for _, r := range packettest.Refusals() {
		f.Add(byte(r.Version), 2, r.Bytes)
	}
	f.Add(byte(5), 9, []byte("\x82\x07\x00\x01\x00\x00\x01a\x02\x35\x06\x00\x01a\x00\x01\x00\x62\x02\x00\x01\xc0\x00\xe0\x00"))
	f.Fuzz(func(t *testing.T, v byte, cut int, stream []byte) {
		version := packet.V31 + packet.Version(v%3)
		cut = int(uint(cut) % uint(len(stream)+1))
		var whole, parts []byte
		synctest.Test(t, func(t *testing.T) {
			whole = streamed(t, version, stream)
			parts = streamed(t, version, stream[:cut], stream[cut:])
		})
		if !bytes.Equal(whole, parts) {
			t.Errorf("%x is answered by %x, and cut at %d by %x", stream, whole, cut, parts)
		}
	})
}

// streamed gives what a new broker says to a client that sends the parts.
func streamed(t *testing.T, v packet.Version, parts ...[]byte) (answer []byte) {
	b, stop := run(t, Config{Loops: -1, MaxPacketSize: 1 << 16})
	defer stop()
	witness, c := pipe(t, b), pipe(t, b)
	hello := packet.Connect{Version: packet.V311, CleanStart: true, ClientID: "witness"}
	exchange(t, witness, &hello, "\x20\x02\x00\x00")
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for chunk := make([]byte, 4096); ; {
			n, err := c.Read(chunk)
			if answer = append(answer, chunk[:n]...); err != nil {
				return
			}
		}
	}()
	hello.Version, hello.ClientID = v, "client"
	for _, p := range append([][]byte{hello.Append(nil, v)}, parts...) {
		if _, err := c.Write(p); err != nil {
			break // it has been closed
		}
		synctest.Wait()
	}
	c.Close()
	<-ended
	exchange(t, witness, &packet.Pingreq{}, "\xd0\x00")
	return answer
}
