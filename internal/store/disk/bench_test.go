package disk

import (
	"bytes"
	"fmt"
	"os"
	"runtime/debug"
	"sync"
	"testing"
	"time"

	"github.com/nightjarmq/nightjar/internal/message"
	"github.com/nightjarmq/nightjar/internal/store"
	"github.com/nightjarmq/nightjar/packet"
)

// window lets so many submissions be under way at a time.
type window struct {
	mu      sync.Mutex
	risen   sync.Cond
	durable store.Ticket
	err     error
	failed  func(error) // nil, or called with an error
}

func (w *window) failedErr() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}

func newWindow(s *Store) *window {
	w := &window{}
	w.risen.L = &w.mu
	s.OnDurable(func(t store.Ticket, err error) {
		w.mu.Lock()
		w.durable, w.err = t, err
		if err != nil && w.failed != nil {
			w.failed(err)
		}
		w.mu.Unlock()
		w.risen.Broadcast()
	})
	return w
}

func (w *window) wait(t store.Ticket) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for w.durable < t && w.err == nil {
		w.risen.Wait()
	}
	return w.err
}

func keep(pub *message.Publication, i int, payload []byte) *message.Message {
	pub.Set(&packet.Publish{Topic: fmt.Appendf(nil, "plant/line/device/%012d", i), Payload: payload, QoS: 1}, nil, packet.V311, 0)
	return pub.Keep()
}

func openSessions(tb testing.TB, s *Store, n int) []store.Recipient {
	tb.Helper()
	var to []store.Recipient
	for i := range n {
		id := s.NewSession()
		rec := &store.SessionOpened{Session: id, Epoch: 1, ClientID: fmt.Sprintf("client-%06d", i), User: "u"}
		if _, err := s.Submit(rec); err != nil {
			tb.Fatal(err)
		}
		to = append(to, store.Recipient{Session: id, QoS: 1})
	}
	return to
}

// A 64 byte message for one session that is offline, so many in flight.
// Figures are of the store and of making the message.
func BenchmarkStore(b *testing.B) {
	for _, inflight := range []int{1, 64, 256} {
		b.Run(fmt.Sprint(inflight, "-in-flight"), func(b *testing.B) {
			s, err := Open(b.TempDir(), Options{})
			if err != nil {
				b.Fatal(err)
			}
			defer s.Close()
			to := openSessions(b, s, 1)
			store1(b, s, to, inflight)
		})
	}
}

func store1(b *testing.B, s *Store, to []store.Recipient, inflight int) {
	w := newWindow(s)
	var pub message.Publication
	payload := bytes.Repeat([]byte("x"), 64)
	p := &store.Published{To: to}
	recs := []store.Record{p}
	before, m := usage(), s.Metrics()
	var t store.Ticket
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		p.Message = keep(&pub, i, payload)
		var err error
		if t, err = s.Submit(recs...); err != nil {
			b.Fatal(err)
		}
		if int(t) >= inflight {
			if err := w.wait(t + 1 - store.Ticket(inflight)); err != nil {
				b.Fatal(err)
			}
		}
	}
	if err := w.wait(t); err != nil {
		b.Fatal(err)
	}
	report(b, s, before, m)
}

func report(b *testing.B, s *Store, before time.Duration, m Metrics) {
	now := s.Metrics()
	b.ReportMetric(float64((usage()-before).Nanoseconds())/1e3/float64(b.N), "cpu-us/op")
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "op/s")
	if n := now.Fsyncs.Count() - m.Fsyncs.Count(); n > 0 {
		b.ReportMetric(float64(now.Records-m.Records)/float64(n), "records/fsync")
		b.ReportMetric(float64((now.Fsyncs.Sum-m.Fsyncs.Sum).Microseconds())/float64(n), "us/fsync")
	}
}

