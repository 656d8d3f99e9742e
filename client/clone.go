package client

import (
	"fmt"

	"github.com/nightjarmq/nightjar/packet"
)

// Clone copies a message with all its bytes, so that it can be kept after a handler has returned.
func Clone(m *packet.Publish) *packet.Publish {
	clone, _, err := encodeMessage(m)
	if err != nil {
		panic("client: Clone of a message that no server can have sent: " + err.Error())
	}
	clone.PacketID, clone.Dup = m.PacketID, m.Dup
	return clone
}

// encodeMessage copies a message. The bytes are the message as a PUBLISH of 5.0 with packet identifier 1, and the copy
// consists of them. It fails if the properties are not valid.
func encodeMessage(m *packet.Publish) (*packet.Publish, []byte, error) {
	p := *m
	p.Dup, p.PacketID = false, 1
	encoded := p.Append(nil, packet.V5)
	clone, err := decodeMessage(encoded)
	return clone, encoded, err
}

// decodeMessage is the inverse of encodeMessage. The message is made of b.
func decodeMessage(b []byte) (*packet.Publish, error) {
	h, ok, err := packet.ReadHeader(b)
	if err != nil || !ok || h.Type != packet.TypePublish || len(b) != h.Size+h.Remaining {
		return nil, fmt.Errorf("not a PUBLISH: %w", err)
	}
	p := new(packet.Publish)
	if err := p.Decode(h.Flags, b[h.Size:], packet.V5); err != nil {
		return nil, err
	}
	return p, nil
}
