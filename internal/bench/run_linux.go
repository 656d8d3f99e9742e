package bench

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/nightjarmq/nightjar/packet"
)

// run is a scenario under way.
type run struct {
	ctx     context.Context
	o       Options
	e       *engine
	t       *target
	ledger  *ledger
	report  Report
	broken  int
	kept    []*link // their sessions would stay
	current string  // step
	done    func() (done, of int64)
}

// Run runs one scenario and returns what was measured. Messages that were lost are no error: see Report.Clean. The broker
// is left as it was: sessions and retained messages are removed.
func Run(ctx context.Context, o Options) (*Report, error) {
	all := Scenarios()
	i := slices.IndexFunc(all, func(s Scenario) bool { return s.Name == o.Scenario })
	if i < 0 {
		var names []string
		for _, s := range all {
			names = append(names, s.Name)
		}
		return nil, fmt.Errorf("%q is no scenario: the scenarios are %s", o.Scenario, strings.Join(names, ", "))
	}
	o, err := all[i].complete(o)
	if err != nil {
		return nil, err
	}
	if o.PID > 0 {
		if _, err := usageOf(o.PID); err != nil {
			return nil, err
		}
	}
	r := &run{ctx: ctx, o: o}
	if r.t, err = newTarget(ctx, &r.o); err != nil {
		return nil, err
	}
	if r.e, err = newEngine(); err != nil {
		return nil, err
	}
	defer r.e.close()
	r.e.every = r.tell
	var id [8]byte
	rand.Read(id[:])
	if r.o.Prefix == "" {
		r.o.Prefix = fmt.Sprintf("bench-%x", id[:4])
	}
	r.ledger = newLedger(r.e, binary.BigEndian.Uint64(id[:]), o.Window, o.Size)
	r.report = Report{Scenario: o.Scenario, Broker: o.URL, Parameters: r.parameters()}
	err = r.play()
	r.forgetKept()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", o.Scenario, err)
	}
	return &r.report, nil
}

// play runs the scenario.
func (r *run) play() error {
	return map[string]func() error{
		"pair": r.pair, "fanin": r.fanIn, "fanout": r.fanOut, "paced": r.paced, "connect": r.connect, "idle": r.idle,
		"retained": r.retained, "wildcard": r.wildcard, "offline": r.offline, "shared": r.shared,
	}[r.o.Scenario]()
}

func (r *run) parameters() map[string]any {
	o := &r.o
	p := map[string]any{"version": o.Version.String(), "qos": o.QoS, "size": o.Size, "durable": o.Durable}
	for name, n := range map[string]int{"messages": o.Messages, "connections": o.Connections, "subscribers": o.Subscribers,
		"window": o.Window, "rate": o.Rate} {
		if n > 0 {
			p[name] = n
		}
	}
	return p
}

func (r *run) tell() error {
	if r.o.Progress != nil && r.done != nil {
		done, of := r.done()
		r.o.Progress(r.current, done, of)
	}
	return nil
}

// delivered is the usual progress.
func (r *run) delivered(of int) func() (int64, int64) {
	before := r.ledger.delivered
	return func() (int64, int64) { return r.ledger.delivered - before, int64(of) }
}

// client makes a link that is not connected. It has a clean session.
func (r *run) client(name string, i int) *link {
	l := &link{fd: -1, connect: packet.Connect{
		Version: r.o.Version, CleanStart: true, KeepAlive: 600,
		ClientID: fmt.Sprintf("%s-%s-%d", r.o.Prefix, name, i),
	}}
	if r.o.Username != "" {
		l.connect.Username = packet.Some(r.o.Username)
		if r.o.Password != "" {
			l.connect.Password = packet.Some([]byte(r.o.Password))
		}
	}
	return l
}

// subscriber is a client with one subscription.
func (r *run) subscriber(name string, i int, filter string) *link {
	l := r.client(name, i)
	l.filters = r.filter(filter)
	if r.o.Durable {
		l.staysAway()
		r.kept = append(r.kept, l)
	}
	return l
}

// forgetKept ends the sessions that would stay.
func (r *run) forgetKept() {
	for _, l := range r.kept {
		l.onEnd = nil
		l.disconnect()
	}
	links, err := r.open(len(r.kept), func(i int) *link {
		l := r.client("", 0)
		l.connect.ClientID = r.kept[i].connect.ClientID
		return l
	})
	if err != nil {
		r.leftBehind(fmt.Errorf("sessions: %w", err))
	}
	for _, l := range links {
		l.disconnect()
	}
}

func (r *run) filter(f string) []packet.SubscribeFilter {
	return []packet.SubscribeFilter{{Filter: f, Options: packet.Options{QoS: r.o.QoS}}}
}

func (r *run) topic(format string, args ...any) string {
	return r.o.Prefix + "/" + fmt.Sprintf(format, args...)
}

const atOnce = 64 // connections that are being made

// open connects n links, and returns when all of them are connected and subscribed.
func (r *run) open(n int, make func(i int) *link) ([]*link, error) {
	return r.openAtOnce(n, atOnce, make)
}

