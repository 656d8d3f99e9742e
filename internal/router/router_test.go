package router

import (
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/nightjarmq/nightjar/topic"
)

func filter(s string) topic.Filter { return topic.Filter{Filter: s} }

// TestStandard walks the examples of section 4.7 through the trie.
func TestStandard(t *testing.T) {
	names := strings.Fields("sport sport/ sport/tennis sport/tennis/player1 sport/tennis/player1/ranking " +
		"sport/tennis/player1/score/wimbledon sport/tennis/player2 finance /finance / // a//b $SYS $SYS/monitor/Clients x/monitor/Clients")
	filters := strings.Fields("sport/tennis/player1/# sport/# # sport/tennis/+ sport/+ + +/+ /+ +/tennis/# +/# " +
		"$SYS/# $SYS/monitor/+ +/monitor/Clients a/+/b /# //# sport/tennis/player1")
	for _, f := range filters { // [MQTT-4.7.1-1], [MQTT-4.7.1-2], [MQTT-4.7.2-1]
		table, retained := New[int](), NewRetained[int]()
		table.Subscribe(1, filter(f), Options{})
		var want, got, kept []string
		for _, name := range names {
			retained.Set(name, 0)
			if topic.Match(f, name) {
				want = append(want, name)
			}
			if len(table.Match(name).Subs) == 1 {
				got = append(got, name)
			}
		}
		retained.Match(f, func(name string, _ int) bool { kept = append(kept, name); return true })
		slices.Sort(want)
		slices.Sort(got)
		slices.Sort(kept)
		if !slices.Equal(got, want) || !slices.Equal(kept, want) {
			t.Errorf("%s\n subscription %q\n retained     %q\n want         %q", f, got, kept, want)
		}
	}
}

func TestOverlap(t *testing.T) {
	type sub struct {
		filter string
		o      Options
	}
	tests := []struct {
		name         string
		subs         []sub
		others, self string // what a message from others and from the subscriber gives
	}{
		{"highest QoS [MQTT-3.3.4-2]", []sub{{"a/#", Options{QoS: 1}}, {"a/+", Options{QoS: 2}}, {"#", Options{}}},
			" to 1 qos 2 rap false ids []", " to 1 qos 2 rap false ids []"},
		{"all identifiers [MQTT-3.3.4-4]", []sub{{"a/#", Options{ID: 7}}, {"a/+", Options{}}, {"#", Options{ID: 9, RetainAsPublished: true}}},
			" to 1 qos 0 rap true ids [7 9]", " to 1 qos 0 rap true ids [7 9]"},
		{"no local [MQTT-3.8.3-3]", []sub{{"a/#", Options{NoLocal: true}}, {"#", Options{NoLocal: true, QoS: 1}}},
			" to 1 qos 1 rap false ids []", ""},
		{"no local on the better one", []sub{{"a/#", Options{NoLocal: true, QoS: 2, ID: 1}}, {"#", Options{QoS: 1, ID: 2}}, {"a/+", Options{ID: 3}}},
			" to 1 qos 2 rap false ids [1 2 3]", " to 1 qos 1 rap false ids [2 3]"},
		{"replaced [MQTT-3.8.4-3]", []sub{{"a/b", Options{QoS: 2, ID: 4}}, {"a/b", Options{QoS: 1}}},
			" to 1 qos 1 rap false ids []", " to 1 qos 1 rap false ids []"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			table := New[int]()
			for _, s := range tt.subs {
				table.Subscribe(1, filter(s.filter), s.o)
			}
			r := table.Match("a/b")
			for from, want := range []string{tt.others, tt.self} {
				if got := strings.Join(routed(r, from), "; "); got != want {
					t.Errorf("from %d: %s, want %s", from, got, want)
				}
			}
		})
	}
}

