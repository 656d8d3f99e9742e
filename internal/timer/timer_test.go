package timer

import "testing"

type owner struct {
	calls []int64
	next  []int64
}

func (o *owner) Expire(now int64) int64 {
	o.calls = append(o.calls, now)
	if len(o.next) == 0 {
		return 0
	}
	n := o.next[0]
	o.next = o.next[1:]
	return n
}

func TestWheelCallsOnTimeAndNeverEarly(t *testing.T) {
	const start = 1_000_000
	w := New(func() int64 { return start })
	var e Entry
	o := &owner{next: []int64{start + 500_000}}
	w.Schedule(&e, o, start+250)
	for now := int64(start); now < start+1_000_000; now += Tick {
		w.Advance(now)
	}
	want := []int64{start + 300, start + 500_000}
	if len(o.calls) != 2 || o.calls[0] != want[0] || o.calls[1] != want[1] {
		t.Fatalf("called at %v, want %v", o.calls, want)
	}
}

func TestWheelStopAndReschedule(t *testing.T) {
	w := New(func() int64 { return 0 })
	var a, b Entry
	oa, ob := &owner{}, &owner{}
	w.Schedule(&a, oa, 1000)
	w.Schedule(&b, ob, 1000)
	w.Stop(&a)
	w.Schedule(&b, ob, 5000)
	w.Advance(4900)
	if len(oa.calls)+len(ob.calls) != 0 {
		t.Fatalf("called %v %v before the time", oa.calls, ob.calls)
	}
	w.Advance(5000)
	if len(oa.calls) != 0 || len(ob.calls) != 1 {
		t.Fatalf("calls %v %v, want none and one", oa.calls, ob.calls)
	}
}

func TestWheelManyRounds(t *testing.T) {
	w := New(func() int64 { return 0 })
	entries := make([]Entry, 10_000)
	owners := make([]owner, len(entries))
	for i := range entries {
		w.Schedule(&entries[i], &owners[i], int64(i)*97)
	}
	for now := int64(0); now <= 10_000*97+Tick; now += 700 {
		w.Advance(now)
	}
	w.Advance(10_000 * 97)
	for i := range owners {
		if len(owners[i].calls) != 1 || owners[i].calls[0] < int64(i)*97 {
			t.Fatalf("owner %d due at %d was called at %v", i, i*97, owners[i].calls)
		}
	}
}
