package client_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nightjarmq/nightjar/client"
	"github.com/nightjarmq/nightjar/packet"
)

// A handler that waits for its context is let go when the connection is lost, and when it is given up while it runs.
func TestHandlerContextEnds(t *testing.T) {
	for name, end := range map[string]func(c *client.Client, p *peer){
		"lost": func(_ *client.Client, p *peer) { p.conn.Close() },
		"given up": func(c *client.Client, _ *peer) {
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			defer cancel()
			if err := c.Disconnect(ctx, nil); err != nil && !errors.Is(err, context.DeadlineExceeded) {
				t.Error(err)
			}
		},
		"closed": func(c *client.Client, _ *peer) { c.Close() },
	} {
		for qos := range byte(3) {
			t.Run(name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					c, p := connect(t, client.Options{KeepAlive: 10 * time.Second, Handler: func(ctx context.Context, _ *packet.Publish) {
						<-ctx.Done()
					}}, ok())
					p.send(message(uint16(min(qos, 1)), qos, "a"))
					synctest.Wait()
					go func() {
						for p.read() != nil {
						}
					}()
					end(c, p)
					<-c.Done()
				})
			})
		}
	}
}

// Disconnect and Close return although a handler does not, be it because the handler itself calls Close.
func TestCloseBesideStuckHandler(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := client.Options{Handler: func(ctx context.Context, _ *packet.Publish) { client.FromContext(ctx).Close() }}
		c, p := connect(t, o, ok())
		p.send(message(1, 1, "a"))
		go func() {
			for p.read() != nil {
			}
		}()
		c.Close()
		<-c.Done()
	})
}
