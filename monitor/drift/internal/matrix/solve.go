package matrix

import "math"

// SolvePositive returns x with m x = b by Cholesky's method. It reads the lower
// half of m, which must be symmetric; ok is false when m is not positive
// definite.
func SolvePositive(m Dense, b []float64) (x []float64, ok bool) {
	n := m.Rows
	l := m.Clone()
	for j := range n {
		row := l.Row(j)
		for i := j; i < n; i++ {
			v := l.At(i, j)
			for k, u := range row[:j] {
				v -= u * l.At(i, k)
			}
			switch {
			case i > j:
				l.Set(i, j, v/row[j])
			case !(v > 0) || math.IsInf(v, 1):
				return nil, false
			default:
				row[j] = math.Sqrt(v)
			}
		}
	}
	x = make([]float64, n)
	for i := range n {
		v := b[i]
		for k := range i {
			v -= l.At(i, k) * x[k]
		}
		x[i] = v / l.At(i, i)
	}
	for i := n - 1; i >= 0; i-- {
		v := x[i]
		for k := i + 1; k < n; k++ {
			v -= l.At(k, i) * x[k]
		}
		x[i] = v / l.At(i, i)
	}
	return x, true
}
