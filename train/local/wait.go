package local

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/millwright-ml/millwright/train"
)

// Wait implements [train.Job].
func (j *job) Wait(ctx context.Context) (*train.Result, error) {
	p, watched := j.newPoller(0), 0
	for {
		s, err := j.look()
		if err != nil {
			return nil, err
		}
		if s.stage == ended {
			if err := j.settle(s); err != nil {
				return nil, err
			}
			started, err := j.firstStart()
			if err != nil {
				return nil, err
			}
			return &train.Result{
				ExitCode: s.outcome.code, Started: started, Finished: s.finished,
				Attempts: j.starts(s.attempt), Output: j.spec.Output,
			}, j.ending(s.attempt, s.outcome, true).Err(j.rec.ID)
		}
		if err := j.adopt(ctx, s, false); err != nil {
			return nil, err
		}
		if s.attempt != watched {
			p, watched = j.newPoller(s.attempt), s.attempt
		}
		if err := p.pause(ctx, s.stage != alive); err != nil {
			return nil, fmt.Errorf("train/local: wait for %q: %w", j.rec.ID, err)
		}
	}
}

// firstStart is when the first attempt began; zero when none did.
func (j *job) firstStart() (time.Time, error) {
	for a := 0; ; a++ {
		_, began, err := j.read(a, "began")
		if err != nil || !began.IsZero() || !j.hasFile(a, "claim") {
			return began, err
		}
	}
}

// starts counts the attempts that began, up to one.
func (j *job) starts(last int) int {
	n := 0
	for a := range last + 1 {
		if j.hasFile(a, "began") {
			n++
		}
	}
	return n
}

// Status implements [train.Job].
func (j *job) Status(ctx context.Context) (train.Status, error) {
	if err := ctx.Err(); err != nil {
		return train.Status{}, fmt.Errorf("train/local: status of %q: %w", j.rec.ID, err)
	}
	s, err := j.look()
	if err != nil {
		return train.Status{}, err
	}
	started, err := j.firstStart()
	if err != nil {
		return train.Status{}, err
	}
	spec := j.effective(s.attempt)
	st := train.Status{
		Phase: train.Starting, Submitted: j.rec.Submitted, Started: started,
		Attempt: s.attempt, Nodes: spec.NodeCount(),
	}
	switch s.stage {
	case waiting:
		j.describeWaiting(s, &st)
	case alive:
		j.describeAlive(s, spec, &st)
	case suspended:
		st.Phase, st.Cause, st.Reason = train.Suspended, train.CauseSuspended, "suspended: Resume lets it go on"
	case ended:
		if err := j.settle(s); err != nil {
			return train.Status{}, err
		}
		st.Finished = s.finished
		e := j.ending(s.attempt, s.outcome, true)
		st.Phase, st.Cause = e.Phase(), e.Cause
		if err := e.Err(j.rec.ID); err != nil && st.Phase == train.Failed {
			st.Reason = err.Error()
		}
	}
	if !s.began.IsZero() && s.stage == alive {
		st.Ready = st.Nodes
	}
	if !s.began.IsZero() {
		st.Where = j.where(spec, s)
	}
	return st, nil
}

func (j *job) describeWaiting(s state, st *train.Status) {
	late := time.Since(s.since) > orphanAge
	if s.attempt > 0 && s.outcome.kind != "" {
		e := j.ending(s.attempt-1, s.outcome, false)
		st.Phase, st.Cause = train.Requeued, e.Cause
		st.Reason = fmt.Sprintf("attempt %d failed and the next one begins: %v", s.attempt-1, e.Err(j.rec.ID))
	}
	if late && s.coming {
		st.Reason = "its submitter died before it began: Submit with the same key, Wait or a following Logs begins it"
	} else if late {
		st.Reason += "; Submit with the same key, Wait or a following Logs begins it"
	}
}

