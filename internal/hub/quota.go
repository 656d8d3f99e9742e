package hub

import (
	"sync"
	"sync/atomic"

	"github.com/nightjarmq/nightjar/internal/message"
	"github.com/nightjarmq/nightjar/packet"
)

// quotas counts what clients may have only so much of.
type quotas struct {
	kept      atomic.Int64 // retained messages of clients
	keptBytes atomic.Int64 // what they take in memory

	mu    sync.Mutex
	users map[string]int // sessions of each user but the anonymous; guarded by mu
}

// mayOpen refuses a session beyond what all, or the user, may have.
func (h *Hub) mayOpen(user string) error {
	lim := h.limits.Load()
	if most := lim.MaxClients; most > 0 && h.sessions.Load() >= int64(most) {
		return &packet.Error{Code: packet.QuotaExceeded, Clause: "MQTT-3.1.4-2", Msg: "there are as many sessions as are allowed"}
	}
	if most := lim.MaxUserClients; most > 0 && h.quotas.of(user) >= most {
		return &packet.Error{Code: packet.QuotaExceeded, Clause: "MQTT-3.1.4-2", Msg: "the user has as many sessions as are allowed"}
	}
	return nil
}

func (q *quotas) of(user string) int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.users[user]
}

// count notes that n sessions of the user have come.
func (h *Hub) count(user string, n int) {
	h.sessions.Add(int64(n))
	if user == "" {
		return
	}
	q := &h.quotas
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.users == nil {
		q.users = make(map[string]int)
	}
	if q.users[user] += n; q.users[user] <= 0 {
		delete(q.users, user)
	}
}

// mayRetain refuses a retained message beyond what clients may have. The broker's
// own do not count.
func (h *Hub) mayRetain(pub *message.Publication) packet.Code {
	lim := h.limits.Load()
	if len(pub.Payload) == 0 || lim.MaxRetained == 0 && lim.MaxRetainedBytes == 0 || ownTopic(pub.Topic) {
		return packet.Success
	}
	more, size := 1, pub.Size()
	if old, ok := h.retained.Get(string(pub.Topic)); ok {
		more, size = 0, size-old.Size()
	}
	if lim.MaxRetained > 0 && more > 0 && h.quotas.kept.Load() >= int64(lim.MaxRetained) ||
		lim.MaxRetainedBytes > 0 && size > 0 && h.quotas.keptBytes.Load()+int64(size) > int64(lim.MaxRetainedBytes) {
		return packet.QuotaExceeded
	}
	return packet.Success
}

// keep counts a retained message that has come, or gone.
func (q *quotas) keep(m *message.Message, n int64) {
	if m.Topic[0] == '$' && ownTopic([]byte(m.Topic)) {
		return
	}
	q.kept.Add(n)
	q.keptBytes.Add(n * int64(m.Size()))
}
