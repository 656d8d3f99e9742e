package broker

import (
	"crypto/tls"
	"log/slog"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/nightjarmq/nightjar/internal/budget"
	"github.com/nightjarmq/nightjar/internal/conn"
	"github.com/nightjarmq/nightjar/internal/control"
	"github.com/nightjarmq/nightjar/internal/hub"
	"github.com/nightjarmq/nightjar/internal/store/disk"
	"github.com/nightjarmq/nightjar/internal/transport"
)

// Config says how a broker behaves. The zero value of every field is useful; a
// broker without listeners serves [Broker.Publish], [Broker.Subscribe] and
// [Broker.Pipe] only.
type Config struct {
	Listeners []Listener

	// Log takes what the broker has to say; nil is silence.
	Log *slog.Logger

	// Auth decides who may connect; nil lets everybody in at listeners that
	// are Anonymous, and nobody elsewhere.
	Auth Authenticator
	// Methods are the methods of enhanced authentication that are offered.
	Methods []Method
	// Access decides who may do what; nil allows everything, except writing to
	// the broker's own topics ($SYS, $CONTROL, $nightjar).
	Access Access

	// Commands, when set, take what clients publish to topics of theirs below
	// $CONTROL/.
	Commands Commands

	// Data is the directory of the store, which is made if it is not there; ""
	// keeps sessions, queues and retained messages in memory only.
	Data string
	// Durability says when something counts as stored, before it is
	// acknowledged. It means something with Data only.
	Durability Durability
	// Control lets nightjar backup and inspect talk to the broker, through a Unix
	// socket in Data that only its user may open.
	Control bool
	// Explain answers the questions of nightjar explain there; nil answers none.
	Explain func(q *control.Question) (*control.Answer, error)
	// Bound, when set, is called once the listeners are bound and before the store
	// is opened: there a process gives its privileges up. Its error ends New.
	Bound func() error
	// Progress is told while a store is read at the start.
	Progress func(sessions, messages int)

	// MaxPacketSize is the most bytes of one packet; 0: 16 MiB, negative: what
	// the protocol allows.
	MaxPacketSize int
	// MaxInflight is how many messages of QoS 1 and 2 may be under way to one
	// client. 0: 1000, or what the client says if that is less; and 20 before 5.0,
	// where a client cannot say what it takes.
	MaxInflight uint16
	// ReceiveMaximum is how many a client may have under way to us; 0: 65535.
	ReceiveMaximum uint16
	// LenientReceive serves clients that have more under way, which would otherwise
	// be disconnected with 0x93.
	LenientReceive bool
	// MaxQueuedMessages and MaxQueuedBytes bound what waits for one client; 0:
	// 100,000 messages and 64 MiB, negative: no limit. What comes beyond is
	// dropped and counted.
	MaxQueuedMessages int
	MaxQueuedBytes    int
	// Queues are other limits of what waits for single clients, by client identifier.
	Queues map[string]Queue
	// DropOldest makes a full queue drop what has waited longest, instead of what
	// comes. Retained messages that a SUBSCRIBE brings to a full queue are dropped
	// all the same.
	DropOldest bool
	// OutputLimit is how many bytes may be buffered for one connection before
	// QoS 0 is dropped and QoS 1 and 2 wait; 0: 1 MiB.
	OutputLimit int
	// MaxBuffered is how many bytes may wait in memory for all clients together,
	// half of it in output buffers, half in the queues of sessions that end with
	// their connection; the collector may take as much again. As it fills, the
	// share of each client shrinks. What does not fit is dropped and counted. 0: 32
	// MiB and 16 KiB for each connection, negative: no limit.
	MaxBuffered int
	// MaxTopicAlias is how many Topic Aliases a client may use; 0: 10, negative:
	// none.
	MaxTopicAlias int
	// MaxKeepAlive bounds the keep-alive time of 5.0 clients; 0: no bound.
	MaxKeepAlive time.Duration
	// MaxSessionExpiry bounds how long a session outlives its connection; 0: no
	// bound.
	MaxSessionExpiry time.Duration
	// MaxQoS is the highest QoS; nil: 2.
	MaxQoS *byte
	// MaxTopicLevels bounds the levels of a topic; 0: 128.
	MaxTopicLevels int
	// MaxSubscriptions of one client; 0: no limit.
	MaxSubscriptions int
	// MaxSessions is the most sessions, connected or not; 0: no limit.
	MaxSessions int
	// MaxConnections bounds the connections of all listeners together; 0: as many as
	// the files that the process may open leave, less those that the store needs.
	MaxConnections int
	// MaxPayload is the most bytes of a client's message; 0: what fits a packet. A
	// longer one is dropped, and acknowledged as refused where the version can.
	MaxPayload int
	// MaxInflightBytes bounds the bytes of QoS 1 and 2 that are under way to one
	// client, beyond one message; 0: no limit.
	MaxInflightBytes int
	// QueueQoS0 queues QoS 0 for sessions without a connection too.
	QueueQoS0 bool
	// UpgradeOutgoingQoS delivers with the QoS of the subscription, also what was
	// published with a lower one.
	UpgradeOutgoingQoS bool
	// RetainExpiry is the longest that a retained message stays, as if it had been
	// published with that Message Expiry Interval; 0: for ever.
	RetainExpiry time.Duration
	// MaxUserSessions is the most sessions of one user, connected or not; 0: no
	// limit. The anonymous user has none.
	MaxUserSessions int
	// MaxRetained is the most retained messages of clients; 0: no limit.
	MaxRetained int
	// MaxRetainedBytes is the most memory for them, which is about 100 bytes for each
	// beside its topic, payload and properties; 0: no limit.
	MaxRetainedBytes int
	// NoRetain switches retained messages off.
	NoRetain bool
	// RefuseEmptyClientID refuses clients that want to be given an identifier.
	RefuseEmptyClientID bool
	// ClientIDPrefix begins the identifiers that are given; "" means "auto-".
	ClientIDPrefix string
	// MaxConnectRate is how many clients may connect in a second from one address (of
	// IPv6, one network of 64 bits), and ten times as many at once; 0: no limit.
	MaxConnectRate int
	// ConnectTimeout is how long a connection may take to its CONNECT; 0: 10 s.
	ConnectTimeout time.Duration
	// ResponseInformation, when set, answers clients that ask for it.
	ResponseInformation func(clientID string) string

	// SysInterval is how often $SYS is updated; 0: 10 s, negative: never.
	SysInterval time.Duration

	// Loops bounds the event loops; 0: one per processor.
	Loops int
	// Version is what $SYS/broker/version says.
	Version string

	wall func() time.Time // the machine's clock; nil: time.Now
}

