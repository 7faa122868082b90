package profile

import (
	"math"
	"slices"
)

// Chunks describes how the means of consecutive chunks of rows, in the order of
// time, vary: more than chance makes them where neighbouring rows resemble each
// other. A row of such a stream says less than a row drawn at random, and tests
// have to allow for it.
type Chunks struct {
	// Rows is the number of rows in each chunk, N how many there were.
	Rows, N uint64
	// Features hold the sums over the chunks: of the mean of a numeric feature
	// about its Shift, or of the share of each category.
	Features []ChunkSums
	Score    ChunkSums
}

// ChunkSums adds up a statistic of each chunk, and its square.
type ChunkSums struct{ Sum, SumSq []float64 }

func newChunks(r *Reference, rows int) *Chunks {
	c := &Chunks{Rows: uint64(rows), Features: make([]ChunkSums, len(r.Features))}
	for i, f := range r.Features {
		c.Features[i] = newChunkSums(f.Bins)
	}
	c.Score = newChunkSums(r.Score)
	return c
}

func newChunkSums(b *Bins) ChunkSums {
	n := 1
	switch {
	case b == nil:
		n = 0
	case b.Kind == Categorical:
		n = b.cells()
	}
	return ChunkSums{make([]float64, n), make([]float64, n)}
}

func (c *Chunks) empty() *Chunks {
	e := &Chunks{Rows: c.Rows, Features: make([]ChunkSums, len(c.Features))}
	for i, f := range c.Features {
		e.Features[i] = ChunkSums{make([]float64, len(f.Sum)), make([]float64, len(f.Sum))}
	}
	e.Score = ChunkSums{make([]float64, len(c.Score.Sum)), make([]float64, len(c.Score.Sum))}
	return e
}

func (c *Chunks) clone() *Chunks {
	if c == nil {
		return nil
	}
	n := *c
	n.Features = make([]ChunkSums, len(c.Features))
	for i, f := range c.Features {
		n.Features[i] = ChunkSums{slices.Clone(f.Sum), slices.Clone(f.SumSq)}
	}
	n.Score = ChunkSums{slices.Clone(c.Score.Sum), slices.Clone(c.Score.SumSq)}
	return &n
}

// Add counts one chunk. The counts of all its rows are in part, which has the
// layout of the reference; chunks of another length than Rows say nothing here
// and are left out.
func (c *Chunks) Add(part *Reference) {
	if part.Rows != c.Rows || len(part.Features) != len(c.Features) {
		return
	}
	c.N++
	for i, f := range part.Features {
		c.Features[i].add(f.Bins)
	}
	c.Score.add(part.Score)
}

func (s ChunkSums) add(b *Bins) {
	if b == nil || len(s.Sum) == 0 {
		return
	}
	n := float64(max(b.counted(), 1))
	if b.Kind != Categorical {
		v := b.Sum / n
		s.Sum[0] += v
		s.SumSq[0] += float64(v * v)
		return
	}
	for i, c := range b.Counts {
		v := float64(c) / n
		s.Sum[i] += v
		s.SumSq[i] += float64(v * v)
	}
}

func (c *Chunks) combine(o *Chunks, add bool) bool {
	if c == nil || o == nil || c.Rows != o.Rows || len(c.Features) != len(o.Features) || !add && o.N > c.N {
		return false
	}
	for i := range c.Features {
		if len(c.Features[i].Sum) != len(o.Features[i].Sum) {
			return false
		}
	}
	if len(c.Score.Sum) != len(o.Score.Sum) {
		return false
	}
	sign := 1.0
	c.N += o.N
	if !add {
		sign = -1
		c.N -= 2 * o.N
	}
	for i := range c.Features {
		c.Features[i].combine(o.Features[i], sign)
	}
	c.Score.combine(o.Score, sign)
	return true
}

func (s ChunkSums) combine(o ChunkSums, sign float64) {
	for i := range s.Sum {
		s.Sum[i] += sign * o.Sum[i]
		s.SumSq[i] += sign * o.SumSq[i]
	}
}

// Effect is the design effect of a feature whose rows are counted in b: how
// many times the variance of a chunk's mean is that of as many rows drawn at
// random (Kish 1965), or, for categories, the mean of that over their shares
// (Rao and Scott 1981). It is at least 1, and 1 where fewer than two chunks
// are known.
func (s ChunkSums) Effect(b *Bins, rows, n uint64) float64 {
	if b == nil || n < 2 || rows == 0 {
		return 1
	}
	// Fewer values than rows where some are missing.
	size := float64(rows) * float64(b.counted()) / float64(max(b.Rows(), 1))
	if b.Kind != Categorical {
		if v := b.Variance(); v > 0 && len(s.Sum) == 1 {
			return max(1, s.variance(0, n)*size/v)
		}
		return 1
	}
	total := float64(b.counted())
	sum, df := 0.0, -1.0
	for i, c := range b.Counts {
		share := float64(c) / max(total, 1)
		if share*size < 1 || i >= len(s.Sum) {
			continue // Too rare for its share to vary by a law.
		}
		sum += s.variance(i, n) * size / share
		df++
	}
	if df < 1 {
		return 1
	}
	return max(1, sum/df)
}

// variance is the sample variance of a statistic over n chunks.
func (s ChunkSums) variance(i int, n uint64) float64 {
	mean := s.Sum[i] / float64(n)
	return max(0, (s.SumSq[i]-float64(n)*mean*mean)/math.Max(float64(n-1), 1))
}
