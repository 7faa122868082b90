package column

import (
	"fmt"
	"math"

	"github.com/millwright-ml/millwright/monitor/drift"
	"github.com/millwright-ml/millwright/monitor/drift/internal/matrix"
)

// EppsSingleton tests on the characteristic functions at 0.4 and 0.8 semi-
// interquartile ranges of both columns together (Epps and Singleton 1986),
// which sees changes of shape that the tests on cumulative shares are blind to,
// and takes ties well. Score is the statistic, with the correction for small
// samples below 25 values (Goerg and Kaiser 2009), NoiseFloor its degrees of
// freedom, Effect sqrt(Score/k).
//
// Law: chi-square. On samples of unequal size it is loud: of 400 and 150 values
// that had not changed, 8 % were below 0.05.
//
// It returns ErrInvalid with fewer than five values in a column. When the
// middle half of all values is one value there is no scale: then the score is 0
// and the p-value 1.
func EppsSingleton(ref, cur []float64) (drift.Result, error) {
	r, c, err := pair("epps-singleton", ref, cur, true)
	if err != nil {
		return drift.Result{}, err
	}
	if min(len(r), len(c)) < 5 {
		return drift.Result{}, fmt.Errorf("drift: epps-singleton: %d reference values and %d current ones, want 5 of both: %w", len(r), len(c), ErrInvalid)
	}
	all, _ := sorted("", append(append([]float64(nil), r...), c...), false)
	by := magnitude(all)
	semi := (quantile(all, 0.75, by) - quantile(all, 0.25, by)) / 2
	if semi == 0 {
		return drift.Result{PValue: 1}, nil
	}
	n, m := float64(len(r)), float64(len(c))
	meanR, covR := characteristic(r, by*semi)
	meanC, covC := characteristic(c, by*semi)
	cov, gap := matrix.New(4, 4), make([]float64, 4)
	for i := range gap {
		gap[i] = meanR[i] - meanC[i]
		for j := range gap {
			cov.Set(i, j, (n+m)/n*covR[i][j]+(n+m)/m*covC[i][j])
		}
	}
	values, vectors := matrix.Symmetric(cov)
	// The pseudo-inverse, as a direction without variance says nothing.
	var w float64
	rank := 0
	for k, v := range values {
		if v <= 1e-15*values[0] {
			continue
		}
		rank++
		var dot float64
		for i := range gap {
			dot += gap[i] * vectors.At(i, k)
		}
		w += dot * dot / v * (n + m)
	}
	if max(n, m) < 25 {
		w /= 1 + math.Pow(n+m, -0.45) + 10.1*(math.Pow(n, -1.7)+math.Pow(m, -1.7))
	}
	return drift.Result{
		Score: w, NoiseFloor: float64(rank), PValue: drift.ChiSquareTail(w, rank),
		Effect: math.Sqrt(w / (n / (n + m) * m)),
	}, nil
}

// characteristic returns the means and the covariance of the cosines and sines.
func characteristic(values []float64, scale float64) (mean [4]float64, cov [4][4]float64) {
	n := float64(len(values))
	at := func(v float64) [4]float64 {
		v /= scale
		return [4]float64{math.Cos(0.4 * v), math.Cos(0.8 * v), math.Sin(0.4 * v), math.Sin(0.8 * v)}
	}
	for _, v := range values {
		for i, x := range at(v) {
			mean[i] += x / n
		}
	}
	for _, v := range values {
		g := at(v)
		for i := range g {
			for j := range g {
				cov[i][j] += (g[i] - mean[i]) * (g[j] - mean[j]) / n
			}
		}
	}
	return mean, cov
}

// quantile interpolates between sorted values, which it divides by a number.
func quantile(values []float64, q, by float64) float64 {
	at := q * float64(len(values)-1)
	low := int(at)
	high := min(low+1, len(values)-1)
	return values[low]/by + (at-float64(low))*(values[high]/by-values[low]/by)
}
