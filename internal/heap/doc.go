// Package heap tells Go's garbage collector how a broker uses memory: in bursts, and for years. It knows the runtime's
// figures; it must never know what the memory holds.
//
// Left alone, the collector starts when the heap has doubled. For a broker with little to remember that is every few megabytes,
// under load a good part of its CPU time; and where much waits for slow receivers, bytes that the collector never looks at, as
// much garbage may lie beside them. What a burst has left stays until the next two minutes have passed. [Keep] leaves a small
// heap some room, a large one as much as there is to look at, and gives memory back when the broker has become quiet.
//
//	go heap.Keep(ctx, heap.Room)
//
// It is for a program that is a broker, not for one that has a broker in it: the settings are the process's.
package heap
