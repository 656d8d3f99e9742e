package packet

import "strconv"

// Version is the protocol version a connection speaks, with the value of the protocol level byte in CONNECT.
type Version byte

// The versions this package can read and write.
const (
	V31  Version = 3
	V311 Version = 4
	V5   Version = 5
)

// String gives the usual name of the version, such as "3.1.1".
func (v Version) String() string {
	switch v {
	case V31:
		return "3.1"
	case V311:
		return "3.1.1"
	case V5:
		return "5.0"
	}
	return "unknown version " + strconv.Itoa(int(v))
}