// TestShared: one group for each ShareName and filter; its members share turns; a plain subscription is apart.
func TestShared(t *testing.T) {
	table := New[string]()
	table.Subscribe("ann", topic.Filter{Share: "g", Filter: "a/+"}, Options{QoS: 1, ID: 5})
	table.Subscribe("bob", topic.Filter{Share: "g", Filter: "a/+"}, Options{QoS: 2})
	table.Subscribe("ann", topic.Filter{Share: "h", Filter: "a/+"}, Options{NoLocal: true})
	table.Subscribe("ann", topic.Filter{Share: "g", Filter: "a/#"}, Options{})
	table.Subscribe("ann", filter("a/+"), Options{ID: 6})

	r := table.Match("a/b")
	if len(r.Subs) != 1 || len(r.Groups()) != 3 {
		t.Fatalf("%d subscribers, %d groups", len(r.Subs), len(r.Groups()))
	}
	g := groupOf(t, r, "g", "a/+")
	if len(g.Members) != 2 || groupOf(t, r, "h", "a/+").Members[0].NoLocal {
		t.Fatalf("members: %+v", g.Members)
	}
	for _, m := range g.Members { // [MQTT-4.8.2-3]
		if want := map[string]byte{"ann": 1, "bob": 2}[m.To]; m.QoS != want {
			t.Errorf("%s: QoS %d, want %d", m.To, m.QoS, want)
		}
	}
	if a, b := g.Next(), g.Next(); a != 0 || b != 1 {
		t.Errorf("turns %d, %d", a, b)
	}
	table.Subscribe("cyd", topic.Filter{Share: "g", Filter: "a/+"}, Options{})
	later := groupOf(t, table.Match("a/c"), "g", "a/+")
	if len(g.Members) != 2 || len(later.Members) != 3 {
		t.Errorf("members before and after: %d, %d", len(g.Members), len(later.Members))
	}
	if a, b := later.Next(), g.Next(); a != 2 || b != 3 {
		t.Errorf("turns after a change: %d, %d", a, b)
	}
	for _, s := range []string{"ann", "bob", "cyd"} {
		table.Unsubscribe(s, topic.Filter{Share: "g", Filter: "a/+"})
	}
	if r := table.Match("a/b"); len(r.Groups()) != 2 || len(r.Subs) != 1 {
		t.Errorf("%d groups and %d subscribers left", len(r.Groups()), len(r.Subs))
	}
}

func groupOf[S comparable](t *testing.T, r *Route[S], share, filter string) *Group[S] {
	t.Helper()
	for _, g := range r.Groups() {
		if g.Share == share && g.Filter == filter {
			return g
		}
	}
	t.Fatalf("no group %s of %s", share, filter)
	return nil
}

// TestInvalidation: a change leaves routes alone that its filter cannot concern, and reaches all others.
func TestInvalidation(t *testing.T) {
	table := New[int]()
	names := []string{"a", "a/b", "a/b/c", "a/b/c/d/e", "x/y", "$SYS/x"}
	for i, f := range []string{"a", "a/b", "a/#", "+/y", "#", "a/+/c", "a/b/c/d/#", "a/b/c/d/e", "x/y", "$SYS/#", "a/b/c/d"} {
		before := make([]uint64, len(names))
		for j, name := range names {
			before[j] = table.versions.sum(table.versions.stamp(name))
		}
		table.Subscribe(i, filter(f), Options{})
		for j, name := range names {
			moved := before[j] != table.versions.sum(table.versions.stamp(name))
			if topic.Match(f, name) && !moved {
				t.Errorf("%s does not touch %s", f, name)
			}
		}
		if i == 0 { // the same again, as a resumed session says it
			sum := table.versions.sum(table.versions.stamp("a"))
			table.Subscribe(0, filter("a"), Options{})
			if sum != table.versions.sum(table.versions.stamp("a")) {
				t.Error("a subscription that was there already makes routes out of date")
			}
		}
	}
	spared := 0
	for i := range 1000 {
		at := table.versions.stamp("idle/" + strconv.Itoa(i) + "/cmd")
		before := table.versions.sum(at)
		table.Subscribe(1, filter("idle/other/cmd"), Options{ID: uint32(i) + 1})
		if before == table.versions.sum(at) {
			spared++
		}
	}
	if spared < 900 {
		t.Errorf("churn next door spared only %d of 1000 routes", spared)
	}
}

