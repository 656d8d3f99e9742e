package abuse

import (
	"strings"
	"sync"
	"testing"

	"github.com/nightjarmq/nightjar/broker"
	"github.com/nightjarmq/nightjar/packet"
	"github.com/nightjarmq/nightjar/topic"
)

// secrets is an Access: topics that begin with "secret" are for clients whose name
// does, until all are shut out.
type secrets struct {
	mu   sync.Mutex
	shut bool // guarded by mu
}

func (s *secrets) may(c *broker.Client, name string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !strings.HasPrefix(name, "secret") || strings.HasPrefix(c.ID, "secret") && !s.shut
}

func (s *secrets) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.shut = true
}

func (s *secrets) Publish(c *broker.Client, name []byte, _ byte, _ bool) bool {
	return s.may(c, string(name))
}
func (s *secrets) Subscribe(c *broker.Client, f topic.Filter, _ byte) bool { return s.may(c, f.Filter) }
func (s *secrets) Receive(c *broker.Client, name []byte) bool              { return s.may(c, string(name)) }

// TestAccessWaysIn: what may not be published does not get in by an alias, by a
// will, as retained or as QoS 2 either.
func TestAccessWaysIn(t *testing.T) {
	_, addr := start(t, broker.Config{Access: new(secrets)})
	watch := join(t, addr, packet.V5, "secret watch")
	watch.subscribe(2, "#")
	p := join(t, addr, packet.V5, "p")
	p.send(&packet.Publish{Topic: []byte("secret/a"), Payload: []byte("1"), PublishProperties: packet.PublishProperties{TopicAlias: packet.Some[uint16](1)}})
	p.send(&packet.Publish{Payload: []byte("2"), PublishProperties: packet.PublishProperties{TopicAlias: packet.Some[uint16](1)}})
	p.send(&packet.Publish{Payload: []byte("3"), QoS: 1, PacketID: 1, PublishProperties: packet.PublishProperties{TopicAlias: packet.Some[uint16](1)}})
	if k := p.want(packet.TypePuback).(*packet.Puback); k.Code != packet.NotAuthorized {
		t.Errorf("by alias: %v", k.Code)
	}
	if code := p.publish("secret/a", "4", true); code != packet.NotAuthorized {
		t.Errorf("retained: %v", code)
	}
	p.send(&packet.Publish{Topic: []byte("secret/a"), Payload: []byte("5"), QoS: 2, PacketID: 2})
	if k := p.want(packet.TypePubrec).(*packet.Pubrec); k.Code != packet.NotAuthorized {
		t.Errorf("QoS 2: %v", k.Code)
	}
	dying := joinAs(t, addr, &packet.Connect{Version: packet.V5, ClientID: "d", CleanStart: true, Will: &packet.Will{Topic: "secret/will", Payload: []byte("6")}})
	dying.send(&packet.Disconnect{Code: packet.DisconnectWithWill})
	dying.closed()
	p.publish("end", "7", false)
	watch.hears("end 7")
}

// TestAccessWaysOut: what may not be received does not come by a wildcard, by a
// shared subscription, as retained, or to who subscribed when it was allowed.
// [MQTT-3.8.4-7]
func TestAccessWaysOut(t *testing.T) {
	guard := new(secrets)
	_, addr := start(t, broker.Config{Access: guard})
	writer := join(t, addr, packet.V5, "secret writer")
	writer.publish("secret/kept", "1", true)
	for _, v := range []packet.Version{packet.V311, packet.V5} {
		p := join(t, addr, v, "p"+v.String())
		refused := packet.NotAuthorized
		if v < packet.V5 {
			refused = packet.UnspecifiedError
		}
		for i, code := range p.subscribe(1, "secret/+", "$share/g/secret/#", "#", "$share/g/+/kept", "+/kept") {
			if want := i < 2; (code == refused) != want {
				t.Errorf("%v, filter %d: %v", v, i, code)
			}
		}
		writer.publish("secret/kept", "2", true)
		writer.publish("secret/a", "3", false)
		p.alive()
	}
}

