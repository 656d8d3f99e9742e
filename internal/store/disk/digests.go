package disk

import "slices"

// digests are the filters of one session, in no order. Most sessions have few: a
// list is searched from end to end until it is long enough for an index.
type digests struct {
	list []digest
	at   map[digest]int // place in list; nil while that is short
}

const indexedFrom = 16

func (ds *digests) find(d digest) int {
	if ds.at == nil {
		return slices.Index(ds.list, d)
	}
	if i, ok := ds.at[d]; ok {
		return i
	}
	return -1
}

// add reports whether the filter is new.
func (ds *digests) add(d digest) bool {
	if ds.find(d) >= 0 {
		return false
	}
	ds.list = append(ds.list, d)
	switch {
	case ds.at != nil:
		ds.at[d] = len(ds.list) - 1
	case len(ds.list) == indexedFrom:
		ds.at = make(map[digest]int, 2*indexedFrom)
		for i, d := range ds.list {
			ds.at[d] = i
		}
	}
	return true
}

// remove reports whether there was such a filter.
func (ds *digests) remove(d digest) bool {
	i := ds.find(d)
	if i < 0 {
		return false
	}
	last := len(ds.list) - 1
	ds.list[i] = ds.list[last]
	ds.list = ds.list[:last]
	if last == 0 {
		*ds = digests{}
		return true
	}
	if ds.at != nil {
		delete(ds.at, d)
		if i < last {
			ds.at[ds.list[i]] = i
		}
	}
	return true
}
