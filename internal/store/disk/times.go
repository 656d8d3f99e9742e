package disk

import (
	"math"
	"sort"
	"time"
)

// shortest is the upper bound of the first bucket of [Times]; each of the
// others is a fifth longer than the one before, four double it, up to 22 s.
const shortest = 50 * time.Microsecond

// Times is a histogram of how long something took.
type Times struct {
	Buckets [76]int64 // how many took at most so long as [Times.Bound] says, and longer than the bucket before
	Longer  int64     // than the last bound
	Sum     time.Duration
}

// Bound returns the longest time of bucket i.
func (t *Times) Bound(i int) time.Duration {
	return time.Duration(float64(shortest) * math.Pow(2, float64(i)/4)).Round(time.Microsecond)
}

// Count returns how many times there are.
func (t *Times) Count() int64 {
	n := t.Longer
	for _, k := range t.Buckets {
		n += k
	}
	return n
}

func (t *Times) add(d time.Duration) {
	t.Sum += d
	if i := sort.Search(len(t.Buckets), func(i int) bool { return d <= t.Bound(i) }); i < len(t.Buckets) {
		t.Buckets[i]++
	} else {
		t.Longer++
	}
}
