package storetest

import (
	"fmt"
	"slices"
	"strings"

	"github.com/nightjarmq/nightjar/internal/message"
	"github.com/nightjarmq/nightjar/internal/store"
)

// State is everything that the interface shows of a store. Two stores in the
// same state have States that are deeply equal.
type State struct {
	Sessions []SessionState
	Retained []*message.Message // by topic
	Stats    store.Stats
}

// SessionState is a session in a [State].
type SessionState struct {
	Info    *store.SessionInfo
	Resume  *store.Resumption
	Waiting []store.Entry
}

// Observe reads the state of a store that nobody changes meanwhile.
func Observe(s store.Store) (*State, error) {
	st := &State{Stats: s.Stats()}
	err := s.Sessions(func(info *store.SessionInfo) bool {
		st.Sessions = append(st.Sessions, SessionState{Info: info})
		return true
	})
	if err != nil {
		return nil, err
	}
	for i := range st.Sessions {
		ss := &st.Sessions[i]
		if ss.Resume, err = s.Resume(ss.Info.Session); err != nil {
			return nil, err
		}
		last := ss.Resume.Last
		ss.Resume.Last = 0 // how far it is beyond is the store's own business
		if ss.Waiting, err = waiting(s, ss.Info.Session); err != nil {
			return nil, err
		}
		if n := len(ss.Waiting); n > 0 && ss.Waiting[n-1].Seq > last {
			return nil, fmt.Errorf("message %d waits, and %d is said to be the last", ss.Waiting[n-1].Seq, last)
		}
	}
	err = s.Retained(func(m *message.Message) bool {
		st.Retained = append(st.Retained, m)
		return true
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(st.Retained, func(a, b *message.Message) int { return strings.Compare(a.Topic, b.Topic) })
	st.plain()
	return st, nil
}

// waiting reads the queue of a session three entries at a time.
func waiting(s store.Store, id store.SessionID) ([]store.Entry, error) {
	var all []store.Entry
	after := store.Seq(0)
	for {
		had := len(all)
		var err error
		if all, err = s.Queue(all, id, after, 3); err != nil {
			return all, err
		}
		if len(all) > had+3 {
			return nil, fmt.Errorf("queue gave %d entries, 3 were asked for", len(all)-had)
		}
		if err := known(s.Waiting(nil, id, after, 3), all[had:]); err != nil || len(all) == had {
			return all, err
		}
		after = all[len(all)-1].Seq
	}
}

// known checks what a store says of messages without reading them.
func known(got []store.Waiting, entries []store.Entry) error {
	var want []store.Waiting
	for _, e := range entries {
		want = append(want, store.Waiting{Seq: e.Seq, Size: e.Message.Size(), Expires: e.Message.Expires})
	}
	if !slices.Equal(got, want) {
		return fmt.Errorf("what is known of the queue is %+v, want %+v", got, want)
	}
	return nil
}

// plain makes those equal that mean the same: empty and nil slices, and what
// else a released entry has.
func (st *State) plain() {
	for i := range st.Sessions {
		ss := &st.Sessions[i]
		ss.Info.Subscriptions = nilIfEmpty(ss.Info.Subscriptions)
		if w := ss.Info.Will; w != nil {
			ss.Info.Will = &store.Will{Message: plainMessage(w.Message), Expiry: w.Expiry, Delay: w.Delay}
		}
		ss.Resume.Incoming = nilIfEmpty(ss.Resume.Incoming)
		ss.Resume.Inflight = plainEntries(ss.Resume.Inflight)
		ss.Waiting = plainEntries(ss.Waiting)
	}
	for i, m := range st.Retained {
		st.Retained[i] = plainMessage(m)
	}
}

func plainEntries(es []store.Entry) []store.Entry {
	es = nilIfEmpty(slices.Clone(es))
	for i := range es {
		if es[i].Released { // nothing else is left
			es[i] = store.Entry{Seq: es[i].Seq, PacketID: es[i].PacketID, Released: true, Message: es[i].Message}
		}
		es[i].IDs = nilIfEmpty(es[i].IDs)
		es[i].Message = plainMessage(es[i].Message)
	}
	return es
}

func plainMessage(m *message.Message) *message.Message {
	if m == nil {
		return nil
	}
	c := *m
	c.Payload, c.Props = nilIfEmpty(c.Payload), nilIfEmpty(c.Props)
	return &c
}

func nilIfEmpty[T any](s []T) []T {
	if len(s) == 0 {
		return nil
	}
	return s
}
