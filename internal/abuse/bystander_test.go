package abuse

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/nightjarmq/nightjar/broker"
	"github.com/nightjarmq/nightjar/packet"
)

// fault is what a client does that no client may do.
type fault struct {
	name string
	id   string // connect with this identifier first; "": do not
	raw  string
	long int          // bytes of nothing behind it
	code packet.Code  // of the DISCONNECT, 0: closed without one, or by CONNACK
	ack  *packet.Code // in the CONNACK
	new  bool         // 5.0 alone forbids it
}

func code(c packet.Code) *packet.Code { return &c }

// faults is one of each kind; the tables of packet/packettest and the scripts have
// them all.
var faults = []fault{
	{name: "nothing like MQTT", raw: "'SSH-2.0-OpenSSH_9.9' 0d0a"},
	{name: "PUBLISH first", raw: "30 03 0001 't'"},
	{name: "a length of five bytes", raw: "10 ffffffff 01"},
	{name: "a protocol from nowhere", raw: "10 0d 0004 'HTTP' 05 02 0000 0001 'a'", ack: code(packet.UnsupportedProtocolVersion)},
	{name: "the name of another", id: "fault", raw: "10 15 0004 'MQTT' 05 02 0000 00 0008 'listener'", code: packet.ProtocolError},
	{name: "type 0", id: "fault", raw: "00 00", code: packet.MalformedPacket},
	{name: "CONNACK of a client", id: "fault", raw: "20 03 00 00 00", code: packet.ProtocolError},
	{name: "SUBACK without codes", id: "fault", raw: "90 00", code: packet.ProtocolError},
	{name: "QoS 3", id: "fault", raw: "36 06 0001 't' 0001 00", code: packet.MalformedPacket},
	{name: "a wildcard in a topic", id: "fault", raw: "30 08 0005 'abu/#' 00", code: packet.TopicNameInvalid},
	{name: "a topic that is no text", id: "fault", raw: "30 05 0002 ff fe 00", code: packet.MalformedPacket},
	{name: "properties behind the end", id: "fault", raw: "30 06 0001 't' ff7f 00", code: packet.MalformedPacket, new: true},
	{name: "an alias that was not set", id: "fault", raw: "30 06 0000 03 23 0001", code: packet.ProtocolError, new: true},
	{name: "16 MiB and more", id: "fault", raw: "30 ffffff7f 0001 't' 00", code: packet.PacketTooLarge, long: 100_000},
	{name: "no filter", id: "fault", raw: "82 03 0001 00", code: packet.ProtocolError},
	{name: "65,535 levels", id: "fault", raw: "30 82 80 04 ffff '" + strings.Repeat("/", 65535) + "' 00", code: packet.TopicNameInvalid},
	{name: "AUTH that nobody asked for", id: "fault", raw: "f0 00", code: packet.ProtocolError},
	{name: "acknowledgement of identifier 0", id: "fault", raw: "40 02 0000", code: packet.ProtocolError},
}

func (f *fault) bytes() []byte {
	return append(bytesOf(f.raw), make([]byte, f.long)...)
}

func (f *fault) commit(t *testing.T, addr, id string) {
	p := dial(t, addr, packet.V5)
	if f.id != "" {
		p = join(t, addr, packet.V5, f.id+id)
	}
	p.write(f.bytes())
	switch {
	case f.ack != nil:
		p.v = packet.V311 // they do not speak our version
		if k, ok := p.next().(*packet.Connack); !ok || k.Code != *f.ack {
			t.Errorf("%s: %+v", f.name, k)
		}
		p.closed()
	case f.code != 0:
		p.ended(f.code)
	default:
		if rest, err := readAll(p); err != nil || len(rest) > 0 {
			t.Errorf("%s: %x, %v", f.name, rest, err)
		}
	}
}

// TestBystanders: while clients do all kinds of things that they must not, at the
// same loop and as fast as they can, a conversation goes on: nothing in it is
// lost, repeated or out of order, and nobody in it is disconnected.
func TestBystanders(t *testing.T) {
	const messages = 400
	_, addr := start(t, broker.Config{Loops: 1})
	sub := join(t, addr, packet.V311, "listener")
	sub.subscribe(2, "calm/#")
	pub := join(t, addr, packet.V5, "speaker")
	enough := make(chan struct{})
	var crowd sync.WaitGroup
	for n := range 3 {
		crowd.Go(func() {
			for i := n; ; i++ {
				select {
				case <-enough:
					if i >= n+len(faults) { // each at least once
						return
					}
				default:
				}
				faults[i%len(faults)].commit(t, addr, fmt.Sprint(n))
			}
		})
	}
	for i := range messages {
		pub.send(&packet.Publish{Topic: []byte("calm/a"), Payload: fmt.Appendf(nil, "%d", i), QoS: 2, PacketID: uint16(i + 1)})
		pub.want(packet.TypePubrec)
		pub.send(&packet.Pubrel{PacketID: uint16(i + 1)})
		pub.want(packet.TypePubcomp)
		k := sub.want(packet.TypePublish).(*packet.Publish)
		if string(k.Payload) != fmt.Sprint(i) || k.Dup {
			t.Fatalf("%q came, want %d", k.Payload, i)
		}
		sub.send(&packet.Pubrec{PacketID: k.PacketID})
		sub.want(packet.TypePubrel)
		sub.send(&packet.Pubcomp{PacketID: k.PacketID})
	}
	close(enough)
	crowd.Wait()
	sub.alive()
	pub.alive()
}

// TestFaults: the same in both versions, one after the other: 5.0 is told
// why, 3.1.1 is closed without a word. [MQTT-4.13.1-1] [3.1.1: MQTT-4.8.0-1]
func TestFaults(t *testing.T) {
	_, addr := start(t, broker.Config{})
	for i := range faults {
		f := &faults[i]
		f.commit(t, addr, "")
		if f.id == "" || f.new {
			continue
		}
		old := join(t, addr, packet.V311, "old")
		old.write(f.bytes())
		old.closed()
	}
}
