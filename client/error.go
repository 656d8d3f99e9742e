package client

import (
	"errors"
	"fmt"

	"github.com/nightjarmq/nightjar/packet"
)

var (
	// ErrClosed is what ended a connection that this side closed with Close or Disconnect.
	ErrClosed = errors.New("client closed")

	// ErrInHandler refuses a call that would wait for the server from within a handler, which can never succeed because
	// the answer is read by the goroutine that runs the handler. It is found by the context that the handler was given.
	ErrInHandler = errors.New("a handler must not wait for its own client: use PublishAsync, or another goroutine")

	// ErrTooManyInflight means that all 65,535 packet identifiers are in use.
	ErrTooManyInflight = errors.New("no free packet identifier")

	// ErrSessionInUse refuses to dial with a Session that belongs to a connection that has not ended.
	ErrSessionInUse = errors.New("the session belongs to another connection")
)

// Error is a refusal with a reason code: by the server, or by this client when it could foresee that the server must
// refuse, or because the server broke the protocol.
type Error struct {
	Op              string      // what was attempted, such as "connect" or `subscribe "a/#"`
	Code            packet.Code // why
	Reason          string      // Reason String of the server, or the local explanation; may be empty
	ServerReference string      // where else to go, with UseAnotherServer and ServerMoved; may be empty
}

// Error gives one line.
func (e *Error) Error() string {
	s := fmt.Sprintf("%s: %v", e.Op, e.Code)
	if e.Reason != "" {
		s += ": " + e.Reason
	}
	if e.ServerReference != "" {
		s += " (see " + e.ServerReference + ")"
	}
	return s
}

// violation is a breach of the protocol by the server. The connection ends with a DISCONNECT that carries the code.
func violation(code packet.Code, clause, msg string) error {
	return &packet.Error{Code: code, Clause: clause, Msg: msg}
}
