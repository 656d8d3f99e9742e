package store

import (
	"errors"

	"github.com/nightjarmq/nightjar/internal/message"
	"github.com/nightjarmq/nightjar/packet"
)

// Ticket stands for a submission. Tickets rise with the order of submissions.
type Ticket uint64

// Errors of Submit, and of the reading methods where they need the disk.
var (
	// ErrClosed: the store was closed.
	ErrClosed = errors.New("store is closed")
	// ErrNoSpace: the disk is full. It heals when there is space.
	ErrNoSpace = errors.New("no space on the disk")
	// ErrOverloaded: too much waits for the disk already. It heals.
	ErrOverloaded = errors.New("the disk does not keep up")
	// ErrFenced: a write or an fsync failed. It does not heal; what the disk
	// has is known only after the store is opened again.
	ErrFenced = errors.New("the disk failed a write")
)

// Store is durable state. All methods may be called from any goroutine. What
// they return or yield belongs to the caller, but for the messages, strings and
// identifiers it points to, which are immutable. A session that is not there
// has nothing to resume and nothing queued; to ask for it is no error.
type Store interface {
	// NewSession gives out the number of a session to be opened.
	NewSession() SessionID

	// Submit applies the records, in order, as one change. It sets the Seq
	// of every [Published]; they rise in the order of application. It never
	// waits for the disk; after it has returned, the reading methods see the
	// change. An error means that nothing was applied, and that nothing the
	// records imply may be acknowledged. A record for a session that is not
	// there is no error and changes nothing of it. Every call has a ticket of
	// its own, one without records too.
	Submit(recs ...Record) (Ticket, error)

	// SubmitLater is Submit for records that no packet hangs on: they may take a
	// while to become durable, or wait for the next Submit.
	SubmitLater(recs ...Record) (Ticket, error)

	// Refusal returns the error that Submit would return now, nil if it would not.
	Refusal() error

	// Durable returns the highest ticket that is on stable storage with all
	// before it.
	Durable() Ticket

	// OnDurable sets the function that is called whenever Durable has risen,
	// or has failed to for good (err). It is set once, before the first Submit,
	// and is called from a goroutine of the store, never from within Submit. A
	// store where every ticket is durable when Submit returns need not call it.
	OnDurable(f func(t Ticket, err error))

	// Sessions calls yield for every session, in the order of their numbers,
	// until it returns false. Used at start. yield may keep what it is given
	// and call the store.
	Sessions(yield func(*SessionInfo) bool) error

	// Retained calls yield for every retained message, in no order, until it
	// returns false. Expired ones are among them. Used at start. yield may
	// call the store.
	Retained(yield func(*message.Message) bool) error

	// Resume returns what a connection to the session continues with: the
	// open QoS 2 identifiers and the messages sent and not acknowledged.
	// [MQTT-4.4.0-1]
	Resume(id SessionID) (*Resumption, error)

	// Queue appends to dst up to max messages of the session that have no
	// packet identifier yet, in order, beginning behind after.
	Queue(dst []Entry, id SessionID, after Seq, max int) ([]Entry, error)

	// Waiting appends to dst what is known without the disk of up to max messages
	// of the session that have no packet identifier yet, in order, beginning
	// behind after.
	Waiting(dst []Waiting, id SessionID, after Seq, max int) []Waiting

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
	Expiry        uint32         // seconds
	Closed        int64          // unix milliseconds; 0 when it was connected
	Opened        int64          // unix milliseconds of the last SessionOpened
	Will          *Will          // nil when there is none
	Subscriptions []Subscription // in the order of their filters
	Queued        int            // deliveries, in flight or not
	QueuedBytes   int64          // the sizes of their messages added up
	Shares        bool           // messages of shared subscriptions are among them
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
	Share    string // the shared subscription it came by, or ""
}

// Waiting is what a store knows of a waiting message without reading it.
type Waiting struct {
	Seq     Seq
	Size    int   // what the message counts for
	Expires int64 // unix milliseconds; 0: never
}

// Resumption is what a connection to an existing session continues with.
type Resumption struct {
	Incoming []uint16 // QoS 2 identifiers opened by the client, rising
	Inflight []Entry  // in the order of their sequence numbers
	Queued   int      // messages that wait behind them
	Bytes    int64    // the sizes of those
	Last     Seq      // none of them has a higher number, and all that come later have
}

// Stats counts what a store holds.
type Stats struct {
	Sessions, Subscriptions int
	Retained                int
	RetainedBytes           int64
	Messages                int // queued for somebody, counted once each
	MessageBytes            int64
	Queued                  int // deliveries, in flight or not
}
