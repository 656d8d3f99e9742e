package storetest

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/nightjarmq/nightjar/internal/message"
	"github.com/nightjarmq/nightjar/internal/store"
	"github.com/nightjarmq/nightjar/packet"
)

// failer is what a driver reports to: a test, or one round of random records.
type failer interface {
	Helper()
	Fatalf(format string, args ...any)
}

// driver submits records to a store and to the model, and compares.
type driver struct {
	failer
	t      *testing.T
	s      store.Store
	m      *model
	reopen Reopen // nil: the store forgets

	ids    []store.SessionID // sessions are called by their place here, from 1
	seqs   []store.Seq       // messages, likewise
	ticket store.Ticket
}

func newDriver(f failer, t *testing.T, open Open, reopen Reopen) *driver {
	d := &driver{failer: f, t: t, s: open(t), m: newModel(), reopen: reopen}
	for range 4 {
		d.ids = append(d.ids, d.s.NewSession())
	}
	return d
}

func (d *driver) close() {
	if err := d.s.Close(); err != nil {
		d.Fatalf("Close: %v", err)
	}
	if _, err := d.s.Submit(&store.SessionRemoved{Session: d.ids[0]}); err == nil {
		d.Fatalf("Submit after Close gave no error")
	}
}

// id is the number of the nth session, 0 for n = 0.
func (d *driver) id(n int) store.SessionID {
	if n == 0 {
		return 0
	}
	return d.ids[n-1]
}

// submit gives the records to the store, then to the model. The store gets
// copies that are overwritten at once: records are borrowed until Submit
// returns.
func (d *driver) submit(recs ...store.Record) {
	d.Helper()
	lent := make([]store.Record, len(recs))
	for i, r := range recs {
		lent[i] = lend(r)
	}
	submit := d.s.Submit
	if d.ticket%2 == 1 { // they change the same
		submit = d.s.SubmitLater
	}
	t, err := submit(lent...)
	if err != nil {
		d.Fatalf("Submit(%v): %v", recs, err)
	}
	if t <= d.ticket {
		d.Fatalf("Submit gave ticket %d after %d", t, d.ticket)
	}
	d.ticket = t
	for i, r := range recs {
		if p, ok := r.(*store.Published); ok {
			p.Seq = lent[i].(*store.Published).Seq
			d.number(p.Seq)
		}
		spoil(lent[i])
		d.m.apply(r)
	}
}

func (d *driver) number(seq store.Seq) {
	d.Helper()
	if len(d.seqs) > 0 && seq <= d.seqs[len(d.seqs)-1] || seq == 0 {
		d.Fatalf("Submit gave sequence number %d after %v", seq, d.seqs)
	}
	d.seqs = append(d.seqs, seq)
}

// lend returns a copy of r that shares what a record gives away.
func lend(r store.Record) store.Record {
	c := reflect.New(reflect.TypeOf(r).Elem())
	c.Elem().Set(reflect.ValueOf(r).Elem())
	lent := c.Interface().(store.Record)
	if p, ok := lent.(*store.Published); ok {
		p.To = slices.Clone(p.To)
	}
	return lent
}

func spoil(r store.Record) {
	if p, ok := r.(*store.Published); ok {
		for i := range p.To {
			p.To[i] = store.Recipient{Session: 99, Epoch: 99, PacketID: 99, QoS: 2}
		}
	}
	reflect.ValueOf(r).Elem().SetZero()
}

// open connects the nth session.
func (d *driver) open(n int, epoch uint32) {
	d.Helper()
	d.submit(&store.SessionOpened{Session: d.id(n), Epoch: epoch, ClientID: fmt.Sprint("c", n), User: "u", Expiry: 60, Time: 1})
}

// publish submits a message, written topic=payload, and returns its sequence
// number.
func (d *driver) publish(text string, to ...store.Recipient) store.Seq {
	d.Helper()
	d.submit(&store.Published{Message: msg(text), To: to})
	return d.seqs[len(d.seqs)-1]
}

func msg(text string) *message.Message {
	topic, payload, _ := strings.Cut(text, "=")
	return &message.Message{Topic: topic, Payload: []byte(payload), QoS: 1}
}

