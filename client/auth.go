package client

import (
	"context"
	"errors"
	"fmt"

	"github.com/nightjarmq/nightjar/packet"
)

// Authenticator is the client's half of an extended authentication method, such as SCRAM-SHA-256 (5.0 section 4.12). Its
// methods are called one at a time, in Dial, Reauthenticate and on the reading goroutine.
type Authenticator interface {
	// Method is the Authentication Method, and always the same.
	Method() string
	// Start begins an exchange and gives the first Authentication Data; nil sends none.
	Start() ([]byte, error)
	// Continue answers the server's data, which is borrowed. An error ends the connection.
	Continue(ctx context.Context, data []byte) ([]byte, error)
}

// stepAuth answers an AUTH during the handshake [MQTT-4.12.0-3].
func (c *Client) stepAuth(ctx context.Context, h packet.Header, body []byte, write func(packet.Packet) error) error {
	var a packet.Auth
	if c.v < packet.V5 {
		return violation(packet.MalformedPacket, "2.1.2", "AUTH does not exist in this version")
	}
	if err := a.Decode(h.Flags, body, c.v); err != nil {
		return err
	}
	if c.opt.Trace != nil {
		c.opt.Trace(false, &a)
	}
	answer, err := c.answerAuth(ctx, &a)
	if err != nil {
		return err
	}
	return write(answer)
}

// answerAuth asks the Authenticator.
// The answer has no Reason String and no User Properties. [MQTT-3.15.2-2] [MQTT-3.15.2-3]
func (c *Client) answerAuth(ctx context.Context, a *packet.Auth) (*packet.Auth, error) {
	m := c.opt.Auth
	switch {
	case m == nil: // [MQTT-4.12.0-6]
		return nil, violation(packet.ProtocolError, "MQTT-4.12.0-6", "AUTH that was not asked for")
	case a.Code != packet.ContinueAuthentication: // [MQTT-4.12.0-2]
		return nil, violation(packet.ProtocolError, "MQTT-4.12.0-2", "AUTH does not continue")
	case a.AuthMethod.Or("") != m.Method(): // [MQTT-4.12.0-5]
		return nil, violation(packet.ProtocolError, "MQTT-4.12.0-5", "authentication method changed")
	}
	data, err := m.Continue(ctx, a.AuthData)
	if err != nil {
		return nil, fmt.Errorf("authenticate: %w", err)
	}
	if err := checkAuth(data); err != nil {
		return nil, err
	}
	return &packet.Auth{Code: packet.ContinueAuthentication, AuthMethod: a.AuthMethod, AuthData: data}, nil
}

// onAuth handles AUTH on a living connection, which belongs to a re-authentication of ours.
// An Authenticator that is not content ends the connection. [MQTT-4.12.1-2]
func (c *Client) onAuth(ctx context.Context, a *packet.Auth) error {
	c.mu.Lock()
	waiting := c.reauth
	c.mu.Unlock()
	if waiting == nil {
		return violation(packet.ProtocolError, "4.12.1", "AUTH without re-authentication")
	}
	if a.Code == packet.Success {
		c.mu.Lock()
		c.reauth = nil
		c.mu.Unlock()
		waiting <- nil
		return nil
	}
	answer, err := c.answerAuth(ctx, a)
	if err != nil {
		return err
	}
	c.mu.Lock()
	if c.err == nil {
		c.send(answer)
	}
	c.mu.Unlock()
	return nil
}

// Reauthenticate proves the client's identity anew with the Authenticator it connected with [MQTT-4.12.1-1], and returns
// when the server is content. If the server is not, it ends the connection.
func (c *Client) Reauthenticate(ctx context.Context) error {
	m := c.opt.Auth
	if m == nil || c.v < packet.V5 { // [MQTT-4.12.0-7]
		return errors.New("re-authenticate: the client did not connect with an Authenticator")
	}
	if c.inHandler(ctx) {
		return ErrInHandler
	}
	answer := make(chan error, 1)
	c.mu.Lock()
	busy := c.reauth != nil
	if !busy {
		c.reauth = answer // from here on nobody else asks m
	}
	c.mu.Unlock()
	if busy {
		return errors.New("re-authenticate: already under way")
	}
	data, err := m.Start()
	if err == nil {
		err = checkAuth(data)
	}
	if err == nil {
		err = c.lockToSend(ctx)
	}
	if err != nil {
		c.mu.Lock()
		c.reauth = nil
		c.mu.Unlock()
		return fmt.Errorf("re-authenticate: %w", err)
	}
	c.send(&packet.Auth{Code: packet.ReAuthenticate, AuthMethod: packet.Some(m.Method()), AuthData: data})
	c.mu.Unlock()
	select {
	case err := <-answer:
		return err
	case <-ctx.Done():
		return fmt.Errorf("re-authenticate: %w", ctx.Err())
	case <-c.stop:
		return lost(c.Err())
	}
}
