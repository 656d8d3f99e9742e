package session

import (
	"errors"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/nightjarmq/nightjar/internal/message"
	"github.com/nightjarmq/nightjar/internal/script"
	"github.com/nightjarmq/nightjar/packet"
)

// out returns the packets of fx as text, and empties it.
func out(t testing.TB, fx *Effects, v packet.Version) []string {
	t.Helper()
	var list []string
	for b := fx.Out; len(b) > 0; {
		h, ok, err := packet.ReadHeader(b)
		if err != nil || !ok {
			t.Fatalf("not a packet: %x: %v", b, err)
		}
		p, err := packet.Decode(h, b[h.Size:h.Size+h.Remaining], v)
		if err != nil {
			t.Fatalf("%x: %v", b, err)
		}
		list = append(list, script.PrintPacket(p, v))
		b = b[h.Size+h.Remaining:]
	}
	fx.Out = fx.Out[:0]
	return list
}

func want(t testing.TB, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("got\n  %s\nwant\n  %s", strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}

func msg(payload string) *message.Message {
	return &message.Message{Topic: "t", Payload: []byte(payload), QoS: 2}
}

func offer(t testing.TB, s *Session, qos byte, payload string, room bool) (uint16, Verdict) {
	t.Helper()
	return s.Offer(&Entry{Message: msg(payload), QoS: qos}, room)
}

func code(err error) packet.Code {
	var pe *packet.Error
	if errors.As(err, &pe) {
		return pe.Code
	}
	return packet.Success
}

func TestOffer(t *testing.T) {
	s := New(Params{Version: packet.V5, SendMaximum: 2, QueueMessages: 3})
	var fx Effects
	steps := []struct {
		room bool
		id   uint16
		v    Verdict
	}{
		{true, 1, Transmit}, {false, 0, Queued}, // no room in the connection
		{true, 0, Queued}, // behind it [MQTT-4.6.0-6]
		{true, 0, Queued}, {true, 0, QueueFull},
	}
	for i, st := range steps {
		if id, v := offer(t, s, 1, strconv.Itoa(i), st.room); id != st.id || v != st.v {
			t.Fatalf("step %d: %d, %d", i, id, v)
		}
	}
	s.Pump(1000, 0, &fx)
	want(t, out(t, &fx, packet.V5), `PUBLISH t "1" qos=1 id=2`) // [MQTT-3.3.4-9]
	s.Puback(1, &fx)
	s.Puback(1, &fx)
	s.Puback(0, &fx)
	s.Pump(1000, 0, &fx)
	want(t, out(t, &fx, packet.V5), `PUBLISH t "2" qos=1 id=3`)
	if n, bytes := s.Waiting(); n != 1 || bytes != msg("3").Size() || s.Inflight() != 2 {
		t.Errorf("%d of %d bytes wait, %d in flight", n, bytes, s.Inflight())
	}
	s.Puback(2, &fx)
	s.Puback(3, &fx)
	s.Pump(1000, 0, &fx)
	out(t, &fx, packet.V5)
	if n, bytes := s.Waiting(); n != 0 || bytes != 0 || s.Pending() || !s.Open() || len(fx.Changes) != 0 {
		t.Errorf("%d of %d bytes wait, changes %v", n, bytes, fx.Changes)
	}
}

func TestQueueBytes(t *testing.T) {
	s := New(Params{Version: packet.V311, QueueBytes: msg("x").Size() * 2})
	for i, w := range []Verdict{Queued, Queued, QueueFull} {
		if _, v := offer(t, s, 1, "x", false); v != w {
			t.Errorf("offer %d: %d", i, v)
		}
	}
	s = New(Params{Version: packet.V311, QueueBytes: 1})
	if _, v := offer(t, s, 1, "larger than the queue", false); v != Queued {
		t.Errorf("one message always fits: %d", v)
	}
}

func TestQoS2Out(t *testing.T) {
	s := New(Params{Version: packet.V5, SendMaximum: 1, Durable: true})
	var fx Effects
	id, v := offer(t, s, 2, "x", true)
	if id != 1 || v != Transmit {
		t.Fatal(id, v)
	}
	s.Stored(id, 42)
	s.Puback(id, &fx)  // of the wrong kind
	s.Pubcomp(id, &fx) // too early
	want(t, out(t, &fx, packet.V5))
	s.Pubrec(id, packet.Success, &fx)
	s.Pubrec(id, packet.Success, &fx) // again: answered, nothing new
	want(t, out(t, &fx, packet.V5), "PUBREL id=1 code=0x00", "PUBREL id=1 code=0x00")
	if s.Open() {
		t.Error("a place is free before PUBCOMP")
	}
	s.Pubcomp(id, &fx)
	s.Pubcomp(id, &fx)
	if !s.Open() || s.Inflight() != 0 {
		t.Error("no place is free after PUBCOMP")
	}
	s.Pubrec(id, packet.Success, &fx)
	want(t, out(t, &fx, packet.V5), "PUBREL id=1 code=0x92")
	if w := []Change{{Received, 42, 1}, {Done, 42, 1}}; !slices.Equal(fx.Changes, w) {
		t.Errorf("changes %v", fx.Changes)
	}
	id, _ = offer(t, s, 2, "refused", true)
	s.Pubrec(id, packet.QuotaExceeded, &fx) // [MQTT-4.4.0-2]
	want(t, out(t, &fx, packet.V5))
	if !s.Open() || s.Inflight() != 0 {
		t.Error("no place is free after a PUBREC that refuses")
	}
}

func TestInbound(t *testing.T) {
	s := New(Params{Version: packet.V5, ReceiveMaximum: 2, Durable: true})
	var fx Effects
	publish := func(qos byte, id uint16) (bool, packet.Code) {
		isNew, err := s.Publish(&packet.Publish{QoS: qos, PacketID: id, Topic: []byte("t")})
		return isNew, code(err)
	}
	check := func(step string, isNew bool, c packet.Code, wantNew bool, wantCode packet.Code) {
		t.Helper()
		if isNew != wantNew || c != wantCode {
			t.Errorf("%s: new %t, code %v", step, isNew, c)
		}
	}
	n, c := publish(2, 1)
	check("new", n, c, true, 0)
	n, c = publish(2, 1)
	check("repeated", n, c, false, 0) // [MQTT-4.3.3-10]
	n, c = publish(1, 1)
	check("QoS 1 with the same identifier", n, c, true, 0)
	n, c = publish(0, 0)
	check("QoS 0 is free", n, c, true, 0)
	n, c = publish(2, 2)
	check("one too many", n, c, false, packet.ReceiveMaximumExceeded) // [MQTT-3.3.4-7]
	s.Acked(1)
	n, c = publish(2, 2)
	check("after PUBACK", n, c, true, 0)
	fx.Out = s.Accept(fx.Out, 1, 1, packet.NoMatchingSubscribers)
	fx.Out = s.Accept(fx.Out, 2, 2, packet.NotAuthorized) // [MQTT-4.3.3-9]
	fx.Out = s.Accept(fx.Out, 2, 1, packet.Success)
	s.Pubrel(1, &fx)
	s.Pubrel(2, &fx)
	want(t, out(t, &fx, packet.V5), "PUBACK id=1 code=0x10", "PUBREC id=2 code=0x87", "PUBREC id=1 code=0x00",
		"PUBCOMP id=1 code=0x00", "PUBCOMP id=2 code=0x92")
	if w := []Change{{Released, 0, 1}}; !slices.Equal(fx.Changes, w) {
		t.Errorf("changes %v", fx.Changes)
	}
	for id := range uint16(2) {
		n, c = publish(2, id+10)
		check("all are free again", n, c, true, 0)
	}
	if _, err := s.Publish(&packet.Publish{PublishProperties: packet.PublishProperties{SubscriptionIDs: []uint32{1}}}); code(err) != packet.ProtocolError {
		t.Errorf("Subscription Identifier from a client: %v", err) // [MQTT-3.3.4-6]
	}
}

func TestInboundOld(t *testing.T) {
	s := New(Params{Version: packet.V311, ReceiveMaximum: 1})
	for id := uint16(1); id < 100; id++ {
		if isNew, err := s.Publish(&packet.Publish{QoS: 2, PacketID: id}); !isNew || err != nil {
			t.Fatalf("before 5.0 there is no Receive Maximum: %v", err)
		}
	}
	if got := s.Accept(nil, 2, 1, packet.NotAuthorized); len(got) != 4 {
		t.Errorf("PUBREC %x has a code", got)
	}
	var fx Effects
	for id := uint16(1); id < 100; id++ {
		s.Pubrel(id, &fx)
	}
	if s.incoming != nil {
		t.Error("the identifiers of a burst are kept")
	}
}

func TestAliasesIn(t *testing.T) {
	s := New(Params{Version: packet.V5, ReceiveAliases: 3})
	for _, st := range []struct {
		alias uint16
		topic string
		want  string
		code  packet.Code
	}{
		{3, "c", "c", 0}, {3, "", "c", 0}, {1, "", "", packet.ProtocolError}, {3, "d", "d", 0}, {3, "", "d", 0},
		{4, "x", "", packet.TopicAliasInvalid}, {0, "x", "", packet.TopicAliasInvalid},
	} {
		p := packet.Publish{Topic: []byte(st.topic)}
		p.TopicAlias = packet.Some(st.alias)
		_, err := s.Publish(&p)
		if code(err) != st.code || err == nil && string(p.Topic) != st.want {
			t.Errorf("alias %d with %q: %q, %v", st.alias, st.topic, p.Topic, err)
		}
	}
	p := packet.Publish{}
	p.TopicAlias = packet.Some[uint16](1)
	if _, err := New(Params{Version: packet.V5}).Publish(&p); code(err) != packet.TopicAliasInvalid {
		t.Errorf("alias where none is allowed: %v", err)
	}
}

func TestAliasesOut(t *testing.T) {
	s := New(Params{Version: packet.V5, SendAliases: 2})
	check := func(topic string, alias uint16, known bool) {
		t.Helper()
		if a, k := s.Alias(topic); a != alias || k != known {
			t.Errorf("%q: alias %d, known %t", topic, a, k)
		}
	}
	check("a", 1, false)
	check("a", 1, true)
	check("b", 2, false)
	check("c", 0, false) // [MQTT-3.1.2-26]
	s.Unalias("a")       // not the last: the client knows it
	check("a", 1, true)
	s.Unalias("b")
	check("c", 2, false)
	check("b", 0, false)
	if a, _ := New(Params{Version: packet.V5}).Alias("a"); a != 0 { // [MQTT-3.1.2-27]
		t.Error("an alias for a client that takes none")
	}
	s = New(Params{Version: packet.V5, SendAliases: 65535})
	bytes := 0
	for i := range 100 {
		topic := strings.Repeat("x", 1000) + strconv.Itoa(i)
		if a, _ := s.Alias(topic); a != 0 {
			bytes += len(topic)
		}
	}
	if bytes > mostAliasBytes || bytes == 0 {
		t.Errorf("%d bytes of topics are remembered", bytes)
	}
}

func TestTooBig(t *testing.T) {
	s := New(Params{Version: packet.V5, SendMaximum: 1, MaximumPacket: 20, SendAliases: 5, Durable: true})
	var fx Effects
	s.Resume(nil, []Entry{{Message: msg(strings.Repeat("x", 30)), QoS: 2, PacketID: 9, Seq: 1}}, []bool{false}, Stored{Messages: 3}, &fx)
	s.Pump(1000, 0, &fx)
	if fx.TooBig != 1 || fx.Refill < 1 {
		t.Fatalf("%+v", fx)
	}
	s.Loaded([]Entry{
		{Message: msg(strings.Repeat("y", 30)), QoS: 1, Seq: 2}, {Message: msg("1"), QoS: 1, Seq: 3}, {Message: msg("2"), QoS: 1, Seq: 4},
	}, false)
	s.Pump(1000, 0, &fx)
	want(t, out(t, &fx, packet.V5), `PUBLISH t "1" qos=1 id=11 topic-alias=1`)
	if w := []Change{{Done, 1, 9}, {Done, 2, 0}, {Sent, 3, 11}}; !slices.Equal(fx.Changes, w) || fx.TooBig != 2 {
		t.Errorf("changes %v, %d too big", fx.Changes, fx.TooBig)
	}
	s.Puback(11, &fx)
	s.Pump(1000, 0, &fx)
	want(t, out(t, &fx, packet.V5), `PUBLISH "" "2" qos=1 id=12 topic-alias=1`)
}

func TestExpiry(t *testing.T) {
	s := New(Params{Version: packet.V5, SendMaximum: 1})
	var fx Effects
	offer(t, s, 1, "0", true)
	for i, at := range []int64{5000, 20_000, 0} {
		m := *msg(strconv.Itoa(i + 1))
		m.Expires = at
		if _, v := s.Offer(&Entry{Message: &m, QoS: 1}, true); v != Queued {
			t.Fatal(v)
		}
	}
	s.Puback(1, &fx)
	s.Pump(1000, 5000, &fx)
	want(t, out(t, &fx, packet.V5), `PUBLISH t "2" qos=1 id=2 message-expiry=15`)
	if n, bytes := s.Waiting(); fx.Expired != 1 || n != 1 || bytes != msg("3").Size() {
		t.Errorf("%d expired, %d of %d bytes wait", fx.Expired, n, bytes)
	}
}

// TestResumeSmaller: fewer places than messages to send again.
func TestResumeSmaller(t *testing.T) {
	s := New(Params{Version: packet.V5, SendMaximum: 1, ReceiveMaximum: 1, Durable: true})
	var fx Effects
	inflight := []Entry{
		{Message: msg("1"), QoS: 1, PacketID: 65534, Seq: 1}, {QoS: 2, PacketID: 65535, Seq: 2},
		{Message: msg("3"), QoS: 2, PacketID: 1, Seq: 3}, {Message: msg("4"), QoS: 1, PacketID: 2, Seq: 4},
	}
	s.Resume([]uint16{7}, inflight, []bool{false, true, false, false}, Stored{Messages: 1, Bytes: 10}, &fx)
	s.Pump(1000, 0, &fx)
	want(t, out(t, &fx, packet.V5), "PUBREL id=65535 code=0x00", `PUBLISH t "1" dup=1 qos=1 id=65534`)
	if _, v := offer(t, s, 1, "6", true); v != Store {
		t.Error("a new message overtakes")
	}
	s.Filed()
	s.Puback(2, &fx) // the answer to what an earlier connection sent
	s.Pubcomp(65535, &fx)
	s.Pump(1000, 0, &fx)
	want(t, out(t, &fx, packet.V5)) // a PUBREL takes no place
	s.Puback(65534, &fx)
	s.Pump(1000, 0, &fx)
	want(t, out(t, &fx, packet.V5), `PUBLISH t "3" dup=1 qos=2 id=1`)
	s.Pubrec(1, packet.Success, &fx)
	s.Pubcomp(1, &fx)
	s.Pump(1000, 0, &fx)
	if fx.Refill < 1 {
		t.Fatal("the store is not asked")
	}
	s.Loaded([]Entry{{Message: msg("5"), QoS: 1, Seq: 5}, {Message: msg("6"), QoS: 1, Seq: 6}}, false)
	s.Pump(1000, 0, &fx)
	want(t, out(t, &fx, packet.V5), "PUBREL id=1 code=0x00", `PUBLISH t "5" qos=1 id=3`)
	if isNew, err := s.Publish(&packet.Publish{QoS: 2, PacketID: 7}); isNew || err != nil {
		t.Errorf("a QoS 2 identifier of the last connection: new %t, %v", isNew, err)
	}
	if isNew, err := s.Publish(&packet.Publish{QoS: 2, PacketID: 8}); !isNew || err != nil {
		t.Errorf("it counts in this connection: %v", err)
	}
}

// TestRoom: no more is written than there is room for, but for the last packet.
func TestRoom(t *testing.T) {
	s := New(Params{Version: packet.V311, Durable: true})
	var fx Effects
	var inflight []Entry
	for i := range 100 {
		inflight = append(inflight, Entry{Message: msg(strings.Repeat("x", 100)), QoS: 1, PacketID: uint16(i + 1), Seq: uint64(i + 1)})
	}
	s.Resume(nil, inflight, make([]bool, 100), Stored{}, &fx)
	for n := 0; s.Pending(); {
		s.Pump(1000, 0, &fx)
		if len(fx.Out) == 0 || len(fx.Out) > 1200 {
			t.Fatalf("%d bytes after %d", len(fx.Out), n)
		}
		n += len(out(t, &fx, packet.V311))
	}
	s.Pump(0, 0, &fx)
	s.Pump(-5, 0, &fx)
}

// TestCountHeals: a count of stored messages that was too high is settled by the
// store's answer.
func TestCountHeals(t *testing.T) {
	s := New(Params{Version: packet.V311, Durable: true})
	var fx Effects
	s.Resume(nil, nil, nil, Stored{Messages: 2, Bytes: 500}, &fx)
	s.Missed(100) // counted already
	s.Pump(1000, 0, &fx)
	s.Loaded([]Entry{{Message: msg("1"), QoS: 1, Seq: 1}}, false)
	s.Pump(1000, 0, &fx)
	s.Loaded(nil, false)
	if n, bytes := s.Waiting(); n != 0 || bytes != 0 || !s.Open() {
		t.Errorf("%d messages of %d bytes wait", n, bytes)
	}
	offer(t, s, 1, "2", false)
	s.Loaded(nil, false)
	if n, _ := s.Waiting(); n != 1 || s.Open() {
		t.Error("what is on its way to the store was forgotten")
	}
	s.Withdraw(0, msg("2").Size())
	id, _ := offer(t, s, 1, "3", true)
	s.Withdraw(id, msg("3").Size())
	if n, bytes := s.Waiting(); n != 0 || bytes != 0 || s.flying != 1 || s.Inflight() != 1 {
		t.Errorf("%d messages of %d bytes wait, %d fly", n, bytes, s.flying)
	}
}

func TestUnfinished(t *testing.T) {
	s := New(Params{Version: packet.V311, SendMaximum: 2})
	for _, p := range []string{"1", "2", "3", "4"} {
		offer(t, s, 1, p, true)
	}
	var got []string
	s.Unfinished(func(e *Entry) bool {
		got = append(got, string(e.Message.Payload))
		return len(got) < 3
	})
	want(t, got, "1", "2", "3")
}

func TestReset(t *testing.T) {
	fx := Effects{Out: make([]byte, 300<<10), Expired: 1, TooBig: 1, Refill: 1, Changes: make([]Change, 3)}
	fx.Reset()
	if cap(fx.Out) != 0 || len(fx.Changes) != 0 || fx.Expired+fx.TooBig+fx.Refill != 0 {
		t.Errorf("%+v", fx)
	}
}

// TestAllocs: what happens for every message costs no allocation.
func TestAllocs(t *testing.T) {
	s := New(Params{Version: packet.V5})
	e := &Entry{Message: msg("x"), QoS: 1}
	var fx Effects
	in := &packet.Publish{QoS: 2, PacketID: 5, Topic: []byte("t")}
	s.openIncoming(1, true)
	round := func() {
		fx.Reset()
		id, _ := s.Offer(e, true)
		s.Puback(id, &fx)
		id, _ = s.Offer(&Entry{Message: e.Message, QoS: 2}, true)
		s.Pubrec(id, packet.Success, &fx)
		s.Pubcomp(id, &fx)
		if _, err := s.Publish(in); err != nil {
			t.Fatal(err)
		}
		fx.Out = s.Accept(fx.Out, 2, 5, packet.Success)
		s.Pubrel(5, &fx)
	}
	round()
	if n := testing.AllocsPerRun(1000, round); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkQoS1(b *testing.B) {
	s := New(Params{Version: packet.V311})
	e := &Entry{Message: msg("x"), QoS: 1}
	var fx Effects
	b.ReportAllocs()
	for b.Loop() {
		id, _ := s.Offer(e, true)
		s.Puback(id, &fx)
	}
}

func BenchmarkQueueAndPump(b *testing.B) {
	s := New(Params{Version: packet.V311, SendMaximum: 1})
	e := &Entry{Message: msg("x"), QoS: 1}
	var fx Effects
	s.Offer(e, true)
	b.ReportAllocs()
	for b.Loop() {
		fx.Reset()
		s.Offer(e, true)
		s.Puback(s.win.first, &fx)
		s.Pump(1000, 0, &fx)
	}
}

// Acknowledgements have the identifier of their message, a code where it is not Success, and nothing else: a Reason String
// or User Property could make them too large, or come unasked. [MQTT-3.1.2-29] [MQTT-3.4.2-2] [MQTT-3.4.2-3]
// [MQTT-3.5.2-2] [MQTT-3.5.2-3] [MQTT-3.6.2-2] [MQTT-3.6.2-3] [MQTT-3.7.2-2] [MQTT-3.7.2-3] [MQTT-2.2.1-5]
func TestAcknowledgementBytes(t *testing.T) {
	for _, tc := range []struct {
		v    packet.Version
		does func(s *Session, fx *Effects)
		want string
	}{
		{packet.V5, func(s *Session, fx *Effects) { fx.Out = s.Accept(fx.Out, 1, 258, packet.Success) }, "\x40\x02\x01\x02"},
		{packet.V5, func(s *Session, fx *Effects) { fx.Out = s.Accept(fx.Out, 1, 1, packet.NotAuthorized) }, "\x40\x03\x00\x01\x87"},
		{packet.V5, func(s *Session, fx *Effects) { fx.Out = s.Accept(fx.Out, 2, 2, packet.QuotaExceeded) }, "\x50\x03\x00\x02\x97"},
		{packet.V5, func(s *Session, fx *Effects) { s.Pubrec(3, packet.Success, fx) }, "\x62\x03\x00\x03\x92"},
		{packet.V5, func(s *Session, fx *Effects) { s.Pubrel(4, fx) }, "\x70\x03\x00\x04\x92"},
		{packet.V311, func(s *Session, fx *Effects) { fx.Out = s.Accept(fx.Out, 1, 1, packet.NotAuthorized) }, "\x40\x02\x00\x01"},
		{packet.V311, func(s *Session, fx *Effects) { fx.Out = s.Accept(fx.Out, 2, 2, packet.QuotaExceeded) }, "\x50\x02\x00\x02"},
		{packet.V311, func(s *Session, fx *Effects) { s.Pubrec(3, packet.Success, fx) }, "\x62\x02\x00\x03"},
		{packet.V311, func(s *Session, fx *Effects) { s.Pubrel(4, fx) }, "\x70\x02\x00\x04"},
	} {
		var fx Effects
		tc.does(New(Params{Version: tc.v}), &fx)
		if string(fx.Out) != tc.want {
			t.Errorf("%v: got %x, want %x", tc.v, fx.Out, tc.want)
		}
	}
}

// suspicion refuses the topic "secret" and counts how often it is asked.
type suspicion int

func (n *suspicion) MaySend(topic string) bool {
	*n++
	return topic != "secret"
}

// TestDoubt: what waited when somebody may have lost a right is asked about once, and what came before or later is not.
func TestDoubt(t *testing.T) {
	s := New(Params{Version: packet.V5, SendMaximum: 100})
	var asked suspicion
	fx := Effects{Guard: &asked}
	queue := func(topic string) {
		t.Helper()
		m := *msg("x")
		m.Topic = topic
		if _, v := s.Offer(&Entry{Message: &m, QoS: 1}, false); v != Queued {
			t.Fatal(v)
		}
	}
	queue("secret")
	s.Pump(1000, 0, &fx)
	want(t, out(t, &fx, packet.V5), `PUBLISH secret "x" qos=1 id=1`)
	queue("t")
	queue("secret")
	s.Doubt()
	queue("secret")
	s.Pump(1000, 0, &fx)
	want(t, out(t, &fx, packet.V5), `PUBLISH t "x" qos=1 id=2`, `PUBLISH secret "x" qos=1 id=3`)
	if n, bytes := s.Waiting(); asked != 2 || fx.Refused != 1 || s.Doubted() || n != 0 || bytes != 0 {
		t.Errorf("asked %d times, %d refused, %d of %d bytes wait", asked, fx.Refused, n, bytes)
	}
}
