package k8s

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	batchv1 "k8s.io/api/batch/v1"

	"github.com/millwright-ml/millwright/k8s/internal/kube"
	"github.com/millwright-ml/millwright/k8s/internal/manifest"
	"github.com/millwright-ml/millwright/k8s/internal/phase"
	"github.com/millwright-ml/millwright/train"
)

// Suspend implements train.Job.
func (j *job) Suspend(ctx context.Context) error {
	_, pods, err := j.read(ctx)
	if err != nil {
		return err
	}
	r, err := j.change(ctx, func(r *phase.Root) (map[string]any, map[string]any, error) {
		switch {
		case r.Ended || !r.Cancelled.IsZero():
			return nil, nil, fmt.Errorf("k8s: suspend %q: the job has ended: %w", j.id, train.ErrConflict)
		case !r.Paused.IsZero() && r.Suspended:
			return nil, nil, nil
		}
		notes := map[string]any{manifest.NoteSuspended: stamp()}
		if !r.Paused.IsZero() {
			notes[manifest.NoteSuspended] = r.Paused.Format(time.RFC3339Nano)
		}
		j.farewell(ctx, r, pods, notes)
		if r.Queue != "" {
			return notes, nil, nil // Kueue would undo it
		}
		return notes, j.backend.suspend(true), nil
	})
	if err != nil {
		return err
	}
	if r.Queue != "" {
		if err := j.activate(ctx, r, false); err != nil {
			return err
		}
	}
	return j.until(ctx, func(p train.Phase) bool { return p == train.Suspended || p.Ended() })
}

// farewell notes what the pods know, because they are about to go.
func (j *job) farewell(ctx context.Context, r *phase.Root, pods []phase.Pod, notes map[string]any) {
	progress, err := j.progress(ctx, r, pods)
	if err == nil && !progress.Time.IsZero() {
		if data, err := json.Marshal(progress); err == nil {
			notes[manifest.NoteProgress] = string(data)
		}
	}
	gone := j.pasts(ctx, pods)
	for i := range gone {
		if gone[i].Finished.IsZero() {
			gone[i].Finished = time.Now().UTC().Truncate(time.Second)
		}
		if progress.Checkpoint != nil && progress.Attempt == gone[i].Attempt {
			gone[i].Checkpoint = progress.Checkpoint.Time
		}
	}
	remember(r, gone, notes)
}

// How long Resume tries again for controllers that have not yet noted that the
// pods went, which a busy cluster may take minutes for.
const (
	firstDelay = 100 * time.Millisecond
	lastDelay  = 2 * time.Second
	maxSettle  = 5 * time.Minute
)

// early tells that Resume was refused because a controller has not yet noted that
// the pods went: Trainer's webhook goes by a count of its own, and the API server
// by what the Job's status says.
func early(r *phase.Root, err error) bool {
	return errors.Is(err, kube.ErrForbidden) && strings.Contains(kube.Message(err), "is still active") ||
		errors.Is(err, kube.ErrInvalid) && r != nil && r.Backend == "job" && !r.Settled
}

// settled does something until it is not too early for it.
func (j *job) settled(ctx context.Context, do func() (*phase.Root, error)) (*phase.Root, error) {
	begun := time.Now()
	for delay := firstDelay; ; delay = min(2*delay, lastDelay) {
		r, err := do()
		if !early(r, err) {
			return r, err
		}
		if time.Since(begun) > maxSettle {
			return r, fmt.Errorf("k8s: resume %q: the controller of the job has not noted for %v that its pods ended: %w", j.id, maxSettle, err)
		}
		timer := time.NewTimer(delay)
		select {
		case <-ctx.Done():
			timer.Stop()
			return r, ctx.Err()
		case <-timer.C:
		}
	}
}

