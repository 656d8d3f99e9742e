// Package heap tells Go's garbage collector how a broker uses memory: in bursts, and for years. It knows the runtime's
// figures; it must never know what the memory holds.
//
// Left alone, the collector starts when the heap has doubled, which for a broker with little to remember is every few
// megabytes: under load that is a good part of its CPU time. And what a burst has left stays until the next two minutes
// have passed. [Keep] leaves a small heap some room, and gives memory back when the broker has become quiet.
//
//	go heap.Keep(ctx, heap.Room)
//
// It is for a program that is a broker, not for one that has a broker in it: the settings are the process's.
package heap
