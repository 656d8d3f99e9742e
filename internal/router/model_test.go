package router

import (
	"cmp"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/nightjarmq/nightjar/topic"
)

// model is the table said the naive way: a list of subscriptions, each compared with every name.
type model map[subscription]Options

type subscription struct {
	s int
	f topic.Filter
}

// deliveries returns the copies of a message that from publishes to name: who gets it, how.
func (m model) deliveries(name string, from int) []string {
	type merged struct {
		qos byte
		rap bool
		ids []uint32
	}
	to := map[int]*merged{}
	var out []string
	for sub, o := range m {
		if !topic.Match(sub.f.Filter, name) {
			continue
		}
		if sub.f.Share != "" {
			out = append(out, copyText(sub.f.String(), sub.s, o.QoS, o.RetainAsPublished, ids(o.ID)))
			continue
		}
		if o.NoLocal && sub.s == from {
			continue
		}
		d := to[sub.s]
		if d == nil {
			d = new(merged)
			to[sub.s] = d
		}
		d.qos = max(d.qos, o.QoS)
		d.rap = d.rap || o.RetainAsPublished
		d.ids = append(d.ids, ids(o.ID)...)
	}
	for s, d := range to {
		out = append(out, copyText("", s, d.qos, d.rap, d.ids))
	}
	slices.Sort(out)
	return out
}

func ids(id uint32) []uint32 {
	if id == 0 {
		return nil
	}
	return []uint32{id}
}

// routed is model.deliveries for a real route.
func routed(r *Route[int], from int) []string {
	var out []string
	for i := range r.Subs {
		if d := &r.Subs[i]; d.Reaches(from) {
			out = append(out, copyText("", d.To, d.QoS, d.RetainAsPublished, d.IDs()))
		}
	}
	for _, g := range r.Groups() {
		for _, d := range g.Members {
			out = append(out, copyText("$share/"+g.Share+"/"+g.Filter, d.To, d.QoS, d.RetainAsPublished, d.IDs()))
		}
	}
	slices.Sort(out)
	return out
}

func copyText(group string, s int, qos byte, rap bool, ids []uint32) string {
	return fmt.Sprintf("%s to %d qos %d rap %v ids %v", group, s, qos, rap, slices.Sorted(slices.Values(ids)))
}

// script reads decisions from bytes, so that fuzzing and random tests share one interpreter.
type script []byte

func (s *script) below(n int) int {
	if len(*s) == 0 {
		return 0
	}
	b := (*s)[0]
	*s = (*s)[1:]
	return int(b) % n
}

func (s *script) text(levels ...string) string {
	parts := make([]string, 1+s.below(6))
	for i := range parts {
		parts[i] = levels[s.below(len(levels))]
	}
	return strings.Join(parts, "/")
}

// name returns a valid topic name, from few, so that names meet filters.
func (s *script) name() string {
	return cmp.Or(s.text("a", "b", "", "$s", "c1", "c2", "c3", "c4", "c5", "c6", "c7", "c8", "c9"), "a")
}

func (s *script) filter() topic.Filter {
	f := topic.Filter{Filter: cmp.Or(s.text("a", "b", "", "$s", "+", "+", "c1", "c2", "c3", "c4", "c5", "c6", "c7", "c8", "c9"), "+")}
	switch s.below(4) {
	case 0:
		f.Filter += "/#"
	case 1:
		f.Filter = "#"
	}
	if s.below(4) == 0 {
		f.Share = string(rune('g' + s.below(3)))
	}
	return f
}

// runTable plays a script on a table, a cache of it and the model, and compares them as it goes.
func runTable(t *testing.T, s script) {
	table, m := New[int](), model{}
	cache := NewCache(table, 16)
	for len(s) > 0 {
		key := subscription{1 + s.below(12), s.filter()}
		_, had := m[key]
		switch s.below(4) {
		case 0:
			if got := table.Unsubscribe(key.s, key.f); got != had {
				t.Fatalf("Unsubscribe(%d, %v) = %v", key.s, key.f, got)
			}
			delete(m, key)
		case 1:
			m.leave(t, table, key.s)
		default:
			o := Options{QoS: byte(s.below(3)), RetainAsPublished: s.below(2) == 1, ID: uint32(s.below(5))}
			o.NoLocal = key.f.Share == "" && s.below(3) == 0
			if got := table.Subscribe(key.s, key.f, o); got != had {
				t.Fatalf("Subscribe(%d, %v) = %v", key.s, key.f, got)
			}
			m[key] = o
		}
		if table.Len() != len(m) {
			t.Fatalf("Len = %d, want %d", table.Len(), len(m))
		}
		for _, name := range []string{s.name(), "a/b"} {
			from := s.below(14)
			want := m.deliveries(name, from)
			if got := routed(table.Match(name), from); !slices.Equal(got, want) {
				t.Fatalf("Match(%q) from %d\n got %q\nwant %q\n have %v", name, from, got, want, m)
			}
			if got := routed(cache.Match([]byte(name)), from); !slices.Equal(got, want) {
				t.Fatalf("Cache.Match(%q) from %d\n got %q\nwant %q\n have %v", name, from, got, want, m)
			}
		}
		checkCache(t, cache)
	}
	for key := range maps.Clone(m) {
		m.leave(t, table, key.s)
	}
	if table.tree.root.kids != nil {
		t.Fatal("empty nodes were left behind")
	}
	cache.Sweep()
	for _, e := range cache.ring {
		if len(e.route.Subs)+len(e.route.Groups()) > 0 {
			t.Fatalf("a sweep left %q with subscribers that are gone", e.name)
		}
	}
}

