package main

import (
	"errors"
	"math"
	"slices"

	"github.com/millwright-ml/millwright/dataset/profile"
	"github.com/millwright-ml/millwright/monitor/drift"
	"github.com/millwright-ml/millwright/monitor/drift/column"
)

// rival is a tool that compares each window with fixed limits: what its defaults are,
// computed by their definitions over the raw values. That the measures are those of
// the tools is what the tests of monitor/drift check with numbers of the tools' own.
type rival struct {
	table    *table
	features []feature
}

// feature is what the rivals know of one.
type feature struct {
	numbers []float64 // Of the reference.
	counts  map[string]int
	rows    int
	edges   []float64 // Tenths of the reference, for the PSI.
	doane   []float64 // NannyML's bins.
	shares  []float64 // Of the reference in them.
	limit   float64   // NannyML's, from chunks of the reference.
	low     float64
}

// raised is how many features each tool raises in a window.
type raised struct{ psi, evidently, nannyml int }

// Limits of the tools: that of credit scoring, Evidently's and NannyML's defaults.
const (
	psiLimit       = 0.2
	evidentlyLimit = 0.1
	evidentlyAlpha = 0.05
	evidentlySmall = 1000 // Rows of a reference up to which it tests.
	nannyErrors    = 3
)

func newRival(t *table) (*rival, error) {
	size := 0
	for _, w := range t.windows {
		size = max(size, len(w.rows))
	}
	r := &rival{table: t}
	for i, in := range t.inputs {
		var f feature
		var texts []string
		f.numbers, texts = t.column(t.reference, i)
		f.rows = len(f.numbers) + len(texts)
		if in.Kind == profile.Numeric {
			slices.Sort(f.numbers)
			f.edges = tenths(f.numbers)
			f.doane = doane(f.numbers)
			f.shares = histogram(f.numbers, f.doane)
		} else {
			f.counts = count(texts)
		}
		// It takes its limits from chunks of the reference, one behind the other: of
		// the windows' size, and at least six.
		chunks := max(len(t.reference)/max(size, 1), 6)
		var seen []float64
		for c := range chunks {
			numbers, texts := t.column(t.reference[c*len(t.reference)/chunks:(c+1)*len(t.reference)/chunks], i)
			d, err := f.nanny(numbers, texts)
			if err != nil {
				return nil, err
			}
			seen = append(seen, d)
		}
		mean, sd := meanSD(seen)
		f.limit, f.low = mean+nannyErrors*sd, mean-nannyErrors*sd
		r.features = append(r.features, f)
	}
	return r, nil
}

func (r *rival) compare(w window) (out raised, err error) {
	for i := range r.features {
		f := &r.features[i]
		numbers, texts := r.table.column(w.rows, i)
		if len(numbers)+len(texts) == 0 {
			continue
		}
		psi, drifted, nanny, err := f.compare(numbers, texts)
		if err != nil {
			return out, err
		}
		if psi > psiLimit {
			out.psi++
		}
		if drifted {
			out.evidently++
		}
		if nanny > f.limit || f.low > 0 && nanny < f.low {
			out.nannyml++
		}
	}
	return out, nil
}

func (f *feature) compare(numbers []float64, texts []string) (psi float64, drifted bool, nanny float64, err error) {
	var fault error
	score := func(r drift.Result, err error) float64 { fault = errors.Join(fault, err); return r.Score }
	pvalue := func(r drift.Result, err error) float64 { fault = errors.Join(fault, err); return r.PValue }
	if f.counts == nil {
		psi = score(drift.PSI(binned(f.numbers, f.edges), binned(numbers, f.edges)))
	} else {
		ref, cur := pair(f.counts, count(texts))
		psi = score(drift.PSI(ref, cur))
	}
	few := f.counts != nil
	if !few {
		few = len(slices.Compact(slices.Clone(f.numbers))) <= 5
	}
	ref, cur := f.categories(numbers, texts, few)
	switch {
	case f.rows <= evidentlySmall && !few:
		drifted = pvalue(column.KolmogorovSmirnov(f.numbers, numbers)) < evidentlyAlpha
	case f.rows <= evidentlySmall && len(ref) == 2:
		drifted = pvalue(drift.TwoProportions(ref, cur)) < evidentlyAlpha
	case f.rows <= evidentlySmall && len(ref) > 1:
		drifted = pvalue(drift.ChiSquareFit(ref, cur)) < evidentlyAlpha
	case f.rows <= evidentlySmall:
	case !few:
		sd := max(column.StandardDeviation(f.numbers), 1e-3)
		drifted = score(column.Wasserstein(f.numbers, numbers, sd)) >= evidentlyLimit
	default:
		drifted = score(drift.JensenShannon(ref, cur))*math.Sqrt(math.Ln2) >= evidentlyLimit // It counts in nats.
	}
	nanny, err = f.nanny(numbers, texts)
	return psi, drifted, nanny, errors.Join(fault, err)
}

// nanny is NannyML's distance: Jensen-Shannon in base 2, of numbers over Doane's bins
// of the reference and one for what is outside.
func (f *feature) nanny(numbers []float64, texts []string) (float64, error) {
	if len(numbers)+len(texts) == 0 {
		return 0, nil
	}
	if f.counts != nil {
		ref, cur := pair(f.counts, count(texts))
		d, err := drift.JensenShannon(ref, cur)
		return d.Score, err
	}
	q := histogram(numbers, f.doane)
	left := 1.0
	var sum float64
	half := func(a, b float64) float64 { // Of the divergence, in bits.
		if a <= 0 {
			return 0
		}
		return a * math.Log2(2*a/(a+b)) / 2
	}
	for i, v := range q {
		left -= v
		sum += half(v, f.shares[i]) + half(f.shares[i], v)
	}
	return math.Sqrt(max(sum+half(left, 0), 0)), nil
}

// categories are the counts of both sides where there are few different values.
func (f *feature) categories(numbers []float64, texts []string, few bool) (ref, cur []uint64) {
	if !few {
		return nil, nil
	}
	if f.counts != nil {
		return pair(f.counts, count(texts))
	}
	values := slices.Compact(slices.Clone(f.numbers))
	return binned(f.numbers, values[1:]), binned(numbers, values[1:])
}
