package bridge

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nightjarmq/nightjar/packet"
)

// connectTime bounds an attempt to connect.
const connectTime = 30 * time.Second

// olderWindow is how many messages may be under way to a server that cannot say what it takes; mosquitto takes 20.
const olderWindow = 20

// link is both connections, as long as both last.
type link struct {
	b             *Bridge
	server        string
	local, remote *end
	maxQoS        byte // of the remote
	retain        bool // the remote takes retained messages
	maxOut, maxIn int  // bytes of a packet to the remote, to the local broker
	localList     []packet.SubscribeFilter
	remoteList    []packet.SubscribeFilter
	active        atomic.Int64 // when a message passed, in unix ms
	first         first        // belongs to the reader of the local connection
	heard         bool         // the remote has acknowledged something; belongs to its reader

	mu      sync.Mutex
	lowered map[uint16]bool // guarded by mu: QoS 2 messages that went with QoS 1
}

var errIdle = errors.New("idle")

// connect makes both connections, the remote first: what it can take is needed for the other one.
func (b *Bridge) connect(ctx context.Context, s Server) (*link, error) {
	bounded, cancel := context.WithTimeout(ctx, connectTime)
	defer cancel()
	conn, err := b.dial(bounded, s)
	if err != nil {
		return nil, err
	}
	l := &link{b: b, server: s.Address, lowered: make(map[uint16]bool)}
	l.active.Store(time.Now().UnixMilli())
	release := context.AfterFunc(bounded, func() { conn.SetDeadline(time.Unix(1, 0)) })
	err = l.greet(conn)
	if !release() && err == nil {
		err = context.Cause(bounded)
	}
	if err != nil {
		conn.Close()
		if l.local != nil {
			l.local.conn.Close()
		}
		return nil, err
	}
	conn.SetDeadline(time.Time{})
	l.local.conn.SetDeadline(time.Time{})
	return l, nil
}

func (b *Bridge) dial(ctx context.Context, s Server) (net.Conn, error) {
	conn, err := b.c.Dialer.DialContext(ctx, "tcp", s.Address)
	if err != nil || b.c.TLS == nil {
		return conn, err
	}
	t := b.c.TLS.Clone()
	if t.ServerName == "" {
		t.ServerName, _, _ = net.SplitHostPort(s.Address)
	}
	secure := tls.Client(conn, t)
	if err := secure.HandshakeContext(ctx); err != nil {
		conn.Close()
		return nil, fmt.Errorf("TLS: %w", err)
	}
	return secure, nil
}

// greet makes both sessions, and lets them forget what only the other one could have continued.
func (l *link) greet(conn net.Conn) error {
	b := l.b
	l.remote = newEnd("remote", conn, b.version)
	ra, err := l.remote.greet(b.remoteConnect())
	if err != nil {
		return b.lower(err)
	}
	l.limit(ra)
	local, la, err := b.openLocal(l)
	if err != nil {
		return err
	}
	l.local = local
	l.maxIn = int(la.MaximumPacketSize.Or(packet.MaxVarint + 5))
	if err := l.agree(ra.SessionPresent, la.SessionPresent); err != nil {
		return err
	}
	return l.subscribe(ra.SessionPresent)
}

// agree lets each session forget what only a lost one could have continued: the packet identifiers that were open there.
// What a session sends meanwhile is not read, so that it must be opened anew.
func (l *link) agree(remotePresent, localPresent bool) error {
	b := l.b
	if !remotePresent && b.subscribed && !b.c.CleanStart {
		b.log.Warn("the other broker has lost the session of a bridge, and what waited in it")
	}
	b.freshRemote = b.freshRemote || !remotePresent
	b.freshLocal = b.freshLocal || !localPresent
	if !localPresent {
		b.stats.out.clear()
	}
	if !remotePresent {
		b.stats.in.clear()
	}
	switch {
	case b.freshRemote && b.freshLocal || b.released:
	case b.freshRemote:
		if err := forget(l.local); err != nil {
			return err
		}
		l.local.conn.Close()
		var err error
		if l.local, _, err = b.openLocal(l); err != nil {
			return err
		}
	case b.freshLocal:
		if err := forget(l.remote); err != nil {
			return err
		}
		b.released = true
		return errAgain
	}
	b.freshRemote, b.freshLocal, b.released = false, false, false
	return nil
}

