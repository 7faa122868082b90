package loader

import (
	"math"
	"math/bits"

	"github.com/millwright-ml/millwright/dataset"
)

// plan says which rows one rank gets in one epoch. Every rank computes the same
// one, so they need not speak with each other.
//
// The groups of the epoch, in its order, are dealt out in rounds: one for each
// rank. What is left after the last full round is too little for a group each,
// so its rows are divided: rank r gets the r-th part of them, which lies in one
// group or in a few neighbours. A window is as many rounds as are mixed, and the
// last window is the divided rest.
type plan struct {
	order  []dataset.Group // All groups of the epoch, in its order.
	base   int             // Groups of order that were done by an earlier world.
	rank   int
	world  int
	mix    int             // Rounds a window.
	rounds int             // Full ones.
	rest   []dataset.Group // After the last full round.
	spare  int64           // The rows of rest.
}

// piece are the rows [lo, hi) of a group, of the rows that it has in the file.
// When a filter takes rows away, what is left is divided in proportion.
type piece struct {
	dataset.Group
	lo, hi int64
}

// of gives the piece's rows when the group has n after a filter.
func (p piece) of(n int64) (lo, hi int64) {
	return share(n, p.lo, p.Rows), share(n, p.hi, p.Rows)
}

// share is n*part/whole, rounded down; part is at most whole, which is above 0.
func share(n, part, whole int64) int64 {
	high, low := bits.Mul64(uint64(n), uint64(part))
	q, _ := bits.Div64(high, low, uint64(whole))
	return int64(q)
}

func newPlan(order []dataset.Group, base, rank, world, mix int) *plan {
	rounds := (len(order) - base) / world
	p := &plan{order: order, base: base, rank: rank, world: world, mix: mix, rounds: rounds, rest: order[base+rounds*world:]}
	for _, g := range p.rest {
		p.spare += g.Rows
	}
	return p
}

// full is the number of windows of full rounds.
func (p *plan) full() int { return (p.rounds + p.mix - 1) / p.mix }

// windows is the number of windows.
func (p *plan) windows() int { return p.full() + min(1, len(p.rest)) }

// window returns what the rank reads in window k, in the order of the epoch.
func (p *plan) window(k int) []piece {
	var pieces []piece
	if k < p.full() {
		for round := k * p.mix; round < min((k+1)*p.mix, p.rounds); round++ {
			if g := p.order[p.base+round*p.world+p.rank]; g.Rows > 0 {
				pieces = append(pieces, piece{g, 0, g.Rows})
			}
		}
		return pieces
	}
	from, to := p.cut(p.rank), p.cut(p.rank+1)
	at := int64(0)
	for _, g := range p.rest {
		if lo, hi := max(from-at, 0), min(to-at, g.Rows); lo < hi {
			pieces = append(pieces, piece{g, lo, hi})
		}
		at += g.Rows
	}
	return pieces
}

// cut is where the part of a rank of the rest begins.
func (p *plan) cut(rank int) int64 {
	each, more := p.spare/int64(p.world), p.spare%int64(p.world)
	return each*int64(rank) + min(more, int64(rank))
}

// rows is the number of rows of a rank in the windows before k, when no filter
// takes any.
func (p *plan) rows(rank, k int) int64 {
	var n int64
	for round := range min(k*p.mix, p.rounds) {
		n += p.order[p.base+round*p.world+rank].Rows
	}
	if k > p.full() {
		n += p.cut(rank+1) - p.cut(rank)
	}
	return n
}

// least is the smallest number of rows of any rank.
func (p *plan) least() int64 {
	least := int64(math.MaxInt64)
	for rank := range p.world {
		least = min(least, p.rows(rank, p.windows()))
	}
	return least
}

// done is the number of groups of the order that are finished once every rank
// is through with its first k windows.
func (p *plan) done(k int) int {
	if k > p.full() {
		return len(p.order)
	}
	return p.base + min(k*p.mix, p.rounds)*p.world
}

// name is a number that window k of the rank has alone in its epoch: that of
// its first group in the order, and after the last one for a part of the rest.
func (p *plan) name(k int) int {
	if k >= p.full() {
		return len(p.order) + p.rank
	}
	return p.base + k*p.mix*p.world + p.rank
}
