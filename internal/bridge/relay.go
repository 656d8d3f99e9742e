package bridge

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nightjarmq/nightjar/internal/ration"
	"github.com/nightjarmq/nightjar/packet"
)

// outgoing reads the local session and passes on to the remote.
func (l *link) outgoing(ctx context.Context) error {
	var p packet.Publish
	for {
		h, body, err := l.local.next()
		if err != nil {
			return err
		}
		switch h.Type {
		case packet.TypePublish:
			if err = p.Decode(h.Flags, body, l.local.v); err == nil {
				err = l.publishOut(ctx, &p)
			}
		case packet.TypePubrel:
			err = l.releaseOut(h, body)
		case packet.TypePuback, packet.TypePubrec, packet.TypePubcomp:
			err = l.answerIn(h, body)
		case packet.TypeSuback:
			err = l.granted(l.local, l.localList, h, body)
		case packet.TypeDisconnect:
			return errors.New("local: the broker ends the connection")
		}
		if err != nil {
			return err
		}
		if l.local.idle() {
			if err := errors.Join(l.remote.flush(), l.local.flush()); err != nil {
				return err
			}
		}
	}
}

// publishOut passes a message on to the remote.
func (l *link) publishOut(ctx context.Context, p *packet.Publish) error {
	b := l.b
	id, qos := p.PacketID, p.QoS
	why := l.prepareOut(p)
	if why != "" {
		b.drop(&b.stats.droppedOut, "out", p, why)
		return refuse(l.local, qos, id)
	}
	if err := b.pace.wait(ctx); err != nil {
		return err
	}
	if qos > 0 {
		b.lastID.Store(uint32(id))
	}
	b.stats.out.count(&b.stats.sent, p)
	l.active.Store(time.Now().UnixMilli())
	if qos == 2 && l.maxQoS < 2 {
		l.mu.Lock()
		l.lowered[id] = true
		l.mu.Unlock()
	}
	p.QoS = min(qos, l.maxQoS)
	if p.QoS == 0 {
		p.PacketID, p.Dup = 0, false
		if err := l.remote.write(p); err != nil || qos == 0 {
			return err
		}
		b.stats.out.done(id)
		return acknowledge(l.local, qos, id, packet.Success)
	}
	l.passedOut(p)
	return l.remote.write(p)
}

// prepareOut makes a local message one for the remote, or says why it does not go there.
func (l *link) prepareOut(p *packet.Publish) (why string) {
	c := &l.b.c
	hops, been := passed(p, c.ID)
	name, ok := Outward(c.Topics, string(p.Topic))
	switch {
	case !ok:
		return "no topic of the bridge"
	case been:
		return "it has been here before"
	case c.MaxHops > 0 && hops >= c.MaxHops:
		return "it has crossed as many bridges as it may"
	case len(name) > packet.MaxString:
		return "the topic becomes too long"
	}
	p.Topic = []byte(name)
	p.SubscriptionIDs, p.TopicAlias = nil, packet.Opt[uint16]{}
	p.Retain = p.Retain && c.OutgoingRetain && l.retain
	if l.remote.v >= packet.V5 {
		via(p, c.ID)
	}
	if size(p) > l.maxOut {
		return "larger than the remote takes"
	}
	return ""
}

// size is an upper bound of a packet's length.
func size(p *packet.Publish) int {
	return 5 + 2 + len(p.Topic) + 2 + 4 + 5 + len(p.Forward) + len(p.Payload)
}

// incoming reads the remote session and passes on to the local broker.
func (l *link) incoming() error {
	var p packet.Publish
	for {
		h, body, err := l.remote.next()
		if err != nil {
			return err
		}
		switch h.Type {
		case packet.TypePublish:
			if err = p.Decode(h.Flags, body, l.remote.v); err == nil {
				err = l.publishIn(&p)
			}
		case packet.TypePubrel:
			var a packet.Pubrel
			if err = a.Decode(h.Flags, body, l.remote.v); err == nil {
				err = l.local.write(&packet.Pubrel{PacketID: a.PacketID})
			}
		case packet.TypePuback, packet.TypePubrec, packet.TypePubcomp:
			err = l.answerOut(h, body)
		case packet.TypeSuback:
			err = l.granted(l.remote, l.remoteList, h, body)
		case packet.TypeDisconnect:
			var d packet.Disconnect
			if err = d.Decode(h.Flags, body, l.remote.v); err == nil {
				err = farewell(&d)
			}
		}
		if err != nil {
			return err
		}
		if l.remote.idle() {
			if err := errors.Join(l.local.flush(), l.remote.flush()); err != nil {
				return err
			}
		}
	}
}

// farewell is the DISCONNECT of the remote as an error.
func farewell(d *packet.Disconnect) error {
	if d.ReasonString.Set {
		return fmt.Errorf("remote: the broker ends the connection: %v: %s", d.Code, ration.Cut(d.ReasonString.Value))
	}
	return fmt.Errorf("remote: the broker ends the connection: %v", d.Code)
}

