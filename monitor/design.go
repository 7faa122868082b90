package monitor

import (
	"math"

	"github.com/millwright-ml/millwright/dataset/profile"
)

// Bounds of what is remembered of calm windows for the design effect.
const (
	keptCalm = 64
	minCalm  = 8
)

// design estimates the design effect of each feature: how many times larger
// the variance of a window's mean is than that of independent rows. Traffic of
// sessions, batches and busy hours has rows that resemble their neighbours; a
// test that took them for independent would alarm on the first of them.
//
// A window counts by how far its means lie from those of its reference, so that
// a rhythm that the reference knows is no variance. Windows that show a drift
// are left out, as they would hide it.
type design struct {
	calm []calmWindow // A ring.
	next int
}

// calmWindow holds, for each feature and the score behind them, the weight and
// the differences.
type calmWindow [][]float64

// observe remembers a calm window.
func (d *design) observe(ref, cur *profile.Reference) {
	w := make(calmWindow, 0, len(ref.Features)+1)
	for i, f := range ref.Features {
		w = append(w, differences(f.Bins, cur.Features[i].Bins))
	}
	if ref.Score != nil {
		w = append(w, differences(ref.Score, cur.Score))
	}
	if len(d.calm) < keptCalm {
		d.calm = append(d.calm, w)
		return
	}
	d.calm[d.next] = w
	d.next = (d.next + 1) % keptCalm
}

// differences is the number of values of a window, and of the mean or of each
// share how far it is from the reference's, in its standard deviations.
func differences(ref, cur *profile.Bins) []float64 {
	n := float64(cur.Rows() - cur.Nulls - cur.NonFinite)
	total := float64(ref.Rows() - ref.Nulls - ref.NonFinite)
	if n == 0 || total == 0 {
		return nil
	}
	if ref.Kind != profile.Categorical {
		sd := spread(ref)
		return []float64{n, finite((cur.Mean() - ref.Mean()) / sd)}
	}
	out := append(make([]float64, 0, len(ref.Counts)+1), n)
	for i, c := range ref.Counts {
		share := float64(c) / total
		if share*n < 1 {
			out = append(out, 0) // Too rare to vary by a law.
			continue
		}
		out = append(out, (float64(cur.Counts[i])/n-share)/math.Sqrt(share))
	}
	return out
}

// effect is the estimate for a feature, 1 while too few windows are known.
func (d *design) effect(feature int, alpha float64) float64 {
	windows, weight := 0.0, 0.0
	var mean []float64
	for _, w := range d.calm {
		if feature >= len(w) || len(w[feature]) == 0 {
			continue
		}
		f := w[feature]
		windows++
		weight += f[0]
		if mean == nil {
			mean = make([]float64, len(f)-1)
		}
		for i, v := range f[1:] {
			mean[i] += f[0] * v
		}
	}
	if windows < minCalm {
		return 1
	}
	for i := range mean {
		mean[i] /= weight
	}
	sum, cells := 0.0, 0.0
	for i := range mean {
		square := 0.0
		for _, w := range d.calm {
			if feature < len(w) && len(w[feature]) > 0 {
				f := w[feature]
				square += f[0] * (f[i+1] - mean[i]) * (f[i+1] - mean[i])
			}
		}
		if square > 0 {
			cells++
		}
		sum += square
	}
	// The squares of the shares of B categories have B-1 degrees of freedom.
	df := windows - 1
	ratio := sum / (df * max(cells-1, 1))
	// A variance that is itself an estimate makes the tail of the test heavier:
	// Student's law, by the first term of its expansion (Fisher 1925).
	z := math.Sqrt2 * math.Erfinv(1-alpha)
	student := 1 + (z*z+1)/(4*df)
	return max(1, ratio*student*student)
}

// effects returns the design effect of each feature, and of the score last.
func (d *design) effects(ref *profile.Reference, p *Policy, alpha float64) []float64 {
	out := make([]float64, len(ref.Features)+1)
	for i := range out {
		if p.DesignEffect > 0 {
			out[i] = p.DesignEffect
			continue
		}
		out[i] = 1
		if d != nil {
			out[i] = d.effect(i, alpha)
		}
		if c := ref.Chunks; c != nil {
			if i < len(ref.Features) {
				out[i] = max(out[i], c.Features[i].Effect(ref.Features[i].Bins, c.Rows, c.N))
			} else if ref.Score != nil {
				out[i] = max(out[i], c.Score.Effect(ref.Score, c.Rows, c.N))
			}
		}
	}
	return out
}
