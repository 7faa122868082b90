package column

import (
	"fmt"
	"math"
	"slices"

	"github.com/millwright-ml/millwright/internal/errs"
	"github.com/millwright-ml/millwright/monitor/drift"
)

// ErrInvalid marks columns that cannot be compared.
var ErrInvalid = errs.ErrInvalid

// KolmogorovSmirnov is drift.KolmogorovSmirnov of two columns.
func KolmogorovSmirnov(ref, cur []float64) (drift.Result, error) {
	return ranked("kolmogorov-smirnov", ref, cur, drift.KolmogorovSmirnov)
}

// CramerVonMises is drift.CramerVonMises of two columns.
func CramerVonMises(ref, cur []float64) (drift.Result, error) {
	return ranked("cramer-von mises", ref, cur, drift.CramerVonMises)
}

// MannWhitney is drift.MannWhitney of two columns.
func MannWhitney(ref, cur []float64) (drift.Result, error) {
	return ranked("mann-whitney", ref, cur, drift.MannWhitney)
}

// AndersonDarling is drift.AndersonDarlingK of two or more columns.
func AndersonDarling(ties drift.Ties, columns ...[]float64) (drift.Result, error) {
	clean := make([][]float64, len(columns))
	for i, c := range columns {
		var err error
		if clean[i], err = sorted("anderson-darling", c, false); err != nil {
			return drift.Result{}, err
		}
	}
	_, counts := grid(clean...)
	return drift.AndersonDarlingK(ties, counts...)
}

// Wasserstein is drift.Wasserstein of two columns: with StandardDeviation(ref)
// as the scale it is the normed distance.
func Wasserstein(ref, cur []float64, scale float64) (drift.Result, error) {
	return measured("wasserstein", ref, cur, scale, drift.Wasserstein)
}

// Energy is drift.Energy of two columns.
func Energy(ref, cur []float64, scale float64) (drift.Result, error) {
	return measured("energy", ref, cur, scale, drift.Energy)
}

// Student is drift.Student of two columns.
func Student(ref, cur []float64) (drift.Result, error) {
	return means("student", ref, cur, drift.Student)
}

// Welch is drift.Welch of two columns.
func Welch(ref, cur []float64) (drift.Result, error) {
	return means("welch", ref, cur, drift.Welch)
}

// minDeviation is the standard deviation below which a column counts as
// constant: dividing by less makes a distance of rounding errors.
const minDeviation = 1e-3

// StandardDeviation is the population standard deviation of a column, at least
// 0.001: the scale of the normed distances. It is 1 when no value is a finite
// number.
func StandardDeviation(values []float64) float64 {
	finite := slices.DeleteFunc(slices.Clone(values), func(v float64) bool { return math.IsNaN(v) || math.IsInf(v, 0) })
	if len(finite) == 0 {
		return 1
	}
	by := magnitude(finite)
	m := moments(finite, by)
	return max(math.Sqrt(m.Variance*(m.Rows-1)/m.Rows)*by, minDeviation)
}

func ranked(op string, ref, cur []float64, f func(ref, cur []uint64) (drift.Result, error)) (drift.Result, error) {
	r, c, err := pair(op, ref, cur, false)
	if err != nil {
		return drift.Result{}, err
	}
	_, counts := grid(r, c)
	return f(counts[0], counts[1])
}

func measured(op string, ref, cur []float64, scale float64, f func(ref, cur []uint64, positions []float64, scale float64) (drift.Result, error)) (drift.Result, error) {
	r, c, err := pair(op, ref, cur, true)
	if err != nil {
		return drift.Result{}, err
	}
	positions, counts := grid(r, c)
	by := magnitude(positions)
	for i := range positions {
		positions[i] /= by
	}
	if !(scale > 0) {
		scale = 1
	}
	return f(counts[0], counts[1], positions, scale/by)
}

func means(op string, ref, cur []float64, f func(ref, cur drift.Moments) (drift.Result, error)) (drift.Result, error) {
	r, c, err := pair(op, ref, cur, true)
	if err != nil {
		return drift.Result{}, err
	}
	by := max(magnitude(r), magnitude(c))
	return f(moments(r, by), moments(c, by))
}

// pair returns both columns sorted.
func pair(op string, ref, cur []float64, finite bool) (r, c []float64, err error) {
	if r, err = sorted(op, ref, finite); err != nil {
		return nil, nil, err
	}
	if c, err = sorted(op, cur, finite); err != nil {
		return nil, nil, err
	}
	if len(r) == 0 || len(c) == 0 {
		return nil, nil, fmt.Errorf("drift: %s: %d reference values and %d current ones, want some of both: %w", op, len(r), len(c), ErrInvalid)
	}
	return r, c, nil
}

// sorted returns a copy of the values without NaN, ascending.
func sorted(op string, values []float64, finite bool) ([]float64, error) {
	out := make([]float64, 0, len(values))
	for i, v := range values {
		if finite && math.IsInf(v, 0) {
			return nil, fmt.Errorf("drift: %s: value %d is %g: %w", op, i, v, ErrInvalid)
		}
		if v == v {
			out = append(out, v)
		}
	}
	slices.Sort(out)
	return out, nil
}

// grid returns the distinct values of sorted columns and how often each column
// has each of them.
func grid(columns ...[]float64) (values []float64, counts [][]uint64) {
	for _, c := range columns {
		values = append(values, c...)
	}
	slices.Sort(values)
	values = slices.Compact(values) // 0 and -0 are equal.
	counts = make([][]uint64, len(columns))
	for i, c := range columns {
		counts[i] = make([]uint64, len(values))
		at := 0
		for _, v := range c {
			for values[at] != v {
				at++
			}
			counts[i][at]++
		}
	}
	return values, counts
}

// magnitude is a power of two to divide by, so that no difference or square of
// the values overflows. It is 1 for values of an ordinary size, which keeps
// their digits.
func magnitude(values []float64) float64 {
	var largest float64
	for _, v := range values {
		largest = max(largest, math.Abs(v))
	}
	if largest < 1e100 {
		return 1
	}
	_, exp := math.Frexp(largest)
	return math.Ldexp(1, exp-1)
}

func moments(values []float64, by float64) drift.Moments {
	// From the first value on, so that a constant has no variance.
	m := drift.Moments{Rows: float64(len(values)), Mean: values[0] / by}
	var shift float64
	for _, v := range values {
		shift += v/by - m.Mean
	}
	m.Mean += shift / m.Rows
	for _, v := range values {
		d := v/by - m.Mean
		m.Variance += d * d / max(m.Rows-1, 1)
	}
	return m
}
