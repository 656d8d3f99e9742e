package store

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// checkQueue compares q with the sequence numbers it should hold, and checks
// the rules that queue's comment gives.
func checkQueue(t *testing.T, q *queue, want []Seq) {
	t.Helper()
	var got []Seq
	for i, c := range q.chunks {
		if len(c) == 0 && (q.n > 0 || len(q.chunks) > 1 || cap(c) > keptCap) {
			t.Fatalf("chunk %d of %d is empty, capacity %d, %d entries in all", i, len(q.chunks), cap(c), q.n)
		}
		if i > 0 && len(c)+len(q.chunks[i-1]) < chunkLen/2 {
			t.Fatalf("chunks %d and %d of %d and %d entries were not joined", i-1, i, len(q.chunks[i-1]), len(c))
		}
		for _, e := range c {
			got = append(got, e.seq)
		}
	}
	if !slices.Equal(got, want) || q.n != len(want) {
		t.Fatalf("queue holds %v (n=%d), want %v", got, q.n, want)
	}
}

func TestQueueAgainstSortedSlice(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	var q queue
	var want []Seq
	next := Seq(1)
	for round := range 40 {
		for range rnd.IntN(400) { // mostly at the end, as in life
			seq := next
			next += 1 + Seq(rnd.IntN(3))
			if rnd.IntN(4) == 0 {
				seq = Seq(rnd.Uint64N(uint64(next))) + 1
			}
			at, found := slices.BinarySearch(want, seq)
			if found {
				continue
			}
			want = slices.Insert(want, at, seq)
			q.insert(entry{seq: seq})
		}
		checkQueue(t, &q, want)
		remove := rnd.IntN(len(want) + 1)
		if round%8 == 7 {
			remove = len(want)
		}
		for range remove {
			at := 0
			if round%2 == 0 {
				at = rnd.IntN(len(want))
			}
			if e, ok := q.remove(want[at]); !ok || e.seq != want[at] {
				t.Fatalf("remove(%d) = %d, %v", want[at], e.seq, ok)
			}
			want = slices.Delete(want, at, at+1)
		}
		checkQueue(t, &q, want)
		checkFind(t, &q, want, next)
	}
}

func checkFind(t *testing.T, q *queue, want []Seq, end Seq) {
	t.Helper()
	for seq := Seq(0); seq < end+2; seq += 1 + end/200 {
		at, found := slices.BinarySearch(want, seq)
		if e := q.get(seq); (e != nil) != found || found && e.seq != seq {
			t.Fatalf("get(%d) = %v, want found=%v", seq, e, found)
		}
		if found {
			at++
		}
		got := q.appendAfter(nil, seq, 70)
		if len(got) != min(70, len(want)-at) {
			t.Fatalf("appendAfter(%d) gave %d entries, want %d", seq, len(got), min(70, len(want)-at))
		}
		for i, e := range got {
			if e.Seq != want[at+i] {
				t.Fatalf("appendAfter(%d)[%d] = %d, want %d", seq, i, e.Seq, want[at+i])
			}
		}
	}
}

// capacity is how many entries the arrays of q have room for.
func (q *queue) capacity() int {
	n := 0
	for _, c := range q.chunks {
		n += cap(c)
	}
	return n
}

// A queue gives its memory back, in whatever order its entries go.
func TestQueueGivesMemoryBack(t *testing.T) {
	const n, left = 100_000, 100
	orders := map[string]func([]Seq){
		"front first": func([]Seq) {},
		"back first":  func(s []Seq) { slices.Reverse(s) },
		"any order":   func(s []Seq) { rand.New(rand.NewPCG(3, 4)).Shuffle(n, func(i, j int) { s[i], s[j] = s[j], s[i] }) },
		"every 64th last": func(s []Seq) {
			slices.SortStableFunc(s, func(a, b Seq) int { return boolInt(a%64 == 0) - boolInt(b%64 == 0) })
		},
	}
	for name, arrange := range orders {
		t.Run(name, func(t *testing.T) {
			var q queue
			seqs := make([]Seq, n)
			for i := range seqs {
				seqs[i] = Seq(i + 1)
				q.insert(entry{seq: seqs[i]})
			}
			arrange(seqs)
			for _, seq := range seqs[:n-left] {
				q.remove(seq)
			}
			if c := q.capacity(); c > 8*left+chunkLen {
				t.Errorf("%d entries keep room for %d", left, c)
			}
			for _, seq := range seqs[n-left:] {
				q.remove(seq)
			}
			if c := q.capacity(); c > keptCap || cap(q.chunks) > smallCap || q.n != 0 {
				t.Errorf("an empty queue keeps room for %d entries in %d chunks", c, cap(q.chunks))
			}
		})
	}
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

// A window of messages under way, with nothing else queued, allocates nothing.
func TestQueueSteadyAllocs(t *testing.T) {
	var q queue
	seq := Seq(0)
	allocs := testing.AllocsPerRun(1000, func() {
		seq++
		q.insert(entry{seq: seq})
		q.remove(seq)
	})
	if allocs != 0 {
		t.Errorf("%v allocations for one entry in and out, want 0", allocs)
	}
}
