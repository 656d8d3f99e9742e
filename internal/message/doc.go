// Package message knows an application message as the broker carries it: its
// bytes, who owns them, and how a copy is written for one receiver.
//
// There are two forms. A [Publication] is a message under way from its
// publisher to those who receive it at once; it borrows the bytes of the read
// buffer and is reused, so that a message that needs no keeping costs no
// allocation. A [Message] is immutable and owns its bytes; it is made from a
// publication, once, when somebody must keep it: an in-flight window, a queue,
// the retained index, the store. All keepers share the one copy.
//
// The package must never know sessions, subscriptions or connections.
//
//	pub.Set(&in, raw, packet.V311, now)
//	conn.Send(batch, pub.Frame(packet.V311, 0, false)) // shared by all receivers
//	queue.push(pub.Keep())                             // one owned copy
package message
