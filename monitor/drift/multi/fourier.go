package multi

import (
	"fmt"
	"math"
	"math/rand/v2"

	"github.com/millwright-ml/millwright/internal/errs"
	"github.com/millwright-ml/millwright/monitor/drift"
)

// FourierOptions are the settings of FitFourier. The zero value has the
// defaults.
type FourierOptions struct {
	// Features is the number of random frequencies, each of which gives two
	// numbers (1 to 4096). Default 128.
	Features int
	// Width is the width of the Gaussian kernel in scaled units. Default 0,
	// which is the median distance of the reference's rows.
	Width float64
	// Seed is that of the frequencies. Default 0, a seed like any other. Only
	// windows of the same reference can be compared, whatever the seed.
	Seed uint64
}

// Fourier approximates the Gaussian kernel by random features (Rahimi and Recht
// 2007): the mean of the features of a sample is all that MMD needs to know of
// it. It is a plain value that JSON keeps.
type Fourier struct {
	Scale       Scale       `json:"scale"`
	Frequencies [][]float64 `json:"frequencies"`
	Width       float64     `json:"width"`
	// Trace and TraceSquare are those of the features' covariance matrix in the
	// reference and of its square: the law of the distance is made of them.
	Trace       float64 `json:"trace"`
	TraceSquare float64 `json:"trace_square"`
	// Reference are the sums of the rows it was fitted to.
	Reference Features `json:"reference"`
}

// Features are the sums of the features of rows. Those of several replicas add
// up. Make them with Fourier.Sums.
type Features struct {
	Rows float64   `json:"rows"`
	Sum  []float64 `json:"sum"`
}

// Merge adds the sums of other rows. It returns ErrInvalid when those have
// another number of features.
func (f *Features) Merge(o Features) error {
	if len(f.Sum) != len(o.Sum) {
		return fmt.Errorf("multi: fourier: merge: %d and %d features: made from different references: %w", len(f.Sum), len(o.Sum), ErrInvalid)
	}
	f.Rows += o.Rows
	for i, v := range o.Sum {
		f.Sum[i] += v
	}
	return nil
}

// lawRows is how many of the reference's rows the law is taken from.
const lawRows = 2000

// FitFourier draws the frequencies for the rows of a reference and sums those
// up.
func FitFourier(rows [][]float64, options *FourierOptions) (*Fourier, error) {
	var o FourierOptions
	if options != nil {
		o = *options
	}
	if o.Features == 0 {
		o.Features = 128
	}
	if err := check("fourier", rows, 0); err != nil {
		return nil, err
	}
	var faults errs.Faults
	faults.Check(o.Features >= 1 && o.Features <= 4096, "Features is %d, want 1 to 4096", o.Features)
	faults.Check(o.Width >= 0 && !math.IsInf(o.Width, 0), "Width is %g, want a number of 0 or more", o.Width)
	faults.Check(len(rows) > 1, "there is one row, want two or more")
	if err := faults.Err("multi: fourier"); err != nil {
		return nil, err
	}
	scale, err := FitScale(rows)
	if err != nil {
		return nil, err
	}
	random := rand.New(rand.NewPCG(o.Seed, 0xf0))
	f := &Fourier{Scale: scale, Width: o.Width}
	sample := make([][]float64, 0, min(len(rows), lawRows))
	for i := range cap(sample) {
		r := rows[i*len(rows)/cap(sample)]
		sample = append(sample, scale.Apply(r, make([]float64, len(r))))
	}
	if f.Width == 0 {
		f.Width = medianDistance(sample)
	}
	for range o.Features {
		w := make([]float64, len(rows[0]))
		for j := range w {
			w[j] = random.NormFloat64() / f.Width
		}
		f.Frequencies = append(f.Frequencies, w)
	}
	f.Reference = f.Sums()
	scratch := make([]float64, len(rows[0]))
	for _, r := range rows {
		f.add(&f.Reference, r, scratch)
	}
	f.law(sample)
	return f, nil
}

// Sums returns empty sums for a window.
func (f *Fourier) Sums() Features { return Features{Sum: make([]float64, 2*len(f.Frequencies))} }

