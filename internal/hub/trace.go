package hub

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/nightjarmq/nightjar/internal/ration"
	"github.com/nightjarmq/nightjar/packet"
)

// Tracing reports whether details are logged.
func (h *Hub) Tracing() bool { return h.log.Enabled(context.Background(), slog.LevelDebug) }

// Trace logs whole packets that came from a client or go to it, in Mosquitto's
// words: way is "Received" or "Sending".
func (h *Hub) Trace(way, id string, v packet.Version, raw []byte) {
	if !h.Tracing() {
		return
	}
	id = ration.Cut(id)
	link := " from "
	if way == "Sending" {
		link = " to "
	}
	for len(raw) > 0 {
		head, ok, err := packet.ReadHeader(raw)
		if err != nil || !ok || len(raw) < head.Size+head.Remaining {
			return
		}
		body := raw[head.Size : head.Size+head.Remaining]
		raw = raw[head.Size+head.Remaining:]
		p, err := packet.Decode(head, body, v)
		if err != nil {
			continue // why it cannot be read is logged where it ends the connection
		}
		h.log.Debug(way+" "+p.Type().String()+link+id+details(p), "event", "packet", "client", id)
	}
}

// details are what Mosquitto says in parentheses.
func details(p packet.Packet) string {
	switch p := p.(type) {
	case *packet.Publish:
		return fmt.Sprintf(" (d%d, q%d, r%d, m%d, '%s', ... (%d bytes))", bit(p.Dup), p.QoS, bit(p.Retain), p.PacketID, ration.Cut(string(p.Topic)), len(p.Payload))
	case *packet.Puback:
		return ack(p.PacketID, p.Code)
	case *packet.Pubrec:
		return ack(p.PacketID, p.Code)
	case *packet.Pubrel:
		return ack(p.PacketID, p.Code)
	case *packet.Pubcomp:
		return ack(p.PacketID, p.Code)
	case *packet.Connack:
		return fmt.Sprintf(" (%d, %d)", bit(p.SessionPresent), p.Code)
	case *packet.Disconnect:
		return fmt.Sprintf(" (%d)", p.Code)
	}
	return ""
}

func ack(id uint16, code packet.Code) string { return fmt.Sprintf(" (m%d, rc%d)", id, code) }

func bit(b bool) int {
	if b {
		return 1
	}
	return 0
}
