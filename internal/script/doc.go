// Package script runs conversations: text files in testdata that show who says
// what in MQTT, packet by packet, and that are played against a broker. They are
// tests of the broker, and a way to learn the protocol: read them in the order
// of their names.
//
// It knows how packets are written as text and how a conversation is checked.
// It must never know how the broker works; it speaks to it through connections.
//
// A script begins with a comment that says what it shows and which clauses of
// the standard it proves. Then each line is a step:
//
//	c1> CONNECT v=5 id=alice clean=1     c1 sends; the first packet of a name dials
//	c1< CONNACK code=0x00 present=0      c1 receives exactly this next
//	c1<                                  nothing more has come for c1
//	c1!                                  the broker has closed c1, and said nothing else
//	c1 drops                             the connection of c1 fails without a word
//	advance 90s                          time passes
//	broker stops                         the broker is told to end
//	broker receive-maximum=2             configures the broker; before all others
//
// A packet is its name and its fields as key=value, with the words of the
// standard as keys; what is absent is zero. Topics, filters and payloads stand
// alone. Payloads and other bytes are "text" or 0x hexadecimal; "*" as a whole
// value stands for anything. The options of a filter follow it:
//
//	c1> SUBSCRIBE id=1 a/# qos=2 no-local=1 b qos=0
//	c1> PUBLISH a/b "21.5" qos=1 id=7 user=unit:C
//	c1> raw 30 03 0001 'a'               bytes: hexadecimal, or text in single quotes
//
// Code of a CONNACK before 5.0 is the return code that is sent, 0 to 5.
package script
