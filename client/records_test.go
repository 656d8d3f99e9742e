package client

import (
	"context"
	"errors"
	"net"
	"testing"

	"github.com/nightjarmq/nightjar/packet"
)

// brokenRecords is a disk that fails until it is mended.
type brokenRecords struct{ broken bool }

func (r *brokenRecords) err() error {
	if r.broken {
		return errors.New("broken")
	}
	return nil
}
func (r *brokenRecords) pubrec(*queued) error                { return r.err() }
func (r *brokenRecords) received(uint64, uint16, bool) error { return r.err() }
func (r *brokenRecords) restart(uint64) error                { return nil }

// When the journal fails after a QoS 2 message was handed over there is no PUBREC, and the message that the server sends
// again is acknowledged when the journal takes it, and not handed over again [MQTT-4.3.3-10].
func TestReceivedNotRecorded(t *testing.T) {
	records := &brokenRecords{broken: true}
	s := &Session{records: records}
	handed := 0
	talk := func(want packet.Type) {
		t.Helper()
		near, far := net.Pipe()
		o := Options{ClientID: "x", Resume: true, Session: s, Handler: func(context.Context, *packet.Publish) { handed++ }}
		o.Dial = func(context.Context, string, string) (net.Conn, error) { return near, nil }
		in := &frames{r: far, max: 1000}
		answered := make(chan packet.Type, 1)
		go func() {
			defer far.Close()
			in.next()
			far.Write((&packet.Connack{SessionPresent: true}).Append(nil, packet.V5))
			m := &packet.Publish{QoS: 2, PacketID: 7, Topic: []byte("t")}
			far.Write(m.Append(nil, packet.V5))
			h, _, _ := in.next()
			answered <- h.Type
		}()
		c, err := Dial(t.Context(), "mqtt://x", o)
		if err != nil {
			t.Fatal(err)
		}
		if got := <-answered; got != want {
			t.Errorf("answer %v, want %v", got, want)
		}
		<-c.Done()
	}
	talk(0)
	talk(0)
	records.broken = false
	talk(packet.TypePubrec)
	if handed != 1 {
		t.Error("handed over", handed, "times")
	}
}