// Validate returns ErrInvalid for a value that FitFourier cannot have made, so
// that a stored one can be trusted.
func (f *Fourier) Validate() error {
	cols := len(f.Scale.Mean)
	var faults errs.Faults
	faults.Check(f.Scale.valid(cols), "the scale is not one of %d columns", cols)
	for i, w := range f.Frequencies {
		faults.Check(len(w) == cols, "frequency %d has %d columns, want %d", i, len(w), cols)
	}
	faults.Check(len(f.Frequencies) > 0 && len(f.Reference.Sum) == 2*len(f.Frequencies), "%d sums of %d frequencies", len(f.Reference.Sum), len(f.Frequencies))
	faults.Check(f.Trace >= 0 && f.TraceSquare >= 0 && f.Reference.Rows > 0, "the law is none")
	return faults.Err("multi: fourier")
}

// Add counts one row into the sums. scratch is memory to use, as long as the
// row, or nil.
func (f *Fourier) Add(to *Features, row, scratch []float64) error {
	if len(row) != len(f.Scale.Mean) || len(to.Sum) != 2*len(f.Frequencies) {
		return fmt.Errorf("multi: fourier: a row of %d columns and %d sums, want %d and %d: %w", len(row), len(to.Sum), len(f.Scale.Mean), 2*len(f.Frequencies), ErrInvalid)
	}
	if len(scratch) != len(row) {
		scratch = make([]float64, len(row))
	}
	f.add(to, row, scratch)
	return nil
}

func (f *Fourier) add(to *Features, row, scratch []float64) {
	f.Scale.Apply(row, scratch)
	to.Rows++
	for i, w := range f.Frequencies {
		sin, cos := math.Sincos(dot(w, scratch))
		to.Sum[2*i] += cos
		to.Sum[2*i+1] += sin
	}
}

// law finds the traces of the features' covariance from scaled rows.
func (f *Fourier) law(sample [][]float64) {
	d := 2 * len(f.Frequencies)
	one := math.Sqrt(1 / float64(len(f.Frequencies))) // So that a row's features have length 1.
	features := make([][]float64, len(sample))
	mean := make([]float64, d)
	for i, z := range sample {
		features[i] = make([]float64, d)
		for k, w := range f.Frequencies {
			sin, cos := math.Sincos(dot(w, z))
			features[i][2*k], features[i][2*k+1] = one*cos, one*sin
		}
		for k, v := range features[i] {
			mean[k] += v / float64(len(sample))
		}
	}
	for _, v := range features {
		for k := range v {
			v[k] -= mean[k]
		}
	}
	n := float64(len(sample))
	for _, v := range features {
		f.Trace += dot(v, v) / (n - 1)
	}
	// The trace of the square from pairs of different rows, as a row with
	// itself would add its length for every n.
	pairs := 0.0
	for i := range features {
		for j := i + 1; j < len(features) && j < i+200; j++ {
			p := dot(features[i], features[j])
			f.TraceSquare += p * p
			pairs++
		}
	}
	f.TraceSquare /= max(pairs, 1)
}

// Compare is the maximum mean discrepancy of a window from the reference
// (Gretton et al. 2012), the distance of the two means of features, from 0 to
// sqrt(2). Law: its square is a weighted sum of chi-square variables, taken as
// the gamma law of the same mean and variance (Gretton et al. 2009). The noise
// floor is the root of the mean square.
func (f *Fourier) Compare(window Features) (drift.Result, error) {
	return f.Between(f.Reference, window)
}

// Between is Compare of any two sums.
func (f *Fourier) Between(ref, cur Features) (drift.Result, error) {
	d := 2 * len(f.Frequencies)
	if len(ref.Sum) != d || len(cur.Sum) != d {
		return drift.Result{}, fmt.Errorf("multi: fourier: %d and %d sums, want %d: made from different references: %w", len(ref.Sum), len(cur.Sum), d, ErrInvalid)
	}
	if !(ref.Rows > 0) || !(cur.Rows > 0) {
		return drift.Result{}, fmt.Errorf("multi: fourier: %g reference rows and %g current ones, want some of both: %w", ref.Rows, cur.Rows, ErrInvalid)
	}
	var square float64
	for i, v := range ref.Sum {
		gap := v/ref.Rows - cur.Sum[i]/cur.Rows
		square += gap * gap / float64(len(f.Frequencies))
	}
	k := ref.Rows / (ref.Rows + cur.Rows) * cur.Rows
	score := math.Sqrt(square)
	return drift.Result{
		Score: score, NoiseFloor: math.Sqrt(f.Trace / k), Effect: score,
		PValue: drift.GammaTail(square, f.Trace/k, 2*f.TraceSquare/k/k),
	}, nil
}

func dot(a, b []float64) (sum float64) {
	for i, v := range a {
		sum += v * b[i]
	}
	return sum
}
