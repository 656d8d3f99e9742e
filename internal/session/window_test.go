package session

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// TestWindowModel compares the window with a list: identifiers are not in use,
// follow each other in the circle, and entries are found and kept in order.
func TestWindowModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var w window
		var model []Entry
		used := func(id uint16) bool {
			return slices.ContainsFunc(model, func(e Entry) bool { return e.PacketID == id })
		}
		seq := uint64(0)
		for range rapid.IntRange(0, 20).Draw(t, "restored") {
			e := Entry{PacketID: rapid.Uint16Range(1, 65535).Draw(t, "id"), Seq: seq}
			if used(e.PacketID) {
				continue
			}
			seq++
			w.put(&e)
			model = append(model, e)
		}
		w.next = rapid.SampledFrom([]uint16{0, 1, 65500, 65534, 65535}).Draw(t, "next")
		t.Repeat(map[string]func(*rapid.T){
			"add": func(t *rapid.T) {
				for range rapid.IntRange(1, 100).Draw(t, "n") {
					want := nextID(w.next)
					for used(want) {
						want = nextID(want)
					}
					e := *w.add(&Entry{Seq: seq})
					seq++
					if e.PacketID != want {
						t.Fatalf("identifier %d, want %d", e.PacketID, want)
					}
					model = append(model, e)
				}
			},
			"remove": func(t *rapid.T) {
				for range rapid.IntRange(0, len(model)).Draw(t, "n") {
					i := rapid.OneOf(rapid.Just(0), rapid.IntRange(0, len(model)-1)).Draw(t, "which")
					w.remove(model[i].PacketID)
					model = slices.Delete(model, i, i+1)
				}
			},
			"remove another": func(t *rapid.T) {
				if id := rapid.Uint16().Draw(t, "id"); !used(id) {
					w.remove(id)
				}
			},
			"": func(t *rapid.T) { compareWindow(t, &w, model) },
		})
	})
}

func compareWindow(t *rapid.T, w *window, model []Entry) {
	if w.live != len(model) {
		t.Fatalf("%d entries, want %d", w.live, len(model))
	}
	var order []uint64
	w.each(func(e *Entry) bool {
		order = append(order, e.Seq)
		return true
	})
	for i := range model {
		e := w.get(model[i].PacketID)
		if e == nil || e.Seq != model[i].Seq || e.PacketID != model[i].PacketID {
			t.Fatalf("entry %d is %+v, want %+v", model[i].PacketID, e, model[i])
		}
		if order[i] != model[i].Seq {
			t.Fatalf("order %v", order)
		}
	}
	if w.get(0) != nil {
		t.Fatal("there is an entry with identifier 0")
	}
	if inRing := w.live - len(w.late); len(w.ring) > max(64*8, 16*(inRing+1)+256) {
		t.Fatalf("a ring of %d for %d entries", len(w.ring), inRing)
	}
}

// TestWindowStragglers: a few entries are never acknowledged while all others
// are, for several rounds through the identifiers. None is given out twice.
func TestWindowStragglers(t *testing.T) {
	for _, flying := range []int{1, 100, 20000, mostInflight - 3} {
		var w window
		inUse := make(map[uint16]bool)
		var sent []uint16
		for n := range 3 * identifiers {
			id := w.add(&Entry{}).PacketID
			if inUse[id] || id == 0 {
				t.Fatalf("%d flying: identifier %d was given out while in use", flying, id)
			}
			inUse[id] = true
			if n == 10 || n == 1000 || n == 65000 {
				continue // the straggler
			}
			sent = append(sent, id)
			if len(sent) >= flying {
				w.remove(sent[0])
				delete(inUse, sent[0])
				sent = sent[1:]
			}
		}
		if w.live != len(inUse) {
			t.Errorf("%d flying: the window counts %d, there are %d", flying, w.live, len(inUse))
		}
		for id := range inUse {
			if e := w.get(id); e == nil || e.PacketID != id {
				t.Fatalf("%d flying: identifier %d is lost", flying, id)
			}
			w.remove(id)
		}
		if w.live != 0 || len(w.ring) > keepRing || w.late != nil {
			t.Errorf("%d flying: an empty window keeps a ring of %d, and %d late", flying, len(w.ring), len(w.late))
		}
	}
}

// TestWindowShrinks: the memory of a burst comes back although the window never
// becomes empty.
func TestWindowShrinks(t *testing.T) {
	var w window
	for range 10000 {
		w.add(&Entry{})
	}
	for id := uint16(1); id < 10000; id++ {
		w.remove(id)
	}
	if w.live != 1 || len(w.ring) > 64 {
		t.Errorf("%d entry in a ring of %d", w.live, len(w.ring))
	}
}

func TestWindowPutTwice(t *testing.T) {
	var w window
	w.put(&Entry{PacketID: 7, Seq: 1})
	w.put(&Entry{PacketID: 7, Seq: 2})
	if w.live != 1 || w.get(7).Seq != 2 {
		t.Errorf("%d entries, %+v", w.live, w.get(7))
	}
}

func TestQueue(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var q queue
		next, first := uint64(0), uint64(0)
		t.Repeat(map[string]func(*rapid.T){
			"push": func(t *rapid.T) {
				for range rapid.IntRange(1, 3*blockSize).Draw(t, "n") {
					q.push(&Entry{Seq: next})
					next++
				}
			},
			"pop": func(t *rapid.T) {
				for range rapid.IntRange(0, q.n).Draw(t, "n") {
					if e := q.front(); e.Seq != first {
						t.Fatalf("front is %d, want %d", e.Seq, first)
					}
					q.pop()
					first++
				}
			},
			"": func(t *rapid.T) {
				want := first
				q.each(func(e *Entry) bool {
					if e.Seq != want {
						t.Fatalf("yielded %d, want %d", e.Seq, want)
					}
					want++
					return true
				})
				if want != next || q.n != int(next-first) {
					t.Fatalf("%d entries and %d, want %d", want-first, q.n, next-first)
				}
				if q.n == 0 && (q.head != nil || q.tail != nil || q.front() != nil) {
					t.Fatal("an empty queue keeps a block")
				}
			},
		})
	})
}

func BenchmarkWindow(b *testing.B) {
	var w window
	e := &Entry{QoS: 1}
	for range 20 {
		w.add(e)
	}
	b.ReportAllocs()
	for b.Loop() {
		w.remove(w.first)
		w.add(e)
	}
}

// BenchmarkWindowReversed is a client that leaves many open and acknowledges the
// newest first.
func BenchmarkWindowReversed(b *testing.B) {
	var w window
	e := &Entry{QoS: 1}
	for range mostInflight - 1 {
		w.add(e)
	}
	b.ReportAllocs()
	for b.Loop() {
		w.remove(w.add(e).PacketID)
	}
}