func (j *job) describeAlive(s state, spec train.Spec, st *train.Status) {
	st.Phase = train.Running
	switch {
	case j.has("cancel"):
		st.Reason, st.Cause = "cancel was called", train.CauseCancelled
	case j.has("deadline"):
		st.Reason, st.Cause = "the deadline has passed", train.CauseDeadline
	case j.hasFile(s.attempt, "suspend"):
		st.Reason, st.Cause = "suspend was called", train.CauseSuspended
	case s.began.IsZero() && spec.GPU.Count > 0:
		st.Phase, st.Cause = train.Queued, train.CauseQueued
		st.Reason = fmt.Sprintf("waits in line for %d GPUs of this machine", spec.GPU.Count*spec.NodeCount())
	case s.began.IsZero():
		st.Phase, st.Cause = train.Starting, train.CauseStarting
	}
}

// where names this machine once a node.
func (j *job) where(spec train.Spec, s state) []train.Place {
	host, err := os.Hostname()
	if err != nil {
		host = "localhost"
	}
	gpu := j.gpuType(s.attempt, s.gpus)
	places := make([]train.Place, spec.NodeCount())
	for i := range places {
		places[i] = train.Place{Node: host, Rank: i, GPU: gpu}
	}
	return places
}

// Why implements [train.Job].
func (j *job) Why(ctx context.Context) (train.Why, error) {
	st, err := j.Status(ctx)
	if err != nil {
		return train.Why{}, err
	}
	var found []train.Finding
	if st.Reason != "" {
		since := st.Finished
		if since.IsZero() {
			since = st.Submitted
		}
		found = append(found, train.Finding{Kind: st.Cause, Text: st.Reason, Object: "Job", Since: since})
	}
	if st.Phase == train.Queued {
		found = j.whoHolds(ctx, st.Attempt)
	}
	if st.Phase == train.Cancelled {
		found = append(found, train.Finding{Kind: train.CauseCancelled, Text: "it was cancelled", Object: "Job", Since: st.Finished})
	}
	for a := range st.Attempt { // what ended the attempts before is worth knowing beside it
		out, at, ok, err := j.readExit(a)
		if err != nil {
			return train.Why{}, err
		}
		if e := j.ending(a, out, false); ok && out.next != nextSuspend && e.Cause != "" {
			found = append(found, train.Finding{
				Kind: e.Cause, Text: fmt.Sprintf("attempt %d ended: %v", a, e.Err(j.rec.ID)), Object: fmt.Sprintf("attempt %d", a), Since: at,
			})
		}
	}
	w := train.NewWhy(found...)
	if st.Reason != "" && st.Phase != train.Queued && len(w.Findings) > 0 {
		w = lead(w, st.Cause)
	}
	return w, nil
}

// lead moves what holds now before what ended an earlier attempt.
func lead(w train.Why, cause train.Cause) train.Why {
	for i, f := range w.Findings {
		if f.Object == "Job" && f.Kind == cause {
			rest := append(append([]train.Finding{}, w.Findings[:i]...), w.Findings[i+1:]...)
			first := train.NewWhy(f)
			first.Findings = append(first.Findings, rest...)
			return first
		}
	}
	return w
}

// whoHolds says which jobs have the GPUs that a job waits for.
func (j *job) whoHolds(ctx context.Context, attempt int) []train.Finding {
	spec := j.effective(attempt)
	need := spec.GPU.Count * spec.NodeCount()
	text := fmt.Sprintf("waits in line for %d GPUs of this machine", need)
	all, err := j.l.discover(ctx)
	if err != nil {
		text += ", which can not be listed: " + err.Error()
	}
	devices := candidates(all, spec.GPU)
	var holders []string
	for _, d := range devices {
		if held := j.l.locked(d); held {
			who := j.l.holder(d.UUID)
			if who == "" {
				who = "another program"
			}
			holders = append(holders, d.UUID+" ("+who+")")
		}
	}
	switch {
	case len(devices) < need:
		text += fmt.Sprintf(", which has %s", describe(all))
	case len(holders) > 0:
		text += fmt.Sprintf(": %d of %d that fit are taken: %s", len(holders), len(devices), strings.Join(holders, ", "))
	default:
		text += ": another job is before it"
	}
	return []train.Finding{{Kind: train.CauseQueued, Text: text, Object: "Job", Since: j.rec.Submitted}}
}
