package k8s

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"time"

	"github.com/millwright-ml/millwright/k8s/internal/kube"
	"github.com/millwright-ml/millwright/k8s/internal/phase"
	"github.com/millwright-ml/millwright/train"
)

// reportLines is how much of the end of rank 0's output is searched for reports.
const reportLines = 5000

// Progress implements train.Job: it reads the reports of rank 0, of the newest
// attempt that has any.
func (j *job) Progress(ctx context.Context) (train.Progress, error) {
	r, pods, err := j.read(ctx)
	if kept := j.archived(ctx, err); kept != nil {
		return kept.Progress(ctx)
	}
	if err != nil {
		return train.Progress{}, err
	}
	return j.progress(ctx, r, pods)
}

func (j *job) progress(ctx context.Context, r *phase.Root, pods []phase.Pod) (train.Progress, error) {
	progress, _, err := j.reports(ctx, r, pods)
	return progress, err
}

// reports reads what rank 0 of the newest attempt with reports said, and the times
// of all checkpoints in it. Among them is the one that the attempt went on from,
// which an earlier attempt had written, whose pods may be gone.
func (j *job) reports(ctx context.Context, r *phase.Root, pods []phase.Pod) (train.Progress, []time.Time, error) {
	var saved []time.Time
	first := slices.Clone(pods)
	first = slices.DeleteFunc(first, func(p phase.Pod) bool { return p.Rank != 0 || p.Started.IsZero() })
	slices.SortFunc(first, func(a, b phase.Pod) int { return b.Attempt - a.Attempt })
	for i := range first {
		p := &first[i]
		progress := r.Progress // of earlier attempts, whose checkpoint still counts
		found := false
		err := j.openTail(ctx, p, func(l train.Line) bool {
			if report, ok := train.ParseReport(l.Text); ok {
				progress.Add(report, l.Time, p.Attempt)
				found = true
				if report.Checkpoint != nil {
					saved = append(saved, report.Checkpoint.Time)
				}
			}
			return true
		})
		switch {
		case errors.Is(err, kube.ErrNotFound), errors.Is(err, kube.ErrUnavailable):
			continue // the pod or its machine has gone
		case err != nil:
			return train.Progress{}, nil, fault(err)
		case found:
			return progress, saved, nil
		}
	}
	return r.Progress, nil, nil
}

func (j *job) openTail(ctx context.Context, p *phase.Pod, give func(train.Line) bool) error {
	body, err := j.l.client.Logs(ctx, j.l.opts.Namespace, p.Name, map[string]string{
		"container": j.backend.container, "timestamps": "true", "tailLines": strconv.Itoa(reportLines),
	})
	if errors.Is(err, kube.ErrInvalid) {
		return nil // the container is about to start
	}
	if err != nil {
		return err
	}
	defer func() { _ = body.Close() }() // nothing was written
	return lines(body, func(at time.Time, text string, cut bool) bool {
		return give(train.Line{Time: at, Rank: p.Rank, Attempt: p.Attempt, Stream: stream, Text: text, Cut: cut})
	})
}
