package abuse

import (
	"fmt"
	"testing"

	"github.com/nightjarmq/nightjar/broker"
	"github.com/nightjarmq/nightjar/packet"
)

// TestForeignTakeover: a session belongs to the user who made it, for life: another
// user gets neither the connection closed nor what waits, nor ends the session with
// Clean Start. [MQTT-3.1.4-2]
func TestForeignTakeover(t *testing.T) {
	_, addr := start(t, broker.Config{Auth: door{}})
	owner := as("alice", "secret", &packet.Connect{Version: packet.V5, ClientID: "c", SessionExpiry: packet.Some[uint32](1000)})
	alice := joinAs(t, addr, owner)
	alice.subscribe(1, "letters")
	thieves := func() {
		t.Helper()
		for _, k := range []*packet.Connect{
			{Version: packet.V5, ClientID: "c"},
			{Version: packet.V5, ClientID: "c", CleanStart: true},
			{Version: packet.V311, ClientID: "c"},
			{Version: packet.V311, ClientID: "c", CleanStart: true},
		} {
			p := dial(t, addr, k.Version)
			p.send(as("mallory", "secret", k))
			if ack := p.want(packet.TypeConnack).(*packet.Connack); ack.Code != packet.NotAuthorized || ack.SessionPresent {
				t.Errorf("%v, clean %v: answered with %v", k.Version, k.CleanStart, ack.Code)
			}
			p.closed()
		}
	}
	thieves()
	alice.alive()
	alice.conn.Close()
	writer := joinAs(t, addr, as("bob", "secret", &packet.Connect{Version: packet.V5, ClientID: "w", CleanStart: true}))
	for i := range 3 { // some before and some after the broker has noticed
		writer.publish("letters", fmt.Sprint(i), false)
	}
	thieves()
	back := joinAs(t, addr, owner)
	for i := range 3 {
		if k := back.want(packet.TypePublish).(*packet.Publish); string(k.Payload) != fmt.Sprint(i) {
			t.Errorf("%q came, want %d", k.Payload, i)
		}
	}
}

// TestTakeoverStorm: two devices with one name throw each other out hundreds of
// times. Who is thrown out is told so, the last one stays, nothing is left behind,
// and nobody else notices. [MQTT-3.1.4-3] [3.1.1: MQTT-3.1.4-2]
func TestTakeoverStorm(t *testing.T) {
	const times = 300
	_, addr := start(t, broker.Config{})
	other, sub := join(t, addr, packet.V5, "other"), join(t, addr, packet.V5, "sub")
	sub.subscribe(1, "calm", "will")
	var last *peer
	for i := range times {
		k := &packet.Connect{Version: packet.V5, ClientID: "twin", CleanStart: i%2 == 0, SessionExpiry: packet.Some[uint32](100)}
		if i == times/2 {
			k.Will = &packet.Will{Topic: "will", Payload: []byte("x")}
		}
		next := dial(t, addr, packet.V5)
		next.send(k)
		if ack := next.want(packet.TypeConnack).(*packet.Connack); ack.SessionPresent != (i%2 == 1) {
			t.Fatalf("connection %d: session present %v", i, ack.SessionPresent)
		}
		if last != nil {
			last.ended(packet.SessionTakenOver)
		}
		last = next
		if i%50 == 0 {
			other.publish("calm", fmt.Sprint(i), false)
		}
	}
	last.alive()
	sub.hears("calm 0", "calm 50", "calm 100", "calm 150", "will x", "calm 200", "calm 250")
}

// TestShares: a shared subscription needs a name without wildcards and a filter; No
// Local has no place on it. Whatever is wrong with it leaves nothing behind when it
// is taken back. [MQTT-4.8.2-1] [MQTT-4.8.2-2] [MQTT-3.8.3-4]
func TestShares(t *testing.T) {
	bad := []string{"$share/", "$share/g", "$share/g/", "$share//t", "$share/+/t", "$share/#", "$share/a#/t", "$share/g/a#", "$share/g/#/a"}
	_, addr := start(t, broker.Config{})
	for _, v := range []packet.Version{packet.V311, packet.V5} {
		p := join(t, addr, v, "p")
		refused := packet.TopicFilterInvalid
		if v < packet.V5 {
			refused = packet.UnspecifiedError
		}
		for i, code := range p.subscribe(1, append(bad, "$share/g/t", "t")...) {
			if want := i < len(bad); (code == refused) != want {
				t.Errorf("%v: filter %d is answered with %v", v, i, code)
			}
		}
		p.send(&packet.Unsubscribe{PacketID: 2, Filters: []string{"$share/g/+", "$share/other/t", "$share/g/t", "t", "$share/g"}})
		p.want(packet.TypeUnsuback)
		q := join(t, addr, packet.V5, "q")
		if code := q.publish("t", "x", false); code != packet.NoMatchingSubscribers {
			t.Errorf("%v: somebody is left: %v", v, code)
		}
		p.alive()
	}
	local := join(t, addr, packet.V5, "p")
	local.send(&packet.Subscribe{PacketID: 1, Filters: []packet.SubscribeFilter{{Filter: "$share/g/t", Options: packet.Options{NoLocal: true}}}})
	local.ended(packet.ProtocolError)
}

// TestManyShares: a message goes once to each of very many shared subscriptions of
// one topic, whoever has how many of them, and once more to whom it goes anyway.
// [MQTT-4.8.2-4] [MQTT-3.3.4-5]
func TestManyShares(t *testing.T) {
	const clients, shares = 5, 20
	_, addr := start(t, broker.Config{})
	hello := func(i int) *packet.Connect {
		return &packet.Connect{Version: packet.V5, ClientID: fmt.Sprint("s", i), SessionExpiry: packet.Some[uint32](100)}
	}
	for i := range clients {
		p := joinAs(t, addr, hello(i))
		p.subscribe(1, append(names(fmt.Sprint("$share/", i, "-%d/t"), shares), "t")...)
		if i%2 == 0 { // some are there, some are not
			p.send(&packet.Disconnect{})
			p.closed()
		}
	}
	w := join(t, addr, packet.V5, "w")
	w.publish("t", "1", false)
	w.publish("t", "2", false)
	for i := range clients {
		got := map[string]int{}
		p := joinAs(t, addr, hello(i))
		for range 2 * (shares + 1) {
			k := p.want(packet.TypePublish).(*packet.Publish)
			got[string(k.Payload)]++
			p.send(&packet.Puback{PacketID: k.PacketID})
		}
		if got["1"] != shares+1 || got["2"] != shares+1 {
			t.Errorf("client %d got %v", i, got)
		}
		p.alive()
	}
}
