package hub

import (
	"bytes"
	"hash/maphash"

	"github.com/nightjarmq/nightjar/internal/message"
	"github.com/nightjarmq/nightjar/internal/store"
	"github.com/nightjarmq/nightjar/internal/transport"
	"github.com/nightjarmq/nightjar/packet"
	"github.com/nightjarmq/nightjar/topic"
)

// ownPrefixes are the topics that only the broker writes.
var ownPrefixes = [...][]byte{[]byte("$SYS/"), []byte("$CONTROL/"), []byte("$nightjar/")}

func ownTopic(name []byte) bool {
	if name[0] != '$' {
		return false
	}
	for _, p := range ownPrefixes {
		if bytes.HasPrefix(name, p) || string(name) == string(p[:len(p)-1]) {
			return true
		}
	}
	return false
}

// bridgeState is where a bridge says at the other broker whether it is connected.
const bridgeState = "$SYS/broker/connection/+/state"

// mayPublish asks Access. Of the broker's own topics clients write to commands only,
// and those must be allowed by somebody; and bridges to their state.
func (h *Hub) mayPublish(c *Client, pub *message.Publication) bool {
	a := h.access()
	if ownTopic(pub.Topic) && !topic.Match(bridgeState, string(pub.Topic)) {
		return h.isCommand(pub.Topic) && a != nil && a.Publish(c, pub.Topic, pub.QoS, pub.Retain)
	}
	return a == nil || a.Publish(c, pub.Topic, pub.QoS, pub.Retain)
}

func (h *Hub) isCommand(name []byte) bool {
	return h.cfg.Command != nil && name[0] == '$' && bytes.HasPrefix(name, ownPrefixes[1])
}

// retainable reports whether the message may become a retained one.
func (h *Hub) retainable(pub *message.Publication) packet.Code {
	if h.limits.Load().RetainedOff {
		return packet.RetainNotSupported // [MQTT-3.2.2-14]
	}
	return h.mayRetain(pub)
}

// publishRetained makes the message the retained one of its topic and
// distributes it. The topic's lock is held meanwhile, so that of two messages
// the same one stays in the index and in the store. The index changes first:
// whoever subscribes in between finds the message there if the route has been
// made already.
func (h *Hub) publishRetained(b *transport.Batch, l *Local, from *Client, pub *message.Publication, incoming uint16) (packet.Code, store.Ticket, error) {
	if code := h.retainable(pub); code != packet.Success {
		l.reason = "there are as many retained messages as are allowed"
		return code, 0, nil
	}
	if end := h.limits.Load().RetainExpiry; from != nil && end != 0 && (pub.Expires == 0 || pub.Expires > pub.Now+end) {
		pub.Expires = pub.Now + end
	}
	mu := &h.retaining[maphash.Bytes(h.seed, pub.Topic)%shards]
	mu.Lock()
	defer mu.Unlock()
	var m *message.Message // nil: the retained message is removed [MQTT-3.3.1-6] [MQTT-3.3.1-7]
	if len(pub.Payload) > 0 {
		m = pub.Keep() // [MQTT-3.3.1-5]
	}
	topic := string(pub.Topic)
	old := h.retain(topic, m)
	code, t, err := h.distribute(b, l, from, pub, incoming)
	if err != nil {
		h.retain(topic, old)
	}
	return code, t, err
}

// retain makes m the retained message of the topic, nil for none, and returns
// what it replaces.
func (h *Hub) retain(topic string, m *message.Message) (old *message.Message) {
	if m == nil {
		old, _ = h.retained.Delete(topic)
	} else {
		old, _ = h.retained.Set(m.Topic, m)
		h.quotas.keep(m, 1)
		h.retainedBytes.Add(int64(len(m.Payload)))
	}
	if old != nil {
		h.quotas.keep(old, -1)
		h.retainedBytes.Add(-int64(len(old.Payload)))
	}
	return old
}
