package client

import (
	"errors"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/nightjarmq/nightjar/packet"
)

// EventKind says what an Event is about.
type EventKind string

// The kinds of events.
const (
	Connected      EventKind = "connected"       // the server has accepted; Connack is set
	Disconnected   EventKind = "disconnected"    // the connection ended; Err says why
	ConnectFailed  EventKind = "connect failed"  // an attempt failed; Err says why
	Paused         EventKind = "pause"           // all servers were tried; the next attempt comes after Pause
	NotSubscribed  EventKind = "not subscribed"  // a server without the session refuses a subscription anew; Filter, Err
	MessageDropped EventKind = "message dropped" // a message whose publisher does not wait will not arrive; Topic, Message, Err
	MessageStuck   EventKind = "message stuck"   // all wait behind a message over which connections end; Topic, Message, Times, Err
	JournalCut     EventKind = "journal cut"     // the end of the journal was damaged; Err says what was saved where
	JournalFailed  EventKind = "journal failed"  // the journal could not be written; Err says why
)

// Event is what a Keeper has to tell. It prints itself with slog:
//
//	OnEvent: func(e client.Event) { slog.Info("mqtt", "event", e) }
type Event struct {
	Kind    EventKind
	Server  string          // URL, without credentials
	Connack *packet.Connack // must not be changed
	Filter  string
	Topic   string
	Message *packet.Publish // may be kept, must not be changed
	Times   int             // how many connections in a row have ended while the message was under way
	Pause   time.Duration
	Err     error
}

// String gives the fields that are set, as they are logged.
func (e Event) String() string { return e.LogValue().String() }

// LogValue gives the fields that are set.
func (e Event) LogValue() slog.Value {
	attrs := []slog.Attr{slog.String("kind", string(e.Kind))}
	for _, f := range [...]struct{ key, value string }{{"server", e.Server}, {"filter", e.Filter}, {"topic", e.Topic}} {
		if f.value != "" {
			attrs = append(attrs, slog.String(f.key, f.value))
		}
	}
	if e.Connack != nil {
		attrs = append(attrs, slog.Bool("session_present", e.Connack.SessionPresent))
	}
	if e.Message != nil {
		attrs = append(attrs, slog.Int("payload", len(e.Message.Payload)))
	}
	if e.Times != 0 {
		attrs = append(attrs, slog.Int("times", e.Times))
	}
	if e.Pause != 0 {
		attrs = append(attrs, slog.Duration("pause", e.Pause))
	}
	if e.Err != nil {
		attrs = append(attrs, slog.String("err", e.Err.Error()))
		if other := ServerReference(e.Err); other != "" {
			attrs = append(attrs, slog.String("server_reference", other))
		}
	}
	return slog.GroupValue(attrs...)
}

// ServerReference is where the server that caused err says the client should go, "" if it does not say. Nothing goes there
// by itself: a server that can name any address could send its clients anywhere.
func ServerReference(err error) string {
	var e *Error
	if errors.As(err, &e) {
		return e.ServerReference
	}
	return ""
}

// giveUp is the default of KeeperOptions.GiveUp.
func giveUp(err error, connected bool) bool {
	var e *Error
	if !errors.As(err, &e) {
		return false
	}
	switch e.Code {
	case packet.SessionTakenOver:
		return true
	case packet.UnsupportedProtocolVersion, packet.ClientIdentifierNotValid, packet.BadUserNameOrPassword,
		packet.NotAuthorized, packet.Banned, packet.BadAuthenticationMethod:
		return !connected
	}
	return false
}

// backoff counts pauses between attempts: each twice as long as the one before, up to a limit, and then shortened by a
// random part of up to a half, so that many clients of one server do not come back together.
type backoff struct {
	min, max time.Duration
	next     time.Duration // 0: min
	random   func() float64
}

func newBackoff(shortest, longest time.Duration) backoff {
	return backoff{min: shortest, max: longest, random: rand.Float64}
}

func (b *backoff) pause() time.Duration {
	d := max(b.next, b.min)
	b.next = min(2*d, b.max)
	return d - time.Duration(b.random()*float64(d)/2)
}

// lasted is told how long a connection lived. Only one that outlived the longest pause begins anew with the shortest:
// a server that accepts and hangs up, or another client with our identifier, must not make us hammer.
func (b *backoff) lasted(d time.Duration) {
	if d >= b.max {
		b.next = 0
	}
}
