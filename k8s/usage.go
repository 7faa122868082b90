package k8s

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"time"

	"github.com/millwright-ml/millwright/k8s/internal/manifest"
	"github.com/millwright-ml/millwright/k8s/internal/phase"
	"github.com/millwright-ml/millwright/train"
)

// Usage implements train.Job. Attempts whose pods are gone count as far as a
// launcher saw them go.
func (j *job) Usage(ctx context.Context) (train.Usage, error) {
	r, pods, err := j.read(ctx)
	if kept := j.archived(ctx, err); kept != nil {
		return kept.Usage(ctx)
	}
	if err != nil {
		return train.Usage{}, err
	}
	progress, saved, err := j.reports(ctx, r, pods)
	if err != nil {
		j.l.log.Warn("the checkpoints of a job are not known, so its lost time may be too high", "job", j.id, "error", err)
	}
	s, end := phase.Assess(r, pods)
	now := time.Now()
	attempts := j.attempts(r, j.pasts(ctx, pods), progress, saved, end)
	if end == nil && s.Phase != train.Suspended && s.Ready == 0 && !slices.ContainsFunc(attempts, func(a train.Attempt) bool { return a.Finished.IsZero() }) {
		attempts = append(attempts, j.attempt(phase.Past{}, lastEnd(r, attempts))) // it waits for its next start
	}
	team := j.Spec().Team
	if team == "" {
		team = j.l.opts.Namespace
	}
	return train.NewUsage(j.id, team, attempts, j.l.opts.Prices, end == nil, now), nil
}

func lastEnd(r *phase.Root, attempts []train.Attempt) time.Time {
	if len(attempts) == 0 {
		return r.Created
	}
	return attempts[len(attempts)-1].Finished
}

// attempts turns what is known of each attempt into what is counted.
func (j *job) attempts(r *phase.Root, live []phase.Past, progress train.Progress, saved []time.Time, end *train.Ending) []train.Attempt {
	all := slices.Clone(r.History)
	for _, p := range live {
		if i := slices.IndexFunc(all, func(q phase.Past) bool { return q.Attempt == p.Attempt }); i >= 0 {
			all[i] = p
		} else {
			all = append(all, p)
		}
	}
	slices.SortFunc(all, func(a, b phase.Past) int { return cmp.Compare(a.Attempt, b.Attempt) })
	var out []train.Attempt
	queued := r.Created
	for i, p := range all {
		if progress.Checkpoint != nil && progress.Attempt == p.Attempt && progress.Checkpoint.Time.After(p.Checkpoint) {
			p.Checkpoint = progress.Checkpoint.Time
		}
		for _, at := range saved {
			if at.After(p.Checkpoint) && !at.Before(p.Started) && !p.Finished.IsZero() && at.Before(p.Finished.Add(time.Second)) {
				p.Checkpoint = at // times of the API are in whole seconds
			}
		}
		a := j.attempt(p, queued)
		a.OK = r.OK && i == len(all)-1
		if a.Finished.IsZero() && end != nil {
			a.Finished = r.Finished
		}
		out = append(out, a)
		queued = a.Finished
	}
	return out
}

func (j *job) attempt(p phase.Past, queued time.Time) train.Attempt {
	s := j.Spec()
	nodes := s.NodeCount()
	return train.Attempt{
		GPU: p.GPU, Spot: p.Spot, GPUs: nodes * s.GPU.Count, CPU: float64(nodes) * s.Resources.CPU, Memory: int64(nodes) * s.Resources.Memory,
		Queued: queued, Started: p.Started, Finished: p.Finished, Checkpoint: p.Checkpoint,
	}
}

// pasts sums the pods up by attempt. An attempt of which no pod has started is not
// among them.
func (j *job) pasts(ctx context.Context, pods []phase.Pod) []phase.Past {
	var out []phase.Past
	for i := range pods {
		p := &pods[i]
		if p.Started.IsZero() {
			continue
		}
		k := slices.IndexFunc(out, func(q phase.Past) bool { return q.Attempt == p.Attempt })
		if k < 0 {
			past := phase.Past{Attempt: p.Attempt, Started: p.Started, Finished: p.Finished}
			if n, ok := j.l.node(ctx, p.Node); ok {
				past.GPU, past.Spot = n.gpu, n.spot
			}
			if past.GPU == "" && j.Spec().GPU.Count > 0 && len(j.Spec().GPU.Types) > 0 {
				past.GPU = j.Spec().GPU.Types[0]
			}
			out = append(out, past)
			continue
		}
		q := &out[k]
		if p.Started.Before(q.Started) {
			q.Started = p.Started
		}
		switch {
		case p.Live():
			q.Finished = time.Time{}
		case !q.Finished.IsZero() && p.Finished.After(q.Finished):
			q.Finished = p.Finished
		}
	}
	for i := range pods {
		if k := slices.IndexFunc(out, func(q phase.Past) bool { return q.Attempt == pods[i].Attempt }); k >= 0 {
			out[k].Add(&pods[i])
		}
	}
	return out
}

// maxHistory bounds the annotation.
const maxHistory = 200

// remember notes attempts whose pods are gone, or are about to go, with the root
// object. It does nothing for those that are noted already.
func remember(r *phase.Root, gone []phase.Past, notes map[string]any) bool {
	all := slices.Clone(r.History)
	for _, p := range gone {
		if !slices.ContainsFunc(all, func(q phase.Past) bool { return q.Attempt == p.Attempt }) {
			all = append(all, p.Close())
		}
	}
	if len(all) == len(r.History) || len(all) > maxHistory {
		return false
	}
	data, err := json.Marshal(all)
	if err != nil {
		return false
	}
	notes[manifest.NoteHistory] = string(data)
	return true
}

// history follows the pods of a job that is waited for, and notes attempts that
// are over: the objects of their pods are removed at some time, and with them all
// that says when they ran.
//
// Thousands of jobs may be waited for, and nearly all of them have one attempt:
// so these are lists and no maps, which begin with room for eight.
type history struct {
	j     *job
	seen  []phase.Past
	noted []int
}

func (h *history) look(ctx context.Context, r *phase.Root, pods []phase.Pod) {
	newest := -1
	for i := range pods {
		if !pods[i].Gone {
			newest = max(newest, pods[i].Attempt)
		}
	}
	for _, p := range h.j.pasts(ctx, pods) {
		if i := slices.IndexFunc(h.seen, func(q phase.Past) bool { return q.Attempt == p.Attempt }); i >= 0 {
			h.seen[i] = p
		} else {
			h.seen = append(h.seen, p)
		}
	}
	var gone []phase.Past
	for _, p := range h.seen {
		there := slices.ContainsFunc(pods, func(q phase.Pod) bool { return !q.Gone && q.Attempt == p.Attempt })
		if slices.Contains(h.noted, p.Attempt) || (there && (p.Attempt >= newest || p.Finished.IsZero())) {
			continue
		}
		if p.Finished.IsZero() {
			p.Finished = time.Now().UTC().Truncate(time.Second)
		}
		gone = append(gone, p)
		h.noted = append(h.noted, p.Attempt)
	}
	if len(gone) == 0 || r.Ended {
		return
	}
	_, err := h.j.change(ctx, func(r *phase.Root) (map[string]any, map[string]any, error) {
		notes := map[string]any{}
		if !remember(r, gone, notes) {
			return nil, nil, nil
		}
		return notes, nil, nil
	})
	if err != nil && ctx.Err() == nil {
		h.j.l.log.Warn("an attempt that went away was not noted", "job", h.j.id, "error", err)
	}
}