// limit takes what the remote announces.
func (l *link) limit(a *packet.Connack) {
	c := &l.b.c
	l.maxQoS, l.retain = a.MaximumQoS.Or(2), a.RetainAvailable.Or(1) == 1
	l.maxOut = int(a.MaximumPacketSize.Or(packet.MaxVarint + 5))
	if c.MaxPacketSize > 0 {
		l.maxOut = min(l.maxOut, c.MaxPacketSize)
	}
	l.b.window = a.ReceiveMaximum.Or(65535)
	if l.b.version < packet.V5 {
		l.b.window = olderWindow
	}
	l.b.keepAlive = c.keepAlive()
	if a.ServerKeepAlive.Set { // [MQTT-3.1.2-21]
		l.b.keepAlive = time.Duration(a.ServerKeepAlive.Value) * time.Second
	}
}

// remoteConnect is the CONNECT to the remote.
func (b *Bridge) remoteConnect() *packet.Connect {
	c := &b.c
	p := &packet.Connect{
		Version: b.version, Bridge: b.private, CleanStart: c.CleanStart, ClientID: c.RemoteClientID,
		KeepAlive: uint16(min(c.keepAlive()/time.Second, math.MaxUint16)),
	}
	if c.Username != "" {
		p.Username = packet.Some(c.Username)
	}
	if c.Password != nil {
		p.Password = packet.Some(c.Password)
		p.Username = packet.Some(c.Username)
	}
	if c.Notify && !c.NotifyLocal {
		p.Will = &packet.Will{Topic: c.notifyTopic(), Payload: []byte("0"), QoS: 1, Retain: true}
	}
	if b.version >= packet.V5 {
		switch {
		case c.SessionExpiry != 0:
			p.SessionExpiry = packet.Some(c.SessionExpiry)
		case !c.CleanStart:
			p.SessionExpiry = packet.Some[uint32](math.MaxUint32)
		}
		if c.ReceiveMaximum != 0 {
			p.ReceiveMaximum = packet.Some(c.ReceiveMaximum)
		}
	}
	return p
}

// openLocal opens the local session; l is nil if it is only to be made.
func (b *Bridge) openLocal(l *link) (*end, *packet.Connack, error) {
	conn, err := b.local.Pipe()
	if err != nil {
		return nil, nil, fmt.Errorf("local: %w", err)
	}
	conn.SetDeadline(time.Now().Add(connectTime))
	c := &b.c
	p := &packet.Connect{Version: packet.V5, CleanStart: c.LocalCleanStart, ClientID: c.LocalClientID}
	if c.LocalUsername != "" {
		p.Username = packet.Some(c.LocalUsername)
	}
	if !c.LocalCleanStart {
		p.SessionExpiry = packet.Some[uint32](math.MaxUint32)
	}
	if l == nil {
		p.ReceiveMaximum = packet.Some[uint16](1) // messages are for the connection that comes
	} else {
		p.ReceiveMaximum = packet.Some(b.window) // no more is under way to the remote than it takes [MQTT-3.3.4-9]
		if n := l.maxOut - growth(c.Topics) - viaSize(c.ID); l.maxOut <= packet.MaxVarint && n > 0 {
			p.MaximumPacketSize = packet.Some(uint32(n))
		}
	}
	e := newEnd("local", conn, packet.V5)
	a, err := e.greet(p)
	if err != nil {
		conn.Close()
		return nil, nil, err
	}
	return e, a, nil
}

// prime makes the local session and its subscriptions, so that messages wait for the remote from now on.
func (b *Bridge) prime() error {
	e, a, err := b.openLocal(nil)
	if err != nil {
		return err
	}
	defer e.conn.Close()
	b.freshLocal = b.freshLocal || !a.SessionPresent
	list := b.localFilters(2, 1)
	if len(list) == 0 {
		return nil
	}
	if err := e.write(&packet.Subscribe{PacketID: 1, Filters: list}); err != nil {
		return err
	}
	for {
		if err := e.flush(); err != nil {
			return err
		}
		h, body, err := e.next()
		if err != nil {
			return err
		}
		if h.Type == packet.TypeSuback {
			var a packet.Suback
			if err := a.Decode(h.Flags, body, e.v); err != nil {
				return err
			}
			b.tellRefused("local", list, a.Codes)
			if err := e.write(&packet.Disconnect{}); err != nil {
				return err
			}
			return e.flush()
		}
	}
}

func (b *Bridge) localFilters(most, retain byte) []packet.SubscribeFilter {
	return filters(b.c.Topics, goesOut, (*Topic).Local, packet.Options{NoLocal: true, RetainAsPublished: true, RetainHandling: retain}, most)
}

// forget releases every packet identifier that an earlier session may have opened at e, where no message waits for it any
// more. What e sends meanwhile is not looked at and comes again on its next connection.
func forget(e *end) error {
	done := make(chan error, 1)
	go func() {
		for id := 1; id <= math.MaxUint16; id++ {
			if err := e.write(&packet.Pubrel{PacketID: uint16(id)}); err != nil {
				done <- err
				return
			}
		}
		done <- e.flush()
	}()
	for {
		h, body, err := e.next()
		if err != nil {
			e.conn.Close()
			<-done
			return err
		}
		if h.Type != packet.TypePubcomp {
			continue
		}
		var a packet.Pubcomp
		if err := a.Decode(h.Flags, body, e.v); err != nil {
			e.conn.Close()
			<-done
			return err
		}
		if a.PacketID == math.MaxUint16 {
			return <-done
		}
	}
}

