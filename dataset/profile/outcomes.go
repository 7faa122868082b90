package profile

import (
	"math"
	"slices"
)

// Outcomes counts what the rows with a known outcome came to, by the bin of
// their score. For a classifier that is all that its calibration, its error
// rates at any threshold between bins and its area under the curve depend on.
type Outcomes struct {
	// Labelled counts the rows with an outcome in each bin of the score,
	// Positives those of them whose outcome is 1.
	Labelled, Positives []uint64
	// Scores is the sum of the scores in each bin.
	Scores []float64
	// Sum, SumSq and SumAbs add up score less outcome, its square and its
	// size over all of them: the errors of a regression.
	Sum, SumSq, SumAbs float64
	// Numbers says that an outcome other than 0 and 1 was met: Positives mean
	// nothing then.
	Numbers bool
}

func newOutcomes(score *Bins) *Outcomes {
	if score == nil {
		return nil
	}
	n := score.cells()
	return &Outcomes{Labelled: make([]uint64, n), Positives: make([]uint64, n), Scores: make([]float64, n)}
}

// Rows returns how many rows have an outcome.
func (o *Outcomes) Rows() (n uint64) {
	if o == nil {
		return 0
	}
	for _, c := range o.Labelled {
		n += c
	}
	return n
}

func (o *Outcomes) clone() *Outcomes {
	if o == nil {
		return nil
	}
	c := *o
	c.Labelled, c.Positives, c.Scores = slices.Clone(o.Labelled), slices.Clone(o.Positives), slices.Clone(o.Scores)
	return &c
}

// combine adds or takes away the counts of p, and returns false when the two
// do not belong together.
func (o *Outcomes) combine(p *Outcomes, add bool) bool {
	if o == nil || p == nil || len(o.Labelled) != len(p.Labelled) {
		return false
	}
	sign := 1.0
	if !add {
		sign = -1
	}
	for i := range o.Labelled {
		if !add && (p.Labelled[i] > o.Labelled[i] || p.Positives[i] > o.Positives[i]) {
			return false
		}
	}
	for i := range o.Labelled {
		if add {
			o.Labelled[i] += p.Labelled[i]
			o.Positives[i] += p.Positives[i]
		} else {
			o.Labelled[i] -= p.Labelled[i]
			o.Positives[i] -= p.Positives[i]
		}
		o.Scores[i] += sign * p.Scores[i]
	}
	o.Sum += sign * p.Sum
	o.SumSq += sign * p.SumSq
	o.SumAbs += sign * p.SumAbs
	o.Numbers = o.Numbers || p.Numbers
	return true
}

// add counts one row; bin is that of its score.
func (o *Outcomes) add(bin int, score, outcome float64) {
	o.Labelled[bin]++
	o.Scores[bin] += score
	if outcome == 1 {
		o.Positives[bin]++
	} else if outcome != 0 {
		o.Numbers = true
	}
	d := score - outcome
	o.Sum += d
	o.SumSq += float64(d * d)
	o.SumAbs += math.Abs(d)
}

// ObserveOutcome is Observe of a row whose outcome is known: 0 or 1 for a
// classifier, any finite number for a regression. A score or outcome that is
// not finite is no outcome.
func (r *Reference) ObserveOutcome(row []float64, score, outcome float64) error {
	if err := r.Observe(row, score); err != nil {
		return err
	}
	if r.Score == nil || r.Score.Kind == Categorical || score-score != 0 || outcome-outcome != 0 {
		return nil
	}
	if r.Outcomes == nil {
		r.Outcomes = newOutcomes(r.Score)
	}
	r.Score.ready()
	r.Outcomes.add(r.Score.look.bin(score), score, outcome)
	return nil
}

// Calibrator maps a model's scores to shares of positive outcomes. It is
// monotone and steps from bin to bin of the score.
type Calibrator struct {
	// From holds the lower end of each step, ascending; the first step has no
	// lower end and is not in it. Share holds the share of positives of each.
	From, Share []float64
	// Raw and Calibrated are the expected calibration errors, by bin and
	// weighted by rows, of the scores as they are and after the calibrator.
	// The second is of the rows that it was made from.
	Raw, Calibrated float64
}

// Calibrator fits shares of positives to the bins of the score, isotonic by
// the pooling of adjacent violators (Ayer et al. 1955), with one step for each
// pool. It is nil when the reference has no outcomes of 0 and 1.
func (r *Reference) Calibrator() *Calibrator {
	o := r.Outcomes
	if r.Score == nil || r.Score.Kind == Categorical || o.Rows() == 0 || o.Numbers {
		return nil
	}
	type pool struct {
		last       int
		rows, ones float64
	}
	var pools []pool
	for i, n := range o.Labelled {
		if n == 0 {
			continue
		}
		p := pool{i, float64(n), float64(o.Positives[i])}
		for len(pools) > 0 && pools[len(pools)-1].ones*p.rows >= p.ones*pools[len(pools)-1].rows {
			top := pools[len(pools)-1]
			pools = pools[:len(pools)-1]
			p.rows, p.ones = p.rows+top.rows, p.ones+top.ones
		}
		pools = append(pools, p)
	}
	c := &Calibrator{}
	for i, p := range pools {
		c.Share = append(c.Share, p.ones/p.rows)
		if i > 0 {
			c.From = append(c.From, r.Score.Edges[pools[i-1].last])
		}
	}
	total := float64(o.Rows())
	at := 0
	for i, n := range o.Labelled {
		for at < len(pools)-1 && i > pools[at].last {
			at++
		}
		if n == 0 {
			continue
		}
		share := float64(o.Positives[i]) / float64(n)
		c.Raw += math.Abs(o.Scores[i]/float64(n)-share) * float64(n) / total
		c.Calibrated += math.Abs(c.Share[at]-share) * float64(n) / total
	}
	return c
}

// Probability returns the calibrated score, NaN for NaN.
func (c *Calibrator) Probability(score float64) float64 {
	if score != score || len(c.Share) == 0 {
		return math.NaN()
	}
	i, found := slices.BinarySearch(c.From, score)
	if found {
		i++
	}
	return c.Share[min(i, len(c.Share)-1)]
}
