package hub

import (
	"bytes"
	"hash/maphash"

	"github.com/nightjarmq/nightjar/internal/message"
	"github.com/nightjarmq/nightjar/internal/store"
	"github.com/nightjarmq/nightjar/packet"
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

func (h *Hub) mayPublish(c *Client, pub *message.Publication) bool {
	if ownTopic(pub.Topic) {
		return false
	}
	return h.cfg.Access == nil || h.cfg.Access.Publish(c, pub.Topic, pub.QoS, pub.Retain)
}

// retainable reports whether the message may become a retained one.
func (h *Hub) retainable(pub *message.Publication) packet.Code {
	if h.cfg.RetainedOff {
		return packet.RetainNotSupported // [MQTT-3.2.2-14]
	}
	if h.cfg.MaxRetained == 0 || len(pub.Payload) == 0 || h.retained.Len() < h.cfg.MaxRetained {
		return packet.Success
	}
	if _, ok := h.retained.Get(string(pub.Topic)); ok {
		return packet.Success
	}
	return packet.QuotaExceeded
}

// submitRetaining submits the records of a message and, if it is a retained one,
// updates the index, so that of two messages of one topic the same one stays in
// the index and in the store.
func (h *Hub) submitRetaining(recs []store.Record, pub *message.Publication) (store.Ticket, error) {
	if !pub.Retain {
		return h.store.Submit(recs...)
	}
	mu := &h.retaining[maphash.Bytes(h.seed, pub.Topic)%shards]
	mu.Lock()
	defer mu.Unlock()
	t, err := h.store.Submit(recs...)
	if err == nil {
		h.retain(pub)
	}
	return t, err
}

// retain makes the message the retained one of its topic, or removes that.
// [MQTT-3.3.1-5] [MQTT-3.3.1-6] [MQTT-3.3.1-7]
func (h *Hub) retain(pub *message.Publication) {
	if len(pub.Payload) == 0 {
		if old, ok := h.retained.Delete(string(pub.Topic)); ok {
			h.retainedBytes.Add(-int64(len(old.Payload)))
		}
		return
	}
	m := pub.Keep()
	if old, ok := h.retained.Set(m.Topic, m); ok {
		h.retainedBytes.Add(-int64(len(old.Payload)))
	}
	h.retainedBytes.Add(int64(len(m.Payload)))
}
