package router

// Retained is an index of values by topic name.
type Retained[V any] struct{}

// NewRetained returns an empty index.
func NewRetained[V any]() *Retained[V] { return &Retained[V]{} }

// Set puts v at name and returns what was there. name is kept.
func (r *Retained[V]) Set(name string, v V) (old V, existed bool) { return old, false }

// Get returns what is at name.
func (r *Retained[V]) Get(name string) (v V, ok bool) { return v, false }

// Delete removes what is at name and returns it.
func (r *Retained[V]) Delete(name string) (old V, existed bool) { return old, false }

// Match yields every value whose name the filter matches until yield returns false, and tells whether it came to the end.
func (r *Retained[V]) Match(filter string, yield func(name string, v V) bool) bool { return true }

// Len returns the number of values.
func (r *Retained[V]) Len() int { return 0 }