// subscribe asks both brokers for what is to cross. The answers come to the readers.
func (l *link) subscribe(present bool) error {
	b := l.b
	retain := byte(1)
	if !present {
		retain = 0 // the remote has nothing yet
	}
	l.remoteList = nil
	if b.version >= packet.V5 || !present || !b.subscribed {
		o := packet.Options{NoLocal: true, RetainAsPublished: true, RetainHandling: 1}
		l.remoteList = filters(b.c.Topics, comesIn, (*Topic).Remote, o, 2)
	}
	l.localList = b.localFilters(l.maxQoS, retain)
	// The identifiers of messages go in a circle, so that those on its other side are free [MQTT-2.2.1-3].
	id := uint16(b.lastID.Load()) + 1<<15
	for _, x := range []struct {
		e    *end
		list []packet.SubscribeFilter
		off  []string
	}{
		{l.remote, l.remoteList, surplus(b.c.Topics, comesIn, (*Topic).Remote)},
		{l.local, l.localList, surplus(b.c.Topics, goesOut, (*Topic).Local)},
	} {
		if len(x.list) > 0 {
			if err := x.e.write(&packet.Subscribe{PacketID: max(id, 1), Filters: x.list}); err != nil {
				return err
			}
		}
		if len(x.off) > 0 && (b.c.Unsubscribe || x.e == l.local) {
			if err := x.e.write(&packet.Unsubscribe{PacketID: max(id+1, 1), Filters: x.off}); err != nil {
				return err
			}
		}
		if err := x.e.flush(); err != nil {
			return err
		}
	}
	b.subscribed = true
	return nil
}

// run passes packets on until a connection or ctx ends.
func (l *link) run(ctx context.Context) error {
	b := l.b
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	out, in := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(out)
		cancel(l.outgoing(ctx))
	}()
	go func() {
		defer close(in)
		cancel(l.incoming())
	}()
	alive := make(chan struct{})
	go func() {
		defer close(alive)
		if err := l.watch(ctx); err != nil {
			cancel(err)
		}
	}()
	release := context.AfterFunc(ctx, l.remote.leave) // so that nothing below waits for a remote that does not read
	defer release()
	b.notify(ctx, l, "1")
	<-ctx.Done()
	l.goodbye()
	<-out
	<-in
	io.Copy(io.Discard, l.local.conn) // until the local broker has closed it, or a second is over
	l.local.conn.Close()
	<-alive
	err := context.Cause(ctx)
	if errors.Is(err, io.EOF) {
		return fmt.Errorf("connection closed: %w", err)
	}
	return err
}

// goodbye tells both brokers, as far as they still listen, and closes the connection to the remote. The local broker closes
// the other one: when it has, the session is free.
func (l *link) goodbye() {
	l.remote.leave()
	if c := &l.b.c; c.Notify && !c.NotifyLocal {
		l.remote.write(&packet.Publish{Topic: []byte(c.notifyTopic()), Payload: []byte("0"), Retain: l.retain})
	}
	l.remote.write(&packet.Disconnect{})
	l.remote.flush()
	l.remote.conn.Close()
	l.local.leave()
	l.local.write(&packet.Disconnect{})
	l.local.flush()
}

// watch keeps the remote connection alive, and ends it when the remote is silent or a lazy bridge has nothing to do.
func (l *link) watch(ctx context.Context) error {
	keep := l.b.keepAlive
	step := min(max(keep/4, 10*time.Millisecond), time.Second)
	if keep == 0 {
		step = time.Second
	}
	tick := time.NewTicker(step)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case now := <-tick.C:
			quiet := now.Sub(time.UnixMilli(l.remote.wrote.Load()))
			silent := now.Sub(time.UnixMilli(l.remote.read.Load()))
			switch {
			case keep > 0 && silent > keep+keep/2+step:
				return fmt.Errorf("remote: silent for %v", silent.Round(time.Second))
			case keep > 0 && (quiet > keep-step || silent > keep-step): // [MQTT-3.1.2-20]
				if err := l.remote.write(&packet.Pingreq{}); err != nil {
					return err
				}
				if err := l.remote.flush(); err != nil {
					return err
				}
			}
			if l.b.c.Start == Lazy && now.Sub(time.UnixMilli(l.active.Load())) > l.b.c.IdleTimeout {
				return errIdle
			}
		}
	}
}