func (r *run) openAtOnce(n, atOnce int, make func(i int) *link) ([]*link, error) {
	var links []*link
	var failed error
	up := 0
	for up < n {
		for len(links) < n && len(links)-up < atOnce {
			l := make(len(links))
			l.onReady = func(*link) { up++ }
			l.onEnd = func(l *link, err error) {
				failed = fmt.Errorf("connection %d of %d, client %s: %w", len(links), n, l.connect.ClientID, err)
			}
			links = append(links, l)
			if err := r.e.dial(r.ctx, r.t, l); err != nil {
				return nil, err
			}
		}
		if failed == nil {
			err := r.await(func() int64 { return int64(up) }, func() bool {
				return up == n || len(links) < n && up > len(links)-atOnce || failed != nil
			})
			failed = cmp.Or(failed, err) // why a connection failed says more
		}
		if errors.Is(failed, errQuiet) {
			failed = fmt.Errorf("%d of %d connections are made and %d under way, and there is no answer for %v", up, n, len(links)-up, r.o.Quiet)
		}
		if failed != nil {
			return nil, failed
		}
	}
	for _, l := range links {
		l.onReady, l.onEnd = nil, r.ended
	}
	return links, nil
}

func (r *run) ended(l *link, err error) {
	r.broken++
	if len(r.report.Notes) < 8 {
		r.report.Notes = append(r.report.Notes, fmt.Sprintf("client %s: %v", l.connect.ClientID, err))
	}
}

var errQuiet = errors.New("nothing has moved for too long")

// await drives the engine until done says so. It returns errQuiet when progress has not changed for the quiet time.
func (r *run) await(progress func() int64, done func() bool) error {
	last, since := progress(), r.e.clock()
	for !done() {
		if err := r.e.turn(r.ctx, longestWait); err != nil {
			return err
		}
		if p := progress(); p != last {
			last, since = p, r.e.now
		} else if r.e.now-since > int64(r.o.Quiet) {
			return errQuiet
		}
	}
	r.e.flush()
	return nil
}

// warmedUp is an error if connections were lost before anything was measured: what is left is not the load that was asked for.
func (r *run) warmedUp(err error) error {
	if err == nil && r.broken > 0 {
		return fmt.Errorf("connections that were lost before anything was measured: %d; %s", r.broken, r.report.Notes[0])
	}
	return err
}

// rest drives the engine for a while.
func (r *run) rest(d time.Duration) error {
	for end := r.e.clock() + int64(d); ; {
		left := end - r.e.clock()
		if left <= 0 {
			return nil
		}
		if err := r.e.turn(r.ctx, time.Duration(left)); err != nil {
			return err
		}
	}
}

// drive publishes as the windows allow until all has been delivered and acknowledged, or nothing moves any more.
func (r *run) drive() error {
	g := r.ledger
	err := r.await(func() int64 { return g.delivered + g.acked }, func() bool {
		g.fillWindows()
		return len(g.ready) == 0 && g.settled()
	})
	return r.gaveUp(err)
}

// gaveUp turns waiting in vain into a note: what is missing is counted as lost.
func (r *run) gaveUp(err error) error {
	if errors.Is(err, errQuiet) {
		r.report.Notes = append(r.report.Notes, fmt.Sprintf("%s: nothing moved for %v", r.current, r.o.Quiet))
		return nil
	}
	return err
}

// usages reads what both sides have used.
func (r *run) usages() (server, self usage, err error) {
	if r.o.PID > 0 {
		if server, err = usageOf(r.o.PID); err != nil {
			return
		}
	}
	self, err = usageOf(os.Getpid())
	return
}

// step measures f, which returns how many units it did.
func (r *run) step(name, unit string, f func() (int64, error)) (*Step, error) {
	r.current = name
	g := r.ledger
	before := *g
	sent, _ := g.sent()
	broken := r.broken
	server, self, err := r.usages()
	if err != nil {
		return nil, err
	}
	began := time.Now()
	units, err := f()
	if err != nil {
		return nil, err
	}
	seconds := time.Since(began).Seconds()
	serverNow, selfNow, err := r.usages()
	if err != nil {
		return nil, fmt.Errorf("the broker has ended: %w", err)
	}
	sentNow, unacked := g.sent()
	s := Step{
		Name: name, Unit: unit, Units: units, Seconds: seconds, PerSec: float64(units) / seconds,
		Sent: sentNow - sent, Delivered: g.delivered - before.delivered,
		Duplicated: g.duplicated - before.duplicated, Disordered: g.disordered - before.disordered,
		Foreign: g.bad - before.bad, Resent: g.resent - before.resent, Unacknowledged: unacked,
		Refused: g.refused - before.refused, Broken: r.broken - broken,
		Self: processOf(self, selfNow, units),
	}
	s.Lost = g.expected - g.delivered // of everything so far, but each counts in one step only
	for i := range r.report.Steps {
		s.Lost -= r.report.Steps[i].Lost
	}
	if r.o.PID > 0 {
		p := processOf(server, serverNow, units)
		s.Server = &p
	}
	r.report.Steps = append(r.report.Steps, s)
	return &r.report.Steps[len(r.report.Steps)-1], nil
}
