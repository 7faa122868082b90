package column

import (
	"fmt"
	"math"
	"slices"
	"sort"
)

// Bins are the counts of two columns in the same bins.
type Bins struct {
	// Edges are the lowest values of all bins but the first, ascending.
	Edges []float64
	// Ref and Cur are the rows of each bin; a last one on top of those that
	// Edges divide counts the NaN.
	Ref, Cur []uint64
}

// Bin counts both columns in bins with about equal shares of the reference: 10
// for PSI and its readings. Values below and above the reference's are in the
// outer bins, infinities included. Only the reference decides on the edges, so
// the counts of two windows can be compared and added. A value that fills
// several bins fills one, so there may be fewer. It returns ErrInvalid with
// fewer than one bin or no reference value that is a number.
func Bin(ref, cur []float64, bins int) (Bins, error) {
	if bins < 1 {
		return Bins{}, fmt.Errorf("drift: bin: %d bins: %w", bins, ErrInvalid)
	}
	all, _ := sorted("", ref, false)
	if len(all) == 0 {
		return Bins{}, fmt.Errorf("drift: bin: no reference value is a number: %w", ErrInvalid)
	}
	var b Bins
	for i := 1; i < bins; i++ {
		at := all[len(all)*i/bins]
		if at > all[0] && (len(b.Edges) == 0 || at > b.Edges[len(b.Edges)-1]) {
			b.Edges = append(b.Edges, at)
		}
	}
	b.Ref, b.Cur = count(ref, b.Edges), count(cur, b.Edges)
	return b, nil
}

func count(values, edges []float64) []uint64 {
	out := make([]uint64, len(edges)+2)
	for _, v := range values {
		if math.IsNaN(v) {
			out[len(out)-1]++
			continue
		}
		out[sort.Search(len(edges), func(i int) bool { return edges[i] > v })]++
	}
	return slices.Clip(out)
}
