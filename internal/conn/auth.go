package conn

import (
	"context"
	"crypto/tls"
	"sync/atomic"

	"github.com/nightjarmq/nightjar/internal/transport"
	"github.com/nightjarmq/nightjar/packet"
)

// Attempt is a client that wants to connect, as an Authenticator sees it.
type Attempt struct {
	ClientID  string
	Username  packet.Opt[string]
	Password  packet.Opt[[]byte]
	Addr      string // of the peer
	Listener  string // name of the listener
	Anonymous bool   // the listener lets clients in without a user name
	TLS       *tls.ConnectionState
	// Certified is the common name of the client's certificate as a proxy verified
	// it; "" if there is no such proxy or certificate.
	Certified string
}

// Authenticator decides who may connect. It runs in a goroutine of its own and
// may take its time; ctx ends when nobody waits any more.
type Authenticator interface {
	// Authenticate returns the user that the session will belong to, "" for the
	// anonymous. An error that is a *packet.Error chooses the code of the
	// CONNACK; any other means not authorized.
	Authenticate(ctx context.Context, a *Attempt) (user string, err error)
}

// Method is a method of enhanced authentication (5.0 section 4.12).
type Method interface {
	Name() string
	Start(a *Attempt) Exchange
}

// Exchange is one authentication under way. Step is given the client's data and
// returns what to answer; done ends the exchange with success, and the session
// belongs to the user. An error refuses the client.
type Exchange interface {
	Step(ctx context.Context, data []byte) (reply []byte, done bool, user string, err error)
}

// authState is an authentication that waits for the client or for itself.
type authState struct {
	connect  *packet.Connect // of an enhanced authentication
	method   Method          // nil: by password
	exchange Exchange
	reply    []byte // of the last step, for CONNACK
	running  bool   // a goroutine works on it
	ready    atomic.Pointer[authResult]
	cancel   context.CancelFunc
}

type authResult struct {
	user  string
	reply []byte
	done  bool
	err   error
}

// run starts work for the connection and pauses it until the work is done; the
// packet at hand is fed again then.
func (c *Conn) run(work func(ctx context.Context) *authResult) {
	a := c.auth
	var ctx context.Context
	ctx, a.cancel = context.WithCancel(c.srv.ctx)
	a.running = true
	c.Conn.Pause()
	c.srv.wg.Go(func() {
		a.ready.Store(work(ctx))
		c.Conn.Resume()
	})
}

// take returns the result of the work, if it is done.
func (a *authState) take() *authResult {
	r := a.ready.Swap(nil)
	if r != nil {
		a.running = false
		a.cancel()
	}
	return r
}

func (c *Conn) cancelAuth() {
	if c.auth != nil && c.auth.cancel != nil {
		c.auth.cancel()
	}
}

func (c *Conn) attempt(p *packet.Connect) *Attempt {
	l := c.Conn.Listener()
	a := &Attempt{
		ClientID: p.ClientID, Username: p.Username, Password: p.Password,
		Addr: c.Conn.RemoteAddr(), Listener: l.Name(), TLS: c.Conn.TLSState(),
		Anonymous: c.lim.Anonymous,
	}
	a.Certified, _ = c.Conn.ProxyIdentity()
	return a
}

// checkPassword asks the Authenticator who the client is.
func (c *Conn) checkPassword(p *packet.Connect, auth Authenticator) {
	c.auth = &authState{connect: p}
	attempt := c.attempt(p)
	c.run(func(ctx context.Context) *authResult {
		user, err := auth.Authenticate(ctx, attempt)
		return &authResult{user: user, done: true, err: notAuthorized(err)}
	})
}

func notAuthorized(err error) error {
	if err == nil {
		return nil
	}
	if pe, ok := err.(*packet.Error); ok {
		return pe
	}
	return &packet.Error{Code: packet.NotAuthorized, Clause: "MQTT-3.1.4-2", Msg: err.Error()}
}

