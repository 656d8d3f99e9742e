package client_test

import (
	"context"
	"errors"
	"io"
	"net"
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

// While a large message creeps over a slow link the connection is not given up, although nothing is received and no
// PINGREQ gets through; when it is over the server is asked.
func TestLargeMessageOnSlowLink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := connect(t, client.Options{KeepAlive: 60 * time.Second}, ok())
		p.conn.SetReadDeadline(time.Time{})
		const size = 2 << 20
		if err := c.Publish(t.Context(), &packet.Publish{Topic: []byte("large"), Payload: make([]byte, size)}); err != nil {
			t.Fatal(err)
		}
		tick := time.NewTicker(40 * time.Second)
		defer tick.Stop()
		for got := 0; got < size; {
			b := make([]byte, 64<<10)
			n, err := io.ReadAtLeast(p.conn, b, min(len(b), size-got))
			if err != nil {
				t.Fatal(got, err, c.Err())
			}
			got += n
			<-tick.C
		}
		rest := make([]byte, 100)
		n, err := io.ReadAtLeast(p.conn, rest, 2)
		for err == nil && rest[n-2] != 0xC0 {
			var more int
			more, err = p.conn.Read(rest[n:])
			n += more
		}
		if err != nil {
			t.Fatal(err)
		}
		p.send(new(packet.Pingresp))
		synctest.Wait()
		if c.Err() != nil {
			t.Error(c.Err())
		}
	})
}

// A SUBACK that waits for the handlers of retained messages is waited for.
func TestResubscribeBehindRetained(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conns := make(chan net.Conn, 10)
		o := client.KeeperOptions{Servers: []string{"mqtt://x"}, ConnectTimeout: 10 * time.Second}
		o.Dial = func(context.Context, string, string) (net.Conn, error) {
			near, far := net.Pipe()
			conns <- far
			return near, nil
		}
		k, _, stop := keeper(t, o)
		serve := func(retained int) *peer {
			p := &peer{t: t, conn: <-conns, v: packet.V5}
			p.expect("CONNECT")
			p.send(ok())
			s, _ := p.read().(*packet.Subscribe)
			if s == nil {
				t.Fatal("no SUBSCRIBE")
			}
			for range retained {
				p.send(message(0, 0, "r"))
			}
			p.send(&packet.Suback{PacketID: s.PacketID, Codes: []packet.Code{packet.Success}})
			return p
		}
		subscribed := make(chan error, 1)
		go func() {
			_, err := k.Subscribe(t.Context(), client.To("r", 0), func(context.Context, *packet.Publish) {
				timer := time.NewTimer(8 * time.Second)
				<-timer.C
			})
			subscribed <- err
		}()
		p := serve(0)
		if err := <-subscribed; err != nil {
			t.Fatal(err)
		}
		p.conn.Close()
		p = serve(5)
		if err := k.PublishAsync(t.Context(), message(0, 1, "after"), nil); err != nil {
			t.Fatal(err)
		}
		p.expect("PUBLISH 3 q1 after p")
		p.conn.Close()
		stop()
	})
}
