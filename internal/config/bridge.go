package config

import (
	"time"

	"github.com/nightjarmq/nightjar/topic"
)

// Bridge is a connection to another broker: a block that begins with
// "connection NAME".
type Bridge struct {
	Pos       Pos
	Name      string
	Addresses []BridgeAddress
	Topics    []BridgeTopic

	Version          byte // 3, 4 or 5; 0: 5, and 4 with a broker that does not speak it
	RemoteClientID   string
	RemoteUsername   string
	RemotePassword   string
	LocalClientID    string
	LocalUsername    string
	LocalPassword    string
	CleanStart       bool
	LocalCleanStart  bool
	KeepAlive        time.Duration
	SessionExpiry    time.Duration // 0: not said
	ReceiveMaximum   int           // 0: not said
	MaxPacketSize    int           // 0: no limit
	BindAddress      string
	TCPKeepAlive     TCPKeepAlive
	UserTimeout      time.Duration // how long sent data may stay unacknowledged; 0: as the system says
	RoundRobin       bool
	Start            string // automatic, lazy or once
	IdleTimeout      time.Duration
	Threshold        int // messages that start a lazy bridge
	Restart          Backoff
	TryPrivate       bool
	Unsubscribe      bool // bridge_attempt_unsubscribe
	OutgoingRetain   bool
	Notifications    bool
	LocalNotify      bool // notifications_local_only
	NotifyTopic      string
	MaxHops          int           // bridges that a message may cross; 0: any number
	Rate             int           // messages per second to the other broker, with LiveFirst of those that waited; 0: no limit
	LiveFirst        bool          // new messages overtake those that waited while there was no connection
	QueueMessages    int           // messages that wait for the other broker; 0: as for every client, negative: no limit
	QueueBytes       int           // bytes of those; as QueueMessages
	QueueExpiry      time.Duration // what waits longer is dropped; 0: nothing
	TLS              BridgeTLS
	localCleanStated bool
}

// BridgeAddress is where a remote broker listens.
type BridgeAddress struct {
	Host string
	Port int
}

// TCPKeepAlive is bridge_tcp_keepalive; the zero value leaves it to the system.
type TCPKeepAlive struct {
	Idle, Interval time.Duration
	Count          int
}

// Backoff is how long to wait before connecting again. With Cap 0 it is always
// Base, else it grows from Base to Cap. After Stable of connection it begins anew.
type Backoff struct {
	Base, Cap, Stable time.Duration
}

// Direction is where messages of a bridge's topic go.
type Direction string

// The directions.
const (
	Out  Direction = "out"
	In   Direction = "in"
	Both Direction = "both"
)

// BridgeTopic is a topic line of a bridge.
type BridgeTopic struct {
	Pattern      string // "" with both prefixes: they are the whole topics
	Direction    Direction
	QoS          byte
	LocalPrefix  string
	RemotePrefix string
}

// Local and Remote return the filters to subscribe to.
func (t BridgeTopic) Local() string  { return t.LocalPrefix + t.Pattern }
func (t BridgeTopic) Remote() string { return t.RemotePrefix + t.Pattern }

// check says what is wrong with the topic, "" if nothing is.
func (t BridgeTopic) check() (wrong, fix string) {
	if t.Pattern == "" && (t.LocalPrefix == "" || t.RemotePrefix == "") {
		return "an empty pattern needs a local and a remote prefix", `write the topic's name in both, as in topic "" both 0 local/name remote/name`
	}
	for _, p := range []string{t.LocalPrefix, t.RemotePrefix} {
		if p != "" && topic.ValidateName(p) != nil {
			return "prefix " + quote(p) + " is not a topic name", "write prefixes without wildcards"
		}
	}
	if t.Pattern != "" && topic.ValidateFilter(t.Pattern) != nil {
		return quote(t.Pattern) + " is not a topic filter", "+ and # must be whole levels, # the last"
	}
	for _, full := range []string{t.Local(), t.Remote()} {
		if topic.ValidateFilter(full) != nil {
			return quote(full) + " is not a topic filter", "end the prefix with a slash"
		}
	}
	return "", ""
}

// BridgeTLS is how a bridge encrypts. It does when CAFile, CAPath, OSCerts or
// PSKIdentity is set.
type BridgeTLS struct {
	CAFile, CAPath    string
	OSCerts           bool
	CertFile, KeyFile string
	MinVersion        string
	Ciphers           string
	Ciphers13         string
	ALPN              string
	Insecure          bool // the host name is not verified
	RequireOCSP       bool
	PSKIdentity, PSK  string
}

// On reports whether the bridge encrypts.
func (t *BridgeTLS) On() bool {
	return t.CAFile != "" || t.CAPath != "" || t.OSCerts || t.PSKIdentity != ""
}

func newBridge(name string, at Pos) Bridge {
	return Bridge{
		Pos: at, Name: name, KeepAlive: time.Minute, Start: "automatic", IdleTimeout: time.Minute, Threshold: 10,
		Restart: Backoff{Base: 5 * time.Second, Cap: 30 * time.Second}, TryPrivate: true, Unsubscribe: true,
		OutgoingRetain: true, Notifications: true,
	}
}
