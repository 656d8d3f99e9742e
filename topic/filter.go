package topic

import "strings"

const sharePrefix = "$share/"

// Filter is a topic filter as it stands in a SUBSCRIBE, taken apart. Two filters are the same subscription of one
// client if and only if they are equal with ==.
type Filter struct {
	Share  string // the ShareName, "" for a subscription that is not shared
	Filter string // what is matched with names
}

// ParseFilter takes a filter of SUBSCRIBE or UNSUBSCRIBE apart, with at most [DefaultMaxLevels] levels. The result
// shares the bytes of s. The error is nil or an [*Error].
func ParseFilter(s string) (Filter, error) { return ParseFilterDepth(s, DefaultMaxLevels) }

// ParseFilterDepth is [ParseFilter] with the caller's limit of levels; "$share/NAME/" is not counted.
func ParseFilterDepth(s string, maxLevels int) (Filter, error) {
	if !strings.HasPrefix(s, sharePrefix) { // [MQTT-4.8.2-1]
		if err := ValidateFilterDepth(s, maxLevels); err != nil {
			return Filter{}, err
		}
		return Filter{Filter: s}, nil
	}
	if err := validateLength(s); err != nil {
		return Filter{}, err
	}
	name, filter, found := strings.Cut(s[len(sharePrefix):], "/")
	at := len(sharePrefix)
	if name == "" { // [MQTT-4.8.2-1]
		return Filter{}, &Error{Kind: BadShare, Clause: "MQTT-4.8.2-1", Msg: "the ShareName after $share/ is empty", At: at}
	}
	if i := strings.IndexAny(name, "+#"); i >= 0 { // [MQTT-4.8.2-2]
		return Filter{}, &Error{Kind: BadShare, Clause: "MQTT-4.8.2-2", Msg: "the ShareName contains a wildcard", At: at + i}
	}
	if i := strings.IndexByte(name, 0); i >= 0 {
		return Filter{}, hasNull(at + i)
	}
	at += len(name) + 1
	if !found || filter == "" { // [MQTT-4.8.2-2]
		return Filter{}, &Error{Kind: BadShare, Clause: "MQTT-4.8.2-2", Msg: "no topic filter follows the ShareName", At: min(at, len(s))}
	}
	if err := ValidateFilterDepth(filter, maxLevels); err != nil {
		if e, ok := err.(*Error); ok {
			e.At += at
		}
		return Filter{}, err
	}
	return Filter{Share: name, Filter: filter}, nil
}

// String returns the filter as it is written in a SUBSCRIBE.
func (f Filter) String() string {
	if f.Share == "" {
		return f.Filter
	}
	return sharePrefix + f.Share + "/" + f.Filter
}