// Resume implements train.Job. Resources can change where the API server allows
// it for suspended Jobs, from Kubernetes 1.36 on.
func (j *job) Resume(ctx context.Context, opts *train.ResumeOptions) error {
	var change map[string]any
	if opts != nil && (opts.GPU != nil || opts.Resources != nil || opts.Nodes != 0) {
		var err error
		if change, err = j.resize(ctx, opts); err != nil {
			return err
		}
	}
	resume := func(bump bool) (*phase.Root, error) {
		return j.change(ctx, func(r *phase.Root) (map[string]any, map[string]any, error) {
			switch {
			case r.Ended || !r.Cancelled.IsZero():
				return nil, nil, fmt.Errorf("k8s: resume %q: the job has ended: %w", j.id, train.ErrConflict)
			case r.Paused.IsZero():
				return nil, nil, nil
			}
			attempt := strconv.Itoa(r.Attempt + 1)
			notes := map[string]any{manifest.NoteSuspended: nil, manifest.NoteAttempt: attempt}
			spec := map[string]any{}
			if bump {
				next, err := j.nextAttempt(ctx, attempt)
				if err != nil {
					return nil, nil, err
				}
				maps.Copy(spec, next)
			}
			if r.Queue == "" {
				maps.Copy(spec, j.backend.suspend(false))
			}
			if j.backend.name != "job" {
				return notes, spec, nil
			}
			if left, ok := remaining(r); ok {
				spec["activeDeadlineSeconds"] = left
			}
			if change != nil {
				template, _ := spec["template"].(map[string]any)
				if template == nil {
					template = map[string]any{}
					spec["template"] = template
				}
				template["spec"] = change
			}
			return notes, spec, nil
		})
	}
	r, err := j.settled(ctx, func() (*phase.Root, error) { return resume(true) })
	if errors.Is(err, kube.ErrInvalid) && change == nil && j.backend.name == "job" {
		// Before 1.36 the pods of a Job that was started cannot be changed at all.
		j.l.log.Warn("the cluster does not let the pods of a resumed job know their attempt: they take themselves for an earlier one", "job", j.id)
		r, err = resume(false)
	}
	if errors.Is(err, kube.ErrInvalid) && change != nil {
		return fmt.Errorf("k8s: resume %q: the cluster does not let a suspended Job change its resources: %s: %w", j.id, kube.Message(err), train.ErrUnsupported)
	}
	if err != nil {
		return err
	}
	if r.Queue != "" && !r.Paused.IsZero() {
		return j.activate(ctx, r, true)
	}
	return nil
}

// remaining is what is left of the deadline, which counts over all attempts while
// a Job's own begins anew with each.
func remaining(r *phase.Root) (int64, bool) {
	if r.Deadline == 0 {
		return 0, false
	}
	left := r.Deadline
	for _, p := range r.History {
		if !p.Started.IsZero() && p.Finished.After(p.Started) {
			left -= p.Finished.Sub(p.Started)
		}
	}
	return max(1, int64(left.Seconds())), true
}

// resize is the pod's spec with other resources.
func (j *job) resize(ctx context.Context, opts *train.ResumeOptions) (map[string]any, error) {
	s := j.Spec()
	unsupported := func(text string) error {
		return fmt.Errorf("k8s: resume %q: %s: %w", j.id, text, train.ErrUnsupported)
	}
	switch {
	case j.backend.name != "job":
		return nil, unsupported("a " + j.backend.source.Kind.Kind + " can not be changed while it is suspended")
	case opts.Nodes != 0 && opts.Nodes != s.NodeCount():
		return nil, unsupported("the number of nodes is in the environment of the pods, which the cluster does not let change")
	case opts.GPU != nil && s.Launch == train.Torchrun && s.Procs == 0 && opts.GPU.Count != s.GPU.Count:
		return nil, unsupported("torchrun's number of processes follows the number of GPUs and can not change: set Spec.Procs")
	}
	if opts.Resources != nil {
		s.Resources = *opts.Resources
	}
	if opts.GPU != nil {
		s.GPU = *opts.GPU
	}
	if err := s.Validate(); err != nil {
		return nil, err
	}
	c := &compiled{choice: &choice{backend: j.backend}, params: &manifest.Params{}}
	if err := j.l.matchGPU(ctx, s, c); err != nil {
		return nil, fault(err)
	}
	if c.params.GPU.Device != nil {
		return nil, unsupported("GPUs of a DRA driver can not change")
	}
	var object batchv1.Job
	if err := j.l.client.Get(ctx, kube.Jobs, j.l.opts.Namespace, j.id, &object); err != nil {
		return nil, fault(err)
	}
	containers := slices.Clone(object.Spec.Template.Spec.Containers)
	for i := range containers {
		if containers[i].Name == manifest.Container {
			containers[i].Resources = manifest.Requirements(s.Resources, c.params.GPU)
		}
	}
	return map[string]any{"containers": containers, "affinity": manifest.Affinity(s, c.params)}, nil
}
