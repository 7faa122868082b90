package forest_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/internal/errs"
	"github.com/millwright-ml/millwright/serve/internal/forest"
)

const features = 30

// grown is a forest of random trees, and the same nodes to walk by hand.
type grown struct {
	trees   [][]forest.Node
	missing []forest.Missing // by slot
	column  []int            // by slot
}

// The shapes of the random trees.
const (
	full = iota
	uneven
	symmetric // one test a level
	binned    // some two hundred thresholds a feature, as the libraries' histograms have
)

func grow(tb testing.TB, b *forest.Builder, trees, depth, shape int) *grown {
	tb.Helper()
	r := rand.New(rand.NewPCG(1, 2))
	g := &grown{missing: []forest.Missing{0}, column: []int{0}}
	for range trees {
		nodes := []forest.Node{{}}
		tests := map[int]forest.Node{}
		for at := 0; at < len(nodes); at++ {
			level := 0
			for n := at + 1; n > 1; n /= 2 {
				level++
			}
			if level >= depth || shape == uneven && at > 0 && r.IntN(3) == 0 {
				nodes[at] = forest.Node{Left: -1, Value: float64(float32(r.NormFloat64()))}
				continue
			}
			column, missing := r.IntN(features), forest.Missing(r.IntN(2))
			slot, err := b.Numeric(column, missing)
			require.NoError(tb, err)
			for len(g.missing) <= int(slot) {
				g.missing, g.column = append(g.missing, 0), append(g.column, 0)
			}
			g.missing[slot], g.column[slot] = missing, column
			node := forest.Node{Slot: slot, Threshold: threshold(r)}
			if shape == binned && node.Threshold < 4 {
				node.Threshold = math.Round(node.Threshold*32) / 32
			}
			if first, ok := tests[level]; ok && shape == symmetric {
				node = first
			}
			tests[level] = node
			node.Left, node.Right = int32(len(nodes)), int32(len(nodes)+1)
			nodes[at] = node
			nodes = append(nodes, forest.Node{}, forest.Node{})
		}
		g.trees = append(g.trees, nodes)
		require.NoError(tb, b.Tree(0, append([]forest.Node(nil), nodes...)))
	}
	return g
}

// threshold is one of many or of a few, and now and then the end of all numbers.
func threshold(r *rand.Rand) float64 {
	switch r.IntN(60) {
	case 0:
		return math.Inf(1)
	case 1, 2, 3:
		return 0
	}
	return float64(float32(r.NormFloat64()))
}

// walk is the plain way down a tree.
func (g *grown) walk(nodes []forest.Node, row []float32) float32 {
	at := int32(0)
	for nodes[at].Left >= 0 {
		n := &nodes[at]
		x := float64(row[g.column[n.Slot]])
		left := x < n.Threshold
		if math.IsNaN(x) {
			left = g.missing[n.Slot] == forest.Left
		}
		at = n.Right
		if left {
			at = n.Left
		}
	}
	return float32(nodes[at].Value)
}

var specials = []float32{
	float32(math.NaN()), float32(math.Inf(1)), float32(math.Inf(-1)), 0, float32(math.Copysign(0, -1)), math.MaxFloat32, -math.MaxFloat32,
}

func randomRows(n int) []float32 {
	r := rand.New(rand.NewPCG(3, 4))
	rows := make([]float32, n*features)
	for i := range rows {
		rows[i] = float32(r.NormFloat64())
		if special := r.IntN(40); special < len(specials) {
			rows[i] = specials[special]
		}
	}
	return rows
}

// Any number of rows gives the sums of the plain walk, by each of the kernels.
func TestSumIsThePlainWalk(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ trees, depth, shape int }{
		{21, 9, full}, {21, 9, uneven}, {40, 6, full}, {9, 8, full}, {500, 6, uneven}, {3, 1, full},
		{21, 6, symmetric}, {300, 8, symmetric}, {5, 1, symmetric}, {7, 0, full}, {400, 2, full}, {201, 6, binned}, {203, 4, binned},
	} {
		t.Run(fmt.Sprint(c), func(t *testing.T) {
			t.Parallel()
			b, err := forest.NewBuilder(features, 1)
			require.NoError(t, err)
			g := grow(t, b, c.trees, c.depth, c.shape)
			f, err := forest.Build[float32](b, &forest.Options{Init: []float64{0.25}})
			require.NoError(t, err)
			rows := randomRows(150)
			want := make([]float32, 150)
			for i := range want {
				want[i] = 0.25
				for _, nodes := range g.trees {
					want[i] += g.walk(nodes, rows[i*features:(i+1)*features])
				}
			}
			for _, n := range []int{1, 3, 4, 7, 8, 9, 12, 63, 64, 65, 67, 150} {
				got := make([]float32, n)
				forest.Sum(f, got, rows)
				require.Equal(t, want[:n], got)
			}
		})
	}
}

// What is no tree is refused.
func TestBuilderRefuses(t *testing.T) {
	t.Parallel()
	b, err := forest.NewBuilder(2, 1)
	require.NoError(t, err)
	slot, err := b.Numeric(0, forest.Right)
	require.NoError(t, err)
	leaf := forest.Node{Left: -1, Value: 1}
	split := func(left, right int32) forest.Node {
		return forest.Node{Left: left, Right: right, Slot: slot, Threshold: 1}
	}
	nan, infinite, none := split(1, 2), leaf, split(1, 2)
	nan.Threshold, infinite.Value, none.Slot = math.NaN(), math.Inf(1), 9
	for name, nodes := range map[string][]forest.Node{
		"nothing":            {},
		"a cycle":            {split(0, 1), leaf},
		"a longer cycle":     {split(1, 2), split(0, 3), leaf, leaf},
		"a shared child":     {split(1, 1), leaf},
		"a child outside":    {split(1, 5), leaf},
		"a negative child":   {split(1, -2), leaf},
		"no number to test":  {nan, leaf, leaf},
		"an endless leaf":    {infinite},
		"a slot of nobody's": {none, leaf, leaf},
	} {
		require.ErrorIs(t, b.Tree(0, nodes), errs.ErrInvalid, name)
	}
	require.ErrorIs(t, b.Tree(1, []forest.Node{leaf}), errs.ErrInvalid)
	_, err = b.Numeric(2, forest.Right)
	require.ErrorIs(t, err, errs.ErrInvalid)
	_, err = forest.NewBuilder(-1, 1<<30)
	require.ErrorIs(t, err, errs.ErrInvalid)
}

// 500 trees of depth 6 over rows that vary, as in the reference.
func BenchmarkSum(b *testing.B) {
	for name, shape := range map[string]int{"full": full, "binned": binned, "symmetric": symmetric, "uneven": uneven} {
		builder, err := forest.NewBuilder(features, 1)
		require.NoError(b, err)
		grow(b, builder, 500, 6, shape)
		f, err := forest.Build[float32](builder, nil)
		require.NoError(b, err)
		const many = 1000
		rows, out := randomRows(many), make([]float32, many)
		b.Run(name+"/row", func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				r := i % many
				forest.Sum(f, out[:1], rows[r*features:(r+1)*features])
			}
		})
		b.Run(name+"/rows", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				forest.Sum(f, out, rows)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*many), "ns/row")
		})
	}
}
