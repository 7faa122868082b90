package monitor

import (
	"math"

	"github.com/millwright-ml/millwright/dataset/profile"
	"github.com/millwright-ml/millwright/monitor/drift/estimate"
)

// Estimated is a metric of a window as it is expected without labels.
type Estimated struct {
	// Metric names it: one of estimate.Metrics, or "auc".
	Metric string `json:"metric"`
	// Value is expected of the window's scores if they mean what they meant in
	// the reference: a change of the concept cannot be seen. Low and High are
	// three standard errors from it.
	Value float64 `json:"value"`
	Low   float64 `json:"low"`
	High  float64 `json:"high"`
	// Reference is what the metric is on the rows of the reference.
	Reference float64 `json:"reference"`
}

// estimated is confidence-based performance estimation over bins of the score:
// the share of positives that each bin has in the reference, made monotone,
// times the rows that it has in the window. It is nil without a score and
// outcomes of 0 and 1.
func estimated(ref *profile.Reference, score *profile.Bins, threshold float64) []Estimated {
	c := ref.Calibrator()
	if c == nil || score == nil {
		return nil
	}
	positions := ref.Score.Positions()
	expect := func(counts []uint64) (estimate.Confusion, float64) {
		var sum estimate.Confusion
		var won, positive, negative float64
		for i, n := range counts {
			p, rows := c.Probability(positions[i]), float64(n)
			over := above(ref.Score, i, threshold) * rows
			sum.Merge(estimate.Confusion{TP: p * over, FP: (1 - p) * over, FN: p * (rows - over), TN: (1 - p) * (rows - over)})
			won += p * rows * (negative + (1-p)*rows/2)
			positive += p * rows
			negative += (1 - p) * rows
		}
		return sum, won / positive / negative
	}
	now, area := expect(score.Counts)
	then, areaThen := expect(ref.Score.Counts)
	rows := now.Rows()
	if rows == 0 {
		return nil
	}
	var out []Estimated
	for _, m := range estimate.Metrics() {
		v := now.Metric(m)
		low, high := estimate.Bounds(m, v, then.StandardError(m, rows))
		if v-v == 0 && low-low == 0 && high-high == 0 {
			out = append(out, Estimated{string(m), v, low, high, finite(then.Metric(m))})
		}
	}
	positives := now.TP + now.FN
	if se := estimate.BoundErrors * estimate.AUCStandardError(area, positives, rows-positives); se-se == 0 {
		out = append(out, Estimated{"auc", area, max(0, area-se), min(1, area+se), finite(areaThen)})
	}
	return out
}

// above is the share of a bin that is at a threshold or above it, if its rows
// lie evenly.
func above(b *profile.Bins, i int, threshold float64) float64 {
	low, high := b.Low, b.High
	if i > 0 {
		low = b.Edges[i-1]
	}
	if i < len(b.Edges) {
		high = b.Edges[i]
	}
	if !(high > low) {
		high = math.Nextafter(low, math.Inf(1))
	}
	return min(max((high-threshold)/(high-low), 0), 1)
}
