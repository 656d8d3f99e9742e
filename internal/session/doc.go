// Package session is the protocol state of one MQTT session as a pure state
// machine: in-flight windows, QoS 1 and 2 in both directions, quotas, topic
// aliases. It takes packets and messages and says what follows; sending,
// storing and routing belong to the caller. It has no clock (time is an
// argument, unix milliseconds), no goroutine, no lock and no I/O.
//
// What it wants done comes back in an [Effects], which the caller reuses: bytes
// for the connection, and changes for the store if the session is durable. The
// bytes may leave only after the changes of the same Effects are durable.
//
//	s := session.New(session.Params{Version: packet.V5, SendMaximum: 20})
//	switch id, v := s.Offer(&session.Entry{Message: m, QoS: 1}, true); v {
//	case session.Transmit: // send m with packet identifier id now
//	case session.Queued:   // the session holds it until the window opens
//	}
//
// The package must never know sockets, other sessions, subscriptions or the
// store's format.
package session