// to is a recipient without a packet identifier.
func (d *driver) to(n int) store.Recipient { return store.Recipient{Session: d.id(n), QoS: 1} }

// sentTo is a recipient with one.
func (d *driver) sentTo(n int, epoch uint32, pid uint16) store.Recipient {
	return store.Recipient{Session: d.id(n), Epoch: epoch, PacketID: pid, QoS: 1}
}

// want compares the store with the model and with lines, which the state is
// written as, and once more after a reopen.
func (d *driver) want(lines ...string) {
	d.Helper()
	d.agree()
	got := d.text(d.m.state())
	if !slices.Equal(got, lines) {
		d.Fatalf("the state is\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(lines, "\n"))
	}
}

// agree compares the store with the model, and once more after a reopen.
func (d *driver) agree() {
	d.Helper()
	d.compare("the store")
	if d.reopen != nil {
		d.s, d.ticket = d.reopen(d.t, d.s), 0
		d.compare("the store opened again")
	}
}

func (d *driver) compare(what string) {
	d.Helper()
	got, want := d.observe(), d.m.state()
	want.plain()
	if !reflect.DeepEqual(got, want) {
		d.Fatalf("%s has\n%s\n%+v\nwant\n%s\n%+v", what, strings.Join(d.text(got), "\n"), got.Stats,
			strings.Join(d.text(want), "\n"), want.Stats)
	}
}

func (d *driver) observe() *State {
	d.Helper()
	st, err := Observe(d.s)
	if err != nil {
		d.Fatalf("read the store: %v", err)
	}
	return st
}

// text writes a state in lines, with sessions and messages by their place.
func (d *driver) text(st *State) []string {
	var out []string
	line := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	for _, ss := range st.Sessions {
		in := ss.Info
		line("session %d epoch %d %s/%s expiry %d opened %d closed %d%s", slices.Index(d.ids, in.Session)+1,
			in.Epoch, in.User, in.ClientID, in.Expiry, in.Opened, in.Closed, willText(in.Will))
		for _, sub := range in.Subscriptions {
			line(" sub %s%s id %d", sub.Filter, optionsText(sub.Options), sub.ID)
		}
		if len(ss.Resume.Incoming) > 0 {
			line(" incoming %v", ss.Resume.Incoming)
		}
		for _, e := range ss.Resume.Inflight {
			line(" inflight %s", d.entryText(e))
		}
		for _, e := range ss.Waiting {
			line(" waiting %s", d.entryText(e))
		}
	}
	for _, m := range st.Retained {
		line("retained %s", messageText(m))
	}
	return out
}

func willText(w *store.Will) string {
	if w == nil {
		return ""
	}
	s := fmt.Sprintf(" will %s delay %d", messageText(w.Message), w.Delay)
	if w.Expiry.Set {
		s += fmt.Sprintf(" message-expiry %d", w.Expiry.Value)
	}
	return s
}

func optionsText(o packet.Options) string {
	s := fmt.Sprintf(" qos %d", o.QoS)
	if o.NoLocal {
		s += " nolocal"
	}
	if o.RetainAsPublished {
		s += " retain-as-published"
	}
	if o.RetainHandling != 0 {
		s += fmt.Sprintf(" handling %d", o.RetainHandling)
	}
	return s
}

func (d *driver) entryText(e store.Entry) string {
	s := fmt.Sprintf("#%d", slices.Index(d.seqs, e.Seq)+1)
	if e.Released {
		return s + fmt.Sprintf(" released pid %d", e.PacketID)
	}
	s += fmt.Sprintf(" %s qos %d", messageText(e.Message), e.QoS)
	if e.PacketID != 0 {
		s += fmt.Sprintf(" pid %d", e.PacketID)
	}
	if e.Retain {
		s += " retain"
	}
	if len(e.IDs) > 0 {
		s += fmt.Sprintf(" ids %v", e.IDs)
	}
	if e.Share != "" {
		s += " share " + e.Share
	}
	return s
}

func messageText(m *message.Message) string { return m.Topic + "=" + string(m.Payload) }
