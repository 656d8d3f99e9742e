package crash

import (
	"bufio"
	"fmt"
	"io"
	"sync"

	"github.com/nightjarmq/nightjar/packet"
)

// history is everything that all clients sent and received, in one order. A
// packet sent is noted before it is written, one received after it was read: if
// a is noted before b then it happened before b.
type history struct {
	mu  sync.Mutex
	w   *bufio.Writer // guarded by mu
	seq uint64        // guarded by mu
}

func newHistory(w io.Writer) *history { return &history{w: bufio.NewWriterSize(w, 1<<16)} }

// note writes a line and returns its number.
func (h *history) note(who, what string) uint64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.seq++
	fmt.Fprintf(h.w, "%d %s %s\n", h.seq, who, what)
	return h.seq
}

func (h *history) flush() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.w.Flush()
}

// describe says on one line what matters of a packet.
func describe(p packet.Packet) string {
	switch p := p.(type) {
	case *packet.Connect:
		return fmt.Sprintf("CONNECT v%d clean=%v expiry=%v will=%v", p.Version, p.CleanStart, p.SessionExpiry, p.Will != nil)
	case *packet.Connack:
		return fmt.Sprintf("CONNACK code=%#x present=%v", byte(p.Code), p.SessionPresent)
	case *packet.Publish:
		return fmt.Sprintf("PUBLISH id=%d qos=%d dup=%v retain=%v %s %.40s", p.PacketID, p.QoS, p.Dup, p.Retain, p.Topic, p.Payload)
	case *packet.Subscribe:
		return fmt.Sprintf("SUBSCRIBE id=%d %v", p.PacketID, p.Filters)
	case *packet.Suback:
		return fmt.Sprintf("SUBACK id=%d %v", p.PacketID, p.Codes)
	case *packet.Unsubscribe:
		return fmt.Sprintf("UNSUBSCRIBE id=%d %v", p.PacketID, p.Filters)
	}
	id, code := identifier(p)
	return fmt.Sprintf("%v id=%d code=%#x", p.Type(), id, byte(code))
}

// identifier returns the packet identifier and reason code of an answer.
func identifier(p packet.Packet) (uint16, packet.Code) {
	switch p := p.(type) {
	case *packet.Puback:
		return p.PacketID, p.Code
	case *packet.Pubrec:
		return p.PacketID, p.Code
	case *packet.Pubrel:
		return p.PacketID, p.Code
	case *packet.Pubcomp:
		return p.PacketID, p.Code
	case *packet.Suback:
		return p.PacketID, 0
	case *packet.Unsuback:
		return p.PacketID, 0
	case *packet.Disconnect:
		return 0, p.Code
	}
	return 0, 0
}