func TestCacheHit(t *testing.T) {
	table := New[int]()
	table.Subscribe(1, filter("a/+"), Options{})
	cache := NewCache(table, 0)
	name := []byte("a/b")
	first := cache.Match(name)
	if n := testing.AllocsPerRun(100, func() {
		if cache.Match(name) != first {
			t.Error("another route")
		}
	}); n != 0 {
		t.Errorf("%v allocations for a hit", n)
	}
	copy(name, "x/y") // the cache must not have kept the caller's bytes
	if r := cache.Match(name); len(r.Subs) != 0 {
		t.Errorf("%d subscribers of x/y", len(r.Subs))
	}
	if r := cache.Match([]byte("a/b")); r != first {
		t.Error("the route of a/b was lost")
	}
}

// TestCacheBounds: many topics, large routes and outdated lists all stay within bounds.
func TestCacheBounds(t *testing.T) {
	table := New[int]()
	for s := range 2 * shareFrom {
		table.Subscribe(s, filter("wide/#"), Options{ID: 1})
		table.Subscribe(s, topic.Filter{Share: "g", Filter: "wide/+"}, Options{})
		table.Subscribe(s, filter("twice/#"), Options{})
		table.Subscribe(s, filter("twice/+"), Options{})
	}
	cache := NewCache(table, 64)
	for i := range 1000 {
		for _, area := range []string{"wide/", "twice/", "none/"} {
			r := cache.Match([]byte(area + strconv.Itoa(i%100)))
			if want := map[string]int{"wide/": 2 * shareFrom, "twice/": 2 * shareFrom}[area]; len(r.Subs) != want {
				t.Fatalf("%s: %d subscribers", area, len(r.Subs))
			}
		}
		if i%50 == 0 {
			table.Subscribe(1, filter("wide/#"), Options{ID: uint32(i) + 2})
		}
		checkCache(t, cache)
	}
	table.Subscribe(1, filter("#"), Options{})
	if cache.Sweep(); cache.Len() != 0 || cache.bytes != 0 || len(cache.shared) != 0 {
		t.Errorf("after a sweep: %d routes, %d bytes, %d lists", cache.Len(), cache.bytes, len(cache.shared))
	}
}

// TestSweepForgets: a route goes that was not used again since the last sweep, and then the memory of all.
func TestSweepForgets(t *testing.T) {
	cache := NewCache(New[int](), 0)
	for i := range 1000 {
		cache.Match([]byte("burst/" + strconv.Itoa(i)))
	}
	kept := cache.Match([]byte("often"))
	cache.Match([]byte("often"))
	if cache.Sweep(); cache.Len() != 1 || cache.byName["often"].route != kept {
		t.Errorf("a sweep left %d routes", cache.Len())
	}
	if cache.Sweep(); cache.Len() != 0 || cache.bytes != 0 || cap(cache.ring) > 0 {
		t.Errorf("a second one left %d routes, %d bytes, a ring of %d", cache.Len(), cache.bytes, cap(cache.ring))
	}
	checkCache(t, cache)
}

// TestDeep: a filter as deep as 65,535 bytes allow needs no recursion.
func TestDeep(t *testing.T) {
	deep := strings.Repeat("/", topic.MaxLength)
	table, retained := New[int](), NewRetained[int]()
	table.Subscribe(1, filter(deep), Options{})
	table.Subscribe(1, filter(strings.Repeat("+/", topic.MaxLength/2)+"#"), Options{})
	retained.Set(deep, 1)
	if n := len(table.Match(deep).Subs); n != 1 {
		t.Errorf("%d subscribers", n)
	}
	n := 0
	retained.Match("#", func(string, int) bool { n++; return true })
	if n != 1 {
		t.Errorf("%d retained", n)
	}
	table.UnsubscribeAll(1, []topic.Filter{filter(deep), filter(strings.Repeat("+/", topic.MaxLength/2) + "#")})
	retained.Delete(deep)
	if table.tree.root.kids != nil || retained.tree.root.kids != nil {
		t.Error("nodes left behind")
	}
}

