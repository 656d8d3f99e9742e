package router

import (
	"iter"
	"unsafe"
)

const (
	defaultTopics = 4096
	bytesPerTopic = 4096
)

// Cache remembers routes for one event loop. It must be used by one goroutine at a time.
//
// It is bounded twice: by a number of topics, and by 4 KiB for each of them on the average, so that a few topics with
// very many subscribers crowd out others instead of filling memory. Lists that routes share count once. What goes is chosen by the clock algorithm: a
// route that was used since the hand last passed is spared once. Until it goes, an outdated route keeps its
// subscribers from being collected, and one that nobody uses any more is memory that a burst has left: see [Cache.Sweep].
type Cache[S comparable] struct {
	t         *Table[S]
	byName    map[string]*cached[S]
	ring      []*cached[S]
	hand      int
	shared    map[unsafe.Pointer]int // how many routes use a shared list
	bytes     int
	maxTopics int
	maxBytes  int
}

// cached is a route and the state of the table it was made in.
type cached[S comparable] struct {
	name  string
	route *Route[S]
	sum   uint64
	at    stamp
	hot   bool // used again since the hand passed, or a sweep
}

// NewCache returns a cache over t that keeps the routes of at most so many topics; 0 means 4096.
func NewCache[S comparable](t *Table[S], topics int) *Cache[S] {
	if topics <= 0 {
		topics = defaultTopics
	}
	return &Cache[S]{
		t:         t,
		byName:    make(map[string]*cached[S]),
		shared:    make(map[unsafe.Pointer]int),
		maxTopics: topics,
		maxBytes:  topics * bytesPerTopic,
	}
}

// Match is [Table.Match], but without lock or allocation if the name was asked for before and no filter that might
// concern it changed since. name is borrowed until Match returns.
func (c *Cache[S]) Match(name []byte) *Route[S] {
	e := c.byName[string(name)] // does not allocate
	if e == nil {
		return c.learn(string(name))
	}
	if !e.hot {
		e.hot = true
	}
	if e.sum != c.t.versions.sum(e.at) {
		c.refresh(e)
	}
	return e.route
}

// Sweep drops every outdated route, and with it what keeps subscribers alive that are gone, and every route that was not
// used again since the last Sweep. It looks at all routes: call it now and then, say once a minute.
func (c *Cache[S]) Sweep() {
	for i := 0; i < len(c.ring); {
		e := c.ring[i]
		if !e.hot || e.sum != c.t.versions.sum(e.at) {
			c.drop(i)
			continue
		}
		e.hot = false
		i++
	}
	if len(c.ring) == 0 { // Go's maps do not shrink
		c.byName, c.ring = make(map[string]*cached[S]), nil
	}
}

// Len returns the number of topics whose route is kept.
func (c *Cache[S]) Len() int { return len(c.ring) }

func (c *Cache[S]) learn(name string) *Route[S] {
	for len(c.ring) >= c.maxTopics {
		c.evict()
	}
	e := &cached[S]{name: name, at: c.t.versions.stamp(name)}
	c.byName[name] = e
	c.ring = append(c.ring, e)
	c.walk(e)
	return e.route
}

func (c *Cache[S]) refresh(e *cached[S]) {
	c.release(e)
	c.walk(e)
}

// walk finds the route of e and makes room for it. The route itself may go at once if it is larger than the cache.
func (c *Cache[S]) walk(e *cached[S]) {
	e.sum = c.t.versions.sum(e.at) // before the walk: see versions.go
	e.route = c.t.Match(e.name)
	c.charge(e)
	for c.bytes > c.maxBytes && len(c.ring) > 1 {
		c.evict()
	}
}

// evict drops the next route that was not used lately.
func (c *Cache[S]) evict() {
	for {
		if c.hand >= len(c.ring) {
			c.hand = 0
		}
		if e := c.ring[c.hand]; !e.hot {
			c.drop(c.hand)
			return
		}
		c.ring[c.hand].hot = false
		c.hand++
	}
}

func (c *Cache[S]) drop(i int) {
	e, last := c.ring[i], len(c.ring)-1
	c.release(e)
	delete(c.byName, e.name)
	c.ring[i] = c.ring[last]
	c.ring[last] = nil
	c.ring = c.ring[:last]
}

// charge counts the memory of an entry with its share of map and ring, and of shared lists when they are new here.
func (c *Cache[S]) charge(e *cached[S]) {
	c.bytes += e.cost()
	for p, size := range e.route.lists() {
		if c.shared[p]++; c.shared[p] == 1 {
			c.bytes += size
		}
	}
}

// release undoes charge.
func (c *Cache[S]) release(e *cached[S]) {
	c.bytes -= e.cost()
	for p, size := range e.route.lists() {
		if c.shared[p]--; c.shared[p] == 0 {
			delete(c.shared, p)
			c.bytes -= size
		}
	}
}

func (e *cached[S]) cost() int {
	const overhead = 64
	return int(unsafe.Sizeof(*e)) + len(e.name) + overhead + int(e.route.cost)
}

// lists yields what a route shares with others: its address and size in bytes.
func (r *Route[S]) lists() iter.Seq2[unsafe.Pointer, int] {
	each := int(unsafe.Sizeof(Delivery[S]{}))
	return func(yield func(unsafe.Pointer, int) bool) {
		if r.shared && !yield(unsafe.Pointer(unsafe.SliceData(r.Subs)), each*len(r.Subs)) {
			return
		}
		for _, g := range r.Groups() {
			if !yield(unsafe.Pointer(g), each*len(g.Members)) {
				return
			}
		}
	}
}
