package store

import (
	"slices"
	"strings"
)

// session is one session in memory. Its store's mutex guards it.
type session struct {
	id       SessionID
	epoch    uint32
	expiry   uint32
	clientID string
	user     string
	opened   int64
	closed   int64
	will     *Will

	subs     subscriptions
	incoming identifiers
	lastSeq  Seq // of the message queued last

	waiting  queue // without a packet identifier
	inflight queue // with one

	waitingBytes  int64
	inflightBytes int64
	released      int // entries of inflight without a message
	shared        int // entries whose message has other recipients, too
	grouped       int // entries of shared subscriptions
}

func (s *session) info() *SessionInfo {
	return &SessionInfo{
		Session:       s.id,
		Epoch:         s.epoch,
		ClientID:      s.clientID,
		User:          s.user,
		Expiry:        s.expiry,
		Closed:        s.closed,
		Opened:        s.opened,
		Will:          s.will,
		Subscriptions: s.subs.sorted(),
		Queued:        s.queued(),
		QueuedBytes:   s.waitingBytes + s.inflightBytes,
		Shares:        s.grouped > 0,
	}
}

func (s *session) queued() int { return s.waiting.n + s.inflight.n }

// push queues e, in flight if it has a packet identifier.
func (s *session) push(e entry) {
	s.count(e.more, 1)
	if e.pid == 0 {
		s.waitingBytes += int64(e.size)
		s.waiting.insert(e)
		return
	}
	s.inflightBytes += int64(e.size)
	s.inflight.insert(e)
}

// send makes the waiting entry seq one in flight and returns it, or the one
// that is in flight already; nil if there is neither.
func (s *session) send(seq Seq) *entry {
	e, ok := s.waiting.remove(seq)
	if ok {
		s.waitingBytes -= int64(e.size)
		s.inflightBytes += int64(e.size)
		s.inflight.insert(e)
	}
	return s.inflight.get(seq)
}

// pop takes the entry seq out, wherever it is.
func (s *session) pop(seq Seq) (entry, bool) {
	e, ok := s.inflight.remove(seq)
	if ok {
		s.inflightBytes -= int64(e.size)
		if e.msg == nil {
			s.released--
		}
	} else if e, ok = s.waiting.remove(seq); ok {
		s.waitingBytes -= int64(e.size)
	}
	s.count(e.more, -1)
	return e, ok
}

// count adds n to the counts of the entries that have more.
func (s *session) count(m *more, n int) {
	if m == nil {
		return
	}
	if m.share != nil {
		s.shared += n
	}
	if m.group != "" {
		s.grouped += n
	}
}

// subscriptions are those of one session. Most sessions have few: a list is
// searched from end to end until it is long enough for an index.
type subscriptions struct {
	list []Subscription
	at   map[string]int // filter to its place in list; nil while that is short
}

const indexedFrom = 16

func (ss *subscriptions) find(filter string) int {
	if ss.at != nil {
		if i, ok := ss.at[filter]; ok {
			return i
		}
		return -1
	}
	return slices.IndexFunc(ss.list, func(sub Subscription) bool { return sub.Filter == filter })
}

// set adds sub or replaces the one with its filter. It reports whether sub is
// new.
func (ss *subscriptions) set(sub Subscription) bool {
	if i := ss.find(sub.Filter); i >= 0 {
		ss.list[i] = sub
		return false
	}
	ss.list = append(ss.list, sub)
	switch {
	case ss.at != nil:
		ss.at[sub.Filter] = len(ss.list) - 1
	case len(ss.list) == indexedFrom:
		ss.at = make(map[string]int, 2*indexedFrom)
		for i := range ss.list {
			ss.at[ss.list[i].Filter] = i
		}
	}
	return true
}

// remove reports whether there was such a filter.
func (ss *subscriptions) remove(filter string) bool {
	i := ss.find(filter)
	if i < 0 {
		return false
	}
	last := len(ss.list) - 1
	ss.list[i] = ss.list[last]
	ss.list[last] = Subscription{}
	ss.list = ss.list[:last]
	if ss.at != nil {
		delete(ss.at, filter)
		if i < last {
			ss.at[ss.list[i].Filter] = i
		}
	}
	if last == 0 {
		ss.list, ss.at = nil, nil
	}
	return true
}

// sorted returns a copy in the order of the filters.
func (ss *subscriptions) sorted() []Subscription {
	subs := slices.Clone(ss.list)
	slices.SortFunc(subs, func(a, b Subscription) int { return strings.Compare(a.Filter, b.Filter) })
	return subs
}

// identifiers are packet identifiers, sorted.
type identifiers struct{ ids []uint16 }

func (x *identifiers) add(id uint16) {
	if i, found := slices.BinarySearch(x.ids, id); !found {
		x.ids = slices.Insert(x.ids, i, id)
	}
}

func (x *identifiers) remove(id uint16) {
	i, found := slices.BinarySearch(x.ids, id)
	if !found {
		return
	}
	x.ids = slices.Delete(x.ids, i, i+1)
	if len(x.ids)*8 <= cap(x.ids) && cap(x.ids) > 64 {
		x.ids = slices.Clone(x.ids)
	}
}
