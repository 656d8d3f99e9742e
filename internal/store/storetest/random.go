package storetest

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"

	"github.com/nightjarmq/nightjar/internal/message"
	"github.com/nightjarmq/nightjar/internal/store"
	"github.com/nightjarmq/nightjar/packet"
)

// randomRecords submits random records, few sessions, messages and names among
// them so that they meet, and compares with the model after each submission.
func randomRecords(t *testing.T, open Open, reopen Reopen) {
	rapid.Check(t, func(rt *rapid.T) {
		d := newDriver(rt, t, open, nil)
		defer d.close()
		actions := map[string]func(*rapid.T){
			"submit": func(rt *rapid.T) {
				n := rapid.IntRange(0, 4).Draw(rt, "records")
				recs := make([]store.Record, n)
				for i := range recs {
					recs[i] = d.record(rt)
				}
				d.submit(recs...)
			},
			"": func(*rapid.T) { d.compare("the store") },
		}
		if reopen != nil {
			actions["reopen"] = func(*rapid.T) { d.s, d.ticket = reopen(t, d.s), 0 }
		}
		rt.Repeat(actions)
	})
}

// record draws one record. Those that make something are as likely as all that
// take it away.
func (d *driver) record(rt *rapid.T) store.Record {
	id := d.drawSession(rt)
	pid := rapid.Uint16Range(0, 4).Draw(rt, "packet identifier")
	switch rapid.IntRange(0, 19).Draw(rt, "kind") {
	case 0, 1, 2:
		return &store.SessionOpened{Session: id, Epoch: drawEpoch(rt), ClientID: "c", User: drawName(rt), Expiry: uint32(pid), Will: drawWill(rt), Time: int64(pid)}
	case 3:
		return &store.SessionClosed{Session: id, Expiry: uint32(pid), KeepWill: rapid.Bool().Draw(rt, "keep will"), Time: int64(pid)}
	case 4:
		return &store.SessionRemoved{Session: id}
	case 5:
		return &store.WillTaken{Session: id}
	case 6, 7:
		return &store.Subscribed{Session: id, Filter: drawName(rt), Options: drawOptions(rt), ID: uint32(pid)}
	case 8:
		return &store.Unsubscribed{Session: id, Filter: drawName(rt)}
	case 9:
		return &store.Sent{Session: id, Seq: d.drawSeq(rt), PacketID: pid}
	case 10:
		return &store.Received{Session: id, Seq: d.drawSeq(rt), PacketID: pid}
	case 11:
		return &store.Done{Session: id, Seq: d.drawSeq(rt)}
	case 12:
		return &store.Incoming{Session: id, PacketID: pid}
	case 13:
		return &store.Released{Session: id, PacketID: pid}
	}
	return &store.Published{
		Message: drawMessage(rt),
		Retain:  rapid.Bool().Draw(rt, "retain"),
		To:      rapid.SliceOfN(rapid.Custom(d.drawRecipient), 0, 4).Draw(rt, "to"),
		From:    id,
		FromID:  pid,
	}
}

func (d *driver) drawSession(rt *rapid.T) store.SessionID {
	return d.id(rapid.IntRange(0, len(d.ids)).Draw(rt, "session"))
}

func (d *driver) drawSeq(rt *rapid.T) store.Seq {
	if len(d.seqs) == 0 {
		return 0
	}
	recent := d.seqs[max(0, len(d.seqs)-6):]
	return rapid.SampledFrom(recent).Draw(rt, "seq")
}

func (d *driver) drawRecipient(rt *rapid.T) store.Recipient {
	return store.Recipient{
		Session:  d.drawSession(rt),
		Epoch:    drawEpoch(rt),
		PacketID: rapid.Uint16Range(0, 4).Draw(rt, "packet identifier"),
		QoS:      rapid.ByteRange(1, 2).Draw(rt, "qos"),
		Retain:   rapid.Bool().Draw(rt, "retain"),
		IDs:      rapid.SliceOfN(rapid.Uint32Range(1, 1<<28-1), 0, 2).Draw(rt, "ids"),
		Share:    rapid.SampledFrom([]string{"", "", "g/a", "h/a/#"}).Draw(rt, "share"),
	}
}

func drawEpoch(rt *rapid.T) uint32 { return rapid.Uint32Range(1, 2).Draw(rt, "epoch") }

func drawName(rt *rapid.T) string {
	return rapid.SampledFrom([]string{"a", "b", "a/b", "a/#", "$share/g/a"}).Draw(rt, "name")
}

func drawOptions(rt *rapid.T) packet.Options {
	return packet.Options{
		QoS:               rapid.ByteRange(0, 2).Draw(rt, "qos"),
		NoLocal:           rapid.Bool().Draw(rt, "no local"),
		RetainAsPublished: rapid.Bool().Draw(rt, "retain as published"),
		RetainHandling:    rapid.ByteRange(0, 2).Draw(rt, "retain handling"),
	}
}

func drawMessage(rt *rapid.T) *message.Message {
	return &message.Message{
		Topic:   drawName(rt),
		Payload: rapid.SliceOfN(rapid.Byte(), 0, 3).Draw(rt, "payload"),
		Props:   rapid.SliceOfN(rapid.Byte(), 0, 3).Draw(rt, "props"),
		Expires: rapid.Int64Range(0, 1<<42).Draw(rt, "expires"),
		QoS:     rapid.ByteRange(0, 2).Draw(rt, "qos"),
		Retain:  rapid.Bool().Draw(rt, "retain flag"),
	}
}

func drawWill(rt *rapid.T) *store.Will {
	if !rapid.Bool().Draw(rt, "will") {
		return nil
	}
	w := &store.Will{Message: drawMessage(rt), Delay: rapid.Uint32().Draw(rt, "delay")}
	if rapid.Bool().Draw(rt, "expires") {
		w.Expiry = packet.Opt[uint32]{Value: rapid.Uint32Range(0, 3).Draw(rt, "expiry"), Set: true}
	}
	return w
}

// longQueues drains two long queues of the same messages, one from the front
// and one in any order, with some of either in flight.
func longQueues(t *testing.T, open Open, reopen Reopen) {
	const n = 2000
	d := newDriver(t, t, open, reopen)
	defer d.close()
	d.open(1, 1)
	d.open(2, 1)
	for i := range n {
		to := []store.Recipient{d.to(1), d.to(2)}
		if i%5 == 0 {
			to[1].Epoch, to[1].PacketID = 1, uint16(i+1)
		}
		d.submit(&store.Published{Message: msg(fmt.Sprint("a=", i)), To: to})
	}
	d.agree()
	order := rand.New(rand.NewPCG(1, 1)).Perm(n)
	for i, at := range order {
		front, any := d.seqs[i], d.seqs[at]
		d.submit(&store.Sent{Session: d.id(1), Seq: front, PacketID: uint16(i + 1)})
		d.submit(&store.Done{Session: d.id(1), Seq: front}, &store.Sent{Session: d.id(2), Seq: any, PacketID: uint16(at + 1)})
		if i%3 > 0 {
			d.submit(&store.Done{Session: d.id(2), Seq: any})
		}
		if i%250 == 0 {
			d.agree()
		}
	}
	d.agree()
	d.wantStored(n/3+1, n/3+1)
}
