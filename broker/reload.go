package broker

import (
	"errors"
	"net"

	"github.com/nightjarmq/nightjar/internal/hub"
	"github.com/nightjarmq/nightjar/internal/transport"
	"github.com/nightjarmq/nightjar/packet"
)

// Reload makes another configuration hold while the broker runs: the listeners,
// Auth, Access and the limits of clients, of their queues and of retained
// messages. Everything else stays as it was at the start. With an error nothing
// has changed.
//
// A listener is the same if Network, Address and Device are: its socket and its
// clients stay, and the clients keep the limits that they connected with. The
// clients of a listener that is missing are disconnected, and so are those that
// lose a subscription because Access no longer allows it.
func (b *Broker) Reload(cfg Config) error {
	b.reloading.Lock()
	defer b.reloading.Unlock()
	opened, err := b.bindNew(cfg.Listeners)
	if err != nil {
		return err
	}
	next := b.live
	next.reload(&cfg)
	b.hub.SetLimits(next.hubLimits())
	b.hub.SetAccess(next.Access)
	b.conns.SetAuth(next.Auth)
	list, bound, gone, err := b.place(&next, opened)
	next.Listeners = list
	b.mu.Lock()
	b.live, b.bound = next, bound
	b.mu.Unlock()
	for _, l := range gone {
		b.dismiss(l)
	}
	if next.Commands != nil { // a command may have been carried out meanwhile
		err = errors.Join(err, next.Commands.Refresh())
	}
	batch := b.net.Batch()
	b.hub.Recheck(batch)
	b.net.ReleaseBatch(batch)
	return err
}

// reload takes over what Reload may change.
func (c *Config) reload(n *Config) {
	c.Listeners, c.Auth, c.Access, c.Commands = n.Listeners, n.Auth, n.Access, n.Commands
	c.MaxPacketSize, c.MaxPayload, c.MaxTopicAlias, c.MaxQoS = n.MaxPacketSize, n.MaxPayload, n.MaxTopicAlias, n.MaxQoS
	c.MaxInflight, c.MaxInflightBytes, c.ReceiveMaximum = n.MaxInflight, n.MaxInflightBytes, n.ReceiveMaximum
	c.MaxQueuedMessages, c.MaxQueuedBytes, c.DropOldest, c.QueueQoS0 = n.MaxQueuedMessages, n.MaxQueuedBytes, n.DropOldest, n.QueueQoS0
	c.Queues = n.Queues
	c.MaxKeepAlive, c.MaxSessionExpiry, c.MaxSessions = n.MaxKeepAlive, n.MaxSessionExpiry, n.MaxSessions
	c.MaxUserSessions, c.MaxRetainedBytes, c.MaxConnectRate, c.LenientReceive = n.MaxUserSessions, n.MaxRetainedBytes, n.MaxConnectRate, n.LenientReceive
	c.MaxSubscriptions, c.MaxRetained, c.NoRetain, c.RetainExpiry = n.MaxSubscriptions, n.MaxRetained, n.NoRetain, n.RetainExpiry
	c.UpgradeOutgoingQoS = n.UpgradeOutgoingQoS
	c.RefuseEmptyClientID, c.ClientIDPrefix = n.RefuseEmptyClientID, n.ClientIDPrefix
}

// same reports whether two listeners share a socket.
func (l *Listener) same(o *Listener) bool {
	return l.Network == o.Network && l.Address == o.Address && l.Device == o.Device
}

func find(list []Listener, l *Listener) int {
	for i := range list {
		if list[i].same(l) {
			return i
		}
	}
	return -1
}

// bindNew binds those of the listeners that are not bound yet; the others are nil
// in its result, as are those that may be missing and cannot be bound.
func (b *Broker) bindNew(list []Listener) ([]net.Listener, error) {
	opened := make([]net.Listener, len(list))
	for i := range list {
		l := &list[i]
		var err error
		switch {
		case find(b.live.Listeners, l) >= 0:
			continue
		case l.Socket != nil:
			opened[i] = l.Socket
		default:
			opened[i], err = transport.Bind(b.cfg.transportListener(*l))
		}
		if err != nil && l.Optional {
			b.log.Info("a listener was left out", "err", err)
			continue
		}
		if err != nil {
			return nil, errors.Join(err, closeAll(opened))
		}
	}
	return opened, nil
}

func closeAll(list []net.Listener) error {
	var err error
	for _, l := range list {
		if l != nil {
			if cerr := l.Close(); !errors.Is(cerr, net.ErrClosed) {
				err = errors.Join(err, cerr)
			}
		}
	}
	return err
}

// place updates the listeners that stay and begins to accept at new ones. gone are
// those that are missing.
func (b *Broker) place(next *Config, opened []net.Listener) (list []Listener, bound, gone []*transport.Listener, err error) {
	gone = append(gone, b.bound...)
	for i := range next.Listeners {
		l := next.Listeners[i]
		if at := find(b.live.Listeners, &l); at >= 0 && gone[at] != nil {
			b.bound[at].Update(next.transportListener(l))
			list, bound, gone[at] = append(list, l), append(bound, b.bound[at]), nil
			continue
		}
		if opened[i] == nil {
			continue // it may be missing
		}
		t := next.transportListener(l)
		t.Listener, t.Unlink = opened[i], l.Socket == nil
		ln, lerr := b.net.Listen(t)
		if lerr != nil {
			err = errors.Join(err, lerr)
			continue
		}
		list, bound = append(list, l), append(bound, ln)
	}
	return list, bound, gone, err
}

// dismiss closes a listener and disconnects its clients.
func (b *Broker) dismiss(l *transport.Listener) {
	if l == nil {
		return
	}
	l.Close()
	batch := b.net.Batch()
	b.hub.Clients(func(c *hub.Client) bool {
		if ln := c.Link(); ln != nil && ln.Conn.Listener() == l {
			ln.Kick(batch, packet.AdministrativeAction, "", transport.ErrListenerClosed) // [MQTT-3.14.0-1]
		}
		return true
	})
	b.net.ReleaseBatch(batch)
	l.CloseConnections(transport.ErrListenerClosed)
}
