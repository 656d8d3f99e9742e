package cli

import (
	"context"
	"fmt"
	"net"
	"strings"

	"github.com/nightjarmq/nightjar/broker"
	"github.com/nightjarmq/nightjar/internal/systemd"
)

// adopt gives the sockets that systemd has bound to the listeners with the same
// address. One that nobody asked for is an error: its clients would wait forever.
func adopt(cfg *broker.Config, env systemd.Getenv) error {
	sockets, err := systemd.Sockets(env)
	if err != nil {
		return err
	}
next:
	for _, s := range sockets {
		for i := range cfg.Listeners {
			if l := &cfg.Listeners[i]; l.Socket == nil && sameAddress(l, s.Addr()) {
				l.Socket = s
				continue next
			}
		}
		return fmt.Errorf("systemd hands over the socket %s, and no listener is there for it: add a listener with this address, or take it out of the socket unit", s.Addr())
	}
	return nil
}

// sameAddress reports whether a listener would bind what is bound as a. The port
// decides when one of both means all addresses.
func sameAddress(l *broker.Listener, a net.Addr) bool {
	bound, ok := a.(*net.TCPAddr)
	if !ok {
		return l.Network == "unix" && l.Address == a.String()
	}
	if l.Network == "unix" {
		return false
	}
	want, err := net.ResolveTCPAddr("tcp", l.Address)
	if err != nil || want.Port != bound.Port {
		return false
	}
	return want.IP == nil || want.IP.IsUnspecified() || bound.IP.IsUnspecified() || want.IP.Equal(bound.IP)
}

// tellManager tells systemd that the broker serves, and then twice in each interval
// of its watchdog that a message comes through. The returned function ends that.
func tellManager(ctx context.Context, b *broker.Broker, n systemd.Notifier) (end func()) {
	var where []string
	for _, a := range b.Addrs() {
		where = append(where, a.String())
	}
	n.Tell("READY=1", "STATUS=listening on "+strings.Join(where, ", "))
	stopping := context.AfterFunc(ctx, func() { n.Tell("STOPPING=1") })
	watch, stop := context.WithCancel(context.WithoutCancel(ctx)) // a long stop is alive too
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		n.Watch(watch, func() { b.Publish(watch, broker.Message{Topic: "$nightjar/alive"}) })
	}()
	return func() {
		stopping()
		stop()
		<-ended
		n.Close()
	}
}
