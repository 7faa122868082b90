package monitor

import (
	"math"
	"slices"

	"github.com/millwright-ml/millwright/monitor/drift/estimate"
)

// calibrationBins is how many equal bins of the score the calibration error
// has.
const calibrationBins = 10

// sure is how many standard errors to either side hold 95 of 100 windows.
const sure = 1.959963984540054

// cellOf is the place of a row in TP, FP, FN, TN.
func cellOf(predicted, truth bool) int {
	switch {
	case predicted && truth:
		return 0
	case predicted:
		return 1
	case truth:
		return 2
	}
	return 3
}

func confusionOf(c [4]uint64) estimate.Confusion {
	return estimate.Confusion{TP: float64(c[0]), FP: float64(c[1]), FN: float64(c[2]), TN: float64(c[3])}
}

type calibrationBin struct {
	rows, positives uint64
	scores          float64
}

func (b *calibrationBin) add(score float64, truth bool) {
	b.rows++
	b.scores += score
	if truth {
		b.positives++
	}
}

// errorSums adds up what the errors of numbers are made of.
type errorSums struct{ sum, abs, fourth, y, ySquared float64 }

func (s *errorSums) add(score, y float64) {
	d := score - y
	s.sum += d
	s.abs += math.Abs(d)
	s.fourth += d * d * d * d
	s.y += y
	s.ySquared += y * y
}

// metrics are those of a regression over n rows.
func (s *errorSums) metrics(n, squared float64) []MetricValue {
	mse := squared / n
	around := func(name string, mean, meanSquare float64) MetricValue {
		se := sure * math.Sqrt(max(0, meanSquare-mean*mean)/n)
		return interval(name, mean, mean-se, mean+se)
	}
	out := []MetricValue{around("mae", s.abs/n, mse), around("bias", s.sum/n, mse)}
	square := around("", mse, s.fourth/n)
	out = append(out, interval("rmse", math.Sqrt(mse), math.Sqrt(max(0, square.Low)), math.Sqrt(square.High)))
	if spread := s.ySquared - s.y*s.y/n; spread > 0 {
		out = append(out, interval("r2", 1-squared/spread, math.NaN(), math.NaN()))
	}
	return defined(out)
}

// interval makes a metric; ends that are no numbers become the value.
func interval(name string, v, low, high float64) MetricValue {
	if low-low != 0 || high-high != 0 {
		low, high = v, v
	}
	return MetricValue{name, v, low, high}
}

// defined leaves out what is no number.
func defined(ms []MetricValue) []MetricValue {
	out := ms[:0]
	for _, m := range ms {
		if m.Value-m.Value == 0 {
			out = append(out, m)
		}
	}
	return out
}

// wilson is the interval of a share of k in n (Wilson 1927), which holds near 0
// and 1, too.
func wilson(k, n float64) (low, high float64) {
	const z = sure * sure
	centre := (k + z/2) / (n + z)
	gap := sure / (n + z) * math.Sqrt(k*(n-k)/n+z/4)
	return max(0, centre-gap), min(1, centre+gap)
}

// shareOf gives the two counts that a metric is a share of, false when it is
// none.
func shareOf(c estimate.Confusion, m estimate.Metric) (k, n float64, ok bool) {
	switch m {
	case estimate.Accuracy:
		return c.TP + c.TN, c.Rows(), true
	case estimate.Precision:
		return c.TP, c.TP + c.FP, true
	case estimate.Recall:
		return c.TP, c.TP + c.FN, true
	case estimate.Specificity:
		return c.TN, c.TN + c.FP, true
	case estimate.NegativePredictive:
		return c.TN, c.TN + c.FN, true
	case estimate.FalsePositiveRate:
		return c.FP, c.TN + c.FP, true
	case estimate.FalseNegativeRate:
		return c.FN, c.TP + c.FN, true
	case estimate.PositiveRate:
		return c.TP + c.FP, c.Rows(), true
	case estimate.Prevalence:
		return c.TP + c.FN, c.Rows(), true
	}
	return 0, 0, false
}

// metrics are those of a classifier.
func (p *performance) metrics(r *LabelReport) []MetricValue {
	n := float64(p.labelled)
	var out []MetricValue
	if c := r.Confusion; c.Rows() > 0 {
		for _, m := range estimate.Metrics() {
			v := c.Metric(m)
			if k, of, ok := shareOf(c, m); ok {
				low, high := wilson(k, of)
				out = append(out, interval(string(m), v, low, high))
				continue
			}
			se := sure * c.StandardError(m, n)
			out = append(out, interval(string(m), v, v-se, v+se))
		}
		out = append(out, interval("log_loss", r.LogLoss, math.NaN(), math.NaN()), p.calibrationError(), p.meanScore())
	}
	positives := float64(p.positives)
	se := sure * estimate.AUCStandardError(r.AUC, positives, n-positives)
	out = append(out, interval("auc", r.AUC, r.AUC-se, min(1, r.AUC+se)))
	brier := sure * math.Sqrt(max(0, p.errors.fourth/n-r.Brier*r.Brier)/n)
	out = append(out, interval("brier", r.Brier, r.Brier-brier, r.Brier+brier))
	return defined(append(out, p.ranking()...))
}

// calibrationError is the expected calibration error: the mean distance of the
// share of positives from the mean score over the bins, by their rows.
func (p *performance) calibrationError() MetricValue {
	sum := 0.0
	for _, b := range p.calibration {
		sum += math.Abs(b.scores - float64(b.positives))
	}
	return interval("calibration_error", sum/float64(p.labelled), math.NaN(), math.NaN())
}

func (p *performance) meanScore() MetricValue {
	sum := 0.0
	for _, b := range p.calibration {
		sum += b.scores
	}
	return interval("mean_score", sum/float64(p.labelled), math.NaN(), math.NaN())
}

// ranking are the metrics of the order of the scores: the average precision,
// and how many times more positives the best tenth has than all. Rows of one
// bin, or one score, count as in a random order.
func (p *performance) ranking() []MetricValue {
	pos, neg := p.byScore()
	total, positives := float64(p.labelled), float64(p.positives)
	if positives == 0 {
		return nil
	}
	var hits, seen, precision, top float64
	tenth := total / 10
	for i, k := range slices.Backward(pos) {
		n := k + neg[i]
		if n == 0 {
			continue
		}
		if room := tenth - seen; room > 0 {
			top += k * min(1, room/n)
		}
		hits += k
		seen += n
		precision += k / positives * hits / seen
	}
	return []MetricValue{
		interval("average_precision", precision, math.NaN(), math.NaN()),
		interval("lift_at_10_percent", top/tenth/(positives/total), math.NaN(), math.NaN()),
	}
}

// byScore counts the positives and the others in ascending order of the score.
func (p *performance) byScore() (pos, neg []float64) {
	hist := p.hist
	if hist == nil {
		full := &performance{low: p.low, high: p.high, hist: new([2][scoreBins]uint64)}
		for i, s := range p.scores {
			full.bin(s, p.truths[i])
		}
		hist = full.hist
	}
	pos, neg = make([]float64, scoreBins), make([]float64, scoreBins)
	for i := range pos {
		pos[i], neg[i] = float64(hist[1][i]), float64(hist[0][i])
	}
	return pos, neg
}
