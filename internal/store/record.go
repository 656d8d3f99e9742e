package store

import (
	"github.com/nightjarmq/nightjar/internal/message"
	"github.com/nightjarmq/nightjar/packet"
)

// SessionID names a session in the store. Numbers are given out by
// [Store.NewSession] and never used again; 0 is no session.
type SessionID uint64

// Seq orders the messages of a store. Submit gives it out; 0 is none.
type Seq uint64

// Record is one change of durable state. The types in this file are all there
// are. A record is borrowed until Submit returns, so its sender may reuse it;
// what it points to (messages, strings, subscription identifiers) is given away
// and immutable.
type Record interface{ record() }

// SessionOpened: a client has connected to a session that outlives the
// connection; it is made if it does not exist. It begins a new epoch: see
// [Recipient]. Every message that was sent and not acknowledged keeps its
// packet identifier. A due will is withdrawn. [MQTT-3.1.2-5] [MQTT-4.1.0-1]
type SessionOpened struct {
	Session  SessionID
	Epoch    uint32 // counts the connections of this session, from 1
	ClientID string // this and User are those of the first record, for life
	User     string // the principal that owns the session
	Expiry   uint32 // seconds after the connection's end; 0xFFFFFFFF: never
	Will     *Will  // replaces the session's will, nil: none
	Time     int64  // unix milliseconds
}

// Will is a will that waits for its connection or its delay to end.
type Will struct {
	// Message has no Expires: its interval counts from its publication.
	Message *message.Message
	Expiry  packet.Opt[uint32] // Message Expiry Interval in seconds
	Delay   uint32             // seconds
}

// SessionClosed: the connection has ended, the session goes on until Time plus
// Expiry.
type SessionClosed struct {
	Session  SessionID
	Expiry   uint32 // seconds, as last set by the client
	KeepWill bool   // the will waits, for its delay or to be published; else it is gone
	Time     int64  // unix milliseconds
}

// SessionRemoved: the session has ended, with all that belongs to it.
type SessionRemoved struct{ Session SessionID }

// WillTaken: the session's will is published, by the record that is submitted with it
// if there is one, or withdrawn.
type WillTaken struct{ Session SessionID }

// Subscribed adds a subscription or replaces the one with the same filter.
// [MQTT-3.8.4-3]
type Subscribed struct {
	Session SessionID
	Filter  string // as the client sent it, with $share/name/
	Options packet.Options
	ID      uint32 // Subscription Identifier, 0 for none
}

// Unsubscribed removes a subscription; no subscription is no error.
type Unsubscribed struct {
	Session SessionID
	Filter  string
}

// Published: a message, with all that follows from it, in one piece.
type Published struct {
	// Seq is set by Submit before the record is applied.
	Seq     Seq
	Message *message.Message

	// Retain: the message becomes the retained message of its topic, or
	// removes it when its payload is empty. [MQTT-3.3.1-5] [MQTT-3.3.1-6]
	Retain bool

	// To are the sessions that queue it. It is stored once for all of them.
	// A session is among them once; of several the first counts. One that gets
	// a second copy, from a share, gets it by a second Published.
	To []Recipient

	// From and FromID open the publisher's QoS 2 packet identifier, so that
	// a repeat is known; From is 0 when there is nothing to open. [MQTT-4.3.3-8]
	From   SessionID
	FromID uint16
}

// Recipient is one session that a message is queued for.
type Recipient struct {
	Session SessionID
	// Epoch and PacketID: the message was given this packet identifier in
	// the connection that the epoch names. When the session has another epoch
	// by now, or PacketID is 0, the message is queued without one.
	Epoch    uint32
	PacketID uint16
	QoS      byte     // 1 or 2: of this delivery
	Retain   bool     // the RETAIN flag of this delivery
	IDs      []uint32 // Subscription Identifiers of this delivery
	Share    string   // the shared subscription it came by, name and filter, or ""
}

// Sent gives a queued message a packet identifier, or another one. After
// [Received] it changes nothing.
type Sent struct {
	Session  SessionID
	Seq      Seq
	PacketID uint16
}

// Received: PUBREC came; from here on the identifier is released by PUBREL and
// PUBCOMP and the message is not sent again. It holds even if the store knew
// another identifier or none. [MQTT-4.3.3-5]
type Received struct {
	Session  SessionID
	Seq      Seq
	PacketID uint16
}

// Done: the delivery has ended, acknowledged or given up.
type Done struct {
	Session SessionID
	Seq     Seq
}

// Incoming opens a QoS 2 packet identifier of a publisher whose message went
// to nobody durable.
type Incoming struct {
	Session  SessionID
	PacketID uint16
}

// Released: PUBREL came; the publisher may use the identifier again.
type Released struct {
	Session  SessionID
	PacketID uint16
}

func (*SessionOpened) record()  {}
func (*SessionClosed) record()  {}
func (*SessionRemoved) record() {}
func (*WillTaken) record()      {}
func (*Subscribed) record()     {}
func (*Unsubscribed) record()   {}
func (*Published) record()      {}
func (*Sent) record()           {}
func (*Received) record()       {}
func (*Done) record()           {}
func (*Incoming) record()       {}
func (*Released) record()       {}
