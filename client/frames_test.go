package client

import (
	"bytes"
	"testing"
	"testing/iotest"

	"github.com/nightjarmq/nightjar/packet"
)

// However the stream is cut into reads, the same packets come out, and no length makes the buffer outgrow the input.
func FuzzFrames(f *testing.F) {
	f.Add([]byte{0xD0, 0, 0x40, 2, 0, 1, 0x30, 3, 0, 1, 'a'})
	f.Add([]byte{0x30, 0xFF, 0xFF, 0xFF, 0x7F, 1})
	f.Fuzz(func(t *testing.T, stream []byte) {
		read := func(fr *frames) (packets [][]byte) {
			for {
				h, body, err := fr.next()
				if err != nil {
					return packets
				}
				packets = append(packets, append([]byte{byte(h.Type)<<4 | h.Flags}, body...))
			}
		}
		whole := &frames{r: bytes.NewReader(stream), max: packet.MaxVarint}
		slow := &frames{r: iotest.OneByteReader(bytes.NewReader(stream)), max: packet.MaxVarint}
		a, b := read(whole), read(slow)
		if len(a) != len(b) {
			t.Fatalf("%d packets, %d when read byte by byte", len(a), len(b))
		}
		for i := range a {
			if !bytes.Equal(a[i], b[i]) {
				t.Errorf("packet %d differs", i)
			}
		}
		if limit := 5*len(stream) + 2*keepBuffer; cap(whole.buf) > limit {
			t.Errorf("%d bytes of buffer for %d bytes of input", cap(whole.buf), len(stream))
		}
	})
}
