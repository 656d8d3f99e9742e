package broker

import (
	"context"
	"net"

	"github.com/nightjarmq/nightjar/client"
	"github.com/nightjarmq/nightjar/packet"
)

// Pipe connects a client inside this process: the returned end speaks MQTT as a
// TCP connection would. The client is as anonymous as at a listener that lets
// everybody in. It works once Run runs.
func (b *Broker) Pipe() (net.Conn, error) { return b.pipe.Dial() }

// Dial connects our own client to the broker inside this process.
func (b *Broker) Dial(ctx context.Context, o client.Options) (*client.Client, error) {
	o.Dial = func(ctx context.Context, _, _ string) (net.Conn, error) { return b.Pipe() }
	return client.Dial(ctx, "tcp://in-process", o)
}

// Subscribe calls h for every message that the filter matches, in order, until
// the returned client is closed. It is a client like any other, with its flow
// control: a slow h slows only itself. Config.Auth and Config.Access are asked
// about it as about any client without a user name; where they refuse that, use
// Dial with Options.Username.
func (b *Broker) Subscribe(ctx context.Context, filter string, qos byte, h client.Handler) (*client.Client, error) {
	c, err := b.Dial(ctx, client.Options{Version: packet.V5})
	if err != nil {
		return nil, err
	}
	if _, err := c.Subscribe(ctx, client.To(filter, qos), h); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}
