package multi

import (
	"fmt"
	"math"

	"github.com/millwright-ml/millwright/internal/errs"
	"github.com/millwright-ml/millwright/monitor/drift"
	"github.com/millwright-ml/millwright/monitor/drift/internal/matrix"
)

// PCAOptions are the settings of FitPCA. The zero value has the defaults.
type PCAOptions struct {
	// Keep is the share of the variance that the directions have together
	// (0 to 1). Default 0.65, as in NannyML.
	Keep float64
	// Components is how many directions there are, whatever they keep. Default
	// 0, which is as many as Keep wants.
	Components int
}

// PCA is a basis of the main directions of the reference's rows. Rows that do
// not go together like those are far from it.
type PCA struct {
	Scale Scale `json:"scale"`
	// Basis are orthogonal directions of length 1, the most variance first.
	Basis [][]float64 `json:"basis"`
	// Kept is the share of the variance that they have together.
	Kept float64 `json:"kept"`
	// Reference are the errors of the rows that the basis was fitted to. Those
	// are a little too small: sum up rows that were held out instead, when
	// there are some.
	Reference Errors `json:"reference"`
}

// FitPCA finds the basis of the rows' correlation matrix (Jolliffe 2002).
func FitPCA(rows [][]float64, options *PCAOptions) (*PCA, error) {
	var o PCAOptions
	if options != nil {
		o = *options
	}
	if o.Keep == 0 {
		o.Keep = 0.65
	}
	if err := check("pca", rows, 0); err != nil {
		return nil, err
	}
	cols := len(rows[0])
	var f errs.Faults
	f.Check(o.Keep > 0 && o.Keep <= 1, "Keep is %g, want more than 0 and at most 1", o.Keep)
	f.Check(o.Components >= 0 && o.Components <= cols, "Components is %d, want 0 to the %d columns", o.Components, cols)
	if err := f.Err("multi: pca"); err != nil {
		return nil, err
	}
	scale, err := FitScale(rows)
	if err != nil {
		return nil, err
	}
	cov, z := matrix.New(cols, cols), make([]float64, cols)
	for _, r := range rows {
		scale.Apply(r, z)
		for i, v := range z {
			to := cov.Row(i)
			for j, w := range z[:i+1] {
				to[j] += v * w / float64(len(rows))
			}
		}
	}
	var all, kept float64
	for i := range cols {
		all += cov.At(i, i)
		for j := range i {
			cov.Set(j, i, cov.At(i, j))
		}
	}
	p := &PCA{Scale: scale}
	values, vectors := matrix.Symmetric(cov)
	for k, v := range values {
		if o.Components == 0 && kept >= o.Keep*all || o.Components > 0 && k == o.Components {
			break
		}
		kept += max(v, 0)
		direction := make([]float64, cols)
		for i := range direction {
			direction[i] = vectors.At(i, k)
		}
		p.Basis = append(p.Basis, direction)
	}
	if all > 0 {
		p.Kept = min(kept/all, 1)
	}
	for _, r := range rows {
		p.Reference.Add(p.distance(r, z))
	}
	return p, nil
}

// Validate returns ErrInvalid for a PCA that FitPCA cannot have made, so that a
// stored one can be trusted.
func (p *PCA) Validate() error {
	cols := len(p.Scale.Mean)
	var f errs.Faults
	f.Check(p.Scale.valid(cols), "the scale is not one of %d columns", cols)
	for i, d := range p.Basis {
		f.Check(len(d) == cols, "direction %d has %d columns, want %d", i, len(d), cols)
	}
	f.Check(p.Reference.valid(), "the reference's errors are no sums")
	return f.Err("multi: pca")
}

// Distance is the reconstruction error of a row: how far it is from the plane
// of the basis, in standard deviations of the reference. scratch is memory to
// use, as long as the row, or nil.
func (p *PCA) Distance(row, scratch []float64) (float64, error) {
	if len(row) != len(p.Scale.Mean) {
		return 0, fmt.Errorf("multi: pca: a row of %d columns, want %d: %w", len(row), len(p.Scale.Mean), ErrInvalid)
	}
	if len(scratch) != len(row) {
		scratch = make([]float64, len(row))
	}
	return p.distance(row, scratch), nil
}

func (p *PCA) distance(row, z []float64) float64 {
	p.Scale.Apply(row, z)
	for _, d := range p.Basis {
		var dot float64
		for i, v := range z {
			dot += v * d[i]
		}
		for i := range z {
			z[i] -= dot * d[i]
		}
	}
	var square float64
	for _, v := range z {
		square += v * v
	}
	return math.Sqrt(square)
}

// Compare tests that the mean error of a window is that of the reference
// (Welch's test). A rise is new behaviour; a fall is that some of the old is
// gone. The score is |t|, the effect the difference in standard deviations of
// the error.
func (p *PCA) Compare(window Errors) (drift.Result, error) {
	return drift.Welch(p.Reference.Moments(), window.Moments())
}

// Errors are the sums of the reconstruction errors of rows. The zero value is
// ready; sums of several replicas add up.
type Errors struct {
	Rows    float64 `json:"rows"`
	Sum     float64 `json:"sum"`
	Squares float64 `json:"squares"`
}

// Add counts one row's Distance.
func (e *Errors) Add(distance float64) {
	e.Rows++
	e.Sum += distance
	e.Squares += distance * distance
}

// Merge adds the sums of other rows.
func (e *Errors) Merge(o Errors) {
	e.Rows += o.Rows
	e.Sum += o.Sum
	e.Squares += o.Squares
}

// Moments are the number of the rows and the mean and variance of their errors.
func (e Errors) Moments() drift.Moments {
	m := drift.Moments{Rows: e.Rows}
	if e.Rows > 0 {
		m.Mean = e.Sum / e.Rows
	}
	if e.Rows > 1 {
		m.Variance = max(e.Squares-e.Sum*m.Mean, 0) / (e.Rows - 1)
	}
	return m
}

func (e Errors) valid() bool {
	return e.Rows >= 0 && e.Sum >= 0 && e.Squares >= 0 && !math.IsInf(e.Rows+e.Sum+e.Squares, 0)
}
