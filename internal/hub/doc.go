// Package hub is where messages meet: the registry of clients and their
// sessions, and the one path of a message from its publisher to everybody who
// receives it — retain, match, store, deliver, acknowledge.
//
// A [Client] lives as long as its session. While it is connected it has a
// [Link], through which its packets leave, and a session.Session, the protocol
// state; while it is not, the store has all that matters. Each client has one
// mutex; no two clients' mutexes are ever held together, none is held while a
// message is routed.
//
// The one place where an acknowledgement waits for the disk is the client's
// line of held output (held.go): whatever leaves for a client goes through
// it, in order, and leaves when the ticket it hangs on is durable.
//
// The package must never know how packets are parsed, how sockets work, or who
// may do what: that is asked of [Access].
//
//	h := hub.New(hub.Config{Store: store.NewMemory()})
//	code, ticket, err := h.Publish(batch, from, pub)
package hub
