// Package conn is one network connection: it takes bytes, cuts them into
// packets, and turns those into calls of the hub; it answers CONNECT, watches
// keep-alive, and ends the connection with the right packet when the peer breaks
// a rule.
//
// A [Conn] is the handler of a transport connection. Everything in it belongs
// to the event loop or goroutine that feeds it, but for the time of the last
// packet, which the timer reads too. The session is not here: it outlives the
// connection, in package hub.
//
// The package must never know who is subscribed to what, or how bytes travel.
//
//	srv := conn.NewServer(conn.Config{Hub: h})
//	transport.New(transport.Config{NewHandler: srv.Handler})
package conn
