// Package store keeps what must outlive a connection: sessions, subscriptions,
// queued and in-flight messages, open QoS 2 identifiers, retained messages and
// pending wills.
//
// Durable state changes only by records. Whoever wants a change submits one or
// more [Record] values; they are applied together or not at all, in the order
// of the calls of Submit, by one function. Applying is deterministic: it reads
// no clock, no random source and no map order; time and identity come in the
// record. So the same records, carried through a replicated log, make the same
// state on every node.
//
// Submit returns a [Ticket] at once. What the records imply may be acknowledged
// to a client only when the ticket is durable; [Store.Durable] and
// [Store.OnDurable] tell. The memory twin is durable at once, for as long as
// the process lives; an on-disk store gathers submissions and syncs once for
// all of them.
//
// [Memory] is the twin that keeps everything in memory; what another store does
// with the same records is what it does, and package storetest proves it.
// [AppendRecord] and [DecodeRecord] are the records as bytes.
//
// The package must never know connections, packets on the wire, matching or
// permissions.
//
//	t, err := s.Submit(&store.Published{Message: m, To: recipients})
//	// the PUBACK waits until s.Durable() >= t
package store