// A message that its session acknowledges as soon as it is durable: both
// directions of QoS 1, 64 in flight.
func BenchmarkStoreAndFetch(b *testing.B) {
	s, err := Open(b.TempDir(), Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	const inflight = 64
	to := openSessions(b, s, 1)
	to[0].Epoch = 1
	w := newWindow(s)
	var pub message.Publication
	payload := bytes.Repeat([]byte("x"), 64)
	p, d := &store.Published{To: to}, &store.Done{Session: to[0].Session}
	published, done := []store.Record{p}, []store.Record{d}
	type flight struct {
		t   store.Ticket
		seq store.Seq
	}
	var out []flight
	before, m := usage(), s.Metrics()
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		p.Message = keep(&pub, i, payload)
		to[0].PacketID = uint16(i%65535 + 1)
		t, err := s.Submit(published...)
		if err != nil {
			b.Fatal(err)
		}
		out = append(out, flight{t, p.Seq})
		if len(out) == inflight {
			if err := w.wait(out[0].t); err != nil {
				b.Fatal(err)
			}
			d.Seq = out[0].seq
			if _, err := s.Submit(done...); err != nil {
				b.Fatal(err)
			}
			out = out[:copy(out, out[1:])]
		}
	}
	report(b, s, before, m)
}

// filled makes a directory with so many sessions and messages, and returns it.
func filled(tb testing.TB, sessions, messages int) string {
	tb.Helper()
	dir := tb.TempDir()
	s, err := Open(dir, Options{Durability: None})
	if err != nil {
		tb.Fatal(err)
	}
	to := openSessions(tb, s, sessions)
	var pub message.Publication
	payload := bytes.Repeat([]byte("x"), 64)
	for i := range messages {
		for {
			at := i % len(to)
			_, err := s.Submit(&store.Published{Message: keep(&pub, i, payload), To: to[at : at+1]})
			if err == nil {
				break
			}
			if err != store.ErrOverloaded {
				tb.Fatal(err)
			}
			if err := s.begin(); err != nil {
				tb.Fatal(err)
			}
			s.reading.Done()
		}
	}
	if err := s.Close(); err != nil {
		tb.Fatal(err)
	}
	return dir
}

// The start with 100,000 sessions and 1,000,000 queued messages.
func BenchmarkOpen(b *testing.B) {
	dir := filled(b, 100_000, 1_000_000)
	b.ResetTimer()
	for b.Loop() {
		debug.FreeOSMemory()
		before := resident()
		s, err := Open(dir, Options{})
		if err != nil {
			b.Fatal(err)
		}
		n := 0
		if err := s.Sessions(func(*store.SessionInfo) bool { n++; return true }); err != nil || n != 100_000 {
			b.Fatal(n, err)
		}
		b.StopTimer()
		debug.FreeOSMemory()
		b.ReportMetric(float64(resident()-before)/(1<<20), "MiB")
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
}

// A long queue read and acknowledged in windows of 64.
func BenchmarkDrain(b *testing.B) {
	dir := filled(b, 1, b.N)
	s, err := Open(dir, Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	w := newWindow(s)
	var info *store.SessionInfo
	if err := s.Sessions(func(i *store.SessionInfo) bool { info = i; return false }); err != nil {
		b.Fatal(err)
	}
	before, m := usage(), s.Metrics()
	b.ReportAllocs()
	b.ResetTimer()
	var list []store.Entry
	var t store.Ticket
	for after, pid := store.Seq(0), uint16(0); ; {
		if list, err = s.Queue(list[:0], info.Session, after, 64); err != nil {
			b.Fatal(err)
		}
		if len(list) == 0 {
			break
		}
		for _, e := range list {
			after, pid = e.Seq, pid%65535+1
			if _, err = s.Submit(&store.Sent{Session: info.Session, Seq: e.Seq, PacketID: pid}); err != nil {
				b.Fatal(err)
			}
		}
		for _, e := range list {
			if t, err = s.Submit(&store.Done{Session: info.Session, Seq: e.Seq}); err != nil {
				b.Fatal(err)
			}
		}
	}
	if err := w.wait(t); err != nil {
		b.Fatal(err)
	}
	if s.Stats().Queued != 0 {
		b.Fatal("the queue is not drained")
	}
	report(b, s, before, m)
}

// resident is the memory of the process.
func resident() int64 {
	var pages, res int64
	if b, err := os.ReadFile("/proc/self/statm"); err == nil {
		_, _ = fmt.Sscan(string(b), &pages, &res)
	}
	return res * int64(os.Getpagesize())
}
