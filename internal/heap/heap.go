package heap

import (
	"context"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

const (
	// Room is how many bytes a broker may allocate between two collections, however little it remembers.
	Room = 24 << 20

	interval = 250 * time.Millisecond
	pause    = 3         // quiet intervals before memory is given back
	usual    = 100       // per cent, Go's default
	least    = 25        // per cent
	most     = 800       // per cent
	calm     = 128 << 10 // bytes allocated in an interval by a broker that is quiet
	worth    = 4 << 20   // bytes that are worth a collection when it is quiet
)

// figures are what the runtime says.
type figures struct {
	live      int // bytes that the last collection left
	scan      int // bytes that the next one would look at, for pointers
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

// enough is how far the heap may grow before the next collection, in per cent of what is live; f is of the moment after one.
// A collection costs what there is to look at. Where that is everything it is Go's default, beyond the room. But payloads and
// what waits for slow receivers have no pointers in them, and are no reason to wait until as much garbage lies beside them.
func (k *keeper) enough(f figures) int {
	if f.live == 0 {
		return most // there was no collection yet
	}
	return min(max(least, 100*max(k.room, f.scan)/f.live), most)
}

// quietNow takes the figures of the end of an interval. It returns whether now is the time to collect and give memory back to
// the system.
func (k *keeper) quietNow(f figures) (giveBack bool) {
	if f.allocated-k.last > calm {
		k.quiet = 0
	} else {
		k.quiet++
	}
	k.last = f.allocated
	garbage := f.objects - f.live + f.free
	giveBack = k.quiet >= pause && garbage > worth && f.allocated-k.cleaned > max(worth, f.live/8)
	if giveBack {
		k.cleaned = f.allocated
	}
	return giveBack
}

// Keep works until ctx ends. It does nothing when a percentage was set from outside, by the variable GOGC.
func Keep(ctx context.Context, room int) { keep(ctx, room, interval) }

func keep(ctx context.Context, room int, every time.Duration) {
	before := debug.SetGCPercent(usual)
	if before != usual {
		debug.SetGCPercent(before)
		return
	}
	defer debug.SetGCPercent(before)
	samples := []metrics.Sample{
		{Name: "/gc/heap/live:bytes"}, {Name: "/memory/classes/heap/objects:bytes"},
		{Name: "/memory/classes/heap/free:bytes"}, {Name: "/gc/heap/allocs:bytes"}, {Name: "/gc/scan/heap:bytes"},
	}
	k := keeper{room: room, percent: usual}
	read := func() figures {
		metrics.Read(samples)
		value := func(i int) int { return int(samples[i].Value.Uint64()) }
		return figures{live: value(0), objects: value(1), free: value(2), allocated: value(3), scan: value(4)}
	}
	set := func(percent int) {
		if percent > k.percent*9/8 || percent < k.percent*7/8 {
			k.percent = percent
			debug.SetGCPercent(percent)
		}
	}
	collected := collections(ctx)
	tick := time.NewTicker(every)
	defer tick.Stop()
	set(k.enough(read()))
	for {
		select {
		case <-collected: // only now does scan count no garbage
			set(k.enough(read()))
		case <-tick.C:
			f := read()
			set(min(k.percent, k.enough(f))) // a collection that began before the last one was noticed is not noticed itself
			if k.quietNow(f) {
				debug.FreeOSMemory()
			}
		case <-ctx.Done():
			return
		}
	}
}

// collections says when the collector has run, until ctx ends.
func collections(ctx context.Context) <-chan struct{} {
	ran := make(chan struct{}, 1)
	var watch func(struct{})
	watch = func(struct{}) {
		if ctx.Err() != nil {
			return
		}
		runtime.AddCleanup(new([32]byte), watch, struct{}{}) // unreachable at once; of a size that is not shared with tiny objects
		select {
		case ran <- struct{}{}:
		default:
		}
	}
	watch(struct{}{})
	return ran
}
