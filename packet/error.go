package packet

import "fmt"

// Error says why bytes were refused. Every error of this package that input can cause is an *Error.
type Error struct {
	Code   Code   // the 5.0 reason code to answer with
	Clause string // id of the broken statement ("MQTT-3.1.2-3"), or a 5.0 section number ("2.2.2.2") where it has no id
	Msg    string // what was wrong, without any byte of the input
}

// Error gives one line: code, message and clause.
func (e *Error) Error() string { return fmt.Sprintf("%v: %s [%s]", e.Code, e.Msg, e.Clause) }

// malformed reports bytes that cannot be parsed. Errors are built from constants only, so that one refused packet costs
// one small allocation whatever the peer sent; noinline keeps that cost out of the path that succeeds.
//
//go:noinline
func malformed(clause, msg string) *Error { return &Error{MalformedPacket, clause, msg} }

// protocolError reports bytes that parse but break a rule.
//
//go:noinline
func protocolError(clause, msg string) *Error { return &Error{ProtocolError, clause, msg} }

//go:noinline
func truncated() *Error { return malformed("2.1.4", "packet ends inside a field") }

//go:noinline
func trailing() *Error { return malformed("2.1.4", "bytes after the last field") }
