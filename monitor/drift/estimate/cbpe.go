package estimate

import (
	"fmt"
	"math"
)

// Bins is how many bins of probability the AUC is estimated from: it errs by
// some 2e-5.
const Bins = 256

// CBPE sums up what a window of predictions is expected to be worth. The zero
// value is ready; sums of several windows and replicas add up. Add takes a few
// nanoseconds and no memory. It is not safe for concurrent use.
type CBPE struct {
	expected Confusion
	// left counts the rows without a probability.
	left uint64
	// positive are the expected positive rows by bins of the probability, and
	// negative the others.
	positive, negative [Bins]float64
}

// Add counts one prediction: the calibrated probability that the row is
// positive, and what was predicted.
func (c *CBPE) Add(probability float64, predicted bool) {
	if probability != probability {
		c.left++
		return
	}
	p := min(max(probability, 0), 1)
	if predicted {
		c.expected.TP += p
		c.expected.FP += 1 - p
	} else {
		c.expected.FN += p
		c.expected.TN += 1 - p
	}
	bin := min(int(p*Bins), Bins-1)
	c.positive[bin] += p
	c.negative[bin] += 1 - p
}

// Merge adds the sums of other rows.
func (c *CBPE) Merge(o *CBPE) {
	c.expected.Merge(o.expected)
	c.left += o.left
	for i := range c.positive {
		c.positive[i] += o.positive[i]
		c.negative[i] += o.negative[i]
	}
}

// Confusion is the expected confusion matrix.
func (c *CBPE) Confusion() Confusion { return c.expected }

// Left is the number of rows without a probability.
func (c *CBPE) Left() uint64 { return c.left }

// AUC is the expected area under the ROC curve, from bins. It is NaN when no
// row can be of one of the classes.
func (c *CBPE) AUC() float64 {
	var won, positive, negative float64
	for i, p := range c.positive {
		won += p * (negative + c.negative[i]/2)
		positive += p
		negative += c.negative[i]
	}
	return won / positive / negative
}

// Sums are the state of a CBPE, to store and to send.
type Sums struct {
	Expected Confusion `json:"expected"`
	Left     uint64    `json:"left"`
	Positive []float64 `json:"positive"`
	Negative []float64 `json:"negative"`
}

// Sums returns a copy of the state.
func (c *CBPE) Sums() Sums {
	return Sums{c.expected, c.left, append([]float64(nil), c.positive[:]...), append([]float64(nil), c.negative[:]...)}
}

// FromSums returns the CBPE of a stored state, and ErrInvalid for numbers that
// are no sums.
func FromSums(s Sums) (*CBPE, error) {
	if len(s.Positive) != Bins || len(s.Negative) != Bins {
		return nil, fmt.Errorf("estimate: sums of %d and %d bins, want %d: %w", len(s.Positive), len(s.Negative), Bins, ErrInvalid)
	}
	c := &CBPE{expected: s.Expected, left: s.Left}
	copy(c.positive[:], s.Positive)
	copy(c.negative[:], s.Negative)
	for _, v := range append([]float64{s.Expected.TP, s.Expected.FP, s.Expected.FN, s.Expected.TN}, append(s.Positive, s.Negative...)...) {
		if !(v >= 0) || math.IsInf(v, 1) {
			return nil, fmt.Errorf("estimate: a sum is %g: %w", v, ErrInvalid)
		}
	}
	return c, nil
}

// ExpectedAUC is the expected area under the ROC curve of rows with calibrated
// probabilities, without bins: rows count as positive by p and as negative by
// 1-p, ordered by scores, which may be the probabilities. It returns ErrInvalid
// when the lengths differ, a number is NaN, or a class cannot be there.
func ExpectedAUC(scores, probabilities []float64) (float64, error) {
	groups, err := byScore("expected auc", scores, probabilities)
	if err != nil {
		return 0, err
	}
	var won, positive, negative float64
	for _, g := range groups {
		p := min(max(g.label, 0), g.weight)
		n := g.weight - p
		won += p * (negative + n/2)
		positive += p
		negative += n
	}
	// Rows of one group are ties to each other, and a row is one to itself.
	if !(positive > 0) || !(negative > 0) {
		return 0, fmt.Errorf("estimate: expected auc: %g positive and %g negative rows, want some of both: %w", positive, negative, ErrInvalid)
	}
	return won / positive / negative, nil
}
