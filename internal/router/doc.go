// Package router knows who is subscribed to what: [Table] finds the receivers of a message by its topic name, and
// [Retained] finds values by a topic filter. It must never know connections, sessions, packets, storage or
// permissions: a subscriber is any comparable value (a pointer to a session, in practice), names and filters have
// been validated by package topic before they come here, and what is done with a [Delivery] is the caller's affair.
//
// # How it is built
//
// Subscriptions live in a trie with one node a level, changed in place under one RWMutex. A node with few children
// keeps them in a slice, one with many adds a hash map, so that neither 100,000 children of one node nor 100,000
// subscribers of one filter make a SUBSCRIBE slow. Walks keep an explicit stack; nothing recurses over levels.
//
// The trie is the slow path. Each event loop owns a [Cache] that remembers finished, immutable routes. A route stays
// valid until a filter that could match its topic changes, which the cache learns from an array of version counters
// (see versions.go): a hit costs one map look-up and six atomic loads, takes no lock and allocates nothing. That is
// why one lock for the whole trie is enough: it is taken for a SUBSCRIBE and for a miss, about a microsecond each.
//
//	table := router.New[*Session]()
//	table.Subscribe(s, topic.Filter{Filter: "plant/+/alarm"}, router.Options{QoS: 1})
//
//	cache := router.NewCache(table, 0) // one for each event loop
//	for i := range cache.Match(name).Subs { ... }
package router
