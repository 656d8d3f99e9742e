package abuse

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/nightjarmq/nightjar/broker"
	"github.com/nightjarmq/nightjar/packet"
)

// TestLinear: four times as much of something costs about four times as much
// memory traffic, whatever it is that one packet, or one client, can have many of.
// Quadratic work would cost sixteen times as much.
func TestLinear(t *testing.T) {
	for _, tc := range []struct {
		name string
		few  int // the other run has four times as many
		play func(t *testing.T, addr string, n int)
	}{
		{"user properties of CONNECT", 2000, func(t *testing.T, addr string, n int) {
			k := &packet.Connect{Version: packet.V5, ClientID: "c", CleanStart: true}
			for range n {
				k.User = append(k.User, packet.UserProperty{Key: "k", Value: "v"})
			}
			joinAs(t, addr, k).alive()
		}},
		{"user properties of PUBLISH, retained", 20_000, func(t *testing.T, addr string, n int) {
			sub := join(t, addr, packet.V5, "sub")
			sub.subscribe(1, "t")
			p := join(t, addr, packet.V5, "p")
			m := &packet.Publish{Topic: []byte("t"), Payload: []byte("x"), QoS: 1, PacketID: 1, Retain: true}
			m.User = make([]packet.UserPair, n)
			p.send(m)
			p.want(packet.TypePuback)
			sub.hears("t x")
			sub.subscribe(0, "t/#")
			sub.hears("t x")
		}},
		{"filters of SUBSCRIBE", 2000, func(t *testing.T, addr string, n int) {
			p := join(t, addr, packet.V5, "p")
			p.subscribe(1, names("filter/%d/+", n)...)
			p.subscribe(1, names("filter/%d/+", n)...)
			p.send(&packet.Publish{Topic: []byte("filter/7/x"), Payload: []byte("m")})
			p.hears("filter/7/x m")
		}},
		{"overlapping filters and one message", 1000, func(t *testing.T, addr string, n int) {
			p, q := join(t, addr, packet.V5, "p"), join(t, addr, packet.V5, "q")
			for _, sub := range []*peer{p, q} {
				k := &packet.Subscribe{PacketID: 1, SubscriptionID: packet.Some[uint32](5)}
				for i := range n {
					k.Filters = append(k.Filters, packet.SubscribeFilter{Filter: overlapping(i)})
				}
				sub.send(k)
				sub.want(packet.TypeSuback)
			}
			p.send(&packet.Publish{Topic: []byte(strings.Repeat("/", 14)), Payload: []byte("x")})
			p.want(packet.TypePublish)
			q.want(packet.TypePublish)
		}},
		{"shared subscriptions of one topic", 1000, func(t *testing.T, addr string, n int) {
			p := join(t, addr, packet.V5, "p")
			p.subscribe(0, names("$share/g%d/t", n)...)
			p.send(&packet.Publish{Topic: []byte("t"), Payload: []byte("x")})
			for range n {
				p.want(packet.TypePublish)
			}
		}},
		{"identifiers in flight to a client", 1000, func(t *testing.T, addr string, n int) {
			inflight(t, addr, n)
		}},
		{"identifiers in flight from a client", 1000, func(t *testing.T, addr string, n int) {
			p := joinAs(t, addr, &packet.Connect{Version: packet.V5, ClientID: "p", SessionExpiry: packet.Some[uint32](100)})
			for i := range n {
				p.send(&packet.Publish{Topic: []byte("t"), QoS: 2, PacketID: uint16(i + 1)})
				p.want(packet.TypePubrec)
			}
			for i := range n {
				p.send(&packet.Pubrel{PacketID: uint16(n - i)})
				p.want(packet.TypePubcomp)
			}
		}},
		{"levels of a topic", 2500, func(t *testing.T, addr string, n int) {
			p := join(t, addr, packet.V5, "p")
			deep := strings.Repeat("/", n)
			p.subscribe(0, deep, strings.Repeat("+/", n)+"+", deep+"#", "+/#")
			p.send(&packet.Publish{Topic: []byte(deep), Payload: []byte("x")})
			p.want(packet.TypePublish)
		}},
		{"sessions with a will that end at once", 100, func(t *testing.T, addr string, n int) {
			sub := join(t, addr, packet.V5, "sub")
			sub.subscribe(0, "will")
			for i := range n {
				p := joinAs(t, addr, &packet.Connect{Version: packet.V5, ClientID: fmt.Sprint(i), CleanStart: true, Will: &packet.Will{Topic: "will"}})
				p.conn.Close()
			}
			for range n {
				sub.want(packet.TypePublish)
			}
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			few, many := cost(t, tc.few, tc.play), cost(t, 4*tc.few, tc.play)
			t.Logf("%d: %d bytes in %d pieces; %d: %d bytes in %d pieces", tc.few, few.TotalAlloc, few.Mallocs, 4*tc.few, many.TotalAlloc, many.Mallocs)
			const slack = 4 << 20 // what does not depend on the number
			if many.TotalAlloc > 7*few.TotalAlloc+slack || many.Mallocs > 7*few.Mallocs+1000 {
				t.Errorf("four times as many cost %d bytes instead of %d, %d pieces instead of %d",
					many.TotalAlloc, few.TotalAlloc, many.Mallocs, few.Mallocs)
			}
		})
	}
}

// cost plays with n of something against a new broker and returns what was
// allocated.
func cost(t *testing.T, n int, play func(t *testing.T, addr string, n int)) (spent runtime.MemStats) {
	var before runtime.MemStats
	if !t.Run(fmt.Sprint(n), func(t *testing.T) {
		_, addr := start(t, broker.Config{MaxTopicLevels: 100_000})
		runtime.ReadMemStats(&before)
		play(t, addr, n)
		runtime.ReadMemStats(&spent)
	}) {
		t.FailNow()
	}
	spent.TotalAlloc -= before.TotalAlloc
	spent.Mallocs -= before.Mallocs
	return spent
}

func names(format string, n int) []string {
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprintf(format, i)
	}
	return list
}

// overlapping is one of 16,384 filters that match a topic of fourteen slashes.
func overlapping(i int) string {
	var f strings.Builder
	for bit := range 14 {
		if i>>bit&1 == 1 {
			f.WriteByte('+')
		}
		f.WriteByte('/')
	}
	return f.String()
}

// inflight sends n messages to a client that acknowledges none, comes back, and
// acknowledges the last first.
func inflight(t *testing.T, addr string, n int) {
	k := &packet.Connect{Version: packet.V5, ClientID: "s", SessionExpiry: packet.Some[uint32](100)}
	sub := joinAs(t, addr, k)
	sub.subscribe(1, "t")
	p := join(t, addr, packet.V5, "p")
	for range n {
		p.publish("t", "x", false)
	}
	sub.conn.Close()
	sub = joinAs(t, addr, k)
	var ids []uint16
	for range min(n, 1000) { // as many as are sent to one client at once
		ids = append(ids, sub.want(packet.TypePublish).(*packet.Publish).PacketID)
	}
	for i := range ids {
		sub.send(&packet.Puback{PacketID: ids[len(ids)-1-i]})
	}
	for range n - len(ids) {
		sub.send(&packet.Puback{PacketID: sub.want(packet.TypePublish).(*packet.Publish).PacketID})
	}
	sub.alive()
}
