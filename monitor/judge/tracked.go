package judge

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/millwright-ml/millwright/internal/errs"
	"github.com/millwright-ml/millwright/tracking"
)

// TrackOptions say what a run has of an evaluation. Nil means all defaults.
type TrackOptions struct {
	// Evaluate says how samples are evaluated.
	Evaluate *EvaluateOptions
	// Input is the dataset version that the samples are from. Its Context is
	// "evaluation" where it has none. Default none.
	Input *tracking.DatasetInput
	// Params go beside those of the scorers: what answered, and with which
	// prompt. Default none.
	Params map[string]string
	// Every is after how many samples the metrics of progress get a point:
	// "judge/progress", and "judge/progress_calls", by the number of samples.
	// Default 100; -1 is never.
	Every int
}

const (
	defaultEvery = 100
	maxParam     = 6000 // Characters, as tracking has it.
	// logTime is how long the report of an evaluation that was broken off may
	// take.
	logTime = 15 * time.Second
)

// Track evaluates samples as Evaluate does, as a run: first the input and the
// params of the scorers ("<scorer>/model", "<scorer>/rubric", …), so that nothing
// is paid for what the run does not take; then points of progress; then what
// Report.Log writes. An evaluation that is broken off leaves its report so far in
// the run, too; with the same run and EvaluateOptions.Journal, Track then goes on.
// The run is ended by who started it, with Run.End.
func Track(ctx context.Context, run Run, files Files, samples iter.Seq2[Sample, error], scorers []Scorer, opts *TrackOptions) (*Report, error) {
	var o TrackOptions
	if opts != nil {
		o = *opts
	}
	e, err := o.Evaluate.withDefaults()
	var f errs.Faults
	f.Check(o.Every >= -1, "Every is %d", o.Every)
	err = errors.Join(err, f.Err("options"), checkScorers(scorers))
	if err == nil {
		err = o.begin(ctx, run, scorers, &e)
	}
	if err != nil {
		return nil, fmt.Errorf("judge: track: %w", err)
	}
	p := &progress{ctx: ctx, run: run, every: or(o.Every, defaultEvery), then: e.OnResult}
	e.OnResult = p.result
	report, err := Evaluate(ctx, samples, scorers, &e)
	if report == nil {
		return nil, err
	}
	err = errors.Join(err, p.failed)
	if ctx.Err() != nil {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(context.WithoutCancel(ctx), logTime)
		defer cancel()
	}
	return report, errors.Join(err, report.Log(ctx, run, files))
}

// begin logs what is known before.
func (o *TrackOptions) begin(ctx context.Context, run Run, scorers []Scorer, e *EvaluateOptions) error {
	params := maps.Clone(o.Params)
	if params == nil {
		params = map[string]string{}
	}
	params["judge/share"] = strconv.FormatFloat(e.Share, 'g', -1, 64)
	if e.Salt != "" {
		params["judge/salt"] = e.Salt
	}
	for _, s := range scorers {
		if err := tracking.ValidateKey(s.Name() + "/mean"); err != nil {
			return err
		}
		d, ok := s.(Described)
		if !ok {
			continue
		}
		for key, value := range d.Describe() {
			params[s.Name()+"/"+key] = clip(value)
		}
	}
	var first tracking.Batch
	if o.Input != nil {
		in := *o.Input
		in.Context = or(in.Context, "evaluation")
		first.Inputs = []tracking.DatasetInput{in}
	}
	for keys := range slices.Chunk(slices.Sorted(maps.Keys(params)), tracking.MaxBatchParams) {
		first.Params = map[string]string{}
		for _, key := range keys {
			first.Params[key] = params[key]
		}
		if err := run.LogBatch(ctx, first); err != nil {
			return err
		}
		first = tracking.Batch{}
	}
	return nil
}

// clip cuts the value of a param that no store would take.
func clip(text string) string {
	if utf8.RuneCountInString(text) <= maxParam {
		return text
	}
	return string([]rune(text)[:maxParam-1]) + "…"
}

// progress writes points while an evaluation runs.
type progress struct {
	ctx    context.Context //nolint:containedctx // It is that of the call.
	run    Run
	every  int
	then   func(Result)
	done   int
	calls  int64
	failed error
}

func (p *progress) result(r Result) {
	if p.then != nil {
		p.then(r)
	}
	for i := range r.Scores {
		p.calls += r.Scores[i].Usage.Calls
	}
	p.done++
	if p.every < 0 || p.done%p.every != 0 || p.ctx.Err() != nil || p.failed != nil {
		return
	}
	step := int64(p.done)
	p.failed = p.run.LogBatch(p.ctx, tracking.Batch{Metrics: []tracking.Metric{
		{Key: "judge/progress", Value: float64(p.done), Step: step},
		{Key: "judge/progress_calls", Value: float64(p.calls), Step: step},
	}})
}
