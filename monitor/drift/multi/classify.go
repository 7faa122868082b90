package multi

import (
	"cmp"
	"math"
	"math/rand/v2"
	"slices"

	"github.com/millwright-ml/millwright/internal/errs"
	"github.com/millwright-ml/millwright/monitor/drift"
	"github.com/millwright-ml/millwright/monitor/drift/column"
	"github.com/millwright-ml/millwright/monitor/drift/internal/matrix"
)

// ClassifyOptions are the settings of Classify. The zero value has the
// defaults.
type ClassifyOptions struct {
	// Ridge is the penalty on the squared weights, in rows. Default 1.
	Ridge float64
	// Squares adds the square of each scaled column, so that a change of spread
	// is seen too. Default false.
	Squares bool
	// Seed is that of the choice of the rows that the model is fitted to.
	// Default 0, a seed like any other.
	Seed uint64
}

// Classified is how well a model tells the window from the reference.
type Classified struct {
	// Result has the score 2*AUC-1, at least 0.
	drift.Result
	// AUC is that of the rows that the model was not fitted to; 0.5 is chance.
	AUC float64
	// Weights are those of the model, the largest Share first: by what the two
	// can be told apart.
	Weights []Weight
}

// Weight is what the model makes of a column, or of its square.
type Weight struct {
	Column int
	Square bool
	// Value is the weight on the scaled column.
	Value float64
	// Moved is how much higher the scaled column is in the window.
	Moved float64
	// Share is Value times Moved, over the sum of all: how much of the
	// difference of the mean scores comes from this column. Weights of columns
	// that go together may be large and cancel each other; their shares are
	// small. It is 0 for all when the mean scores are equal.
	Share float64
}

// Classify is the classifier two-sample test (Lopez-Paz and Oquab 2017): a
// logistic model is fitted to a random half of the rows of both samples, and if
// it tells the other half apart better than chance, the samples differ. The
// p-value is that of the Mann-Whitney test of its scores, one-sided. It returns
// ErrInvalid with fewer than four rows a side.
func Classify(ref, cur [][]float64, options *ClassifyOptions) (Classified, error) {
	var o ClassifyOptions
	if options != nil {
		o = *options
	}
	if o.Ridge == 0 {
		o.Ridge = 1
	}
	if err := check("classify", ref, 0); err != nil {
		return Classified{}, err
	}
	if err := check("classify", cur, len(ref[0])); err != nil {
		return Classified{}, err
	}
	var f errs.Faults
	f.Check(len(ref) >= 4 && len(cur) >= 4, "%d reference rows and %d current ones, want four of both", len(ref), len(cur))
	f.Check(o.Ridge > 0 && !math.IsInf(o.Ridge, 0), "Ridge is %g, want a number above 0", o.Ridge)
	if err := f.Err("multi: classify"); err != nil {
		return Classified{}, err
	}
	random := rand.New(rand.NewPCG(o.Seed, 0xc2))
	scale, err := FitScale(ref)
	if err != nil {
		return Classified{}, err
	}
	var train, held [2][][]float64 // Of both samples: fitted to, and held out.
	for side, rows := range [2][][]float64{ref, cur} {
		for at, i := range random.Perm(len(rows)) {
			x := inputs(scale, rows[i], o.Squares)
			if at < len(rows)/2 {
				train[side] = append(train[side], x)
			} else {
				held[side] = append(held[side], x)
			}
		}
	}
	weights := logistic(train[0], train[1], o.Ridge)
	scores := [2][]float64{}
	for side := range scores {
		for _, x := range held[side] {
			scores[side] = append(scores[side], dot(weights, x))
		}
	}
	r, err := column.MannWhitney(scores[0], scores[1])
	if err != nil {
		return Classified{}, err
	}
	positive := make([]bool, 0, len(scores[0])+len(scores[1]))
	for side := range scores {
		for range scores[side] {
			positive = append(positive, side == 1)
		}
	}
	out := Classified{Result: r}
	if out.AUC, err = drift.AUC(slices.Concat(scores[0], scores[1]), positive); err != nil {
		return Classified{}, err
	}
	if out.AUC > 0.5 {
		out.PValue /= 2
	} else {
		out.PValue = 1 - out.PValue/2
		out.Score, out.Effect = 0, 0
	}
	cols := len(ref[0])
	var all float64
	for i, w := range weights[1:] {
		moved := meanOf(train[1], i+1) - meanOf(train[0], i+1)
		all += w * moved
		out.Weights = append(out.Weights, Weight{Column: i % cols, Square: i >= cols, Value: w, Moved: moved})
	}
	for i, w := range out.Weights {
		if all != 0 {
			out.Weights[i].Share = w.Value * w.Moved / all
		}
	}
	slices.SortStableFunc(out.Weights, func(a, b Weight) int { return cmp.Compare(b.Share, a.Share) })
	return out, nil
}

func meanOf(rows [][]float64, column int) (mean float64) {
	for _, r := range rows {
		mean += r[column] / float64(len(rows))
	}
	return mean
}

// farInput is how many standard deviations an input may be away: further ones
// would decide alone.
const farInput = 20

// inputs is 1, the scaled row, and its squares.
func inputs(scale Scale, row []float64, squares bool) []float64 {
	x := make([]float64, 1+len(row), 1+2*len(row))
	x[0] = 1
	scale.Apply(row, x[1:])
	for i, v := range x[1:] {
		x[1+i] = min(max(v, -farInput), farInput)
	}
	if squares {
		for _, v := range x[1 : 1+len(row)] {
			x = append(x, v*v-1)
		}
	}
	return x
}

// logistic fits by Newton's method (iteratively reweighted least squares), with
// a penalty on all weights but the first.
func logistic(zeros, ones [][]float64, ridge float64) []float64 {
	const most = 50
	d := len(zeros[0])
	w := make([]float64, d)
	loss := func(w []float64) (sum float64) {
		for side, rows := range [2][][]float64{zeros, ones} {
			for _, x := range rows {
				z := dot(w, x)
				if side == 1 {
					z = -z
				}
				sum += math.Max(z, 0) + math.Log1p(math.Exp(-math.Abs(z)))
			}
		}
		return sum + ridge/2*dot(w[1:], w[1:])
	}
	last := loss(w)
	for range most {
		h, g := matrix.New(d, d), make([]float64, d)
		for side, rows := range [2][][]float64{zeros, ones} {
			for _, x := range rows {
				p := 1 / (1 + math.Exp(-dot(w, x)))
				for i, v := range x {
					g[i] += (float64(side) - p) * v
					row := h.Row(i)
					for j, u := range x[:i+1] {
						row[j] += p * (1 - p) * v * u
					}
				}
			}
		}
		for i := range d {
			if i > 0 {
				g[i] -= ridge * w[i]
				h.Set(i, i, h.At(i, i)+ridge)
			} else {
				h.Set(0, 0, h.At(0, 0)+1e-9) // When all rows are certain.
			}
		}
		step, ok := matrix.SolvePositive(h, g)
		if !ok {
			break
		}
		next := make([]float64, d)
		better := false
		for half := 1.0; half > 1e-6 && !better; half /= 2 {
			for i := range next {
				next[i] = w[i] + half*step[i]
			}
			if l := loss(next); l < last {
				better = last-l > 1e-12*(1+last)
				last, w = l, slices.Clone(next)
				break
			}
		}
		if !better {
			break
		}
	}
	return w
}
