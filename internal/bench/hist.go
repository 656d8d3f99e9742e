package bench

import "math/bits"

// histogram counts nanoseconds in buckets that are wider the larger the value is: 128 for each power of two, which keeps
// every quantile within 1 % of the truth. It is the layout of HdrHistogram with two significant digits.
type histogram struct {
	n      int64
	max    int64
	counts [(64 - subBits + 1) << subBits]int64
}

const subBits = 7

func bucketOf(v int64) int {
	if v < 1<<subBits {
		return int(max(v, 0))
	}
	shift := bits.Len64(uint64(v)) - subBits - 1
	return shift<<subBits + int(v>>shift)
}

// bucketEnd is the largest value of a bucket.
func bucketEnd(i int) int64 {
	if i < 1<<subBits {
		return int64(i)
	}
	shift := i>>subBits - 1
	return (int64(i&(1<<subBits-1)|1<<subBits)+1)<<shift - 1
}

func (h *histogram) add(v int64) {
	h.n++
	h.counts[bucketOf(v)]++
	h.max = max(h.max, v)
}

// quantile returns a value that at least the share q of all values do not exceed.
func (h *histogram) quantile(q float64) int64 {
	left := int64(q*float64(h.n)) + 1
	for i, c := range h.counts {
		if left -= c; left <= 0 {
			return min(bucketEnd(i), h.max)
		}
	}
	return h.max
}

// latency is the part of a report that comes from h; nil when nothing was counted.
func (h *histogram) latency() *Latency {
	if h.n == 0 {
		return nil
	}
	at := func(q float64) float64 { return float64(h.quantile(q)) / 1e3 }
	return &Latency{
		P50: at(0.5), P90: at(0.9), P99: at(0.99), P999: at(0.999), P9999: at(0.9999),
		Max: float64(h.max) / 1e3,
	}
}
