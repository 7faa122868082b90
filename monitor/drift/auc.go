package drift

import (
	"cmp"
	"fmt"
	"slices"
)

// AUC is the area under the receiver operating characteristic: the probability
// that a positive row has a higher score than a negative one, ties counting
// half (the Mann-Whitney statistic; Hanley and McNeil 1982). It returns
// ErrInvalid when the lengths differ, a score is NaN, or all rows are of one
// class.
func AUC(scores []float64, positive []bool) (float64, error) {
	if len(scores) != len(positive) {
		return 0, fmt.Errorf("drift: auc: %d scores and %d labels: %w", len(scores), len(positive), ErrInvalid)
	}
	order := make([]int, len(scores))
	for i, s := range scores {
		if s != s {
			return 0, fmt.Errorf("drift: auc: score %d is NaN: %w", i, ErrInvalid)
		}
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return cmp.Compare(scores[a], scores[b]) })
	var r ranking
	for i := 0; i < len(order); {
		var pos, neg float64
		for at := scores[order[i]]; i < len(order) && scores[order[i]] == at; i++ {
			if positive[order[i]] {
				pos++
			} else {
				neg++
			}
		}
		r.add(pos, neg)
	}
	return r.auc()
}

// AUCBinned is AUC over counts by ascending score bins, one slice a class:
// what a monitor can keep without keeping the rows. Rows of one bin count as
// ties; 256 bins err by some 2e-5. It returns ErrInvalid when the lengths
// differ or all rows are of one class.
func AUCBinned(positive, negative []uint64) (float64, error) {
	if len(positive) != len(negative) {
		return 0, fmt.Errorf("drift: auc: %d bins of positives and %d of negatives: %w", len(positive), len(negative), ErrInvalid)
	}
	var r ranking
	for i, p := range positive {
		r.add(float64(p), float64(negative[i]))
	}
	return r.auc()
}

// ranking collects groups of tied rows by ascending score.
type ranking struct{ pos, neg, won float64 }

func (r *ranking) add(pos, neg float64) {
	r.won += pos * (r.neg + neg/2)
	r.pos += pos
	r.neg += neg
}

func (r *ranking) auc() (float64, error) {
	if r.pos == 0 || r.neg == 0 {
		return 0, fmt.Errorf("drift: auc: %.0f positive and %.0f negative rows, want some of both: %w", r.pos, r.neg, ErrInvalid)
	}
	return r.won / r.pos / r.neg, nil
}
