package rollout

import (
	"cmp"
	"math/bits"
	"slices"
	"time"

	"github.com/millwright-ml/millwright/serve/rollout/anytime"
)

// Durations are counted in bins, 32 to a doubling: a bin is 3 % wide at most.
const (
	binBits  = 5
	binCount = 64 << binBits
)

// binOf returns the bin of a duration.
func binOf(d time.Duration) int {
	v := uint64(max(d, 0))
	shift := bits.Len64(v>>binBits) - 1
	if shift < 0 { // Below 32 ns each has a bin of its own.
		return int(v)
	}
	return (shift+1)<<binBits + int(v>>shift)&(1<<binBits-1)
}

// binEnd returns the greatest duration of a bin.
func binEnd(bin int) time.Duration {
	if bin < 1<<binBits {
		return time.Duration(bin)
	}
	shift := bin>>binBits - 1
	return time.Duration(uint64(1<<binBits+bin&(1<<binBits-1)+1)<<shift - 1)
}

// bin is one bin that is not empty.
type bin struct {
	I int   `json:"i"`
	N int64 `json:"n"`
}

// histogram counts durations: its bins are in order. Histograms add up.
type histogram []bin

// plus returns the sum of two histograms.
func (h histogram) plus(o histogram) histogram {
	all := slices.Concat(h, o)
	slices.SortFunc(all, func(a, b bin) int { return cmp.Compare(a.I, b.I) })
	sum := all[:0]
	for _, b := range all {
		if n := len(sum); n > 0 && sum[n-1].I == b.I {
			sum[n-1].N += b.N
		} else {
			sum = append(sum, b)
		}
	}
	return sum
}

// total is the number of durations.
func (h histogram) total() (n int64) {
	for _, b := range h {
		n += b.N
	}
	return n
}

// rank returns the bin of the k-th shortest duration, counted from 1.
func (h histogram) rank(k int64) int {
	for _, b := range h {
		if k -= b.N; k <= 0 {
			return b.I
		}
	}
	return binCount - 1
}

// over counts the durations in bins above the bin.
func (h histogram) over(i int) (c anytime.Counts) {
	for _, b := range h {
		c.N += b.N
		if b.I > i {
			c.K += b.N
		}
	}
	return c
}
