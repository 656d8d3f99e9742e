package store_test

import (
	"bytes"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"testing"
	"time"

	"github.com/nightjarmq/nightjar/internal/message"
	"github.com/nightjarmq/nightjar/internal/store"
	"github.com/nightjarmq/nightjar/packet"
)

// keep makes a message of a 30 byte topic and a 64 byte payload as the broker
// makes it.
func keep(pub *message.Publication, i int) *message.Message {
	pub.Set(&packet.Publish{
		Topic:   fmt.Appendf(nil, "plant/line/device/%012d", i),
		Payload: payload,
		QoS:     1,
	}, nil, packet.V311, 0)
	return pub.Keep()
}

var payload = bytes.Repeat([]byte("x"), 64)

func open(b *testing.B, s store.Store, n int) []store.Recipient {
	var to []store.Recipient
	for range n {
		id := s.NewSession()
		if _, err := s.Submit(&store.SessionOpened{Session: id, Epoch: 1, ClientID: "c"}); err != nil {
			b.Fatal(err)
		}
		to = append(to, store.Recipient{Session: id, QoS: 1})
	}
	return to
}

// One message in flight at a time: published with its packet identifier, done.
func BenchmarkSubmitInflightDone(b *testing.B) {
	s := store.NewMemory()
	to := open(b, s, 1)
	to[0].Epoch, to[0].PacketID = 1, 1
	p := &store.Published{Message: keep(new(message.Publication), 1), To: to}
	d := &store.Done{Session: to[0].Session}
	published, done := []store.Record{p}, []store.Record{d}
	b.ReportAllocs()
	for b.Loop() {
		s.Submit(published...)
		d.Seq = p.Seq
		s.Submit(done...)
	}
}

// A message to the queue of a session that is offline; the message is made
// before.
func BenchmarkSubmitOffline(b *testing.B) {
	s := store.NewMemory()
	to := open(b, s, 1)
	p := &store.Published{Message: keep(new(message.Publication), 1), To: to}
	published := []store.Record{p}
	b.ReportAllocs()
	for b.Loop() {
		s.Submit(published...)
	}
}

// A long queue read, sent and acknowledged in windows of 64.
func BenchmarkDrain(b *testing.B) {
	s := store.NewMemory()
	to := open(b, s, 1)
	p := &store.Published{Message: keep(new(message.Publication), 1), To: to}
	for range b.N {
		s.Submit(p)
	}
	b.ReportAllocs()
	b.ResetTimer()
	var window []store.Entry
	sent, done := &store.Sent{Session: to[0].Session}, &store.Done{Session: to[0].Session}
	sentRecs, doneRecs := []store.Record{sent}, []store.Record{done}
	after := store.Seq(0)
	for {
		window, _ = s.Queue(window[:0], to[0].Session, after, 64)
		if len(window) == 0 {
			break
		}
		for i := range window {
			after = window[i].Seq
			sent.Seq, sent.PacketID = after, uint16(i+1)
			s.Submit(sentRecs...)
		}
		for i := range window {
			done.Seq = window[i].Seq
			s.Submit(doneRecs...)
		}
	}
	if s.Stats().Queued != 0 {
		b.Fatal("the queue is not drained")
	}
}

// One message to a thousand sessions that are offline, and acknowledged by all.
func BenchmarkFanout1000(b *testing.B) {
	s := store.NewMemory()
	to := open(b, s, 1000)
	p := &store.Published{Message: keep(new(message.Publication), 1), To: to}
	published := []store.Record{p}
	done := make([]store.Record, len(to))
	for i := range to {
		done[i] = &store.Done{Session: to[i].Session}
	}
	b.ReportAllocs()
	for b.Loop() {
		s.Submit(published...)
		for _, r := range done {
			r.(*store.Done).Seq = p.Seq
		}
		s.Submit(done...)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(to)), "ns/delivery")
}

// Eight goroutines, each with a session of its own.
func BenchmarkSubmitParallel(b *testing.B) {
	s := store.NewMemory()
	b.ReportAllocs()
	b.SetParallelism(4)
	b.RunParallel(func(pb *testing.PB) {
		to := open(b, s, 1)
		p := &store.Published{Message: keep(new(message.Publication), 1), To: to}
		d := &store.Done{Session: to[0].Session}
		published, done := []store.Record{p}, []store.Record{d}
		for pb.Next() {
			s.Submit(published...)
			d.Seq = p.Seq
			s.Submit(done...)
		}
	})
}

// What a queued message costs in all, for a queue of a million: with its
// message, its topic and payload, and what the garbage collector has in reserve.
func BenchmarkMemoryOfQueue(b *testing.B) {
	const n = 1_000_000
	for b.Loop() {
		debug.FreeOSMemory()
		heap, rss := memory()
		s := store.NewMemory()
		to := open(b, s, 1)
		p := &store.Published{To: to}
		published := []store.Record{p}
		var pub message.Publication
		for i := range n {
			p.Message = keep(&pub, i)
			s.Submit(published...)
		}
		_, rssFilled := memory()
		debug.FreeOSMemory()
		heapAfter, rssAfter := memory()
		b.ReportMetric(float64(heapAfter-heap)/n, "heapB/entry")
		b.ReportMetric(float64(rssFilled-rss)/n, "rssB/entry-uncollected")
		b.ReportMetric(float64(rssAfter-rss)/n, "rssB/entry")
		runtime.KeepAlive(s)
	}
}

// What a session at rest costs, with one subscription.
func BenchmarkMemoryOfSession(b *testing.B) {
	const n = 100_000
	for b.Loop() {
		debug.FreeOSMemory()
		heap, _ := memory()
		s := store.NewMemory()
		for i := range n {
			id := s.NewSession()
			s.Submit(
				&store.SessionOpened{Session: id, Epoch: 1, ClientID: fmt.Sprintf("client-%012d", i), User: "u"},
				&store.Subscribed{Session: id, Filter: fmt.Sprintf("plant/line/%09d/#", i)},
			)
		}
		debug.FreeOSMemory()
		heapAfter, _ := memory()
		b.ReportMetric(float64(heapAfter-heap)/n, "heapB/session")
		runtime.KeepAlive(s)
	}
}

// The end of a session with a million messages, of its own or shared with
// another: how long Submit takes, reported beside the time that includes filling.
func BenchmarkRemoveLongQueue(b *testing.B) {
	for _, recipients := range []int{1, 2} {
		b.Run(fmt.Sprintf("%d-recipients", recipients), func(b *testing.B) {
			var took time.Duration
			for b.Loop() {
				s := store.NewMemory()
				to := open(b, s, recipients)
				p := &store.Published{Message: keep(new(message.Publication), 1), To: to}
				for range 1_000_000 {
					s.Submit(p)
				}
				begin := time.Now()
				s.Submit(&store.SessionRemoved{Session: to[0].Session})
				took += time.Since(begin)
			}
			b.ReportMetric(float64(took.Microseconds())/float64(b.N), "us/removal")
		})
	}
}

// memory returns the bytes of live objects and of resident pages.
func memory() (heap, rss int64) {
	var st runtime.MemStats
	runtime.ReadMemStats(&st)
	var pages, resident int64
	if b, err := os.ReadFile("/proc/self/statm"); err == nil {
		fmt.Sscan(string(b), &pages, &resident)
	}
	return int64(st.HeapAlloc), resident * int64(os.Getpagesize())
}
