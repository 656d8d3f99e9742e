package bridge

import (
	"context"
	"crypto/tls"
	"net"
	"time"

	"github.com/nightjarmq/nightjar/packet"
)

// Config says what a bridge does. Name, Servers, Topics and both client identifiers are needed.
type Config struct {
	Name    string
	ID      string // of the local broker, in the user properties that keep messages from circling
	Servers []Server
	Topics  []Topic

	Version        packet.Version // 0: 5.0, and 3.1.1 with a server that does not speak it
	RemoteClientID string
	Username       string
	Password       []byte // nil: none
	LocalClientID  string
	LocalUsername  string
	TLS            *tls.Config // nil: none
	Dialer         net.Dialer

	CleanStart      bool
	LocalCleanStart bool
	KeepAlive       time.Duration // 0: 60 s
	SessionExpiry   uint32        // seconds, 5.0 only; 0: never, unless CleanStart
	ReceiveMaximum  uint16        // 0: 65535 in 5.0; before, 20 messages are under way to the remote
	MaxPacketSize   int           // bytes of a packet to the remote; 0: what it takes

	RoundRobin     bool // all servers are alike; else the first is preferred
	Start          Start
	Threshold      int           // queued messages that start a lazy bridge
	IdleTimeout    time.Duration // silence after which a lazy bridge ends its connection
	Restart        Backoff
	Private        bool // say before 5.0 that this is a bridge, where the server understands that
	Unsubscribe    bool // unsubscribe at the remote from what only goes out
	OutgoingRetain bool

	Notify      bool   // publish 1 or 0 to NotifyTopic: whether the bridge is connected
	NotifyLocal bool   // at the local broker only
	NotifyTopic string // "": $SYS/broker/connection/REMOTE_CLIENTID/state

	MaxHops int // a message crosses at most as many bridges; 0: any number
	Rate    int // messages per second to the remote; 0: as fast as it goes

	Connected func() // told of each connection; nil: nobody
}

// Server is where a remote broker listens.
type Server struct{ Address string } // host:port

// Start says when a bridge connects.
type Start byte

// The ways to start.
const (
	Automatic Start = iota // always
	Lazy                   // when Threshold messages wait, until IdleTimeout of silence
	Once                   // one time; when that connection ends the bridge does
)

// Backoff is how long to wait before connecting again. With Cap 0 it is always Base; else a random time between Base and
// a limit that doubles up to Cap. After a connection of Stable it begins anew.
type Backoff struct{ Base, Cap, Stable time.Duration }

// Local is the broker that the bridge runs in.
type Local interface {
	// Pipe connects as a client.
	Pipe() (net.Conn, error)
	// Tell publishes a retained message as the broker itself.
	Tell(ctx context.Context, topic string, payload []byte) error
	// Queued says what a session still has to send or has sent without an acknowledgement.
	Queued(clientID string) (messages int, bytes int64)
}

func (c *Config) notifyTopic() string {
	if c.NotifyTopic != "" {
		return c.NotifyTopic
	}
	return "$SYS/broker/connection/" + c.RemoteClientID + "/state"
}

func (c *Config) keepAlive() time.Duration {
	if c.KeepAlive == 0 {
		return time.Minute
	}
	return c.KeepAlive
}
