package multi

import (
	"math"
	"math/rand/v2"
	"slices"

	"github.com/millwright-ml/millwright/internal/errs"
	"github.com/millwright-ml/millwright/monitor/drift"
)

// MMDOptions are the settings of MMD. The zero value has the defaults.
type MMDOptions struct {
	// Width is the width of the Gaussian kernel, exp(-|x-y|^2/(2 Width^2)), in
	// units of the columns. Default 0, which is the median distance of all rows.
	Width float64
	// Permutations is how many ways to deal the rows out are tried (1 to
	// 100,000). Default 200; the p-value is at least 1/(1+Permutations).
	Permutations int
	// Seed is that of the permutations. Default 0, a seed like any other.
	Seed uint64
}

// MMD is the unbiased estimate of the squared maximum mean discrepancy of two
// samples of rows (Gretton et al. 2012, lemma 6), with the p-value of a
// permutation test. It may be below 0. Effect is its root. The columns are
// taken in their units: scale them (FitScale) unless they are an embedding.
//
// It takes memory and time for each pair of rows, so some thousand rows are
// much. It returns ErrInvalid with fewer than two rows a side or a value that
// is no finite number.
func MMD(ref, cur [][]float64, options *MMDOptions) (drift.Result, error) {
	var o MMDOptions
	if options != nil {
		o = *options
	}
	if o.Permutations == 0 {
		o.Permutations = 200
	}
	if err := check("mmd", ref, 0); err != nil {
		return drift.Result{}, err
	}
	if err := check("mmd", cur, len(ref[0])); err != nil {
		return drift.Result{}, err
	}
	rows := slices.Concat(ref, cur)
	n, m := len(ref), len(cur)
	var f errs.Faults
	f.Check(n > 1 && m > 1, "%d reference rows and %d current ones, want two of both", n, m)
	f.Check(o.Width >= 0 && !math.IsInf(o.Width, 0), "Width is %g, want a number of 0 or more", o.Width)
	f.Check(o.Permutations >= 1 && o.Permutations <= 100_000, "Permutations is %d, want 1 to 100000", o.Permutations)
	for i, r := range rows {
		for j, v := range r {
			f.Check(v-v == 0, "column %d of row %d is %g", j, i, v)
		}
	}
	if err := f.Err("multi: mmd"); err != nil {
		return drift.Result{}, err
	}
	if o.Width == 0 {
		o.Width = medianDistance(rows)
	}
	kernel := make([]float64, len(rows)*len(rows))
	for i, a := range rows {
		for j, b := range rows[:i] {
			v := math.Exp(-squareDistance(a, b) / (2 * o.Width * o.Width))
			kernel[i*len(rows)+j], kernel[j*len(rows)+i] = v, v
		}
	}
	order := make([]int, len(rows))
	for i := range order {
		order[i] = i
	}
	score := unbiased(kernel, order, n)
	random := rand.New(rand.NewPCG(o.Seed, 0x33d))
	extreme := 1.0
	var square float64
	for range o.Permutations {
		random.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
		v := unbiased(kernel, order, n)
		square += v * v / float64(o.Permutations)
		if v >= score-1e-15 {
			extreme++
		}
	}
	return drift.Result{
		Score: score, NoiseFloor: math.Sqrt(square), PValue: extreme / float64(1+o.Permutations), Effect: math.Sqrt(max(score, 0)),
	}, nil
}

// unbiased takes the first n rows of an order as the reference.
func unbiased(kernel []float64, order []int, n int) float64 {
	var within, across, other float64
	for i, a := range order {
		row := kernel[a*len(order) : (a+1)*len(order)]
		var sum, far float64
		for j, b := range order[:i] {
			if j < n {
				sum += row[b]
			} else {
				far += row[b]
			}
		}
		if i < n {
			within += sum
		} else {
			across += sum
			other += far
		}
	}
	a, b := float64(n), float64(len(order)-n)
	return 2*within/(a*(a-1)) + 2*other/(b*(b-1)) - 2*across/(a*b)
}

// medianRows is how many rows the median distance is taken from.
const medianRows = 500

// medianDistance is the median distance of pairs of rows, and 1 when that is 0.
func medianDistance(rows [][]float64) float64 {
	n := min(len(rows), medianRows)
	var squares []float64
	for i := range n {
		for j := range i {
			squares = append(squares, squareDistance(rows[i*len(rows)/n], rows[j*len(rows)/n]))
		}
	}
	if len(squares) == 0 {
		return 1
	}
	slices.Sort(squares)
	if v := squares[len(squares)/2]; v > 0 && !math.IsInf(v, 1) {
		return math.Sqrt(v)
	}
	return 1
}

func squareDistance(a, b []float64) (sum float64) {
	for i, v := range a {
		sum += (v - b[i]) * (v - b[i])
	}
	return sum
}
