package matrix

import (
	"cmp"
	"math"
	"slices"
)

// Symmetric returns the eigenvalues of a symmetric matrix, the largest first,
// and its eigenvectors as columns in that order. Each vector's largest element
// is positive, so that equal matrices have equal bases. It uses Householder's
// reduction to a tridiagonal matrix and the QL method with implicit shifts
// (Martin, Reinsch and Wilkinson 1968; Dubrulle, Martin and Wilkinson 1968).
// The matrix must hold finite numbers.
func Symmetric(m Dense) ([]float64, Dense) {
	n := m.Rows
	z := m.Clone()
	d, e := make([]float64, n), make([]float64, n)
	tridiagonal(z, d, e)
	implicitQL(z, d, e)
	order := make([]int, n)
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(d[b], d[a]) })
	values, vectors := make([]float64, n), New(n, n)
	for k, from := range order {
		values[k] = d[from]
		largest := 0.0
		for i := range n {
			// A clear margin: rounding must not decide between two elements.
			if v := z.At(i, from); math.Abs(v) > math.Abs(largest)*(1+1e-9) {
				largest = v
			}
		}
		for i := range n {
			vectors.Set(i, k, math.Copysign(1, largest)*z.At(i, from))
		}
	}
	return values, vectors
}

// tridiagonal leaves the diagonal in d, what is beside it in e[1:], and the
// orthogonal matrix that does it in z.
func tridiagonal(z Dense, d, e []float64) {
	n := z.Rows
	for i := n - 1; i > 0; i-- {
		row := z.Row(i)
		var scale, h float64
		for _, v := range row[:i] {
			scale += math.Abs(v)
		}
		if i == 1 || scale == 0 {
			e[i] = row[i-1]
			d[i] = 0
			continue
		}
		for k := range row[:i] {
			row[k] /= scale
			h += row[k] * row[k]
		}
		f := row[i-1]
		g := -math.Copysign(math.Sqrt(h), f)
		e[i] = scale * g
		h -= f * g
		row[i-1] = f - g
		f = 0
		for j := range i {
			z.Set(j, i, row[j]/h)
			g = 0
			for k := range j + 1 {
				g += z.At(j, k) * row[k]
			}
			for k := j + 1; k < i; k++ {
				g += z.At(k, j) * row[k]
			}
			e[j] = g / h
			f += e[j] * row[j]
		}
		half := f / (2 * h)
		for j := range i {
			f = row[j]
			g = e[j] - half*f
			e[j] = g
			to := z.Row(j)
			for k := range j + 1 {
				to[k] -= f*e[k] + g*row[k]
			}
		}
		d[i] = h
	}
	d[0], e[0] = 0, 0
	for i := range n {
		if d[i] != 0 {
			for j := range i {
				var g float64
				for k := range i {
					g += z.At(i, k) * z.At(k, j)
				}
				for k := range i {
					z.Set(k, j, z.At(k, j)-g*z.At(k, i))
				}
			}
		}
		d[i] = z.At(i, i)
		z.Set(i, i, 1)
		for j := range i {
			z.Set(j, i, 0)
			z.Set(i, j, 0)
		}
	}
}

// maxSweeps bounds the steps for one eigenvalue; two or three are usual.
const maxSweeps = 200

func implicitQL(z Dense, d, e []float64) {
	n := z.Rows
	copy(e, e[1:])
	e[n-1] = 0
	for l := range n {
		for range maxSweeps {
			m := l
			for ; m < n-1; m++ {
				if near := math.Abs(d[m]) + math.Abs(d[m+1]); math.Abs(e[m])+near == near {
					break
				}
			}
			if m == l {
				break
			}
			g := (d[l+1] - d[l]) / (2 * e[l])
			g = d[m] - d[l] + e[l]/(g+math.Copysign(math.Hypot(g, 1), g))
			s, c, p := 1.0, 1.0, 0.0
			split := false
			for i := m - 1; i >= l; i-- {
				f, b := s*e[i], c*e[i]
				r := math.Hypot(f, g)
				e[i+1] = r
				if r == 0 {
					d[i+1] -= p
					e[m] = 0
					split = true
					break
				}
				s, c = f/r, g/r
				g = d[i+1] - p
				r = (d[i]-g)*s + 2*c*b
				p = s * r
				d[i+1] = g + p
				g = c*r - b
				for k := range n {
					row := z.Row(k)
					row[i+1], row[i] = s*row[i]+c*row[i+1], c*row[i]-s*row[i+1]
				}
			}
			if split {
				continue
			}
			d[l] -= p
			e[l] = g
			e[m] = 0
		}
	}
}