// TestConcurrent runs loops that publish beside clients that subscribe. Whoever subscribed is found by every look-up
// that begins afterwards, in every cache.
func TestConcurrent(t *testing.T) {
	const loops, clients, rounds = 3, 4, 300
	table := New[int]()
	table.Subscribe(-1, filter("area/#"), Options{})
	var wg sync.WaitGroup
	stop := make(chan struct{})
	for range loops {
		wg.Go(func() {
			cache := NewCache(table, 8)
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				r := cache.Match([]byte("area/" + strconv.Itoa(i%clients) + "/cmd"))
				if !slices.ContainsFunc(r.Subs, func(d Delivery[int]) bool { return d.To == -1 }) {
					t.Error("the steady subscriber was missed")
					return
				}
				for _, g := range r.Groups() {
					_ = g.Members[g.Next()%uint64(len(g.Members))]
				}
			}
		})
	}
	var subscribers sync.WaitGroup
	for c := range clients {
		subscribers.Go(func() {
			cache := NewCache(table, 8)
			name := []byte("area/" + strconv.Itoa(c) + "/cmd")
			mine := []topic.Filter{filter(string(name)), {Share: "g", Filter: "area/+/cmd"}, filter("+/" + strconv.Itoa(c) + "/#")}
			reached := func() int {
				n := 0
				for _, text := range routed(cache.Match(name), -2) {
					if strings.Contains(text, " to "+strconv.Itoa(c)+" ") {
						n++
					}
				}
				return n
			}
			for range rounds {
				for _, f := range mine {
					table.Subscribe(c, f, Options{})
				}
				if n := reached(); n != 2 { // merged, and as a member
					t.Errorf("client %d found %d times", c, n)
				}
				table.UnsubscribeAll(c, mine)
				if n := reached(); n != 0 {
					t.Errorf("client %d found %d times after it left", c, n)
				}
			}
		})
	}
	subscribers.Wait()
	close(stop)
	wg.Wait()
	if table.Len() != 1 {
		t.Errorf("%d subscriptions left", table.Len())
	}
}

// TestRetainedConcurrent: names that stay are yielded exactly once whatever happens around them, and yield may change
// the index.
func TestRetainedConcurrent(t *testing.T) {
	const steady = 2000
	r := NewRetained[int]()
	for i := range steady {
		r.Set("p/steady/"+strconv.Itoa(i), i)
	}
	var wg sync.WaitGroup
	stop := make(chan struct{})
	for w := range 2 {
		wg.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				r.Set("p/steady/x"+strconv.Itoa(w*100+i%100), i)
				r.Delete("p/steady/x" + strconv.Itoa(w*100+(i+50)%100))
				r.Set("p/steady/"+strconv.Itoa(i%steady), i%steady)
			}
		})
	}
	for _, f := range []string{"#", "p/#", "p/steady/+", "+/+/+", "p/+/#"} {
		seen := map[string]int{}
		complete := r.Match(f, func(name string, v int) bool {
			seen[name]++
			r.Set("q/"+name, v)
			return true
		})
		for i := range steady {
			if n := seen["p/steady/"+strconv.Itoa(i)]; n != 1 || !complete {
				t.Fatalf("%s: value %d was yielded %d times; complete: %v", f, i, n, complete)
			}
		}
	}
	close(stop)
	wg.Wait()
	n := 0
	if r.Match("#", func(string, int) bool { n++; return n < 300 }) || n != 300 {
		t.Errorf("stopped after %d", n)
	}
}

// TestSearch: what was set later is left out, also where it took the place of
// something.
func TestSearch(t *testing.T) {
	r := NewRetained[int]()
	r.Set("a", 1)
	r.Set("b", 2)
	last := r.Last()
	r.Set("b", 3)
	r.Set("c", 4)
	for _, tc := range []struct {
		last uint64
		want []int
	}{
		{0, nil},
		{last, []int{1}},
		{r.Last(), []int{1, 3, 4}},
	} {
		var got []int
		for s := r.Search("#", tc.last); !s.Done(); {
			s.Next(func(v int) { got = append(got, v) })
		}
		slices.Sort(got)
		if !slices.Equal(got, tc.want) {
			t.Errorf("until %d: got %v, want %v", tc.last, got, tc.want)
		}
	}
}