// startAuth begins an enhanced authentication. [MQTT-4.12.0-1]
func (c *Conn) startAuth(p *packet.Connect) error {
	m := c.method(p.AuthMethod.Value)
	if m == nil {
		return &packet.Error{Code: packet.BadAuthenticationMethod, Clause: "MQTT-4.12.0-1", Msg: "unknown authentication method"}
	}
	c.auth = &authState{connect: p, method: m, exchange: m.Start(c.attempt(p))}
	c.step(p.AuthData)
	return nil
}

// continueAuth takes the client's next AUTH before CONNACK. [MQTT-4.12.0-3]
func (c *Conn) continueAuth(h packet.Header, body []byte) error {
	p, err := c.decodeAuth(h, body)
	if err != nil {
		return err
	}
	if p.Code != packet.ContinueAuthentication {
		return &packet.Error{Code: packet.ProtocolError, Clause: "MQTT-4.12.0-3", Msg: "AUTH before CONNACK must continue the authentication"}
	}
	c.step(p.AuthData)
	return nil
}

// decodeAuth reads an AUTH, whose method must be that of the CONNECT.
// [MQTT-4.12.0-5]
func (c *Conn) decodeAuth(h packet.Header, body []byte) (*packet.Auth, error) {
	p := new(packet.Auth)
	if err := p.Decode(h.Flags, body, c.Version); err != nil {
		return nil, err
	}
	if c.auth == nil || c.auth.method == nil { // [MQTT-4.12.0-7]
		return nil, &packet.Error{Code: packet.ProtocolError, Clause: "MQTT-4.12.0-7", Msg: "AUTH on a connection without an authentication method"}
	}
	if p.AuthMethod.Value != c.auth.method.Name() {
		return nil, &packet.Error{Code: packet.ProtocolError, Clause: "MQTT-4.12.0-5", Msg: "AUTH with another method than CONNECT"}
	}
	return p, nil
}

// reauthenticate handles AUTH on an open connection. [MQTT-4.12.1-1]
func (c *Conn) reauthenticate(b *transport.Batch, h packet.Header, body []byte) (wait bool, err error) {
	if c.Version < packet.V5 {
		return false, errServerPacket
	}
	if a := c.auth; a != nil && a.running {
		r := a.take()
		if r == nil {
			return true, nil
		}
		return false, c.reauthenticated(b, r)
	}
	p, err := c.decodeAuth(h, body)
	if err != nil {
		return false, err
	}
	switch {
	case p.Code == packet.ReAuthenticate:
		c.auth.exchange = c.auth.method.Start(c.attempt(c.auth.connect))
	case p.Code != packet.ContinueAuthentication || c.auth.exchange == nil:
		return false, &packet.Error{Code: packet.ProtocolError, Clause: "MQTT-4.12.1-1", Msg: "AUTH continues nothing"}
	}
	c.step(p.AuthData)
	return true, nil
}

// reauthenticated answers a step. Who authenticates again must be who the
// session belongs to. [MQTT-4.12.1-2]
func (c *Conn) reauthenticated(b *transport.Batch, r *authResult) error {
	c.auth.reply = r.reply
	switch {
	case r.err != nil:
		return r.err
	case !r.done:
		c.sendAuth(b, packet.ContinueAuthentication)
		return nil
	case r.user != c.Client.User:
		return &packet.Error{Code: packet.NotAuthorized, Clause: "MQTT-4.12.1-2", Msg: "authenticated again as another user"}
	}
	c.auth.exchange = nil
	c.sendAuth(b, packet.Success)
	return nil
}

func (c *Conn) method(name string) Method {
	for _, m := range c.srv.cfg.Methods {
		if m.Name() == name {
			return m
		}
	}
	return nil
}

func (c *Conn) step(data []byte) {
	x := c.auth.exchange
	c.run(func(ctx context.Context) *authResult {
		reply, done, user, err := x.Step(ctx, data)
		return &authResult{user: user, reply: reply, done: done, err: notAuthorized(err)}
	})
}

// sendAuth sends no Reason String and no User Property. [MQTT-3.15.2-2] [MQTT-3.15.2-3]
func (c *Conn) sendAuth(b *transport.Batch, code packet.Code) {
	a := packet.Auth{Code: code, AuthMethod: packet.Some(c.auth.method.Name()), AuthData: c.auth.reply}
	c.Conn.SendControl(b, a.Append(nil, c.Version))
}
