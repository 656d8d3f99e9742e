package cli

import (
	"bufio"
	"fmt"
	"io"
	"sync"

	"github.com/nightjarmq/nightjar/packet"
)

// output is standard output, shared by the goroutines of a client.
type output struct {
	mu sync.Mutex
	w  *bufio.Writer // guarded by mu
}

func newOutput(w io.Writer) *output { return &output{w: bufio.NewWriter(w)} }

// write lets f write and flushes, so that a reader at the other end of a pipe sees every message at once.
func (out *output) write(f func(w *bufio.Writer)) {
	out.mu.Lock()
	defer out.mu.Unlock()
	f(out.w)
	out.w.Flush()
}

func (out *output) printf(format string, args ...any) {
	out.write(func(w *bufio.Writer) { fmt.Fprintf(w, format, args...) })
}

// trace prints packets in the form of mosquitto's -d. The client calls it for one packet after the other.
type trace struct {
	out  *output
	id   string
	sent uint16 // mosquitto numbers messages with QoS 0, too
}

func newTrace(out *output, id string) *trace {
	t := &trace{out: out, id: id}
	if id == "" {
		t.id = "(null)"
	}
	return t
}

func (t *trace) packet(sent bool, p packet.Packet) {
	if a, ok := p.(*packet.Connack); ok && a.AssignedClientID.Set {
		t.id = a.AssignedClientID.Value
	}
	if s, ok := p.(*packet.Subscribe); ok {
		for _, f := range s.Filters {
			t.line("sending SUBSCRIBE (Mid: %d, Topic: %s, QoS: %d, Options: 0x%02x)", s.PacketID, f.Filter, f.QoS, optionBits(f.Options))
		}
		return
	}
	text := ""
	if sent {
		text = t.sending(p)
	} else {
		text = t.received(p)
	}
	t.line("%s", text)
}

func (t *trace) line(format string, args ...any) {
	t.out.printf("Client %s %s\n", t.id, fmt.Sprintf(format, args...))
}

func (t *trace) sending(p packet.Packet) string {
	switch p := p.(type) {
	case *packet.Publish:
		id := p.PacketID
		if t.sent++; id == 0 {
			id = t.sent
		}
		return "sending " + publishText(p, id)
	case *packet.Puback:
		return fmt.Sprintf("sending PUBACK (m%d, rc%d)", p.PacketID, p.Code)
	case *packet.Pubrec:
		return fmt.Sprintf("sending PUBREC (m%d, rc%d)", p.PacketID, p.Code)
	case *packet.Pubrel:
		return fmt.Sprintf("sending PUBREL (m%d)", p.PacketID)
	case *packet.Pubcomp:
		return fmt.Sprintf("sending PUBCOMP (m%d)", p.PacketID)
	case *packet.Unsubscribe:
		text := fmt.Sprintf("sending UNSUBSCRIBE (Mid: %d", p.PacketID)
		for _, f := range p.Filters {
			text += ", Topic: " + f
		}
		return text + ")"
	}
	return "sending " + p.Type().String()
}

func (t *trace) received(p packet.Packet) string {
	switch p := p.(type) {
	case *packet.Publish:
		return "received " + publishText(p, p.PacketID)
	case *packet.Connack:
		return fmt.Sprintf("received CONNACK (%d)", p.Code)
	case *packet.Puback:
		return fmt.Sprintf("received PUBACK (Mid: %d, RC:%d)", p.PacketID, p.Code)
	case *packet.Pubrec:
		return fmt.Sprintf("received PUBREC (Mid: %d)", p.PacketID)
	case *packet.Pubrel:
		return fmt.Sprintf("received PUBREL (Mid: %d)", p.PacketID)
	case *packet.Pubcomp:
		return fmt.Sprintf("received PUBCOMP (Mid: %d, RC:%d)", p.PacketID, p.Code)
	case *packet.Disconnect:
		return fmt.Sprintf("received DISCONNECT (%d)", p.Code)
	}
	return "received " + p.Type().String()
}

func publishText(p *packet.Publish, id uint16) string {
	topic := string(p.Topic)
	if topic == "" {
		topic = "(null)"
	}
	bit := map[bool]int{true: 1}
	return fmt.Sprintf("PUBLISH (d%d, q%d, r%d, m%d, '%s', ... (%d bytes))", bit[p.Dup], p.QoS, bit[p.Retain], id, topic, len(p.Payload))
}

// optionBits are the subscription options as on the wire, without the QoS.
func optionBits(o packet.Options) byte {
	bits := o.RetainHandling << 4
	if o.NoLocal {
		bits |= 0x04
	}
	if o.RetainAsPublished {
		bits |= 0x08
	}
	return bits
}
