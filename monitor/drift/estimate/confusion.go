package estimate

import (
	"fmt"
	"math"

	"github.com/millwright-ml/millwright/internal/errs"
)

// ErrInvalid marks rows that nothing can be estimated from.
var ErrInvalid = errs.ErrInvalid

// Confusion is a confusion matrix, counted from labels or expected without
// them. Matrices of several windows add up.
type Confusion struct {
	TP float64 `json:"tp"`
	FP float64 `json:"fp"`
	FN float64 `json:"fn"`
	TN float64 `json:"tn"`
}

// Merge adds the counts of other rows.
func (c *Confusion) Merge(o Confusion) {
	c.TP += o.TP
	c.FP += o.FP
	c.FN += o.FN
	c.TN += o.TN
}

// Rows is the sum of all four.
func (c Confusion) Rows() float64 { return c.TP + c.FP + c.FN + c.TN }

// Metric is a number made of a confusion matrix.
type Metric string

// The metrics, by their usual definitions (Powers 2011).
const (
	Accuracy            Metric = "accuracy"
	BalancedAccuracy    Metric = "balanced_accuracy" // The mean of recall and specificity.
	Precision           Metric = "precision"
	Recall              Metric = "recall"
	Specificity         Metric = "specificity"
	NegativePredictive  Metric = "negative_predictive_value"
	FalsePositiveRate   Metric = "false_positive_rate"
	FalseNegativeRate   Metric = "false_negative_rate"
	F1                  Metric = "f1"
	Jaccard             Metric = "jaccard"
	MatthewsCorrelation Metric = "matthews_correlation" // From -1 to 1.
	CohensKappa         Metric = "cohens_kappa"         // Up to 1.
	PositiveRate        Metric = "positive_rate"        // Of the predictions.
	Prevalence          Metric = "prevalence"           // Of the labels.
)

// Metrics are all of them.
func Metrics() []Metric {
	return []Metric{
		Accuracy, BalancedAccuracy, Precision, Recall, Specificity, NegativePredictive, FalsePositiveRate, FalseNegativeRate,
		F1, Jaccard, MatthewsCorrelation, CohensKappa, PositiveRate, Prevalence,
	}
}

// Metric returns one metric. It is NaN when its denominator is 0, and for a
// metric that is none of Metrics.
func (c Confusion) Metric(m Metric) float64 {
	rows := c.Rows()
	switch m {
	case Accuracy:
		return (c.TP + c.TN) / rows
	case BalancedAccuracy:
		return c.TP/(c.TP+c.FN)/2 + c.TN/(c.TN+c.FP)/2
	case Precision:
		return c.TP / (c.TP + c.FP)
	case Recall:
		return c.TP / (c.TP + c.FN)
	case Specificity:
		return c.TN / (c.TN + c.FP)
	case NegativePredictive:
		return c.TN / (c.TN + c.FN)
	case FalsePositiveRate:
		return c.FP / (c.TN + c.FP)
	case FalseNegativeRate:
		return c.FN / (c.TP + c.FN)
	case F1:
		return 2 * c.TP / (2*c.TP + c.FP + c.FN)
	case Jaccard:
		return c.TP / (c.TP + c.FP + c.FN)
	case MatthewsCorrelation:
		return (c.TP*c.TN - c.FP*c.FN) / math.Sqrt(c.TP+c.FP) / math.Sqrt(c.TP+c.FN) / math.Sqrt(c.TN+c.FP) / math.Sqrt(c.TN+c.FN)
	case CohensKappa:
		agree := (c.TP + c.TN) / rows
		chance := (c.TP+c.FP)/rows*(c.TP+c.FN)/rows + (c.TN+c.FN)/rows*(c.TN+c.FP)/rows
		return (agree - chance) / (1 - chance)
	case PositiveRate:
		return (c.TP + c.FP) / rows
	case Prevalence:
		return (c.TP + c.FN) / rows
	}
	return math.NaN()
}

// FBeta is the F measure in which recall counts beta times as much as precision
// (van Rijsbergen 1979).
func (c Confusion) FBeta(beta float64) float64 {
	b := beta * beta
	return (1 + b) * c.TP / ((1+b)*c.TP + b*c.FN + c.FP)
}

// StandardError is how far a metric of a window of so many rows is from the
// truth by chance, when the rows are drawn with the shares of this matrix: take
// that of the reference, with labels. It is the delta method on the multinomial
// law of the four cells (Agresti, "Categorical Data Analysis", 16.1), exact for
// accuracy, the rates and the shares, and good from some hundred rows for the
// others. It is NaN where the metric is.
func (c Confusion) StandardError(m Metric, rows float64) float64 {
	if all := c.Rows(); all > 0 && rows > 0 {
		c = Confusion{c.TP / all, c.FP / all, c.FN / all, c.TN / all}
	} else {
		return math.NaN()
	}
	if v := c.Metric(m); v != v {
		return v
	}
	cells := [4]float64{c.TP, c.FP, c.FN, c.TN}
	var mean, square float64
	for i, share := range cells {
		if share == 0 {
			continue
		}
		// The slope in one share. A step of a millionth of it errs by 1e-12.
		const step = 1e-6
		up, down := cells, cells
		up[i] += share * step
		down[i] -= share * step
		slope := (Confusion{up[0], up[1], up[2], up[3]}.Metric(m) - Confusion{down[0], down[1], down[2], down[3]}.Metric(m)) / (2 * share * step)
		mean += share * slope
		square += share * slope * slope
	}
	return math.Sqrt(max(square-mean*mean, 0) / rows)
}

// AUCStandardError is that of an area under the ROC curve from so many positive
// and negative rows (Hanley and McNeil 1982). It is NaN without rows of one
// class or for an area that is none.
func AUCStandardError(auc, positive, negative float64) float64 {
	if !(auc >= 0 && auc <= 1) || !(positive >= 1) || !(negative >= 1) {
		return math.NaN()
	}
	one, two := auc/(2-auc), 2*auc*auc/(1+auc)
	return math.Sqrt((auc*(1-auc) + (positive-1)*(one-auc*auc) + (negative-1)*(two-auc*auc)) / positive / negative)
}

// BoundErrors is how many standard errors Bounds goes to either side, as in
// NannyML: chance stays within in 997 of 1000 windows.
const BoundErrors = 3

// Bounds are the estimate less and plus three standard errors, within what the
// metric can be.
func Bounds(m Metric, estimate, standardError float64) (low, high float64) {
	least := 0.0
	if m == MatthewsCorrelation || m == CohensKappa {
		least = -1
	}
	return math.Max(estimate-BoundErrors*standardError, least), math.Min(estimate+BoundErrors*standardError, 1)
}

// ChunkLimits are the mean less and plus three standard deviations of a metric
// over chunks of the reference, NannyML's thresholds: what is usual for windows
// of that size, whatever makes it vary. NaN are left out; it returns ErrInvalid
// with fewer than two others.
func ChunkLimits(chunks []float64) (low, high float64, err error) {
	var n, mean, square float64
	for _, v := range chunks {
		if v-v == 0 {
			n++
			gap := v - mean
			mean += gap / n
			square += gap * (v - mean)
		}
	}
	if n < 2 {
		return 0, 0, fmt.Errorf("estimate: chunk limits: %g chunks with a number, want two: %w", n, ErrInvalid)
	}
	wide := BoundErrors * math.Sqrt(square/n)
	return mean - wide, mean + wide, nil
}
