package packettest

import (
	"strings"

	"github.com/nightjarmq/nightjar/packet"
)

// Case is a packet and its canonical bytes.
type Case struct {
	Name    string
	Version packet.Version
	Packet  packet.Packet // with slices as Decode leaves them in a fresh packet
	Bytes   []byte        // fixed header included

	// Whole lists the lengths at which a shortened body is a complete packet too. Every other length must be refused. The
	// payload of a PUBLISH, which may end anywhere, is not listed.
	Whole []int
}

// Refusal is a packet that must be refused.
type Refusal struct {
	Name    string
	Version packet.Version
	Bytes   []byte // fixed header included; the length in it is right
	Code    packet.Code
	Clause  string
}

// Cases gives all cases. The caller owns them.
func Cases() []Case {
	var all []Case
	for _, f := range []func() []Case{
		connectCases, willCases, connackCases, publishCases, ackCases, subscribeCases, subackCases, unsubscribeCases,
		pingCases, disconnectCases, authCases,
	} {
		all = append(all, f()...)
	}
	return all
}

// Refusals gives all refusals. The caller owns them.
func Refusals() []Refusal {
	var all []Refusal
	for _, f := range []func() []Refusal{
		connectRefusals, connectPropertyRefusals, connackRefusals, publishRefusals, publishPropertyRefusals, ackRefusals,
		subscribeRefusals, subackRefusals, unsubscribeRefusals, pingRefusals, disconnectRefusals, authRefusals,
	} {
		all = append(all, f()...)
	}
	return all
}

// wire puts a packet together: first byte, Remaining Length, and the parts of the body.
func wire(first byte, parts ...string) []byte {
	return []byte(string([]byte{first}) + counted(parts...))
}

// counted puts a variable byte integer with their size in front of the parts.
func counted(parts ...string) string {
	body := strings.Join(parts, "")
	var length []byte
	for n := len(body); ; {
		digit := byte(n % 128)
		if n /= 128; n > 0 {
			digit |= 128
		}
		length = append(length, digit)
		if n == 0 {
			break
		}
	}
	return string(length) + body
}

// props is a Property Length and the properties.
func props(parts ...string) string { return counted(parts...) }

// str is a string or binary data with its length in two bytes.
func str(s string) string { return string([]byte{byte(len(s) >> 8), byte(len(s))}) + s }

// user is a user property.
func user(key, value string) string { return "\x26" + str(key) + str(value) }
