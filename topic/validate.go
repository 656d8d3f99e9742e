package topic

import "strconv"

// Text is what a topic may be held in. Functions that take it never keep it and never convert it.
type Text interface{ ~string | ~[]byte }

const (
	// DefaultMaxLevels bounds the depth of names and filters where the caller has no opinion. The standard has no
	// such bound; a server needs one because every level may cost an index node.
	DefaultMaxLevels = 128

	// MaxLength is the number of bytes that fit the length prefix of a UTF-8 string [MQTT-4.7.3-3].
	MaxLength = 65535
)

// ValidateName reports whether s may be the topic of a message, with at most [DefaultMaxLevels] levels. The error is
// nil or an [*Error].
func ValidateName[T Text](s T) error { return ValidateNameDepth(s, DefaultMaxLevels) }

// ValidateNameDepth is [ValidateName] with the caller's limit of levels.
func ValidateNameDepth[T Text](s T, maxLevels int) error {
	if err := validateLength(s); err != nil {
		return err
	}
	levels := 1
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '/':
			if levels++; levels > maxLevels {
				return tooDeep(i, maxLevels)
			}
		case '+', '#': // [MQTT-4.7.0-1], [3.1.1: MQTT-4.7.1-1]
			return &Error{Kind: BadWildcard, Clause: "MQTT-4.7.0-1", Msg: "a topic name cannot contain a wildcard: " + string(rune(s[i])), At: i}
		case 0:
			return hasNull(i)
		}
	}
	return nil
}

// ValidateFilter reports whether s is a topic filter, with at most [DefaultMaxLevels] levels. It takes a leading
// "$share" for an ordinary level: use [ParseFilter] where shared subscriptions may occur. The error is nil or an
// [*Error].
func ValidateFilter[T Text](s T) error { return ValidateFilterDepth(s, DefaultMaxLevels) }

// ValidateFilterDepth is [ValidateFilter] with the caller's limit of levels.
func ValidateFilterDepth[T Text](s T, maxLevels int) error {
	if err := validateLength(s); err != nil {
		return err
	}
	levels := 1
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '/':
			if levels++; levels > maxLevels {
				return tooDeep(i, maxLevels)
			}
		case '#': // [MQTT-4.7.1-1]
			if i > 0 && s[i-1] != '/' {
				return &Error{Kind: BadWildcard, Clause: "MQTT-4.7.1-1", Msg: "'#' must be a level of its own", At: i}
			}
			if i != len(s)-1 {
				return &Error{Kind: BadWildcard, Clause: "MQTT-4.7.1-1", Msg: "'#' must be the last character", At: i}
			}
		case '+': // [MQTT-4.7.1-2]
			if i > 0 && s[i-1] != '/' || i < len(s)-1 && s[i+1] != '/' {
				return &Error{Kind: BadWildcard, Clause: "MQTT-4.7.1-2", Msg: "'+' must be a level of its own", At: i}
			}
		case 0:
			return hasNull(i)
		}
	}
	return nil
}

func validateLength[T Text](s T) error {
	if len(s) == 0 { // [MQTT-4.7.3-1]
		return &Error{Kind: Empty, Clause: "MQTT-4.7.3-1", Msg: "at least one character is needed"}
	}
	if len(s) > MaxLength { // [MQTT-4.7.3-3]
		return &Error{Kind: TooLong, Clause: "MQTT-4.7.3-3", Msg: "longer than 65535 bytes", At: MaxLength}
	}
	return nil
}

func tooDeep(at, maxLevels int) error {
	return &Error{Kind: TooDeep, Msg: "more than " + strconv.Itoa(maxLevels) + " levels", At: at}
}

func hasNull(at int) error { // [MQTT-4.7.3-2]
	return &Error{Kind: HasNull, Clause: "MQTT-4.7.3-2", Msg: "the null character is not allowed", At: at}
}
