package router

// narrow is the number of elements that are searched faster one by one than through a map, and at much less memory.
const narrow = 8

// keyed is an element that knows its own key.
type keyed[K comparable] interface{ key() K }

// set is an unordered collection with at most one element a key. Its elements stand side by side, so that they can be
// copied out in one go; beyond narrow of them, a map tells where each stands. All operations take constant time, save
// for growing and shrinking, which is amortised. The zero value is empty.
type set[K comparable, E keyed[K]] struct {
	all   []E
	index map[K]uint32 // nil while narrow
}

// find returns the place of the element with this key, or -1.
func (s *set[K, E]) find(k K) int {
	if s.index != nil {
		if i, ok := s.index[k]; ok {
			return int(i)
		}
		return -1
	}
	for i := range s.all {
		if s.all[i].key() == k {
			return i
		}
	}
	return -1
}

// add puts in an element whose key must be new.
func (s *set[K, E]) add(e E) {
	s.all = append(s.all, e)
	switch {
	case s.index != nil:
		s.index[e.key()] = uint32(len(s.all) - 1)
	case len(s.all) > narrow:
		s.reindex()
	}
}

// remove takes out the element at place i; the last element moves there.
func (s *set[K, E]) remove(i int) {
	gone, last := s.all[i].key(), len(s.all)-1
	if i != last {
		s.all[i] = s.all[last]
		if s.index != nil {
			s.index[s.all[i].key()] = uint32(i)
		}
	}
	clear(s.all[last:])
	s.all = s.all[:last]
	if s.index != nil {
		delete(s.index, gone)
	}
	s.shrink()
}

// shrink gives memory back once three quarters of it are unused. A map does so only by being built anew.
func (s *set[K, E]) shrink() {
	if len(s.all) == 0 {
		*s = set[K, E]{}
		return
	}
	if cap(s.all) <= narrow || len(s.all) > cap(s.all)/4 {
		return
	}
	s.all = append(make([]E, 0, 2*len(s.all)), s.all...)
	if s.index != nil {
		s.index = nil
		if len(s.all) > narrow/2 {
			s.reindex()
		}
	}
}

func (s *set[K, E]) reindex() {
	s.index = make(map[K]uint32, len(s.all)+len(s.all)/4)
	for i := range s.all {
		s.index[s.all[i].key()] = uint32(i)
	}
}
