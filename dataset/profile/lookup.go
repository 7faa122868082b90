package profile

import (
	"math"
	"math/bits"
	"sort"
)

// Sizes of the lookup table and of the largest numeric layout.
const (
	cells    = 1024
	maxEdges = 255
)

// lookup finds the bin of a number in constant time: it cuts the range of the
// edges into equal cells and knows, for each cell, how many edges lie in the
// cells before it. It is derived from a layout and never changes.
//
// The cells are equal in value or, for heavy tails, equal in the bits of the
// float64, which is close to equal in the logarithm. Both mappings are
// monotone, so an edge in an earlier cell is below every value of this one.
type lookup struct {
	edges [maxEdges + 1]float64 // Padded with +Inf.
	// start holds the number of edges in the cells before this one, and crowded
	// says that a cell has two edges in it: where none has, one comparison with
	// the next edge gives the bin.
	start   [cells]uint8
	crowded bool
	first   float64 // Linear: cell = (v-first)*scale.
	scale   float64
	bits    bool
	key     uint64 // Bits: cell = (orderedBits(v)-key)>>shift.
	shift   uint
	low     float64 // The range of the layout, widened by what a float32 loses.
	high    float64
	n       int // Edges.
	cats    int
	codes   map[string]int
}

// slack is the share of its size by which a value may lie outside the range.
const slack = 1.0 / (1 << 20)

// ready prepares a layout that was made by hand or changed in size, so that
// counting cannot go out of bounds.
func (b *Bins) ready() {
	if b.look != nil && b.look.n == len(b.Edges) && b.look.cats == len(b.Categories) && len(b.Counts) == b.cells() {
		return
	}
	if b.Kind != Categorical && len(b.Edges) > maxEdges {
		b.Edges = b.Edges[:maxEdges]
	}
	counts := make([]uint64, b.cells())
	copy(counts, b.Counts)
	b.Counts = counts
	b.look = newLookup(b)
}

func newLookup(b *Bins) *lookup {
	l := &lookup{n: len(b.Edges), cats: len(b.Categories)}
	l.low, l.high = math.Inf(-1), math.Inf(1)
	if b.HasRange {
		l.low, l.high = b.Low-math.Abs(b.Low)*slack, b.High+math.Abs(b.High)*slack
	}
	if b.Kind == Categorical {
		l.codes = make(map[string]int, len(b.Categories))
		for i, s := range b.Categories {
			l.codes[s] = i
		}
		return l
	}
	for i := range l.edges {
		l.edges[i] = math.Inf(1)
	}
	copy(l.edges[:], b.Edges)
	l.bits = true
	if l.n == 0 {
		return l
	}
	first, last := b.Edges[0], b.Edges[l.n-1]
	l.key = orderedBits(first)
	for (orderedBits(last)-l.key)>>l.shift >= cells {
		l.shift++
	}
	steps := l.steps()
	l.first, l.scale = first, cells/(last-first)
	// Edges too close together or too far apart have no scale, and one alone
	// needs none.
	if l.scale > 0 && l.scale <= math.MaxFloat64 {
		l.bits = false
		if linear := l.steps(); linear <= steps {
			steps = linear
		} else {
			l.bits = true
		}
	}
	l.crowded = steps > l.n
	for i := range l.start {
		l.start[i] = uint8(sort.Search(l.n, func(e int) bool { return l.cell(l.edges[e]) >= i }))
	}
	return l
}

// steps returns the sum over the cells of the square of their edges, which is
// in proportion to the expected number of edges that a search steps over. It
// is the number of edges when each is alone in its cell.
func (l *lookup) steps() (sum int) {
	var edges [cells]int
	for _, e := range l.edges[:l.n] {
		edges[l.cell(e)]++
	}
	for _, n := range edges {
		sum += n * n
	}
	return sum
}

// bin returns the bin of any number but NaN.
func (l *lookup) bin(v float64) int {
	i := int(l.start[l.cell(v)])
	for i < l.n && v >= l.edges[i] {
		i++
	}
	return i
}

func (l *lookup) cell(v float64) int {
	if l.bits {
		return bitCell(v, l.key, l.shift)
	}
	return linearCell(v, l.first, l.scale)
}

// linearCell and bitCell take no branch on which side of the first edge v is:
// in a column that is mostly one value, often 0, it would be a coin toss.
func linearCell(v, first, scale float64) int {
	x := (v - first) * scale
	if x >= cells {
		return cells - 1 // Before it is too large for an int.
	}
	return int(int64(x) &^ (int64(math.Float64bits(x)) >> 63)) // 0 when x has a sign.
}

func bitCell(v float64, key uint64, shift uint) int {
	above, below := bits.Sub64(orderedBits(v), key, 0)
	return int(min((above&(below-1))>>shift, cells-1))
}

// orderedBits maps numbers to integers of the same order.
func orderedBits(v float64) uint64 {
	u := math.Float64bits(v)
	return u ^ (uint64(int64(u)>>63) | 1<<63)
}
