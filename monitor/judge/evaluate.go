package judge

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"iter"
	"math"
	"slices"
	"sync"

	"github.com/millwright-ml/millwright/internal/errs"
)

// Sampled reports whether an id is in a share of all ids. It depends on nothing
// but its arguments: all replicas and all runs choose the same ids, and a greater
// share has all those of a smaller one. Another salt chooses others.
func Sampled(id, salt string, share float64) bool {
	if share >= 1 {
		return true
	}
	h := fnv.New64a()
	_, _ = h.Write([]byte(salt)) // Neither can fail.
	_, _ = h.Write([]byte{0})
	_, _ = h.Write([]byte(id))
	x := h.Sum64()
	// FNV's high bits hardly depend on the last bytes: stir.
	x ^= x >> 33
	x *= 0xff51afd7ed558ccd
	x ^= x >> 33
	x *= 0xc4ceb9fe1a85ec53
	x ^= x >> 33
	return float64(x>>11)/(1<<53) < share
}

// Result is a sample with its scores, in the order of the scorers.
type Result struct {
	Sample Sample
	Scores []Scored
}

// Scored is one scorer's score, or its error.
type Scored struct {
	Name string
	Score
	// Err is why there is no score. It is ErrBudget where the sample was left
	// out.
	Err error
	// Replayed says that the score is from a journal.
	Replayed bool
}

// EvaluateOptions say how samples are evaluated. Nil means all defaults.
type EvaluateOptions struct {
	// Concurrency is how many samples are scored at once. Default 4.
	Concurrency int
	// Share of the samples to take, by their ids (Sampled). Default 1.
	Share float64
	// Salt of the choice. Default "".
	Salt string
	// MaxRows is how many results the report keeps for its table, the first
	// ones. The summaries have all of them. Default 10,000; -1 is none.
	MaxRows int
	// OnResult is told each result, in the samples' order and never two at
	// once. Default none.
	OnResult func(Result)
	// Journal has the scores that an evaluation before this one has paid for,
	// and gets those of this one. What it says was used counts in Report.Usage
	// and in the budgets. Default none: all is asked anew.
	Journal *Journal
}

const (
	defaultConcurrency = 4
	defaultMaxRows     = 10_000
)

// Report is what an evaluation found.
type Report struct {
	// Samples is how many were seen and Taken how many of them the sampling
	// took.
	Samples, Taken int
	// Scorers are the summaries, in the order of the scorers.
	Scorers []Summary
	// Rows are the first results.
	Rows []Result
	// Replayed is how many scores are from the journal.
	Replayed int
	// Usage is what all calls took, those of the journal among them.
	Usage Usage
}

// Summary is what the scores of one scorer come to.
type Summary struct {
	Name string
	// Count is the number of scores, Failed of errors, and Skipped of samples
	// that the budget did not cover.
	Count, Failed, Skipped int
	// Mean of the scores, with a 95 % interval (by the normal law: trust it
	// from some 30 scores on), and what they lie between. NaN without scores.
	Mean, Low, High, Min, Max float64
	// Labels counts the labels.
	Labels map[string]int
	// Agreement is that of a judge with itself, where it was asked repeatedly.
	Agreement *Agreement
	// FirstError is the first of the errors.
	FirstError error
}

// Evaluate scores samples, like the rows of a dataset version. It returns what it
// has together with the error when samples end with one or the context ends.
func Evaluate(ctx context.Context, samples iter.Seq2[Sample, error], scorers []Scorer, opts *EvaluateOptions) (*Report, error) {
	o, err := opts.withDefaults()
	if err == nil {
		err = checkScorers(scorers)
	}
	if err != nil {
		return nil, fmt.Errorf("judge: evaluate: %w", err)
	}
	s := newSummaries(scorers)
	s.usage = o.Journal.settle(scorers)
	report := &Report{}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)

	// The results come in the samples' order, through a queue of their promises
	// which also bounds how many are on the way.
	queue := make(chan chan Result, o.Concurrency-1)
	var collecting sync.WaitGroup
	collecting.Go(func() {
		for promise := range queue {
			r := <-promise
			s.add(&r)
			if len(report.Rows) < o.MaxRows {
				report.Rows = append(report.Rows, r)
			}
			if o.OnResult != nil {
				o.OnResult(r)
			}
		}
	})
	for sample, e := range samples {
		if err = e; err == nil {
			err = context.Cause(ctx)
		}
		if err != nil {
			break
		}
		report.Samples++
		if !Sampled(sample.ID, o.Salt, o.Share) {
			continue
		}
		report.Taken++
		promise := make(chan Result, 1)
		queue <- promise
		go func() {
			r, err := score(ctx, sample, scorers, o.Journal)
			if err != nil {
				cancel(err) // Without its journal it would pay for nothing.
			}
			promise <- r
		}()
	}
	close(queue)
	collecting.Wait()
	report.Scorers, report.Usage = s.finish()
	report.Replayed = s.replayed
	if err == nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		return report, fmt.Errorf("judge: evaluate: after %d samples: %w", report.Samples, err)
	}
	return report, nil
}

