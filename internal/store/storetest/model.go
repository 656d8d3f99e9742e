package storetest

import (
	"cmp"
	"maps"
	"slices"

	"github.com/nightjarmq/nightjar/internal/message"
	"github.com/nightjarmq/nightjar/internal/store"
)

// model is durable state at its simplest: maps, sorted slices, and everything
// that can be counted counted anew each time.
type model struct {
	sessions map[store.SessionID]*modelSession
	retained map[string]*message.Message
}

type modelSession struct {
	info     store.SessionInfo // but for what is counted
	subs     map[string]store.Subscription
	incoming map[uint16]bool
	entries  map[store.Seq]store.Entry
}

func newModel() *model {
	return &model{sessions: map[store.SessionID]*modelSession{}, retained: map[string]*message.Message{}}
}

// apply changes the model as r says. Published has its Seq.
func (m *model) apply(r store.Record) {
	switch r := r.(type) {
	case *store.SessionOpened:
		m.opened(r)
	case *store.SessionRemoved:
		delete(m.sessions, r.Session)
	case *store.Published:
		m.published(r)
	default:
		m.within(r)
	}
}

func (m *model) opened(r *store.SessionOpened) {
	if r.Session == 0 {
		return
	}
	s := m.sessions[r.Session]
	if s == nil {
		s = &modelSession{
			info:     store.SessionInfo{Session: r.Session, ClientID: r.ClientID, User: r.User},
			subs:     map[string]store.Subscription{},
			incoming: map[uint16]bool{},
			entries:  map[store.Seq]store.Entry{},
		}
		m.sessions[r.Session] = s
	}
	s.info.Epoch, s.info.Expiry, s.info.Will = r.Epoch, r.Expiry, r.Will
	s.info.Opened, s.info.Closed = r.Time, 0
}

func (m *model) published(r *store.Published) {
	if r.Retain {
		delete(m.retained, r.Message.Topic)
		if len(r.Message.Payload) > 0 {
			m.retained[r.Message.Topic] = r.Message
		}
	}
	for _, to := range r.To {
		s := m.sessions[to.Session]
		if s == nil {
			continue
		}
		if _, twice := s.entries[r.Seq]; twice {
			continue
		}
		e := store.Entry{Seq: r.Seq, Message: r.Message, QoS: to.QoS, Retain: to.Retain, IDs: to.IDs, Share: to.Share}
		if to.Epoch == s.info.Epoch {
			e.PacketID = to.PacketID
		}
		s.entries[r.Seq] = e
	}
	if s := m.sessions[r.From]; s != nil && r.FromID != 0 {
		s.incoming[r.FromID] = true
	}
}

// within applies the records that change one session and nothing else.
func (m *model) within(r store.Record) {
	switch r := r.(type) {
	case *store.SessionClosed:
		if s := m.sessions[r.Session]; s != nil {
			s.info.Expiry, s.info.Closed = r.Expiry, r.Time
			if !r.KeepWill {
				s.info.Will = nil
			}
		}
	case *store.WillTaken:
		if s := m.sessions[r.Session]; s != nil {
			s.info.Will = nil
		}
	case *store.Subscribed:
		if s := m.sessions[r.Session]; s != nil {
			s.subs[r.Filter] = store.Subscription{Filter: r.Filter, Options: r.Options, ID: r.ID}
		}
	case *store.Unsubscribed:
		if s := m.sessions[r.Session]; s != nil {
			delete(s.subs, r.Filter)
		}
	case *store.Sent:
		m.change(r.Session, r.Seq, r.PacketID, false)
	case *store.Received:
		m.change(r.Session, r.Seq, r.PacketID, true)
	case *store.Done:
		if s := m.sessions[r.Session]; s != nil {
			delete(s.entries, r.Seq)
		}
	case *store.Incoming:
		if s := m.sessions[r.Session]; s != nil && r.PacketID != 0 {
			s.incoming[r.PacketID] = true
		}
	case *store.Released:
		if s := m.sessions[r.Session]; s != nil {
			delete(s.incoming, r.PacketID)
		}
	}
}

// change gives an entry a packet identifier, and drops its message if release.
func (m *model) change(id store.SessionID, seq store.Seq, pid uint16, release bool) {
	s := m.sessions[id]
	if s == nil || pid == 0 {
		return
	}
	e, ok := s.entries[seq]
	if !ok || e.Released && !release {
		return
	}
	e.PacketID = pid
	if release {
		e = store.Entry{Seq: seq, PacketID: pid, Released: true, QoS: e.QoS, Retain: e.Retain}
	}
	s.entries[seq] = e
}

func (m *model) state() *State {
	st := &State{}
	once := map[store.Seq]*message.Message{}
	for _, id := range slices.Sorted(maps.Keys(m.sessions)) {
		ss := m.sessions[id].state()
		st.Sessions = append(st.Sessions, ss)
		st.Stats.Sessions++
		st.Stats.Subscriptions += len(ss.Info.Subscriptions)
		st.Stats.Queued += ss.Info.Queued
		for _, e := range m.sessions[id].entries {
			if e.Message != nil {
				once[e.Seq] = e.Message
			}
		}
	}
	for _, msg := range once {
		st.Stats.Messages++
		st.Stats.MessageBytes += int64(msg.Size())
	}
	for _, topic := range slices.Sorted(maps.Keys(m.retained)) {
		st.Retained = append(st.Retained, m.retained[topic])
		st.Stats.Retained++
		st.Stats.RetainedBytes += int64(m.retained[topic].Size())
	}
	return st
}

func (s *modelSession) state() SessionState {
	info := s.info
	for _, f := range slices.Sorted(maps.Keys(s.subs)) {
		info.Subscriptions = append(info.Subscriptions, s.subs[f])
	}
	res := &store.Resumption{Incoming: slices.Sorted(maps.Keys(s.incoming))}
	var waiting []store.Entry
	for _, e := range s.sorted() {
		info.Queued++
		size := int64(0)
		if e.Message != nil {
			size = int64(e.Message.Size())
		}
		info.QueuedBytes += size
		info.Shares = info.Shares || e.Share != ""
		if e.PacketID != 0 {
			res.Inflight = append(res.Inflight, e)
			continue
		}
		waiting = append(waiting, e)
		res.Queued++
		res.Bytes += size
	}
	return SessionState{Info: &info, Resume: res, Waiting: waiting}
}

func (s *modelSession) sorted() []store.Entry {
	return slices.SortedFunc(maps.Values(s.entries), func(a, b store.Entry) int { return cmp.Compare(a.Seq, b.Seq) })
}
