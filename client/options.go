package client

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"time"

	"github.com/nightjarmq/nightjar/packet"
)

// Options say how to connect. The zero value connects with MQTT 5.0, a clean session, a client identifier that the
// server makes up, and a keep-alive of 60 seconds.
type Options struct {
	Version  packet.Version // 0 is packet.V5
	ClientID string

	// Username and Password go before those of the URL. A nil Password sends none.
	Username string
	Password []byte

	// Will is published by the server when the connection ends badly.
	Will *packet.Will

	// Resume asks the server to continue a session it has kept (Clean Start 0). Otherwise both sides start afresh.
	Resume bool

	// Session holds this side of the session. Give the same one to the next Dial to resend what was not acknowledged;
	// nil makes a new one that ends with the connection.
	Session *Session

	// KeepAlive is rounded up to seconds; 0 is 60 s, negative is off. A peer that is silent for one and a half times as
	// long although it was asked for a sign of life is given up.
	KeepAlive time.Duration

	// Inflight bounds the QoS 1 and 2 messages on their way to the server; in 5.0 the server's Receive Maximum may lower
	// it. 0 is 65,535 in 5.0, the most the protocol can number, and 20 before, where a server cannot say what it takes
	// but may (mosquitto does) cut a client off that sends more than that.
	Inflight uint16

	// TopicAliases replaces topic names by aliases in what is published, as far as the server takes them (5.0).
	TopicAliases bool

	// The following are properties of CONNECT and are not sent before 5.0, except that MaximumPacketSize bounds what is
	// accepted in every version.
	SessionExpiry       packet.Opt[uint32] // seconds
	ReceiveMaximum      uint16             // 0: not sent, which means 65,535
	MaximumPacketSize   uint32             // bytes; 0: not sent, no limit but the protocol's
	TopicAliasMaximum   uint16             // aliases that the server may use
	RequestResponseInfo packet.Opt[byte]
	RequestProblemInfo  packet.Opt[byte]
	User                []packet.UserProperty

	// Auth answers extended authentication (5.0). Nil: not offered.
	Auth Authenticator

	// Handler receives messages that match no subscription of the Session, such as those of a resumed session.
	Handler Handler

	// TLS is used with mqtts, ssl, tls and wss URLs. Nil verifies the server with the system's certificates. An empty
	// ServerName is filled in from the URL.
	TLS *tls.Config

	// Header is sent with the WebSocket handshake.
	Header http.Header

	// Dial replaces net.Dialer for the transport under TLS and WebSocket. Network is "tcp" or "unix". It may return any
	// ready net.Conn, which the client then owns.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)

	// Trace is told of every packet, sent or received, in order. It runs under the client's lock, so it must be quick
	// and must not call the client; it may not keep the packet.
	Trace func(sent bool, p packet.Packet)

	keeper *Keeper // whose connection it is; nil: nobody's
	alone  bool    // one QoS 1 or 2 message at a time, until the server acknowledges one
}

// Handler is given the messages of a subscription. The message and all bytes in it are borrowed until it returns; who
// changes its properties and publishes it sets its Forward to nil. The context ends with the connection. See the package
// comment for what a handler may not do.
type Handler func(ctx context.Context, m *packet.Publish)

const defaultKeepAlive = 60 * time.Second

// withDefaults fills in the values that stand for zero.
func (o Options) withDefaults() Options {
	if o.Version == 0 {
		o.Version = packet.V5
	}
	if o.KeepAlive == 0 {
		o.KeepAlive = defaultKeepAlive
	}
	if o.Inflight == 0 {
		o.Inflight = 65535
		if o.Version < packet.V5 {
			o.Inflight = 20
		}
	}
	if o.Session == nil {
		o.Session = new(Session)
		o.Session.ephemeral = true
	}
	return o
}

// keepAliveSeconds is the value on the wire.
func (o *Options) keepAliveSeconds() uint16 {
	if o.KeepAlive < 0 {
		return 0
	}
	return uint16(min((o.KeepAlive+time.Second-1)/time.Second, 65535))
}

// connect builds the CONNECT packet.
func (o *Options) connect() *packet.Connect {
	p := &packet.Connect{ // [MQTT-3.1.3-2]
		Version: o.Version, CleanStart: !o.Resume, KeepAlive: o.keepAliveSeconds(), ClientID: o.ClientID, Will: o.Will,
		SessionExpiry: o.SessionExpiry, RequestResponseInfo: o.RequestResponseInfo,
		RequestProblemInfo: o.RequestProblemInfo, User: o.User,
	}
	if o.Password != nil {
		p.Password = packet.Some(o.Password)
	}
	// Before 5.0 a password needs a user name, be it empty [3.1.1: MQTT-3.1.2-22].
	if o.Username != "" || o.Password != nil && o.Version < packet.V5 {
		p.Username = packet.Some(o.Username)
	}
	if o.ReceiveMaximum != 0 {
		p.ReceiveMaximum = packet.Some(o.ReceiveMaximum)
	}
	if o.MaximumPacketSize != 0 {
		p.MaximumPacketSize = packet.Some(o.MaximumPacketSize)
	}
	if o.TopicAliasMaximum != 0 {
		p.TopicAliasMaximum = packet.Some(o.TopicAliasMaximum)
	}
	return p
}
