package router

import (
	"fmt"
	"runtime"
	"strconv"
	"testing"

	"github.com/nightjarmq/nightjar/topic"
)

// client stands for a session: a subscriber is a pointer.
type client struct{ _ [8]byte }

// heap returns the bytes that build adds to the heap; what it returns is kept alive for that long.
func heap(build func() any) int {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	kept := build()
	runtime.GC()
	runtime.ReadMemStats(&after)
	runtime.KeepAlive(kept)
	return int(after.HeapAlloc) - int(before.HeapAlloc)
}

// shapes are the ways in which many subscriptions occur. The texts are made before the memory is measured: they belong
// to the sessions.
func shapes() map[string]func(i int) string {
	return map[string]func(i int) string{
		"area-device-cmd": func(i int) string { return fmt.Sprintf("area/%d/device/%d/cmd", i/1000, i%1000) },
		"one-parent":      func(i int) string { return fmt.Sprintf("device/%d", i) },
		"one-filter":      func(int) string { return "news/#" },
	}
}

// TestMemory holds the promise of 250 bytes a subscription with everything that belongs to it.
func TestMemory(t *testing.T) {
	const n = 100_000
	for name, shape := range shapes() {
		t.Run(name, func(t *testing.T) {
			filters, clients := make([]topic.Filter, n), make([]client, n)
			for i := range filters {
				filters[i] = filter(shape(i))
			}
			subs := heap(func() any {
				table := New[*client]()
				for i, f := range filters {
					table.Subscribe(&clients[i], f, Options{QoS: 1})
				}
				return table
			}) / n
			kept := heap(func() any {
				r := NewRetained[*client]()
				for i, f := range filters {
					r.Set(f.Filter, &clients[i])
				}
				return r
			}) / n
			t.Logf("%d bytes a subscription, %d a retained message", subs, kept)
			if subs > 250 || kept > 250 {
				t.Errorf("%d bytes a subscription, %d a retained message", subs, kept)
			}
			runtime.KeepAlive(clients)
		})
	}
}

func BenchmarkSubscribe(b *testing.B) {
	const n = 100_000
	for name, shape := range shapes() {
		b.Run(name, func(b *testing.B) {
			filters, clients := make([]topic.Filter, n), make([]client, n)
			table := New[*client]()
			for i := range filters {
				filters[i] = filter(shape(i))
				table.Subscribe(&clients[i], filters[i], Options{})
			}
			b.ReportAllocs()
			i := 0
			for b.Loop() { // one client leaves and comes back beside 99,999 others
				table.Unsubscribe(&clients[i], filters[i])
				table.Subscribe(&clients[i], filters[i], Options{})
				i = (i + 7919) % n
			}
		})
	}
}

func BenchmarkMatch(b *testing.B) {
	const n = 100_000
	table, clients := New[*client](), make([]client, n)
	for i := range clients {
		table.Subscribe(&clients[i], filter(fmt.Sprintf("area/%d/device/%d/cmd", i/1000, i%1000)), Options{})
	}
	table.Subscribe(&clients[0], filter("area/+/device/+/cmd"), Options{})
	table.Subscribe(&clients[1], filter("#"), Options{})
	names := make([][]byte, 1024)
	for i := range names {
		names[i] = fmt.Appendf(nil, "area/%d/device/%d/cmd", i%100, i%1000)
	}
	b.Run("hit", func(b *testing.B) {
		cache := NewCache(table, 0)
		for _, name := range names {
			cache.Match(name)
		}
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			cache.Match(names[i%len(names)])
		}
	})
	b.Run("miss", func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			table.Match(string(names[i%len(names)]))
		}
	})
	b.Run("learn", func(b *testing.B) { // a miss through the cache, which must evict
		cache := NewCache(table, 512)
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			cache.Match(names[i%len(names)])
		}
	})
}

// BenchmarkMatchWide is a miss with very many subscribers.
func BenchmarkMatchWide(b *testing.B) {
	const n = 100_000
	clients := make([]client, n)
	for _, overlap := range []bool{false, true} {
		b.Run(fmt.Sprint("overlap=", overlap), func(b *testing.B) {
			table := New[*client]()
			for i := range clients {
				table.Subscribe(&clients[i], filter("news/#"), Options{})
			}
			if overlap {
				table.Subscribe(&clients[0], filter("#"), Options{})
			}
			for i := 0; b.Loop(); i++ {
				table.Subscribe(&clients[1], filter("news/#"), Options{ID: uint32(i) + 1})
				if r := table.Match("news/today"); len(r.Subs) != n {
					b.Fatal(len(r.Subs))
				}
			}
		})
	}
}

func BenchmarkRetained(b *testing.B) {
	const n = 100_000
	r, v := NewRetained[*client](), new(client)
	names := make([]string, n)
	for i := range names {
		names[i] = "device/" + strconv.Itoa(i)
		r.Set(names[i], v)
	}
	b.Run("replace", func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			r.Set(names[i*7919%n], v)
		}
	})
	b.Run("new", func(b *testing.B) {
		fresh, names := NewRetained[*client](), make([]string, 0, b.N)
		for i := range b.N {
			names = append(names, "device/"+strconv.Itoa(i))
		}
		b.ReportAllocs()
		b.ResetTimer()
		for i := range b.N {
			fresh.Set(names[i], v)
		}
	})
	b.Run("get", func(b *testing.B) {
		for i := 0; b.Loop(); i++ {
			r.Get(names[i*7919%n])
		}
	})
	for _, f := range []string{"#", "device/+", "device/777", "none/#"} {
		b.Run("match "+f, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				r.Match(f, func(string, *client) bool { return true })
			}
		})
	}
}
