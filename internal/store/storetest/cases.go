package storetest

import (
	"fmt"
	"math"

	"github.com/nightjarmq/nightjar/internal/message"
	"github.com/nightjarmq/nightjar/internal/store"
	"github.com/nightjarmq/nightjar/packet"
)

// cases are short conversations with a store. Sessions are numbered from 1,
// messages are #1, #2, ... in the order of their submission.
var cases = []struct {
	name string
	do   func(d *driver)
}{
	{"an empty store", func(d *driver) {
		d.want()
	}},

	// Sessions. [MQTT-3.1.2-5]
	{"a session is opened", func(d *driver) {
		d.submit(&store.SessionOpened{Session: d.id(1), Epoch: 1, ClientID: "c1", User: "ann", Expiry: 7, Time: 1700000000000})
		d.want("session 1 epoch 1 ann/c1 expiry 7 opened 1700000000000 closed 0")
	}},
	{"number 0 is no session", func(d *driver) {
		d.submit(&store.SessionOpened{Epoch: 1, ClientID: "c"})
		d.want()
	}},
	{"a session goes on after its connection", func(d *driver) {
		d.open(1, 1)
		d.submit(&store.SessionClosed{Session: d.id(1), Expiry: 3, Time: 50})
		d.want("session 1 epoch 1 u/c1 expiry 3 opened 1 closed 50")
	}},
	{"a session opened again keeps what it had, and its owner", func(d *driver) {
		d.open(1, 1)
		d.submit(&store.Subscribed{Session: d.id(1), Filter: "a/#", Options: packet.Options{QoS: 1}})
		d.publish("a=1", d.to(1))
		d.publish("a=2", d.sentTo(1, 1, 9))
		d.submit(&store.Incoming{Session: d.id(1), PacketID: 4}, &store.SessionClosed{Session: d.id(1), Expiry: 3, Time: 50})
		d.submit(&store.SessionOpened{Session: d.id(1), Epoch: 2, ClientID: "other", User: "eve", Expiry: 8, Time: 60})
		d.want(
			"session 1 epoch 2 u/c1 expiry 8 opened 60 closed 0",
			" sub a/# qos 1 id 0",
			" incoming [4]",
			" inflight #2 a=2 qos 1 pid 9",
			" waiting #1 a=1 qos 1",
		)
	}},
	{"messages that expire", func(d *driver) {
		d.open(1, 1)
		d.open(2, 1)
		for i, to := range [][]store.Recipient{{d.to(1)}, {d.to(1), d.to(2)}, {d.sentTo(1, 1, 5)}} {
			m := msg(fmt.Sprint("a=", i+1))
			m.Expires = int64(1000 * (i + 1))
			d.submit(&store.Published{Message: m, To: to})
		}
		d.publish("a=4", d.to(1))
		d.agree() // which compares Waiting with Queue
	}},
	{"a removed session takes everything along", func(d *driver) {
		d.open(1, 1)
		d.open(2, 1)
		d.submit(&store.Subscribed{Session: d.id(1), Filter: "a"}, &store.Incoming{Session: d.id(1), PacketID: 4})
		d.publish("a=1", d.to(1), d.to(2))
		d.publish("a=2", d.to(1), d.sentTo(2, 1, 5))
		d.publish("a=3", d.sentTo(1, 1, 8))
		d.submit(&store.SessionRemoved{Session: d.id(1)})
		d.want(
			"session 2 epoch 1 u/c2 expiry 60 opened 1 closed 0",
			" inflight #2 a=2 qos 1 pid 5",
			" waiting #1 a=1 qos 1",
		)
		d.submit(&store.SessionRemoved{Session: d.id(2)})
		d.want()
	}},
	{"a session that is made again begins with nothing", func(d *driver) {
		d.open(1, 1)
		d.submit(&store.Subscribed{Session: d.id(1), Filter: "a"})
		d.publish("a=1", d.to(1))
		d.submit(&store.SessionRemoved{Session: d.id(1)}, &store.SessionOpened{Session: d.id(1), Epoch: 5, ClientID: "x", User: "y"})
		d.want("session 1 epoch 5 y/x expiry 0 opened 0 closed 0")
	}},
	{"sessions come in the order of their numbers", func(d *driver) {
		d.open(3, 1)
		d.open(1, 1)
		d.open(2, 1)
		d.want(
			"session 1 epoch 1 u/c1 expiry 60 opened 1 closed 0",
			"session 2 epoch 1 u/c2 expiry 60 opened 1 closed 0",
			"session 3 epoch 1 u/c3 expiry 60 opened 1 closed 0",
		)
	}},
	{"the number of an opened session is never given out again", func(d *driver) {
		d.open(4, 1)
		d.submit(&store.SessionRemoved{Session: d.id(4)})
		d.want()
		if id := d.s.NewSession(); id <= d.id(4) {
			d.Fatalf("NewSession = %d after %d", id, d.id(4))
		}
	}},

	// Wills.
	{"a will waits for its delay", func(d *driver) {
		d.submit(&store.SessionOpened{Session: d.id(1), Epoch: 1, Will: &store.Will{Message: msg("w=gone"), Delay: 5}})
		d.want("session 1 epoch 1 / expiry 0 opened 0 closed 0 will w=gone delay 5")
		d.submit(&store.SessionClosed{Session: d.id(1), KeepWill: true, Time: 9})
		d.want("session 1 epoch 1 / expiry 0 opened 0 closed 9 will w=gone delay 5")
		d.submit(&store.WillTaken{Session: d.id(1)})
		d.want("session 1 epoch 1 / expiry 0 opened 0 closed 9")
	}},
	{"a will is gone with an orderly end", func(d *driver) {
		d.submit(&store.SessionOpened{Session: d.id(1), Epoch: 1, Will: &store.Will{Message: msg("w=gone")}})
		d.submit(&store.SessionClosed{Session: d.id(1), Time: 9})
		d.want("session 1 epoch 1 / expiry 0 opened 0 closed 9")
	}},
	{"a due will is withdrawn by the next connection", func(d *driver) { // [MQTT-3.1.3-9]
		d.submit(&store.SessionOpened{Session: d.id(1), Epoch: 1, Will: &store.Will{Message: msg("w=gone"), Delay: 5}})
		d.submit(&store.SessionClosed{Session: d.id(1), KeepWill: true, Time: 9})
		d.submit(&store.SessionOpened{Session: d.id(1), Epoch: 2})
		d.want("session 1 epoch 2 / expiry 0 opened 0 closed 0")
	}},
	{"a will keeps all its properties", func(d *driver) {
		w := &message.Message{Topic: "w", Payload: []byte{0, 255}, Props: []byte{1, 1}, Expires: 1 << 40, QoS: 2, Retain: true}
		d.submit(&store.SessionOpened{Session: d.id(1), Epoch: 1, Will: &store.Will{Message: w, Delay: math.MaxUint32}})
		d.agree()
		for _, seconds := range []uint32{0, 300, math.MaxUint32} { // an interval of 0 is not none
			expiry := packet.Opt[uint32]{Value: seconds, Set: true}
			d.submit(&store.SessionOpened{Session: d.id(1), Epoch: 1, Will: &store.Will{Message: w, Expiry: expiry}})
			d.agree()
		}
	}},

	// Subscriptions.
	{"a subscription is replaced by one with the same filter", func(d *driver) { // [MQTT-3.8.4-3]
		d.open(1, 1)
		d.submit(&store.Subscribed{Session: d.id(1), Filter: "a/+", Options: packet.Options{QoS: 2, NoLocal: true, RetainAsPublished: true, RetainHandling: 2}, ID: 7})
		d.submit(&store.Subscribed{Session: d.id(1), Filter: "$share/g/a/+", Options: packet.Options{QoS: 1}, ID: 1 << 27})
		d.want(
			"session 1 epoch 1 u/c1 expiry 60 opened 1 closed 0",
			" sub $share/g/a/+ qos 1 id 134217728",
			" sub a/+ qos 2 nolocal retain-as-published handling 2 id 7",
		)
		d.submit(&store.Subscribed{Session: d.id(1), Filter: "a/+"})
		d.submit(&store.Unsubscribed{Session: d.id(1), Filter: "$share/g/a/+"})
		d.want("session 1 epoch 1 u/c1 expiry 60 opened 1 closed 0", " sub a/+ qos 0 id 0")
	}},
	{"to unsubscribe from nothing changes nothing", func(d *driver) {
		d.open(1, 1)
		d.submit(&store.Subscribed{Session: d.id(1), Filter: "a"})
		d.submit(&store.Unsubscribed{Session: d.id(1), Filter: "a/#"})
		d.want("session 1 epoch 1 u/c1 expiry 60 opened 1 closed 0", " sub a qos 0 id 0")
	}},
	{"many subscriptions", func(d *driver) {
		d.open(1, 1)
		for i := range 50 {
			d.submit(&store.Subscribed{Session: d.id(1), Filter: fmt.Sprint("a/", i), ID: uint32(i + 1)})
		}
		d.agree()
		for i := range 50 {
			d.submit(&store.Subscribed{Session: d.id(1), Filter: fmt.Sprint("a/", i), Options: packet.Options{QoS: 1}})
			d.submit(&store.Unsubscribed{Session: d.id(1), Filter: fmt.Sprint("a/", i*7%50)})
			if i%10 == 0 {
				d.agree()
			}
		}
		d.agree()
		d.submit(&store.SessionRemoved{Session: d.id(1)})
		d.agree()
	}},

	// Queues.
	{"a message is queued for each recipient and stored once", func(d *driver) {
		for n := 1; n <= 3; n++ {
			d.open(n, 1)
		}
		d.publish("a=1", d.to(1), d.to(2), store.Recipient{Session: d.id(3), QoS: 2, Retain: true, IDs: []uint32{5, 6}})
		d.want(
			"session 1 epoch 1 u/c1 expiry 60 opened 1 closed 0",
			" waiting #1 a=1 qos 1",
			"session 2 epoch 1 u/c2 expiry 60 opened 1 closed 0",
			" waiting #1 a=1 qos 1",
			"session 3 epoch 1 u/c3 expiry 60 opened 1 closed 0",
			" waiting #1 a=1 qos 2 retain ids [5 6]",
		)
		d.wantStored(1, 3)
		d.submit(&store.Done{Session: d.id(1), Seq: d.seqs[0]}, &store.SessionRemoved{Session: d.id(2)})
		d.wantStored(1, 1)
		d.submit(&store.Done{Session: d.id(3), Seq: d.seqs[0]})
		d.wantStored(0, 0)
	}},
	{"a delivery knows the shared subscription that it came by", func(d *driver) { // [MQTT-4.8.2-5]
		d.open(1, 1)
		d.open(2, 1)
		shared := func(n int) store.Recipient { return store.Recipient{Session: d.id(n), QoS: 1, Share: "g/a"} }
		d.publish("a=1", shared(1), d.to(2))
		d.publish("a=2", shared(2))
		d.submit(&store.Sent{Session: d.id(1), Seq: d.seqs[0], PacketID: 7})
		d.want(
			"session 1 epoch 1 u/c1 expiry 60 opened 1 closed 0",
			" inflight #1 a=1 qos 1 pid 7 share g/a",
			"session 2 epoch 1 u/c2 expiry 60 opened 1 closed 0",
			" waiting #1 a=1 qos 1",
			" waiting #2 a=2 qos 1 share g/a",
		)
		d.wantStored(2, 3)
	}},
	{"a message for nobody is not stored", func(d *driver) {
		d.open(1, 1)
		d.publish("a=1")
		d.publish("a=2", d.to(2), d.to(3))
		d.want("session 1 epoch 1 u/c1 expiry 60 opened 1 closed 0")
		d.wantStored(0, 0)
	}},
	{"a session is a recipient once", func(d *driver) {
		d.open(1, 1)
		d.publish("a=1", d.sentTo(1, 1, 7), d.to(1))
		d.want("session 1 epoch 1 u/c1 expiry 60 opened 1 closed 0", " inflight #1 a=1 qos 1 pid 7")
		d.wantStored(1, 1)
	}},
	{"a message keeps all its properties, and its expiry too", func(d *driver) {
		d.open(1, 1)
		m := &message.Message{Topic: "a/b", Payload: []byte{0, 255}, Props: []byte{1, 1}, Expires: 1, QoS: 2, Retain: true}
		d.submit(&store.Published{Message: m, To: []store.Recipient{d.to(1)}})
		d.submit(&store.Published{Message: &message.Message{Topic: "empty"}, To: []store.Recipient{d.to(1)}})
		d.agree()
	}},
	{"a recipient with the session's epoch keeps its packet identifier", func(d *driver) {
		d.open(1, 4)
		d.publish("a=1", d.sentTo(1, 4, 65535))
		d.publish("a=2", d.sentTo(1, 4, 0))
		d.want("session 1 epoch 4 u/c1 expiry 60 opened 1 closed 0", " inflight #1 a=1 qos 1 pid 65535", " waiting #2 a=2 qos 1")
	}},
	{"a recipient with another epoch is queued without one", func(d *driver) {
		d.open(1, 4)
		d.publish("a=1", d.sentTo(1, 3, 8), d.to(2))
		d.publish("a=2", d.sentTo(1, 5, 8))
		d.want("session 1 epoch 4 u/c1 expiry 60 opened 1 closed 0", " waiting #1 a=1 qos 1", " waiting #2 a=2 qos 1")
	}},
	{"the epoch that counts is that of the moment", func(d *driver) {
		d.open(1, 1)
		d.submit(
			&store.Published{Message: msg("a=1"), To: []store.Recipient{d.sentTo(1, 1, 3)}},
			&store.SessionOpened{Session: d.id(1), Epoch: 2, Expiry: 60, Time: 1},
			&store.Published{Message: msg("a=2"), To: []store.Recipient{d.sentTo(1, 1, 4)}},
			&store.Published{Message: msg("a=3"), To: []store.Recipient{d.sentTo(1, 2, 4)}},
		)
		d.want(
			"session 1 epoch 2 u/c1 expiry 60 opened 1 closed 0",
			" inflight #1 a=1 qos 1 pid 3",
			" inflight #3 a=3 qos 1 pid 4",
			" waiting #2 a=2 qos 1",
		)
	}},
	{"a delivery is sent, received and done", func(d *driver) { // [MQTT-4.3.3-5]
		d.open(1, 1)
		seq := d.publish("a=1", store.Recipient{Session: d.id(1), QoS: 2, IDs: []uint32{3}})
		d.submit(&store.Sent{Session: d.id(1), Seq: seq, PacketID: 7})
		d.want("session 1 epoch 1 u/c1 expiry 60 opened 1 closed 0", " inflight #1 a=1 qos 2 pid 7 ids [3]")
		d.submit(&store.Received{Session: d.id(1), Seq: seq, PacketID: 7})
		d.want("session 1 epoch 1 u/c1 expiry 60 opened 1 closed 0", " inflight #1 released pid 7")
		d.wantStored(0, 1)
		d.submit(&store.Received{Session: d.id(1), Seq: seq, PacketID: 7}, &store.Sent{Session: d.id(1), Seq: seq, PacketID: 8})
		d.want("session 1 epoch 1 u/c1 expiry 60 opened 1 closed 0", " inflight #1 released pid 7")
		d.submit(&store.Done{Session: d.id(1), Seq: seq})
		d.want("session 1 epoch 1 u/c1 expiry 60 opened 1 closed 0")
		d.wantStored(0, 0)
	}},
	{"a message is released for one and kept for others", func(d *driver) {
		d.open(1, 1)
		d.open(2, 1)
		seq := d.publish("a=1", d.sentTo(1, 1, 7), d.to(2))
		d.submit(&store.Received{Session: d.id(1), Seq: seq, PacketID: 7})
		d.want(
			"session 1 epoch 1 u/c1 expiry 60 opened 1 closed 0",
			" inflight #1 released pid 7",
			"session 2 epoch 1 u/c2 expiry 60 opened 1 closed 0",
			" waiting #1 a=1 qos 1",
		)
		d.wantStored(1, 2)
		d.submit(&store.SessionRemoved{Session: d.id(1)})
		d.wantStored(1, 1)
		d.submit(&store.SessionRemoved{Session: d.id(2)})
		d.wantStored(0, 0)
	}},
	{"a receipt of what the store thought unsent", func(d *driver) {
		d.open(1, 1)
		a, b := d.publish("a=1", d.to(1)), d.publish("a=2", d.sentTo(1, 1, 3))
		d.submit(&store.Received{Session: d.id(1), Seq: a, PacketID: 7}, &store.Received{Session: d.id(1), Seq: b, PacketID: 4})
		d.want("session 1 epoch 1 u/c1 expiry 60 opened 1 closed 0", " inflight #1 released pid 7", " inflight #2 released pid 4")
	}},
	{"a message sent again under another identifier", func(d *driver) {
		d.open(1, 1)
		seq := d.publish("a=1", d.sentTo(1, 1, 3))
		d.submit(&store.Sent{Session: d.id(1), Seq: seq, PacketID: 4}, &store.Sent{Session: d.id(1), Seq: seq, PacketID: 0})
		d.want("session 1 epoch 1 u/c1 expiry 60 opened 1 closed 0", " inflight #1 a=1 qos 1 pid 4")
	}},
	{"deliveries end in any order, sent or not", func(d *driver) {
		d.open(1, 1)
		for _, text := range []string{"a=1", "a=2", "a=3", "a=4", "a=5"} {
			d.publish(text, d.to(1))
		}
		d.submit(&store.Sent{Session: d.id(1), Seq: d.seqs[3], PacketID: 2})
		d.submit(&store.Sent{Session: d.id(1), Seq: d.seqs[0], PacketID: 1})
		d.submit(&store.Done{Session: d.id(1), Seq: d.seqs[2]})
		d.want(
			"session 1 epoch 1 u/c1 expiry 60 opened 1 closed 0",
			" inflight #1 a=1 qos 1 pid 1",
			" inflight #4 a=4 qos 1 pid 2",
			" waiting #2 a=2 qos 1",
			" waiting #5 a=5 qos 1",
		)
		d.submit(&store.Done{Session: d.id(1), Seq: d.seqs[3]}, &store.Done{Session: d.id(1), Seq: d.seqs[3]})
		d.submit(&store.Done{Session: d.id(1), Seq: d.seqs[4]})
		d.want("session 1 epoch 1 u/c1 expiry 60 opened 1 closed 0", " inflight #1 a=1 qos 1 pid 1", " waiting #2 a=2 qos 1")
	}},
	{"a queue is read from a cursor", func(d *driver) {
		d.open(1, 1)
		for _, text := range []string{"a=1", "a=2", "a=3", "a=4"} {
			d.publish(text, d.to(1))
		}
		d.submit(&store.Sent{Session: d.id(1), Seq: d.seqs[1], PacketID: 2})
		d.wantQueue(1, 0, 10, "#1 a=1 qos 1", "#3 a=3 qos 1", "#4 a=4 qos 1")
		d.wantQueue(1, d.seqs[0], 1, "#3 a=3 qos 1")
		d.wantQueue(1, d.seqs[1], 1, "#3 a=3 qos 1") // a cursor on what is no longer waiting
		d.wantQueue(1, d.seqs[3], 10)
		d.wantQueue(1, d.seqs[3]+100, 10)
		d.wantQueue(1, 0, 0)
		d.wantQueue(2, 0, 10)
	}},

	// QoS 2 identifiers of publishers. [MQTT-4.3.3-8]
	{"a QoS 2 identifier is open until it is released", func(d *driver) {
		d.open(1, 1)
		d.open(2, 1)
		d.submit(&store.Published{Message: msg("a=1"), To: []store.Recipient{d.to(2)}, From: d.id(1), FromID: 9})
		d.submit(&store.Incoming{Session: d.id(1), PacketID: 65535}, &store.Incoming{Session: d.id(1), PacketID: 1}, &store.Incoming{Session: d.id(1), PacketID: 9})
		d.want(
			"session 1 epoch 1 u/c1 expiry 60 opened 1 closed 0",
			" incoming [1 9 65535]",
			"session 2 epoch 1 u/c2 expiry 60 opened 1 closed 0",
			" waiting #1 a=1 qos 1",
		)
		d.submit(&store.Released{Session: d.id(1), PacketID: 9}, &store.Released{Session: d.id(1), PacketID: 10})
		d.submit(&store.Incoming{Session: d.id(1), PacketID: 0}, &store.SessionRemoved{Session: d.id(2)})
		d.want("session 1 epoch 1 u/c1 expiry 60 opened 1 closed 0", " incoming [1 65535]")
	}},
	{"many open QoS 2 identifiers", func(d *driver) {
		d.open(1, 1)
		for pid := uint16(1); pid < 300; pid++ {
			d.submit(&store.Incoming{Session: d.id(1), PacketID: pid * 211})
		}
		d.agree()
		for pid := uint16(1); pid < 295; pid++ {
			d.submit(&store.Released{Session: d.id(1), PacketID: pid * 211})
		}
		d.agree()
	}},

	// Retained messages. [MQTT-3.3.1-5] [MQTT-3.3.1-6]
	{"a retained message is set, replaced and removed", func(d *driver) {
		d.submit(&store.Published{Message: msg("a=1"), Retain: true})
		d.submit(&store.Published{Message: msg("b=2"), Retain: true})
		d.want("retained a=1", "retained b=2")
		d.submit(&store.Published{Message: msg("a=longer"), Retain: true})
		d.publish("b=ordinary")
		d.want("retained a=longer", "retained b=2")
		d.submit(&store.Published{Message: msg("a="), Retain: true}, &store.Published{Message: msg("c="), Retain: true})
		d.want("retained b=2")
	}},
	{"a retained message is queued as well", func(d *driver) {
		d.open(1, 1)
		d.submit(&store.Published{Message: msg("a=1"), Retain: true, To: []store.Recipient{d.to(1)}})
		d.submit(&store.Published{Message: msg("a="), Retain: true, To: []store.Recipient{d.to(1)}})
		d.want("session 1 epoch 1 u/c1 expiry 60 opened 1 closed 0", " waiting #1 a=1 qos 1", " waiting #2 a= qos 1")
		d.submit(&store.Published{Message: msg("a=3"), Retain: true, To: []store.Recipient{d.to(1)}})
		d.submit(&store.SessionRemoved{Session: d.id(1)})
		d.want("retained a=3")
	}},

	// What several records and late ones do.
	{"records of one submission apply in order", func(d *driver) {
		d.submit(
			&store.SessionOpened{Session: d.id(1), Epoch: 1},
			&store.Subscribed{Session: d.id(1), Filter: "a"},
			&store.Unsubscribed{Session: d.id(1), Filter: "a"},
			&store.Subscribed{Session: d.id(1), Filter: "b"},
			&store.Published{Message: msg("b=1"), To: []store.Recipient{d.to(1), d.to(2)}, Retain: true},
			&store.SessionOpened{Session: d.id(2), Epoch: 1},
			&store.Published{Message: msg("b=2"), To: []store.Recipient{d.to(1), d.to(2)}, Retain: true},
		)
		d.want(
			"session 1 epoch 1 / expiry 0 opened 0 closed 0",
			" sub b qos 0 id 0",
			" waiting #1 b=1 qos 1",
			" waiting #2 b=2 qos 1",
			"session 2 epoch 1 / expiry 0 opened 0 closed 0",
			" waiting #2 b=2 qos 1",
			"retained b=2",
		)
	}},
	{"a submission without records has a ticket", func(d *driver) {
		d.submit()
		d.submit()
		d.want()
	}},
	{"records for a session that is gone change nothing", func(d *driver) {
		d.open(1, 1)
		seq := d.publish("a=1", d.to(1))
		d.submit(&store.SessionRemoved{Session: d.id(1)})
		for _, id := range []store.SessionID{d.id(1), d.id(2), 0, 1 << 60} {
			d.submit(
				&store.SessionClosed{Session: id, KeepWill: true, Time: 1},
				&store.SessionRemoved{Session: id},
				&store.WillTaken{Session: id},
				&store.Subscribed{Session: id, Filter: "a"},
				&store.Unsubscribed{Session: id, Filter: "a"},
				&store.Published{Message: msg("a=2"), To: []store.Recipient{{Session: id, QoS: 1}}, From: id, FromID: 1},
				&store.Sent{Session: id, Seq: seq, PacketID: 1},
				&store.Received{Session: id, Seq: seq, PacketID: 1},
				&store.Done{Session: id, Seq: seq},
				&store.Incoming{Session: id, PacketID: 1},
				&store.Released{Session: id, PacketID: 1},
			)
		}
		d.want()
		if r, err := d.s.Resume(d.id(1)); err != nil || len(r.Inflight)+len(r.Incoming)+r.Queued != 0 || r.Bytes != 0 {
			d.Fatalf("Resume of a session that is gone = %+v, %v; want nothing", r, err)
		}
	}},
	{"what comes after Resume is behind all that it knows", func(d *driver) {
		d.open(1, 1)
		d.open(2, 1)
		for n := range 3 {
			d.publish("a=1", d.to(1+n%2))
			r, err := d.s.Resume(d.id(1))
			if err != nil {
				d.Fatalf("%v", err)
			}
			if seq := d.publish("a=2", d.to(1)); seq <= r.Last {
				d.Fatalf("message %d came after Resume, which gave %d as the last", seq, r.Last)
			}
		}
		d.agree() // which looks that none that waits is behind it
	}},
	{"records for a message that is not queued change nothing", func(d *driver) {
		d.open(1, 1)
		d.open(2, 1)
		seq := d.publish("a=1", d.to(1))
		for _, seq := range []store.Seq{0, seq, seq + 1, 1 << 60} {
			d.submit(
				&store.Sent{Session: d.id(2), Seq: seq, PacketID: 1},
				&store.Received{Session: d.id(2), Seq: seq, PacketID: 1},
				&store.Done{Session: d.id(2), Seq: seq},
			)
		}
		d.want(
			"session 1 epoch 1 u/c1 expiry 60 opened 1 closed 0",
			" waiting #1 a=1 qos 1",
			"session 2 epoch 1 u/c2 expiry 60 opened 1 closed 0",
		)
	}},
	{"reading ends when yield says so", func(d *driver) {
		d.submit(&store.Published{Message: msg("a=1"), Retain: true}, &store.Published{Message: msg("b=1"), Retain: true})
		d.open(1, 1)
		d.open(2, 1)
		n := 0
		err := d.s.Sessions(func(*store.SessionInfo) bool { n++; return false })
		if err == nil {
			err = d.s.Retained(func(*message.Message) bool { n++; return false })
		}
		if err != nil || n != 2 {
			d.Fatalf("yield returned false and was called %d times, %v; want 2", n, err)
		}
	}},
	{"yield may use the store", func(d *driver) {
		d.open(1, 1)
		d.open(2, 1)
		d.submit(&store.Published{Message: msg("a=1"), Retain: true})
		err := d.s.Sessions(func(in *store.SessionInfo) bool {
			d.submit(&store.Subscribed{Session: in.Session, Filter: "a"})
			return true
		})
		if err == nil {
			err = d.s.Retained(func(m *message.Message) bool {
				d.submit(&store.Published{Message: m, To: []store.Recipient{d.to(1)}})
				return true
			})
		}
		if err != nil {
			d.Fatalf("read the store: %v", err)
		}
		d.want(
			"session 1 epoch 1 u/c1 expiry 60 opened 1 closed 0",
			" sub a qos 0 id 0",
			" waiting #2 a=1 qos 1",
			"session 2 epoch 1 u/c2 expiry 60 opened 1 closed 0",
			" sub a qos 0 id 0",
			"retained a=1",
		)
	}},
}

// wantStored checks how many messages are stored for how many deliveries.
func (d *driver) wantStored(messages, deliveries int) {
	d.Helper()
	d.agree()
	if st := d.s.Stats(); st.Messages != messages || st.Queued != deliveries {
		d.Fatalf("%d messages are stored for %d deliveries, want %d for %d", st.Messages, st.Queued, messages, deliveries)
	}
}

// wantQueue reads the queue of the nth session and checks that what the slice
// had before is still there.
func (d *driver) wantQueue(n int, after store.Seq, most int, want ...string) {
	d.Helper()
	got, err := d.s.Queue([]store.Entry{{Seq: 77}}, d.id(n), after, most)
	if err != nil || len(got) != 1+len(want) || got[0].Seq != 77 {
		d.Fatalf("Queue(session %d, after %d, max %d) = %v, %v; want %q behind what was there", n, after, most, got, err, want)
	}
	for i, w := range want {
		if text := d.entryText(got[1+i]); text != w {
			d.Fatalf("Queue(session %d, after %d, max %d)[%d] = %s, want %s", n, after, most, i, text, w)
		}
	}
}
