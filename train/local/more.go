package local

import (
	"context"
	"fmt"
	"iter"

	"github.com/millwright-ml/millwright/train"
)

// Plan implements [train.Launcher].
func (l *Launcher) Plan(_ context.Context, spec train.Spec, _ *train.SubmitOptions) (*train.Plan, error) {
	if err := spec.Validate(); err != nil {
		return nil, err
	}
	p := &train.Plan{Backend: "process", Reason: "this launcher runs processes on this machine"}
	if _, err := newRecord("", "", spec); err != nil {
		p.Faults = append(p.Faults, err.Error())
	}
	return p, nil
}

// Why implements [train.Job].
func (j *job) Why(ctx context.Context) (train.Why, error) {
	st, err := j.Status(ctx)
	if err != nil {
		return train.Why{}, err
	}
	return train.NewWhy(train.Finding{Kind: st.Cause, Text: st.Reason, Object: "Job"}), nil
}

// Events implements [train.Job].
func (j *job) Events(ctx context.Context, _ *train.EventOptions) iter.Seq2[train.Event, error] {
	return func(yield func(train.Event, error) bool) {
		st, err := j.Status(ctx)
		if err != nil {
			yield(train.Event{}, err)
			return
		}
		yield(train.Event{Time: st.Submitted, Object: "Job", Reason: "Submitted", Text: "submitted", Count: 1}, nil)
	}
}

// Progress implements [train.Job].
func (j *job) Progress(ctx context.Context) (train.Progress, error) {
	var p train.Progress
	for line, err := range j.Logs(ctx, nil) {
		if err != nil {
			return p, err
		}
		if r, ok := train.ParseReport(line.Text); ok {
			p.Add(r, line.Time, line.Attempt)
		}
	}
	return p, nil
}

// Suspend implements [train.Job].
func (j *job) Suspend(context.Context) error {
	return fmt.Errorf("train/local: suspend %q: %w", j.rec.ID, train.ErrUnsupported)
}

// Resume implements [train.Job].
func (j *job) Resume(context.Context, *train.ResumeOptions) error {
	return fmt.Errorf("train/local: resume %q: %w", j.rec.ID, train.ErrUnsupported)
}

// Usage implements [train.Job].
func (j *job) Usage(ctx context.Context) (train.Usage, error) {
	st, err := j.Status(ctx)
	if err != nil {
		return train.Usage{}, err
	}
	a := train.Attempt{Queued: st.Submitted, Started: st.Started, Finished: st.Finished, OK: st.Phase == train.Succeeded}
	return train.NewUsage(j.rec.ID, j.spec.Team, []train.Attempt{a}, train.Prices{}, !st.Phase.Ended(), st.Finished), nil
}
