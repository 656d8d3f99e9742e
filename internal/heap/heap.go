package heap

import (
	"context"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

const (
	// Room is how many bytes a broker may allocate between two collections, however little it remembers.
	Room = 24 << 20

	interval = time.Second
	usual    = 100       // per cent, Go's default
	most     = 800       // per cent
	calm     = 512 << 10 // bytes allocated in an interval by a broker that is quiet
	worth    = 4 << 20   // bytes that are worth a collection when it is quiet
)

// figures are what the runtime says.
type figures struct {
	live      int // bytes that the last collection left
	objects   int // bytes of what was left and allocated since
	free      int // bytes of the heap that are neither in use nor given back
	allocated int // bytes allocated so far, ever
}

// keeper decides; it has no clock.
type keeper struct {
	room    int
	percent int // as it was set
	last    int // figures.allocated at the last look
	cleaned int // figures.allocated when memory was given back
	quiet   int // intervals
}

// look takes the figures of the end of an interval. It returns how far the heap may grow before the next collection, in per
// cent of what is live, and whether now is the time to collect and give memory back to the system.
func (k *keeper) look(f figures) (percent int, giveBack bool) {
	percent = most
	if f.live > 0 { // else there was no collection yet
		percent = min(max(usual, 100*k.room/f.live), most)
	}
	if f.allocated-k.last > calm {
		k.quiet = 0
	} else {
		k.quiet++
	}
	k.last = f.allocated
	garbage := f.objects - f.live + f.free
	giveBack = k.quiet >= 2 && garbage > worth && f.allocated-k.cleaned > max(worth, f.live/8)
	if giveBack {
		k.cleaned = f.allocated
	}
	return percent, giveBack
}

// Keep works until ctx ends. It does nothing when a percentage was set from outside, by the variable GOGC.
func Keep(ctx context.Context, room int) {
	before := debug.SetGCPercent(usual)
	if before != usual {
		debug.SetGCPercent(before)
		return
	}
	defer debug.SetGCPercent(before)
	samples := []metrics.Sample{
		{Name: "/gc/heap/live:bytes"}, {Name: "/memory/classes/heap/objects:bytes"},
		{Name: "/memory/classes/heap/free:bytes"}, {Name: "/gc/heap/allocs:bytes"},
	}
	k := keeper{room: room, percent: usual}
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		metrics.Read(samples)
		value := func(i int) int { return int(samples[i].Value.Uint64()) }
		percent, giveBack := k.look(figures{live: value(0), objects: value(1), free: value(2), allocated: value(3)})
		if percent > k.percent*9/8 || percent < k.percent*7/8 {
			k.percent = percent
			debug.SetGCPercent(percent)
		}
		if giveBack {
			debug.FreeOSMemory()
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}