// TestAccessTakenBack: who loses a right loses what waits for it too, in the queue
// of a session that is absent and of one that is there, and its subscription, which
// it hears. What was sent before is sent again. [MQTT-4.4.0-1]
func TestAccessTakenBack(t *testing.T) {
	cfg := broker.Config{Access: new(secrets)}
	b, addr := start(t, cfg)
	hello := func(id string) *packet.Connect {
		return &packet.Connect{Version: packet.V5, ClientID: id, SessionExpiry: packet.Some[uint32](1000), ReceiveMaximum: packet.Some[uint16](1)}
	}
	absent, slow := joinAs(t, addr, hello("secret absent")), joinAs(t, addr, hello("secret slow"))
	for _, p := range []*peer{absent, slow} {
		p.subscribe(1, "secret/#", "open")
	}
	writer := join(t, addr, packet.V5, "secret writer")
	writer.publish("secret/1", "in flight", false)
	absent.want(packet.TypePublish)
	absent.conn.Close()
	slow.want(packet.TypePublish)
	writer.publish("secret/2", "queued", false)
	writer.publish("open", "for all", false)
	shut := new(secrets)
	shut.close()
	cfg.Access, cfg.SysInterval, cfg.Listeners = shut, -1, b.Listeners()
	if err := b.Reload(cfg); err != nil {
		t.Fatal(err)
	}
	slow.ended(packet.NotAuthorized) // so that it hears of it
	for _, id := range []string{"secret absent", "secret slow"} {
		back := hello(id)
		back.ReceiveMaximum = packet.Opt[uint16]{}
		joinAs(t, addr, back).hears("secret/1 in flight", "open for all")
	}
}

// TestOwnTopics: nobody but the broker writes to its topics, neither directly nor
// by alias, as retained or by a will, whatever Access says; and wildcards at the
// front do not match them. [MQTT-4.7.2-1]
func TestOwnTopics(t *testing.T) {
	for _, cfg := range []broker.Config{{}, {Access: everything{}}} {
		_, addr := start(t, cfg)
		watch := join(t, addr, packet.V5, "watch")
		watch.subscribe(0, "$SYS/#", "$CONTROL/#", "$nightjar/#", "#", "+/#", "+/x")
		for _, name := range []string{"$SYS", "$SYS/x", "$SYS/broker/version", "$CONTROL", "$CONTROL/dynamic-security/v1", "$nightjar", "$nightjar/x"} {
			p := join(t, addr, packet.V5, "p")
			for _, retain := range []bool{false, true} {
				if code := p.publish(name, "mine", retain); code != packet.NotAuthorized {
					t.Errorf("%s, retained %v: %v", name, retain, code)
				}
			}
			alias := packet.PublishProperties{TopicAlias: packet.Some[uint16](1)}
			p.send(&packet.Publish{Topic: []byte(name), Payload: []byte("mine"), PublishProperties: alias},
				&packet.Publish{Payload: []byte("mine"), PublishProperties: alias})
			p.alive()
			old := join(t, addr, packet.V311, "old")
			old.publish(name, "mine", true)
			dying := joinAs(t, addr, &packet.Connect{Version: packet.V311, ClientID: "d", CleanStart: true, Will: &packet.Will{Topic: name, Payload: []byte("mine"), Retain: true}})
			dying.raw("00 00")
			dying.closed()
		}
		late := join(t, addr, packet.V5, "late")
		late.subscribe(0, "$SYS/#", "$CONTROL/#", "$nightjar/#")
		late.alive()
		watch.alive()
	}
}

// TestRefusedCommand: a command of QoS 2 that the broker does not take leaves no
// identifier open in a session that goes on: the next message under it is a new one.
// [MQTT-4.3.3-9] [MQTT-4.3.3-12]
func TestRefusedCommand(t *testing.T) {
	_, addr := start(t, broker.Config{Access: everything{}})
	watch := join(t, addr, packet.V5, "watch")
	watch.subscribe(2, "news")
	for _, v := range []packet.Version{packet.V311, packet.V5} {
		back := &packet.Connect{Version: v, ClientID: "c" + v.String(), SessionExpiry: packet.Some[uint32](100)}
		c := joinAs(t, addr, back)
		c.send(&packet.Publish{Topic: []byte("$CONTROL/nothing/v1"), QoS: 2, PacketID: 5})
		if rec := c.want(packet.TypePubrec).(*packet.Pubrec); v == packet.V311 {
			c.send(&packet.Pubrel{PacketID: 5})
			c.want(packet.TypePubcomp)
		} else if rec.Code != packet.NotAuthorized {
			t.Errorf("a command that is not there: %v", rec.Code)
		}
		c.alive()
		c = joinAs(t, addr, back)
		c.send(&packet.Publish{Topic: []byte("news"), Payload: []byte("of " + back.ClientID), QoS: 2, PacketID: 5}, &packet.Pubrel{PacketID: 5})
		c.want(packet.TypePubrec)
		c.want(packet.TypePubcomp)
		m := watch.want(packet.TypePublish).(*packet.Publish)
		if string(m.Payload) != "of "+back.ClientID {
			t.Errorf("came %q", m.Payload)
		}
		watch.send(&packet.Pubrec{PacketID: m.PacketID})
		watch.want(packet.TypePubrel)
		watch.send(&packet.Pubcomp{PacketID: m.PacketID})
	}
}

// everything is an Access that allows all.
type everything struct{}

func (everything) Publish(*broker.Client, []byte, byte, bool) bool   { return true }
func (everything) Subscribe(*broker.Client, topic.Filter, byte) bool { return true }
func (everything) Receive(*broker.Client, []byte) bool               { return true }