// leave ends all subscriptions of s.
func (m model) leave(t *testing.T, table *Table[int], s int) {
	var filters []topic.Filter
	for key := range m {
		if key.s == s {
			filters = append(filters, key.f)
			delete(m, key)
		}
	}
	if got := table.UnsubscribeAll(s, append(filters, topic.Filter{Filter: "never"})); got != len(filters) {
		t.Fatalf("UnsubscribeAll(%d) = %d of %d", s, got, len(filters))
	}
}

// checkCache checks the bounds and the account of a cache.
func checkCache[S comparable](t *testing.T, c *Cache[S]) {
	t.Helper()
	bytes := 0
	lists := map[any]int{}
	for _, e := range c.ring {
		if c.byName[e.name] != e {
			t.Fatalf("%q is in the ring and not in the map", e.name)
		}
		bytes += e.cost()
		for p, size := range e.route.lists() {
			lists[p] = size
		}
	}
	for _, size := range lists {
		bytes += size
	}
	if bytes != c.bytes || len(c.byName) != len(c.ring) || len(lists) != len(c.shared) {
		t.Fatalf("account: %d bytes, is %d; %d names, %d entries; %d lists, is %d",
			c.bytes, bytes, len(c.byName), len(c.ring), len(c.shared), len(lists))
	}
	if len(c.ring) > c.maxTopics || c.bytes > c.maxBytes && len(c.ring) > 1 {
		t.Fatalf("%d topics of %d, %d bytes of %d", len(c.ring), c.maxTopics, c.bytes, c.maxBytes)
	}
}

// FuzzMatch plays a script of operations on table, cache and naive model.
func FuzzMatch(f *testing.F) {
	for seed := range uint64(8) {
		f.Add([]byte(randomScript(seed, 400)))
	}
	f.Fuzz(func(t *testing.T, s []byte) { runTable(t, s) })
}

func TestTableModel(t *testing.T) {
	for seed := range uint64(20) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { runTable(t, randomScript(seed, 4000)) })
	}
}

func randomScript(seed uint64, n int) script {
	r := rand.New(rand.NewPCG(seed, 1))
	s := make(script, n)
	for i := range s {
		s[i] = byte(r.Uint32())
	}
	return s
}

// runRetained plays a script on the index and on a map.
func runRetained(t *testing.T, s script) {
	r, m := NewRetained[int](), map[string]int{}
	for i := 1; len(s) > 0; i++ {
		name := s.name()
		want, had := m[name]
		var got int
		var ok bool
		switch s.below(4) {
		case 0:
			got, ok = r.Delete(name)
			delete(m, name)
		case 1:
			got, ok = r.Get(name)
		default:
			got, ok = r.Set(name, i)
			m[name] = i
		}
		if got != want || ok != had {
			t.Fatalf("at %q: %d, %v; want %d, %v", name, got, ok, want, had)
		}
		if r.Len() != len(m) {
			t.Fatalf("Len = %d, want %d", r.Len(), len(m))
		}
		compareRetained(t, r, m, s.filter().Filter)
	}
	for name := range m {
		r.Delete(name)
	}
	if r.tree.root.kids != nil {
		t.Fatal("empty nodes were left behind")
	}
}

func compareRetained(t *testing.T, r *Retained[int], m map[string]int, filter string) {
	t.Helper()
	got := map[string]int{}
	r.Match(filter, func(name string, v int) bool {
		if _, twice := got[name]; twice {
			t.Fatalf("Match(%q) yields %q twice", filter, name)
		}
		got[name] = v
		return true
	})
	want := maps.Clone(m)
	maps.DeleteFunc(want, func(name string, _ int) bool { return !topic.Match(filter, name) })
	if !maps.Equal(got, want) {
		t.Fatalf("Match(%q) = %v, want %v", filter, got, want)
	}
}

func FuzzRetained(f *testing.F) {
	for seed := range uint64(8) {
		f.Add([]byte(randomScript(seed, 400)))
	}
	f.Fuzz(func(t *testing.T, s []byte) { runRetained(t, s) })
}

func TestRetainedModel(t *testing.T) {
	for seed := range uint64(20) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { runRetained(t, randomScript(seed, 4000)) })
	}
}

// TestSetModel compares a set with a map while it grows and shrinks.
func TestSetModel(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var s set[int, sub[int]]
	m := map[int]uint32{}
	for i := range uint32(60000) {
		k := r.IntN(2000)
		grow := i/15000%2 == 0
		at := s.find(k)
		if id, ok := m[k]; ok != (at >= 0) || ok && s.all[at].id != id {
			t.Fatalf("find(%d) = %d, in the map: %v", k, at, ok)
		}
		switch {
		case at < 0 && grow:
			s.add(sub[int]{s: k, id: i})
			m[k] = i
		case at >= 0 && !grow:
			s.remove(at)
			delete(m, k)
		}
		if len(s.all) != len(m) || s.index != nil && len(s.index) != len(m) {
			t.Fatalf("%d elements, %d indexed, want %d", len(s.all), len(s.index), len(m))
		}
		if cap(s.all) > 4*max(len(s.all), narrow) {
			t.Fatalf("room for %d, used by %d", cap(s.all), len(s.all))
		}
	}
}