func (o *EvaluateOptions) withDefaults() (EvaluateOptions, error) {
	var r EvaluateOptions
	if o != nil {
		r = *o
	}
	var f errs.Faults
	f.Check(r.Concurrency >= 0, "Concurrency is %d", r.Concurrency)
	f.Check(r.Share >= 0 && r.Share <= 1, "Share is %v", r.Share)
	f.Check(r.MaxRows >= -1, "MaxRows is %d", r.MaxRows)
	r.Concurrency = or(r.Concurrency, defaultConcurrency)
	r.Share = or(r.Share, 1)
	r.MaxRows = or(r.MaxRows, defaultMaxRows)
	return r, f.Err("options")
}

func checkScorers(scorers []Scorer) error {
	var f errs.Faults
	f.Check(len(scorers) > 0, "there are no scorers")
	seen := map[string]bool{}
	for i, s := range scorers {
		if s == nil {
			f.Addf("scorer %d is nil", i)
			continue
		}
		f.Check(names.MatchString(s.Name()), "the name %q of a scorer has other characters than letters, digits, '_', '-', '.', '/' and spaces", s.Name())
		f.Check(!seen[s.Name()], "two scorers are named %q", s.Name())
		seen[s.Name()] = true
	}
	return f.Err("scorers")
}

// score has all scorers look at a sample. One that panics has failed. The error is
// that of the journal.
func score(ctx context.Context, sample Sample, scorers []Scorer, j *Journal) (Result, error) {
	r := Result{Sample: sample, Scores: make([]Scored, len(scorers))}
	var failed error
	for i, s := range scorers {
		key := j.key(s, &sample)
		if have, ok := j.find(key); ok {
			r.Scores[i] = Scored{Name: s.Name(), Score: have, Replayed: true}
			continue
		}
		r.Scores[i] = scoreOne(ctx, &sample, s)
		if err := j.add(key, &r.Scores[i]); err != nil && failed == nil {
			failed = err
		}
	}
	return r, failed
}

func scoreOne(ctx context.Context, sample *Sample, s Scorer) (out Scored) {
	out.Name = s.Name()
	defer func() {
		if p := recover(); p != nil {
			out.Score, out.Err = Score{}, fmt.Errorf("judge: %s of %q panicked: %v: %w", out.Name, sample.ID, p, ErrInvalid)
		}
	}()
	out.Score, out.Err = s.Score(ctx, sample)
	if out.Err == nil && (math.IsNaN(out.Value) || math.IsInf(out.Value, 0)) {
		out.Err = fmt.Errorf("judge: %s of %q is %v: %w", out.Name, sample.ID, out.Value, ErrInvalid)
	}
	return out
}

// summaries add results up.
type summaries struct {
	usage    Usage
	replayed int
	list     []summing
}

type summing struct {
	Summary
	mean, squares float64 // Welford's
	ratings       [][]int
}

func newSummaries(scorers []Scorer) *summaries {
	s := &summaries{list: make([]summing, len(scorers))}
	for i, scorer := range scorers {
		s.list[i].Summary = Summary{Name: scorer.Name(), Labels: map[string]int{}, Min: math.Inf(1), Max: math.Inf(-1)}
	}
	return s
}

func (s *summaries) add(r *Result) {
	for i := range r.Scores {
		v, sum := &r.Scores[i], &s.list[i]
		if v.Replayed {
			s.replayed++
		} else {
			s.usage.add(v.Usage)
		}
		if v.Err != nil {
			if errors.Is(v.Err, ErrBudget) {
				sum.Skipped++
			} else {
				sum.Failed++
			}
			if sum.FirstError == nil {
				sum.FirstError = v.Err
			}
			continue
		}
		sum.Count++
		delta := v.Value - sum.mean
		sum.mean += delta / float64(sum.Count)
		sum.squares += delta * (v.Value - sum.mean)
		sum.Min, sum.Max = min(sum.Min, v.Value), max(sum.Max, v.Value)
		if v.Label != "" {
			sum.Labels[v.Label]++
		}
		if len(v.Ratings) > 1 {
			sum.ratings = append(sum.ratings, slices.Clone(v.Ratings))
		}
	}
}

// z is the normal law's 97.5 % quantile.
const z = 1.959963984540054

func (s *summaries) finish() ([]Summary, Usage) {
	out := make([]Summary, len(s.list))
	for i := range s.list {
		sum := &s.list[i]
		sum.Mean = sum.mean
		half := math.NaN()
		switch {
		case sum.Count == 0:
			nan := math.NaN()
			sum.Mean, sum.Min, sum.Max = nan, nan, nan
		case sum.Count > 1:
			half = z * math.Sqrt(sum.squares/float64(sum.Count-1)/float64(sum.Count))
		}
		sum.Low, sum.High = sum.Mean-half, sum.Mean+half
		if len(sum.ratings) > 0 {
			a := Agree(sum.ratings)
			sum.Agreement = &a
		}
		out[i] = sum.Summary
	}
	return out, s.usage
}
