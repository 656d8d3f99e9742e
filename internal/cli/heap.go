package cli

import (
	"context"
	"sync"

	"github.com/nightjarmq/nightjar/internal/heap"
)

// keepHeap sets the garbage collector for a broker until the function that it returns is called.
func keepHeap(ctx context.Context) (end func()) {
	ctx, stop := context.WithCancel(ctx)
	var keeping sync.WaitGroup
	keeping.Go(func() { heap.Keep(ctx, heap.Room) })
	return func() {
		stop()
		keeping.Wait()
	}
}