// publishIn passes a message on to the local broker.
func (l *link) publishIn(p *packet.Publish) error {
	b := l.b
	l.active.Store(time.Now().UnixMilli())
	why := ""
	hops, been := passed(p, b.c.ID)
	name, ok := Inward(b.c.Topics, string(p.Topic))
	id, qos := p.PacketID, p.QoS
	switch {
	case !ok:
		why = "no topic of the bridge"
	case been:
		why = "it has been here before"
	case b.c.MaxHops > 0 && hops >= b.c.MaxHops:
		why = "it has crossed as many bridges as it may"
	case len(name) > packet.MaxString:
		why = "the topic becomes too long"
	}
	p.Topic = []byte(name)
	p.SubscriptionIDs, p.TopicAlias = nil, packet.Opt[uint16]{}
	via(p, l.server)
	if why == "" && size(p) > l.maxIn {
		why = "larger than the local broker takes"
	}
	if why != "" {
		b.drop(&b.stats.droppedIn, "in", p, why)
		return refuse(l.remote, qos, id)
	}
	b.stats.in.count(&b.stats.received, p)
	return l.local.write(p)
}

// refuse answers a message that is not passed on. Before 5.0 it is acknowledged: there is no other answer. The PUBREL
// that follows then is answered by the other broker, which does not know the identifier.
func refuse(e *end, qos byte, id uint16) error {
	code := packet.ImplementationSpecificError
	if e.v < packet.V5 {
		code = packet.Success
	}
	return acknowledge(e, qos, id, code)
}

func acknowledge(e *end, qos byte, id uint16, code packet.Code) error {
	switch qos {
	case 1:
		return e.write(&packet.Puback{PacketID: id, Code: code})
	case 2:
		return e.write(&packet.Pubrec{PacketID: id, Code: code})
	}
	return nil
}

// releaseOut passes a PUBREL on to the remote, except for a message that went there with less than QoS 2.
func (l *link) releaseOut(h packet.Header, body []byte) error {
	var a packet.Pubrel
	if err := a.Decode(h.Flags, body, l.local.v); err != nil {
		return err
	}
	if l.maxQoS < 2 {
		return l.local.write(&packet.Pubcomp{PacketID: a.PacketID})
	}
	return l.remote.write(&packet.Pubrel{PacketID: a.PacketID})
}

// answerIn passes an acknowledgement of the local broker on to the remote.
func (l *link) answerIn(h packet.Header, body []byte) error {
	var a packet.Ack
	if err := decodeAck(&a, h, body, l.local.v); err != nil {
		return err
	}
	if a.Code >= packet.UnspecifiedError && h.Type != packet.TypePubcomp {
		l.b.refused("local", a.Code)
	}
	l.b.stats.in.acknowledged(h.Type, &a)
	return l.remote.write(ack(h.Type, a.PacketID, a.Code))
}

// answerOut passes an acknowledgement of the remote on to the local broker.
func (l *link) answerOut(h packet.Header, body []byte) error {
	var a packet.Ack
	if err := decodeAck(&a, h, body, l.remote.v); err != nil {
		return err
	}
	if a.Code >= packet.UnspecifiedError && h.Type != packet.TypePubcomp {
		l.b.refused("remote", a.Code)
	}
	l.b.stats.out.acknowledged(h.Type, &a)
	l.answered()
	t := h.Type
	l.mu.Lock()
	if t == packet.TypePuback && l.lowered[a.PacketID] {
		delete(l.lowered, a.PacketID)
		t = packet.TypePubrec
	}
	l.mu.Unlock()
	return l.local.write(ack(t, a.PacketID, a.Code))
}

func decodeAck(a *packet.Ack, h packet.Header, body []byte, v packet.Version) error {
	switch h.Type {
	case packet.TypePuback:
		return (*packet.Puback)(a).Decode(h.Flags, body, v)
	case packet.TypePubrec:
		return (*packet.Pubrec)(a).Decode(h.Flags, body, v)
	}
	return (*packet.Pubcomp)(a).Decode(h.Flags, body, v)
}

func ack(t packet.Type, id uint16, code packet.Code) packet.Packet {
	switch t {
	case packet.TypePuback:
		return &packet.Puback{PacketID: id, Code: code}
	case packet.TypePubrec:
		return &packet.Pubrec{PacketID: id, Code: code}
	}
	return &packet.Pubcomp{PacketID: id, Code: code}
}

// granted looks at a SUBACK.
func (l *link) granted(e *end, list []packet.SubscribeFilter, h packet.Header, body []byte) error {
	var a packet.Suback
	if err := a.Decode(h.Flags, body, e.v); err != nil {
		return err
	}
	l.b.tellRefused(e.name, list, a.Codes)
	return nil
}

// pace spreads messages over time.
type pace struct {
	gap  time.Duration // 0: none
	next time.Time
}

func (p *pace) wait(ctx context.Context) error {
	if p.gap == 0 {
		return nil
	}
	now := time.Now()
	p.next = p.next.Add(p.gap)
	if p.next.Before(now) {
		p.next = now
		return nil
	}
	t := time.NewTimer(p.next.Sub(now))
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
