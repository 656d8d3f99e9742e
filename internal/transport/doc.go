// Package transport moves bytes between sockets and the layer above. It knows
// sockets, TLS, WebSocket framing and event loops; it must never know MQTT,
// except for the names of the WebSocket sub-protocols it is given.
//
// A [Server] accepts connections on its listeners and gives what arrives on
// each [Conn] to a [Handler], in order and one call at a time [MQTT-4.2-1]. The handler
// answers, on its own or any other connection, with [Conn.Send]; what was sent
// while one batch of input was handled is written with one system call per
// connection when the batch ends ([Batch.Flush]).
//
// On Linux every socket lives on one of a few event loops (loop_linux.go): an
// idle connection owns no goroutine and no buffer. On other systems, and for
// connections that are not sockets, a goroutine reads (stream.go). TLS and
// WebSocket are stages between the socket and the handler and are the same code
// for both.
//
//	s := transport.New(transport.Config{
//		NewHandler: func(c *transport.Conn, b *transport.Batch) transport.Handler { return &echo{c} },
//	})
//	if _, err := s.Listen(transport.ListenerConfig{Network: "tcp", Address: "127.0.0.1:1883"}); err != nil {
//		return err
//	}
//	return s.Run(ctx)
package transport
