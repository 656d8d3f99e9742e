package control

import (
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/nightjarmq/nightjar/internal/message"
	"github.com/nightjarmq/nightjar/internal/store"
	"github.com/nightjarmq/nightjar/internal/store/disk"
)

// Line is one object of an answer; one of its fields is set.
type Line struct {
	Session  *Session  `json:"session,omitempty"`
	Retained *Retained `json:"retained,omitempty"`
	Done     *Totals   `json:"total,omitempty"`
	Copy     string    `json:"copy,omitempty"`
	Answer   *Answer   `json:"answer,omitempty"`
	Error    string    `json:"error,omitempty"`
}

// Question asks whether a client may do something.
type Question struct {
	Client   string `json:"client"`
	User     string `json:"user,omitempty"`     // "": the one that it has
	Listener string `json:"listener,omitempty"` // "": the one where it is
	Action   string `json:"action"`             // publish, subscribe or receive
	Topic    string `json:"topic"`
	QoS      byte   `json:"qos,omitempty"`
	Bytes    int    `json:"bytes,omitempty"` // of the payload
	Retain   bool   `json:"retain,omitempty"`
}

// Answer says whether it may, and in sentences what decides.
type Answer struct {
	Allowed bool     `json:"allowed"`
	Lines   []string `json:"lines"`
}

// Session is a session that outlives its connection.
type Session struct {
	ClientID      string         `json:"client_id"`
	User          string         `json:"user,omitempty"`
	Connected     bool           `json:"connected"`
	WasConnected  bool           `json:"was_connected,omitempty"`  // when the store was last written; no broker runs
	Closed        *time.Time     `json:"closed,omitempty"`         // end of its connection
	Expiry        *uint32        `json:"expiry_seconds,omitempty"` // after the end of its connection; absent: never
	Will          string         `json:"will_topic,omitempty"`
	Subscriptions []Subscription `json:"subscriptions"`
	Queued        int            `json:"queued"`
	QueuedBytes   int64          `json:"queued_bytes"` // as the limits count them
	First         *Queued        `json:"first,omitempty"`
	Last          *Queued        `json:"last,omitempty"`
}

// Subscription is one subscription of a session.
type Subscription struct {
	Filter string `json:"filter"`
	QoS    byte   `json:"qos"`
}

// Queued is one message of a queue.
type Queued struct {
	Number   uint64     `json:"number"` // rises with all messages of the broker
	Topic    string     `json:"topic,omitempty"`
	QoS      byte       `json:"qos,omitempty"`
	Bytes    int        `json:"bytes"`               // of the payload
	PacketID uint16     `json:"packet_id,omitempty"` // it was sent, and not acknowledged
	Released bool       `json:"released,omitempty"`  // PUBREC has come: nothing but the identifier is left
	Expires  *time.Time `json:"expires,omitempty"`
}

// Retained is one retained message.
type Retained struct {
	Topic   string     `json:"topic"`
	QoS     byte       `json:"qos"`
	Bytes   int        `json:"bytes"` // of the payload
	Expires *time.Time `json:"expires,omitempty"`
}

// Totals count the lines before.
type Totals struct {
	Sessions      int   `json:"sessions"`
	Subscriptions int   `json:"subscriptions"`
	Queued        int   `json:"queued"`
	QueuedBytes   int64 `json:"queued_bytes"`
	Retained      int   `json:"retained"`
	RetainedBytes int64 `json:"retained_bytes"`
}

// State is durable state that can be looked at: [disk.Store] and [disk.View].
type State interface {
	Sessions(yield func(*store.SessionInfo) bool) error
	Retained(yield func(*message.Message) bool) error
	Ends(id store.SessionID) ([]store.Entry, error)
	Clock() disk.Clock
}

// Inspect calls yield for every line about the state until it fails; the last
// has Done.
func Inspect(s State, yield func(*Line) error) error {
	var total Totals
	var failed error
	at := calendar(s.Clock().Behind)
	err := s.Sessions(func(info *store.SessionInfo) bool {
		var ses *Session
		if ses, failed = session(s, at, info); failed == nil {
			total.Sessions++
			total.Subscriptions += len(ses.Subscriptions)
			total.Queued += ses.Queued
			total.QueuedBytes += ses.QueuedBytes
			failed = yield(&Line{Session: ses})
		}
		return failed == nil
	})
	if err == nil && failed == nil {
		err = s.Retained(func(m *message.Message) bool {
			total.Retained++
			total.RetainedBytes += int64(len(m.Payload))
			failed = yield(&Line{Retained: &Retained{m.Topic, m.QoS, len(m.Payload), at.moment(m.Expires)}})
			return failed == nil
		})
	}
	switch {
	case failed != nil:
		return failed
	case err != nil:
		return err
	}
	return yield(&Line{Done: &total})
}

func session(s State, at calendar, info *store.SessionInfo) (*Session, error) {
	ses := &Session{
		ClientID: info.ClientID, User: info.User, Connected: info.Closed == 0, Closed: at.moment(info.Closed),
		Queued: info.Queued, QueuedBytes: info.QueuedBytes, Subscriptions: []Subscription{},
	}
	if info.Expiry != never {
		ses.Expiry = &info.Expiry
	}
	if info.Will != nil {
		ses.Will = info.Will.Message.Topic
	}
	for _, sub := range info.Subscriptions {
		ses.Subscriptions = append(ses.Subscriptions, Subscription{sub.Filter, sub.Options.QoS})
	}
	ends, err := s.Ends(info.Session)
	if err != nil {
		return nil, fmt.Errorf("session %q: %w", info.ClientID, err)
	}
	if len(ends) > 0 {
		ses.First, ses.Last = queued(at, &ends[0]), queued(at, &ends[len(ends)-1])
	}
	return ses, nil
}

// never is the Session Expiry Interval without end. [MQTT-3.1.2-23]
const never = 0xFFFFFFFF

func queued(at calendar, e *store.Entry) *Queued {
	q := &Queued{Number: uint64(e.Seq), QoS: e.QoS, PacketID: e.PacketID, Released: e.Released}
	if e.Message != nil {
		q.Topic, q.Bytes, q.Expires = e.Message.Topic, len(e.Message.Payload), at.moment(e.Message.Expires)
	}
	return q
}

// calendar is how many milliseconds the machine's clock is ahead of the store's.
type calendar int64

// moment is the machine's time of a unix time of the store in milliseconds, nil
// for 0.
func (c calendar) moment(ms int64) *time.Time {
	if ms == 0 {
		return nil
	}
	t := time.UnixMilli(ms + int64(c)).UTC()
	return &t
}

// write writes a line.
func write(w io.Writer, l *Line) error {
	b, err := json.Marshal(l)
	if err != nil {
		return err
	}
	_, err = w.Write(append(b, '\n'))
	return err
}
