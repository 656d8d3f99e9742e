package disk

import (
	"slices"
	"strconv"
	"testing"

	"pgregory.net/rapid"
)

func TestDigests(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var ds digests
		want := make(map[digest]bool)
		for _, n := range rapid.SliceOfN(rapid.IntRange(-20, 30), 0, 200).Draw(t, "steps") {
			d := digestOf(strconv.Itoa(max(n, -n)))
			had := want[d]
			if n >= 0 {
				want[d] = true
				if ds.add(d) == had {
					t.Fatalf("add %d of those there", n)
				}
			} else {
				delete(want, d)
				if ds.remove(d) != had {
					t.Fatalf("remove %d", n)
				}
			}
			if len(ds.list) != len(want) || slices.ContainsFunc(ds.list, func(d digest) bool { return !want[d] }) {
				t.Fatalf("%x, want %v", ds.list, want)
			}
		}
	})
}

// TestManyDigests: the filters of one session cost no more each when they are many. If it was the square, this would last
// longer than a test may.
func TestManyDigests(t *testing.T) {
	const many = 1 << 20
	var ds digests
	for i := range many {
		if !ds.add(digestOf(strconv.Itoa(i))) {
			t.Fatal("a filter is there twice")
		}
	}
	for i := range many {
		if !ds.remove(digestOf(strconv.Itoa(i))) {
			t.Fatal("a filter is gone")
		}
	}
}
