package heap

import (
	"context"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"testing"
	"time"
)

func TestRoomFollowsWhatIsLookedAt(t *testing.T) {
	const mb = 1 << 20
	for _, c := range []struct{ live, scan, percent int }{
		{0, 0, most}, {1 * mb, 1 * mb, most}, {6 * mb, 6 * mb, 400}, {12 * mb, 0, 200}, {24 * mb, 24 * mb, usual},
		{1 << 30, 1 << 30, usual}, // all pointers: as Go would
		{48 * mb, 6 * mb, 50},     // half of it, and hardly a pointer
		{100 * mb, 60 * mb, 60},   // more of them than the room
		{1 << 30, 6 * mb, least},  // sweeping costs something too
		{800 * mb, 300 * mb, 37},
	} {
		k := keeper{room: Room}
		if percent := k.enough(figures{live: c.live, scan: c.scan}); percent != c.percent {
			t.Errorf("%d bytes are live, %d to look at: %d per cent, want %d", c.live, c.scan, percent, c.percent)
		}
	}
}

func TestMemoryIsGivenBackOnceAfterABurst(t *testing.T) {
	k := keeper{room: Room}
	allocated := 0
	look := func(allocates, garbage int) bool {
		allocated += allocates
		return k.quietNow(figures{live: 10 << 20, objects: 10<<20 + garbage, allocated: allocated})
	}
	for i, step := range []struct {
		allocates, garbage int
		want               bool
	}{
		{100 << 20, 20 << 20, false}, // the burst
		{1000, 20 << 20, false},      // quiet, for one interval
		{1000, 20 << 20, false},
		{1000, 20 << 20, true},
		{1000, 20 << 20, false}, // not again
		{calm + 1, 20 << 20, false},
		{1000, 20 << 20, false},
		{1000, 20 << 20, false},
		{1000, 20 << 20, false}, // little has happened since
		{100 << 20, 1000, false},
		{0, 1000, false},
		{0, 1000, false},
		{0, 1000, false}, // a lot has, but it is not worth it
		{100 << 20, 20 << 20, false},
		{100 << 20, 20 << 20, false}, // never quiet
		{0, 20 << 20, false},
		{0, 20 << 20, false},
		{calm, 20 << 20, true},
	} {
		if got := look(step.allocates, step.garbage); got != step.want {
			t.Errorf("step %d: %v", i, got)
		}
	}
}

func TestKeepLeavesThePercentageAsItWas(t *testing.T) {
	percent := func() int {
		p := debug.SetGCPercent(usual)
		debug.SetGCPercent(p)
		return p
	}
	for _, before := range []int{usual, 250} {
		was := debug.SetGCPercent(before)
		ctx, stop := context.WithTimeout(t.Context(), time.Millisecond)
		Keep(ctx, Room)
		stop()
		if p := percent(); p != before {
			t.Errorf("%d per cent are left of %d", p, before)
		}
		debug.SetGCPercent(was)
	}
}

// TestGrowthIsSeenAtOnce: when a small heap has grown, the next collection is not as far away as if it were still small; and
// it is nearer when what has grown are bytes without a pointer.
func TestGrowthIsSeenAtOnce(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	kept := make(chan struct{})
	runtime.GC()
	go func() {
		defer close(kept)
		keep(ctx, Room, time.Hour)
	}()
	defer func() {
		stop()
		<-kept
	}()
	percent := []metrics.Sample{{Name: "/gc/gogc:percent"}}
	await := func(right func(uint64) bool) {
		t.Helper()
		for begin := time.Now(); ; runtime.GC() { // not every collection is noticed, if it follows another closely
			if metrics.Read(percent); right(percent[0].Value.Uint64()) {
				return
			}
			if time.Since(begin) > 30*time.Second {
				t.Fatalf("%d per cent", percent[0].Value.Uint64())
			}
		}
	}
	await(func(p uint64) bool { return p > usual })
	large := make([]byte, 3*Room)
	await(func(p uint64) bool { return p < usual/2 })
	runtime.KeepAlive(large)
	pointers := make([]*byte, 3*Room/8)
	await(func(p uint64) bool { return p > usual*3/4 && p <= usual*5/4 })
	runtime.KeepAlive(pointers)
}
