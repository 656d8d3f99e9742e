package router

import (
	"hash/maphash"
	"sync/atomic"

	"github.com/nightjarmq/nightjar/topic"
)

// The validity of a cached route
//
// A route is out of date as soon as a filter that matches its topic is subscribed or unsubscribed. To know that
// without looking at filters, every change of a filter counts up one of many counters, chosen by the hash of the
// filter's literal beginning: all of it if it has no wildcard, otherwise the levels before the first wildcard, but at
// most prefixLevels of them. A filter can match a topic only if that beginning is a beginning of the topic too. So a
// topic depends on few counters: one for each of its first prefixLevels beginnings (the empty one included) and one
// for all of it.
//
// Counters only grow, hence their sum is unchanged if and only if each of them is. The reader takes the sum before it
// walks the trie, the writer counts up after it changed the trie and before it lets go of the lock: a route that
// lacks a change carries a sum from before that change.
//
// "idle/1234/cmd" coming and going thus leaves routes of "idle/5678/cmd" alone, "plant/+/alarm" touches those below
// "plant", and only filters that begin with a wildcard touch all. Two beginnings may share a counter; that costs a
// needless walk and nothing else. An unused table pays for the counters alone, 32 KiB.

const (
	counters     = 4096
	prefixLevels = 4
)

// stamp names the counters on which a topic depends; unused places repeat the first.
type stamp [prefixLevels + 2]uint16

type versions struct {
	seed  maphash.Seed
	count [counters]atomic.Uint64
}

func (v *versions) place(beginning string) uint16 {
	return uint16(maphash.String(v.seed, beginning) % counters)
}

// touch makes every route out of date that the filter might concern.
func (v *versions) touch(filter string) {
	v.count[v.place(beginning(filter))].Add(1)
}

// stamp returns the counters of a topic name.
func (v *versions) stamp(name string) (at stamp) {
	first := v.place("")
	for i := range at {
		at[i] = first
	}
	end, rest, more := 0, name, true
	for i := 1; i <= prefixLevels && more; i++ {
		var level string
		level, rest, more = topic.NextLevel(rest)
		end += len(level)
		at[i] = v.place(name[:end])
		end++ // the separator
	}
	if more {
		at[prefixLevels+1] = v.place(name)
	}
	return at
}

// sum returns a number that differs whenever one of the counters moved.
func (v *versions) sum(at stamp) (n uint64) {
	for _, i := range at {
		n += v.count[i].Load()
	}
	return n
}

// beginning returns the part of a filter that a topic must begin with, as far as versions tell topics apart.
func beginning(filter string) string {
	end, short := 0, ""
	rest, more := filter, true
	for i := 1; more; i++ {
		var level string
		level, rest, more = topic.NextLevel(rest)
		if topic.IsWildcard(level) {
			return short
		}
		end += len(level)
		if i <= prefixLevels {
			short = filter[:end]
		}
		end++
	}
	return filter
}
