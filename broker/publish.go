package broker

import (
	"context"
	"fmt"

	"github.com/nightjarmq/nightjar/internal/hub"
	"github.com/nightjarmq/nightjar/internal/message"
	"github.com/nightjarmq/nightjar/packet"
	"github.com/nightjarmq/nightjar/topic"
)

// Message is what [Broker.Publish] publishes.
type Message struct {
	Topic   string
	Payload []byte
	QoS     byte
	Retain  bool
}

// Publish publishes a message as the broker itself, which may write to every
// topic. It returns when everything that an acknowledgement would imply is
// durable. The payload is not kept. Errors: an invalid topic or QoS, more
// than the protocol's 256 MiB, a store that refuses, the end of ctx.
func (b *Broker) Publish(ctx context.Context, m Message) error {
	if err := topic.ValidateName(m.Topic); err != nil {
		return fmt.Errorf("publish to %q: %w", m.Topic, err)
	}
	if !packet.ValidUTF8([]byte(m.Topic)) {
		return fmt.Errorf("publish to %q: the topic is not UTF-8", m.Topic)
	}
	if m.QoS > 2 {
		return fmt.Errorf("publish to %q: QoS %d does not exist", m.Topic, m.QoS)
	}
	const lengths = 5 // of topic and properties, and a packet identifier
	if lengths+len(m.Topic)+len(m.Payload) > packet.MaxVarint {
		return fmt.Errorf("publish to %q: %d bytes do not fit into a packet", m.Topic, len(m.Payload))
	}
	batch := b.net.Batch()
	var pub message.Publication
	pub.Set(&packet.Publish{Topic: []byte(m.Topic), Payload: m.Payload, QoS: m.QoS, Retain: m.Retain}, nil, packet.V311, batch.Now)
	code, ticket, err := b.hub.Publish(batch, nil, &pub, 0)
	hub.LocalOf(batch).Sync(batch.Now)
	b.net.ReleaseBatch(batch)
	if err != nil {
		return err
	}
	if code >= packet.UnspecifiedError {
		return &packet.Error{Code: code, Clause: "3.3.4", Msg: "the message was refused"}
	}
	return b.hub.WaitDurable(ctx, ticket)
}
