package store

import (
	"github.com/nightjarmq/nightjar/internal/message"
	"github.com/nightjarmq/nightjar/packet"
)

// Ticket stands for a submission. Tickets rise with the order of submissions.
type Ticket uint64

// Store is durable state. All methods may be called from any goroutine.
type Store interface {
	// NewSession gives out the number of a session to be opened.
	NewSession() SessionID

	// Submit applies the records, in order, as one change. It sets the Seq
	// of every [Published]. It never waits for the disk; after it has returned,
	// the reading methods see the change. An error means that nothing was
	// applied, and that nothing the records imply may be acknowledged.
	Submit(recs ...Record) (Ticket, error)

	// Durable returns the highest ticket that is on stable storage with all
	// before it.
	Durable() Ticket

	// OnDurable sets the function that is called whenever Durable has risen,
	// or has failed to for good (err). It is set once, before the first Submit,
	// and is called from a goroutine of the store or from within Submit.
	OnDurable(f func(t Ticket, err error))

	// Sessions calls yield for every session, in the order of their numbers,
	// until it returns false. Used at start.
	Sessions(yield func(*SessionInfo) bool) error

	// Retained calls yield for every retained message until it returns false.
	// Used at start.
	Retained(yield func(*message.Message) bool) error

	// Resume returns what a connection to the session continues with: the
	// open QoS 2 identifiers and the messages sent and not acknowledged, in
	// the order they were sent. [MQTT-4.4.0-1]
	Resume(id SessionID) (*Resumption, error)

	// Queue appends to dst up to max messages of the session that have no
	// packet identifier yet, in order, beginning behind after.
	Queue(dst []Entry, id SessionID, after Seq, max int) ([]Entry, error)

	// Stats counts what the store holds.
	Stats() Stats

	// Close ends the store; everything submitted is durable when it returns
	// without an error.
	Close() error
}

// SessionInfo is what a session is found by after a start.
type SessionInfo struct {
	Session       SessionID
	Epoch         uint32
	ClientID      string
	User          string
	Expiry        uint32 // seconds
	Closed        int64  // unix milliseconds; 0 when it was connected
	Opened        int64  // unix milliseconds of the last SessionOpened
	Will          *Will  // nil when there is none
	Subscriptions []Subscription
	Queued        int   // messages, in flight or not
	QueuedBytes   int64 // their sizes added up
}

// Subscription is one subscription of a session.
type Subscription struct {
	Filter  string
	Options packet.Options
	ID      uint32
}

// Entry is one message queued for a session.
type Entry struct {
	Seq      Seq
	Message  *message.Message // nil when Released: only the identifier is left
	PacketID uint16           // 0: not sent yet
	Released bool             // PUBREC came, PUBREL is due
	QoS      byte
	Retain   bool
	IDs      []uint32
}

// Resumption is what a connection to an existing session continues with.
type Resumption struct {
	Incoming []uint16 // QoS 2 identifiers opened by the client
	Inflight []Entry  // in the order of their sequence numbers
	Queued   int      // messages that wait behind them
	Bytes    int64    // the sizes of those
}

// Stats counts what a store holds.
type Stats struct {
	Sessions, Subscriptions int
	Retained                int
	RetainedBytes           int64
	Messages                int // stored once each
	MessageBytes            int64
	Queued                  int // deliveries
}
