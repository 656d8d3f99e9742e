package store

// apply makes the change of state that r stands for. It depends on the state
// and on r alone. A record for a session that is not there changes nothing of
// that session: its connection may have had it under way when the session ended.
func (m *Memory) apply(r Record) {
	switch r := r.(type) {
	case *SessionOpened:
		m.sessionOpened(r)
	case *SessionClosed:
		m.sessionClosed(r)
	case *SessionRemoved:
		m.sessionRemoved(r)
	case *WillTaken:
		m.willTaken(r)
	case *Subscribed:
		m.subscribed(r)
	case *Unsubscribed:
		m.unsubscribed(r)
	case *Published:
		m.published(r)
	case *Sent:
		m.sent(r)
	case *Received:
		m.received(r)
	case *Done:
		m.done(r)
	case *Incoming:
		m.incoming(r.Session, r.PacketID)
	case *Released:
		m.released(r)
	}
}

func (m *Memory) sessionOpened(r *SessionOpened) {
	if r.Session == 0 {
		return
	}
	s := m.sessions[r.Session]
	if s == nil {
		s = &session{id: r.Session, clientID: r.ClientID, user: r.User}
		m.sessions[r.Session] = s
		m.lastSession = max(m.lastSession, r.Session) // never given out again
		m.stats.Sessions++
	}
	s.epoch, s.expiry, s.will = r.Epoch, r.Expiry, r.Will
	s.opened, s.closed = r.Time, 0
}

func (m *Memory) sessionClosed(r *SessionClosed) {
	s := m.sessions[r.Session]
	if s == nil {
		return
	}
	s.expiry, s.closed = r.Expiry, r.Time
	if !r.KeepWill {
		s.will = nil
	}
}

func (m *Memory) sessionRemoved(r *SessionRemoved) {
	s := m.sessions[r.Session]
	if s == nil {
		return
	}
	delete(m.sessions, r.Session)
	m.stats.Sessions--
	m.stats.Subscriptions -= len(s.subs.list)
	m.stats.Queued -= s.queued()
	if s.shared > 0 {
		m.loose = append(append(m.loose, s.waiting.chunks...), s.inflight.chunks...)
		return
	}
	m.stats.Messages -= s.queued() - s.released
	m.stats.MessageBytes -= s.waitingBytes + s.inflightBytes
}

func (m *Memory) willTaken(r *WillTaken) {
	if s := m.sessions[r.Session]; s != nil {
		s.will = nil
	}
}

func (m *Memory) subscribed(r *Subscribed) {
	s := m.sessions[r.Session]
	if s != nil && s.subs.set(Subscription{Filter: r.Filter, Options: r.Options, ID: r.ID}) {
		m.stats.Subscriptions++
	}
}

func (m *Memory) unsubscribed(r *Unsubscribed) {
	if s := m.sessions[r.Session]; s != nil && s.subs.remove(r.Filter) {
		m.stats.Subscriptions--
	}
}

func (m *Memory) published(r *Published) {
	if r.Retain {
		m.retain(r)
	}
	m.enqueue(r)
	m.incoming(r.From, r.FromID)
}

func (m *Memory) retain(r *Published) {
	topic := r.Message.Topic
	if old := m.retained[topic]; old != nil {
		delete(m.retained, topic) // with its key, which lies in the old message
		m.stats.Retained--
		m.stats.RetainedBytes -= int64(old.Size())
	}
	if len(r.Message.Payload) == 0 { // [MQTT-3.3.1-6]
		return
	}
	m.retained[topic] = r.Message // [MQTT-3.3.1-5]
	m.stats.Retained++
	m.stats.RetainedBytes += int64(r.Message.Size())
}

// enqueue queues the message for each recipient that is there.
func (m *Memory) enqueue(r *Published) {
	size := uint32(r.Message.Size())
	var plain *more // of all deliveries without Subscription Identifiers and group
	if len(r.To) > 1 {
		plain = &more{share: &share{}}
	}
	queued := 0
	for i := range r.To {
		to := &r.To[i]
		s := m.sessions[to.Session]
		if s == nil || s.lastSeq == r.Seq {
			continue
		}
		s.lastSeq = r.Seq
		e := entry{seq: r.Seq, msg: r.Message, more: plain, size: size, qos: to.QoS, retain: to.Retain}
		if to.Epoch == s.epoch {
			e.pid = to.PacketID
		}
		if len(to.IDs) > 0 || to.Share != "" {
			e.more = &more{ids: to.IDs, group: to.Share}
			if plain != nil {
				e.more.share = plain.share
			}
		}
		s.push(e)
		queued++
	}
	if queued == 0 {
		return
	}
	if plain != nil {
		plain.share.refs = queued
	}
	m.stats.Queued += queued
	m.stats.Messages++
	m.stats.MessageBytes += int64(size)
}

func (m *Memory) sent(r *Sent) {
	s := m.sessions[r.Session]
	if s == nil || r.PacketID == 0 {
		return
	}
	if e := s.send(r.Seq); e != nil && e.msg != nil {
		e.pid = r.PacketID
	}
}

func (m *Memory) received(r *Received) {
	s := m.sessions[r.Session]
	if s == nil || r.PacketID == 0 {
		return
	}
	e := s.send(r.Seq)
	if e == nil {
		return
	}
	e.pid = r.PacketID
	if e.msg == nil {
		return
	}
	m.forget(e)
	s.count(e.more, -1)
	s.inflightBytes -= int64(e.size)
	s.released++
	e.msg, e.more, e.size = nil, nil, 0
}

func (m *Memory) done(r *Done) {
	s := m.sessions[r.Session]
	if s == nil {
		return
	}
	if e, ok := s.pop(r.Seq); ok {
		m.stats.Queued--
		m.forget(&e)
	}
}

// forget counts e's message out when e was its last delivery.
func (m *Memory) forget(e *entry) {
	if e.msg == nil {
		return
	}
	if e.more != nil && e.more.share != nil {
		e.more.share.refs--
		if e.more.share.refs > 0 {
			return
		}
	}
	m.stats.Messages--
	m.stats.MessageBytes -= int64(e.size)
}

// incoming opens a QoS 2 packet identifier. [MQTT-4.3.3-8]
func (m *Memory) incoming(id SessionID, pid uint16) {
	if s := m.sessions[id]; s != nil && pid != 0 {
		s.incoming.add(pid)
	}
}

func (m *Memory) released(r *Released) {
	if s := m.sessions[r.Session]; s != nil {
		s.incoming.remove(r.PacketID)
	}
}
