package topic

import "strconv"

// Kind tells why a name or filter was refused, so that a caller can choose a reason code without reading text.
type Kind uint8

const (
	Empty       Kind = iota + 1 // no character at all [MQTT-4.7.3-1]
	TooLong                     // more than MaxLength bytes [MQTT-4.7.3-3]
	TooDeep                     // more levels than the caller allows; no rule of the standard
	HasNull                     // contains U+0000 [MQTT-4.7.3-2]
	BadWildcard                 // wildcard in a name, or misplaced in a filter [MQTT-4.7.0-1], [MQTT-4.7.1-1], [MQTT-4.7.1-2]
	BadShare                    // malformed $share filter [MQTT-4.8.2-1], [MQTT-4.8.2-2]
)

// Error says what is wrong with a name or filter, in one line and without repeating its text, which may be long and
// is known to the caller.
type Error struct {
	Kind   Kind
	Clause string // the normative statement that was broken, "" if it is a limit of ours
	Msg    string
	At     int // byte offset of the offence
}

func (e *Error) Error() string {
	s := e.Msg + " at byte " + strconv.Itoa(e.At)
	if e.Clause != "" {
		s += " [" + e.Clause + "]"
	}
	return s
}
