package client

import (
	"io"

	"github.com/nightjarmq/nightjar/packet"
)

const (
	firstBuffer = 4 << 10
	keepBuffer  = 64 << 10 // a larger buffer is given back when it is empty
)

// frames cuts a byte stream into packets. A body is borrowed until the next call of next.
type frames struct {
	r     io.Reader
	max   int // largest packet that is accepted, in bytes
	buf   []byte
	start int // first unread byte of buf
}

// next returns the next packet, reading as often as that takes.
func (f *frames) next() (packet.Header, []byte, error) {
	for {
		h, ok, err := packet.ReadHeader(f.buf[f.start:])
		if err != nil {
			return h, nil, err
		}
		need := 2
		if ok {
			need = h.Size + h.Remaining
			if need > f.max {
				// [MQTT-3.1.2-24]
				return h, nil, violation(packet.PacketTooLarge, "MQTT-3.1.2-24", "packet larger than the Maximum Packet Size")
			}
			if len(f.buf)-f.start >= need {
				body := f.buf[f.start+h.Size : f.start+need]
				f.start += need
				return h, body, nil
			}
		}
		if err := f.fill(need); err != nil {
			return h, nil, err
		}
	}
}

// fill reads once, after making room for a packet of need bytes.
func (f *frames) fill(need int) error {
	rest := len(f.buf) - f.start
	switch {
	case rest == 0 && cap(f.buf) > keepBuffer && need <= keepBuffer:
		f.buf, f.start = make([]byte, 0, firstBuffer), 0
	case rest == 0:
		f.buf, f.start = f.buf[:0], 0
	case f.start > 0 && cap(f.buf)-f.start < max(need, rest+1):
		copy(f.buf, f.buf[f.start:])
		f.buf, f.start = f.buf[:rest], 0
	}
	if want := max(need, rest+1); len(f.buf) == cap(f.buf) {
		// A length alone must not make us allocate 256 MiB, so the buffer grows with what has arrived.
		size := max(firstBuffer, min(want, 4*rest+keepBuffer))
		grown := make([]byte, rest, size)
		copy(grown, f.buf[f.start:])
		f.buf, f.start = grown, 0
	}
	n, err := f.r.Read(f.buf[len(f.buf):cap(f.buf)])
	f.buf = f.buf[:len(f.buf)+n]
	if n > 0 {
		return nil
	}
	if err == io.EOF && rest > 0 {
		return io.ErrUnexpectedEOF
	}
	if err == nil {
		return io.ErrNoProgress
	}
	return err
}
