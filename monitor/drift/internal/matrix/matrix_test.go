package matrix_test

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/monitor/drift/internal/matrix"
)

// random is a symmetric matrix with no negative eigenvalue and a given rank.
func random(n, rank int, seed uint64) matrix.Dense {
	r := rand.New(rand.NewPCG(seed, 0))
	m := matrix.New(n, n)
	for range rank {
		v := make([]float64, n)
		for i := range v {
			v[i] = r.NormFloat64()
		}
		for i := range v {
			for j := range v {
				m.Set(i, j, m.At(i, j)+v[i]*v[j])
			}
		}
	}
	return m
}

func TestSymmetric(t *testing.T) {
	t.Parallel()
	for _, c := range [][2]int{{1, 1}, {2, 2}, {4, 2}, {7, 7}, {40, 40}, {40, 3}, {3, 0}} {
		n := c[0]
		m := random(n, c[1], uint64(n))
		values, vectors := matrix.Symmetric(m)
		for k, v := range values {
			if k > 0 {
				require.LessOrEqual(t, v, values[k-1])
			}
			if k >= c[1] {
				require.InDelta(t, 0, v, 1e-12*float64(n*n))
			}
			for i := range n {
				var product, length float64
				for j := range n {
					product += m.At(i, j) * vectors.At(j, k)
					length += vectors.At(j, k) * vectors.At(j, i)
				}
				require.InDelta(t, v*vectors.At(i, k), product, 1e-11*float64(n*n))
				want := 0.0
				if i == k {
					want = 1
				}
				require.InDelta(t, want, length, 1e-12*float64(n))
			}
		}
	}
}

func TestSolvePositive(t *testing.T) {
	t.Parallel()
	m, want := random(6, 9, 3), []float64{1, -2, 3, 0, 5, 7}
	b := make([]float64, 6)
	for i := range b {
		for j, v := range want {
			b[i] += m.At(i, j) * v
		}
	}
	x, ok := matrix.SolvePositive(m, b)
	require.True(t, ok)
	require.InDeltaSlice(t, want, x, 1e-9)
	_, ok = matrix.SolvePositive(matrix.New(2, 2), []float64{1, 1})
	require.False(t, ok)
}
