package monitor

import (
	"math"
	"slices"

	"github.com/millwright-ml/millwright/dataset/profile"
)

// Bounds of what is remembered of windows for the design effect.
const (
	keptRecent = 128
	// lag is how many windows two of them are apart whose difference counts:
	// levels that fade over a few windows are variance, and not what neighbours
	// have in common.
	lag      = 8
	minPairs = 8
	// maxEffect is an effect at which a window says nothing any more.
	maxEffect = 1e9
)

// design estimates the design effect of each feature: how many times larger
// the variance of a window's mean is than that of independent rows. Traffic of
// sessions, batches and busy hours has rows that resemble their neighbours; a
// test that took them for independent would alarm on the first of them.
//
// A window counts by how far its means lie from those of its reference, so that
// a rhythm that the reference knows is no variance. The estimate is the median
// of squared differences of windows that are lag apart: a drift that lasts is
// in few of the differences, and so does not hide itself.
type design struct {
	recent []recentWindow // A ring.
	next   int
}

// recentWindow holds, for each feature and the score behind them, the weight
// and the differences.
type recentWindow [][]float64

// observe remembers a window.
func (d *design) observe(ref, cur *profile.Reference) {
	w := make(recentWindow, 0, len(ref.Features)+1)
	for i, f := range ref.Features {
		w = append(w, differences(f.Bins, cur.Features[i].Bins))
	}
	if ref.Score != nil {
		w = append(w, differences(ref.Score, cur.Score))
	}
	if len(d.recent) < keptRecent {
		d.recent = append(d.recent, w)
		return
	}
	d.recent[d.next] = w
	d.next = (d.next + 1) % keptRecent
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
		return []float64{n, meanGap(ref, cur, total, n)}
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

// meanGap is the difference of the means over the positions of the bins, in
// standard deviations of the reference over them: there, one absurd value in a
// window moves nothing.
func meanGap(ref, cur *profile.Bins, total, n float64) float64 {
	positions := ref.Positions()
	unit, centre := spread(ref), finite(ref.Mean())
	var mean, square, now float64
	for i, at := range positions {
		z := at/unit - centre/unit
		share := float64(ref.Counts[i]) / total
		mean += share * z
		square += share * z * z
		now += float64(cur.Counts[i]) / n * z
	}
	if sd := math.Sqrt(square - mean*mean); sd > 0 && sd <= math.MaxFloat64 {
		return (now - mean) / sd
	}
	return 0
}

// at returns what the nth oldest window says of a feature, nil for nothing.
func (d *design) at(n, feature int) []float64 {
	w := d.recent[(d.next+n)%len(d.recent)]
	if feature >= len(w) || len(w[feature]) < 2 {
		return nil
	}
	return w[feature]
}

// effect is the estimate for a feature, 1 while too few windows are known.
func (d *design) effect(feature int, alpha float64) float64 {
	// The median of the square of a normal variable, and how many squares one
	// of a median is worth.
	const median, efficiency = 0.454936, 0.37
	var squares [keptRecent]float64
	sum, cells, pairs := 0.0, 0.0, 0
	for cell := 1; ; cell++ {
		n, width := 0, 0
		for i := lag; i < len(d.recent); i++ {
			new, old := d.at(i, feature), d.at(i-lag, feature)
			if new == nil || old == nil || len(new) != len(old) {
				continue
			}
			if width = len(new); cell < width {
				gap := new[cell] - old[cell]
				squares[n] = gap * gap / (1/new[0] + 1/old[0])
				n++
			}
		}
		if cell >= width {
			break
		}
		pairs = n
		slices.Sort(squares[:n])
		if m := (squares[(n-1)/2] + squares[n/2]) / 2; m > 0 {
			sum += m / median
			cells++
		}
	}
	if pairs < minPairs {
		return 1
	}
	// The squares of the shares of B categories have B-1 degrees of freedom.
	ratio := sum / max(cells-1, 1)
	// A variance that is itself an estimate makes the tail of the test heavier:
	// Student's law, by the first term of its expansion (Fisher 1925).
	z := math.Sqrt2 * math.Erfinv(1-alpha)
	student := 1 + (z*z+1)/(4*efficiency*float64(pairs))
	return min(max(1, ratio*student*student), maxEffect)
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
