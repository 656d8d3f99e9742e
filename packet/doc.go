// Package packet is the wire codec of MQTT 3.1, 3.1.1 and 5.0: bytes in, struct out, and back.
//
// It knows the bytes of every control packet and every rule that can be checked by looking at one packet alone. It never
// knows connections, sessions, time, or which side of a connection it is on, and it never does input or output.
//
// Reading is done in two steps, so that a caller can refuse a packet by its type or size before the body has arrived:
//
//	h, ok, err := packet.ReadHeader(buf) // ok is false until the fixed header is complete
//	body := buf[h.Size : h.Size+h.Remaining]
//	p, err := packet.Decode(h, body, packet.V5)
//
// The hot path keeps one Publish and decodes into it again and again without allocating:
//
//	err := pub.Decode(h.Flags, body, v)
//
// Publish borrows its byte slices from body; every other packet owns its memory.
//
// Decode and Append agree: decoding what Append wrote gives the same struct, and appending what Decode accepted gives the
// same bytes when those bytes were in canonical form (shortest form, properties in the order Append writes them).
//
// Every refused input is reported as an *Error with the reason code to answer and the clause that was broken. The version
// is an argument: versions above 5 are treated as 5.
package packet
