package estimate

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"sort"
)

// Isotonic turns the scores of a model into probabilities that rise with them
// (Zadrozny and Elkan 2002): straight lines between knots, and the outer value
// beyond. It is a plain value that JSON keeps.
type Isotonic struct {
	Scores        []float64 `json:"scores"`
	Probabilities []float64 `json:"probabilities"`
}

// FitIsotonic finds the rising step function that is nearest to the labels by
// the pool-adjacent-violators method (Ayer et al. 1955; Barlow et al. 1972).
// Take rows that the model was not trained on. It returns ErrInvalid when the
// lengths differ, a score is no finite number, or there are no rows.
func FitIsotonic(scores []float64, positive []bool) (*Isotonic, error) {
	labels, err := numbers("isotonic", scores, positive)
	if err != nil {
		return nil, err
	}
	groups, err := byScore("isotonic", scores, labels)
	if err != nil {
		return nil, err
	}
	if len(groups) == 0 {
		return nil, fmt.Errorf("estimate: isotonic: no rows: %w", ErrInvalid)
	}
	type block struct {
		label, weight float64
		first, last   int
	}
	var blocks []block
	for i, g := range groups {
		if math.IsInf(g.score, 0) {
			return nil, fmt.Errorf("estimate: isotonic: a score is %g: %w", g.score, ErrInvalid)
		}
		b := block{g.label, g.weight, i, i}
		for n := len(blocks); n > 0 && blocks[n-1].label*b.weight >= b.label*blocks[n-1].weight; n-- {
			b = block{blocks[n-1].label + b.label, blocks[n-1].weight + b.weight, blocks[n-1].first, b.last}
			blocks = blocks[:n-1]
		}
		blocks = append(blocks, b)
	}
	var out Isotonic
	for _, b := range blocks {
		out.add(groups[b.first].score, b.label/b.weight)
		if b.last > b.first {
			out.add(groups[b.last].score, b.label/b.weight)
		}
	}
	return &out, nil
}

func (c *Isotonic) add(score, p float64) {
	c.Scores = append(c.Scores, score)
	c.Probabilities = append(c.Probabilities, p)
}

// Validate returns ErrInvalid for a value that FitIsotonic cannot have made, so
// that a stored one can be trusted.
func (c *Isotonic) Validate() error {
	if len(c.Scores) == 0 || len(c.Scores) != len(c.Probabilities) {
		return fmt.Errorf("estimate: isotonic: %d scores and %d probabilities: %w", len(c.Scores), len(c.Probabilities), ErrInvalid)
	}
	for i, s := range c.Scores {
		p := c.Probabilities[i]
		if s-s != 0 || !(p >= 0 && p <= 1) || i > 0 && (s <= c.Scores[i-1] || p < c.Probabilities[i-1]) {
			return fmt.Errorf("estimate: isotonic: knot %d, %g at %g, does not rise: %w", i, p, s, ErrInvalid)
		}
	}
	return nil
}

// Probability is that of a score. It is NaN for NaN.
func (c *Isotonic) Probability(score float64) float64 {
	if score != score {
		return score
	}
	last := len(c.Scores) - 1
	i := sort.SearchFloat64s(c.Scores, score)
	switch {
	case i == 0:
		return c.Probabilities[0]
	case i > last:
		return c.Probabilities[last]
	}
	a, b := c.Scores[i-1], c.Scores[i]
	t := (score/2 - a/2) / (b/2 - a/2) // Whose difference may be more than the largest number.
	return c.Probabilities[i-1] + t*(c.Probabilities[i]-c.Probabilities[i-1])
}

// ECE is the expected calibration error: the difference between the share of
// positive rows and the mean probability, averaged over equal bins of
// probability by their rows (Naeini, Cooper and Hauskrecht 2015). 10 bins are
// usual. It returns ErrInvalid when the lengths differ, there are no rows or
// bins, or a probability is not from 0 to 1.
func ECE(probabilities []float64, positive []bool, bins int) (float64, error) {
	labels, err := numbers("ece", probabilities, positive)
	if err != nil {
		return 0, err
	}
	if bins < 1 || len(labels) == 0 {
		return 0, fmt.Errorf("estimate: ece: %d rows and %d bins, want some of both: %w", len(labels), bins, ErrInvalid)
	}
	gaps := make([]float64, bins)
	for i, p := range probabilities {
		if !(p >= 0 && p <= 1) {
			return 0, fmt.Errorf("estimate: ece: probability %d is %g: %w", i, p, ErrInvalid)
		}
		gaps[min(int(p*float64(bins)), bins-1)] += labels[i] - p
	}
	var sum float64
	for _, g := range gaps {
		sum += math.Abs(g)
	}
	return sum / float64(len(labels)), nil
}

// splits is on how many parts of the rows a calibrator is tried.
const splits = 3

// NeedsCalibration says whether an isotonic calibrator lowers the ECE of the
// model's own probabilities, on rows that it was not fitted to: in the mean of
// three parts, each with a calibrator of the other two. (NannyML asks the same
// of ten random tenths.) Rows are dealt out in turn, so their order should mean
// nothing.
func NeedsCalibration(probabilities []float64, positive []bool, bins int) (bool, error) {
	if len(probabilities) < 2*splits {
		return false, fmt.Errorf("estimate: needs calibration: %d rows, want %d: %w", len(probabilities), 2*splits, ErrInvalid)
	}
	if _, err := ECE(probabilities, positive, bins); err != nil {
		return false, err
	}
	var before, after float64
	for part := range splits {
		var fit, try struct {
			scores   []float64
			positive []bool
		}
		for i, p := range probabilities {
			to := &fit
			if i%splits == part {
				to = &try
			}
			to.scores, to.positive = append(to.scores, p), append(to.positive, positive[i])
		}
		calibrator, err := FitIsotonic(fit.scores, fit.positive)
		if err != nil {
			return false, err
		}
		own, err := ECE(try.scores, try.positive, bins)
		if err != nil {
			return false, err
		}
		for i, s := range try.scores {
			try.scores[i] = calibrator.Probability(s)
		}
		calibrated, err := ECE(try.scores, try.positive, bins)
		if err != nil {
			return false, err
		}
		before += own
		after += calibrated
	}
	return after < before, nil
}

func numbers(op string, scores []float64, positive []bool) ([]float64, error) {
	if len(scores) != len(positive) {
		return nil, fmt.Errorf("estimate: %s: %d scores and %d labels: %w", op, len(scores), len(positive), ErrInvalid)
	}
	out := make([]float64, len(positive))
	for i, p := range positive {
		if p {
			out[i] = 1
		}
	}
	return out, nil
}

// group are the rows of one score.
type group struct{ score, label, weight float64 }

// byScore groups rows by ascending score.
func byScore(op string, scores, labels []float64) ([]group, error) {
	if len(scores) != len(labels) {
		return nil, fmt.Errorf("estimate: %s: %d scores and %d probabilities: %w", op, len(scores), len(labels), ErrInvalid)
	}
	rows := make([]group, len(scores))
	for i, s := range scores {
		rows[i] = group{s, labels[i], 1}
		if s != s || labels[i] != labels[i] {
			return nil, fmt.Errorf("estimate: %s: row %d is NaN: %w", op, i, ErrInvalid)
		}
	}
	slices.SortFunc(rows, func(a, b group) int { return cmp.Compare(a.score, b.score) })
	out := rows[:0]
	for _, r := range rows {
		if n := len(out); n > 0 && out[n-1].score == r.score {
			out[n-1].label += r.label
			out[n-1].weight += r.weight
			continue
		}
		out = append(out, r)
	}
	return out, nil
}
