package drift

import (
	"fmt"
	"math"
)

// Moments are what a test of means needs to know of a sample. Variance is that
// with n-1 in the denominator.
type Moments struct {
	Rows, Mean, Variance float64
}

// Student is the t test that two means are equal, when the variances are
// (Student 1908). Score is |t| and NoiseFloor its mean for many rows; Effect is
// Cohen's d, the difference of the means in standard deviations of both
// samples. Two constants have score 0 and p-value 1 when they are equal, and an
// infinite score and p-value 0 when not. It returns ErrInvalid when a sample is
// empty, both have one row, or a number is no finite one.
func Student(ref, cur Moments) (Result, error) {
	if err := checkMoments("student", ref, cur, 3); err != nil {
		return Result{}, err
	}
	df := ref.Rows + cur.Rows - 2
	pooled := (ref.Rows-1)/df*ref.Variance + (cur.Rows-1)/df*cur.Variance
	return meansResult(ref, cur, pooled*(1/ref.Rows+1/cur.Rows), pooled, df), nil
}

// Welch is the t test for unequal variances, with the degrees of freedom of
// Welch 1947 and Satterthwaite 1946. It reads like Student; Effect takes the
// mean of the two variances. It returns ErrInvalid when a sample has fewer than
// two rows or a number is no finite one.
func Welch(ref, cur Moments) (Result, error) {
	if err := checkMoments("welch", ref, cur, 4); err != nil {
		return Result{}, err
	}
	a, b := ref.Variance/ref.Rows, cur.Variance/cur.Rows
	df := ref.Rows + cur.Rows - 2
	if a+b > 0 {
		x, y := a/(a+b), b/(a+b)
		df = 1 / (x*x/(ref.Rows-1) + y*y/(cur.Rows-1))
	}
	return meansResult(ref, cur, a+b, ref.Variance/2+cur.Variance/2, df), nil
}

func meansResult(ref, cur Moments, square, variance, df float64) Result {
	gap := math.Abs(ref.Mean - cur.Mean)
	if gap == 0 {
		return Result{NoiseFloor: normalMean, PValue: 1}
	}
	t := gap / math.Sqrt(square) // Infinite for two constants.
	return Result{Score: t, NoiseFloor: normalMean, PValue: StudentTail(t, df), Effect: gap / math.Sqrt(variance)}
}

func checkMoments(op string, ref, cur Moments, rows float64) error {
	for _, m := range []Moments{ref, cur} {
		if !(m.Rows >= 1) || !(m.Variance >= 0) || math.IsInf(m.Rows+m.Variance, 0) || math.IsNaN(m.Mean) || math.IsInf(m.Mean, 0) {
			return fmt.Errorf("drift: %s: %g rows of mean %g and variance %g: %w", op, m.Rows, m.Mean, m.Variance, ErrInvalid)
		}
	}
	if ref.Rows+cur.Rows < rows || rows == 4 && min(ref.Rows, cur.Rows) < 2 {
		return fmt.Errorf("drift: %s: %g reference rows and %g current ones: too few for a variance: %w", op, ref.Rows, cur.Rows, ErrInvalid)
	}
	return nil
}

// MomentsOf takes the rows of each bin to lie at its position. It returns
// ErrInvalid when the lengths differ or a position of a row is no finite
// number.
func MomentsOf(counts []uint64, positions []float64) (Moments, error) {
	if len(counts) != len(positions) {
		return Moments{}, fmt.Errorf("drift: moments: %d positions of %d bins: %w", len(positions), len(counts), ErrInvalid)
	}
	var m Moments
	var square float64
	for i, c := range counts {
		if c == 0 {
			continue
		}
		x := positions[i]
		if math.IsNaN(x) || math.IsInf(x, 0) {
			return Moments{}, fmt.Errorf("drift: moments: position %g of bin %d: %w", x, i, ErrInvalid)
		}
		// West 1979: no difference of large squares.
		m.Rows += float64(c)
		d := x - m.Mean
		m.Mean += d * float64(c) / m.Rows
		square += d * (x - m.Mean) * float64(c)
	}
	if m.Rows > 1 {
		m.Variance = max(square, 0) / (m.Rows - 1)
	}
	return m, nil
}