// Listener is an address that clients connect to.
type Listener struct {
	Name    string // in logs; "" means the address
	Network string // "tcp", "tcp4", "tcp6" or "unix"; "" means "tcp"
	Address string // host:port, or a path
	// Socket, when set, is used instead of Network and Address.
	Socket net.Listener
	// Device, when set, is the only network device to listen on (Linux).
	Device string
	// Optional listeners need not open: a machine may have no IPv6.
	Optional bool

	// TLS, when set, is asked for the configuration of each handshake.
	TLS func() *tls.Config

	WebSocket      bool
	WebSocketPath  string       // "" accepts any path
	AllowedOrigins []string     // of browsers; empty: all
	HTTP           http.Handler // serves requests that are not WebSocket upgrades
	HTTPOnly       bool         // with HTTP: it serves all requests, and nobody speaks MQTT here

	// MaxHeader is the most bytes of an HTTP request's head; 0: 8 KiB.
	MaxHeader int

	// Proxy says that every connection begins with the PROXY protocol, which tells
	// whose connection it is. Let nobody but the proxy reach such a listener.
	Proxy Proxy

	UnixMode       os.FileMode // permissions of a Unix socket; 0: what the umask leaves
	MaxConnections int         // 0: no limit

	// Anonymous lets clients in that name no user.
	Anonymous bool
	// RefuseVersions are protocol versions (3, 4, 5) that are not accepted.
	RefuseVersions []byte

	// What follows bounds or replaces the Config's, for this listener.
	MaxQoS              *byte // of subscriptions too; nil: 2
	MaxTopicAlias       int   // 0: Config.MaxTopicAlias, negative: none
	MaxTopicAliasOut    int   // aliases that the broker uses; 0: what the client allows, negative: none
	RefuseEmptyClientID bool
	ClientIDPrefix      string

	// MountPoint is put before every topic of the listener's clients, and taken off
	// what they are sent.
	MountPoint string
	// UserIsClientID makes the user name the client identifier, and refuses who has
	// none.
	UserIsClientID bool
}

// Proxy is what is expected of the PROXY protocol at a listener.
type Proxy = transport.Proxy

// The seams for who may connect and who may do what. They are implemented as the
// example of Config shows.
type (
	// Authenticator decides who may connect. It has one method, which runs in a
	// goroutine of its own and may take its time:
	//
	//	Authenticate(ctx context.Context, a *Attempt) (user string, err error)
	//
	// The user "" is the anonymous one. An error refuses the client; if it is a
	// *packet.Error, with its code.
	Authenticator = conn.Authenticator
	// Attempt is a client that wants to connect: its ClientID, Username,
	// Password, Addr, Listener and TLS state, and whether the listener is
	// Anonymous.
	Attempt = conn.Attempt
	// Method is a method of enhanced authentication (5.0 section 4.12):
	//
	//	Name() string
	//	Start(a *Attempt) Exchange
	Method = conn.Method
	// Exchange is one enhanced authentication under way. Step is given the
	// client's data and returns what to answer; done ends the exchange with
	// success, an error refuses the client:
	//
	//	Step(ctx context.Context, data []byte) (reply []byte, done bool, user string, err error)
	Exchange = conn.Exchange
	// Access decides who may do what. It is asked for every message, by many
	// goroutines, and must not block:
	//
	//	Publish(c *Client, topic []byte, qos byte, retain bool) bool
	//	Subscribe(c *Client, f topic.Filter, qos byte) bool
	//	Receive(c *Client, topic []byte) bool
	Access = hub.Access
	// Client is a session that Access is asked about; its ID and User say whose
	// it is.
	Client = hub.Client
)

// Durability says when something counts as stored.
type Durability = disk.Durability

const (
	// Sync: after its fsync. Nothing acknowledged is lost in a crash or a power
	// cut.
	Sync = disk.Sync
	// Relaxed: when it is on its way to the disk. A crash or a power cut loses
	// what was acknowledged in the last 100 ms.
	Relaxed = disk.Relaxed
)

func seconds(d time.Duration, most int64) int64 {
	return min(max(int64((d+time.Second-1)/time.Second), 0), most)
}

// limit resolves a limit of the configuration: 0 means def, negative none.
func limit(v, def int) int {
	switch {
	case v < 0:
		return 0
	case v == 0:
		return def
	}
	return v
}

// budget is half of what MaxBuffered allows.
func (c *Config) budget() *budget.Budget {
	switch {
	case c.MaxBuffered < 0:
		return nil
	case c.MaxBuffered > 0:
		return budget.New(int64(c.MaxBuffered)/2, 0)
	}
	return budget.New(16<<20, 8<<10)
}
