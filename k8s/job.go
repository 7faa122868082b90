package k8s

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/millwright-ml/millwright/k8s/internal/kube"
	"github.com/millwright-ml/millwright/k8s/internal/manifest"
	"github.com/millwright-ml/millwright/k8s/internal/phase"
	"github.com/millwright-ml/millwright/train"
)

// job is the handle on one root object.
type job struct {
	l        *Launcher
	backend  *backend
	id, uid  string
	specJSON string
	parsed   sync.Once
	spec     train.Spec
	kept     bool // it is being put into the archive
}

var _ train.Job = (*job)(nil)

func (l *Launcher) handle(b *backend, meta metav1.Object) *job {
	return &job{l: l, backend: b, id: meta.GetName(), uid: string(meta.GetUID()), specJSON: meta.GetAnnotations()[manifest.NoteSpec]}
}

// orNil keeps a nil handle from becoming an interface that is not nil.
func (j *job) orNil() train.Job {
	if j == nil {
		return nil
	}
	return j
}

// ID implements train.Job.
func (j *job) ID() string { return j.id }

// Spec implements train.Job.
func (j *job) Spec() train.Spec {
	j.parsed.Do(func() {
		if err := json.Unmarshal([]byte(j.specJSON), &j.spec); err != nil {
			j.l.log.Warn("the Spec of a job cannot be read", "job", j.id, "error", err)
		}
	})
	return j.spec
}

// read fetches the root object and the pods.
func (j *job) read(ctx context.Context) (*phase.Root, []phase.Pod, error) {
	r, err := j.readRoot(ctx)
	if err != nil {
		return nil, nil, err
	}
	pods, err := j.readPods(ctx)
	if err != nil {
		return nil, nil, err
	}
	phase.Number(r, pods)
	return r, pods, nil
}

func (j *job) readRoot(ctx context.Context) (*phase.Root, error) {
	if err := j.l.open("read"); err != nil {
		return nil, err
	}
	object := j.backend.source.Fresh()
	if err := j.l.client.Get(ctx, j.backend.source.Kind, j.l.opts.Namespace, j.id, object); err != nil {
		return nil, fault(err)
	}
	r := j.backend.source.Read(object)
	return &r, nil
}

func (j *job) readPods(ctx context.Context) ([]phase.Pod, error) {
	var pods []phase.Pod
	page := kube.ListOptions{Labels: manifest.LabelJob + "=" + j.id, Limit: listPage}
	for {
		var list corev1.PodList
		if err := j.l.client.List(ctx, kube.Pods, j.l.opts.Namespace, &page, &list); err != nil {
			return nil, fault(err)
		}
		for i := range list.Items {
			pods = append(pods, phase.FromPod(&list.Items[i]))
		}
		if page.Continue = list.Continue; page.Continue == "" {
			return pods, nil
		}
	}
}

// Status implements train.Job.
func (j *job) Status(ctx context.Context) (train.Status, error) {
	r, pods, err := j.read(ctx)
	if kept := j.archived(ctx, err); kept != nil {
		return kept.Status(ctx)
	}
	if err != nil {
		return train.Status{}, err
	}
	s, _ := phase.Assess(r, pods)
	for i := range s.Where {
		if n, ok := j.l.node(ctx, s.Where[i].Node); ok {
			s.Where[i].GPU = n.gpu
		}
	}
	return s, nil
}

// follow calls look with each new picture of the job until it says that it has
// seen enough.
func (j *job) follow(ctx context.Context, look func(*phase.Root, []phase.Pod) (bool, error)) error {
	sub, err := j.l.space.Subscribe(j.id, j.backend.source)
	if err != nil {
		return fault(err)
	}
	defer sub.Close()
	for {
		root, pods, ok, err := sub.State()
		switch {
		case err != nil:
			return fault(err)
		case ok && root == nil:
			return gone(j.id)
		case ok:
			phase.Number(root, pods)
			if done, err := look(root, pods); done || err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-sub.C:
		}
	}
}

// withGhosts adds the pods that the watch saw fail, and that are gone by now, to
// those that are there.
func withGhosts(there, seen []phase.Pod) []phase.Pod {
	for _, p := range seen {
		if !p.Live() && !slices.ContainsFunc(there, func(q phase.Pod) bool { return q.Name == p.Name }) {
			there = append(there, p)
		}
	}
	return there
}

func gone(id string) error {
	return fmt.Errorf("k8s: follow %q: the job was deleted: %w", id, train.ErrNotFound)
}

// Wait implements train.Job.
func (j *job) Wait(ctx context.Context) (*train.Result, error) {
	var result *train.Result
	var failure error
	past := &history{j: j}
	err := j.follow(ctx, func(r *phase.Root, pods []phase.Pod) (bool, error) {
		s, end := phase.Assess(r, pods)
		if end == nil {
			past.look(ctx, r, pods)
			return false, nil
		}
		if s.Phase == train.Failed {
			// The pods say more than the job, and their news may still be on its way.
			if fresh, err := j.readPods(ctx); err == nil {
				pods = withGhosts(fresh, pods)
				phase.Number(r, pods)
				s, end = phase.Assess(r, pods)
			}
		}
		result = &train.Result{ExitCode: end.ExitCode, Started: s.Started, Finished: s.Finished, Attempts: s.Attempt + 1, Output: j.Spec().Output}
		if s.Started.IsZero() {
			result.Attempts = s.Attempt
		}
		failure = end.Err(j.id)
		return true, nil
	})
	if err == nil {
		j.keep(ctx)
		return result, failure
	}
	if kept := j.archived(ctx, err); kept != nil {
		return kept.Wait(ctx)
	}
	return nil, err
}

// keep puts an ended job into the archive, if there is one and it is not there.
func (j *job) keep(ctx context.Context) {
	if j.l.opts.Keep == nil || j.kept {
		return
	}
	if _, err := j.l.opts.Keep.Attach(ctx, j.id); err == nil {
		return
	}
	// The archive asks the job for everything, also by Wait.
	quiet := &job{l: j.l, backend: j.backend, id: j.id, uid: j.uid, specJSON: j.specJSON, kept: true}
	if err := j.l.opts.Keep.Keep(ctx, quiet); err != nil && ctx.Err() == nil {
		j.l.log.Warn("an ended job was not kept in the archive", "job", j.id, "error", err)
	}
}

// annotate sets annotations of the root and, with spec, fields of its spec.
func (j *job) annotate(ctx context.Context, r *phase.Root, notes map[string]any, spec map[string]any) error {
	patch := map[string]any{"metadata": map[string]any{"annotations": notes, "resourceVersion": r.Version}}
	if spec != nil {
		patch["spec"] = spec
	}
	return j.l.client.Merge(ctx, j.backend.source.Kind, j.l.opts.Namespace, j.id, patch, nil)
}

// change reads the root and writes what decide makes of it, again when another
// writer was quicker.
func (j *job) change(ctx context.Context, decide func(*phase.Root) (notes, spec map[string]any, err error)) (*phase.Root, error) {
	for {
		r, err := j.readRoot(ctx)
		if err != nil {
			return nil, err
		}
		notes, spec, err := decide(r)
		if err != nil || notes == nil {
			return r, err
		}
		err = j.annotate(ctx, r, notes, spec)
		if errors.Is(err, kube.ErrConflict) {
			continue
		}
		return r, fault(err)
	}
}

func stamp() string { return time.Now().UTC().Format(time.RFC3339Nano) }

// Cancel implements train.Job.
func (j *job) Cancel(ctx context.Context) error {
	_, pods, err := j.read(ctx)
	if err != nil {
		return err
	}
	r, err := j.change(ctx, func(r *phase.Root) (map[string]any, map[string]any, error) {
		if r.Ended || (!r.Cancelled.IsZero() && r.Suspended) {
			return nil, nil, nil
		}
		notes := map[string]any{manifest.NoteCancelled: stamp()}
		if !r.Cancelled.IsZero() {
			notes[manifest.NoteCancelled] = r.Cancelled.Format(time.RFC3339Nano)
		}
		j.farewell(ctx, r, pods, notes)
		switch {
		case j.backend.name == "job" && !r.Suspended:
			// A deadline that has passed ends the Job as Suspend would, and it then
			// counts as finished: its TTL removes it and its queue forgets it.
			return notes, map[string]any{"activeDeadlineSeconds": 1}, nil
		case j.backend.name == "job" && r.Queue == "":
			// The same for a Job that has no pods, which get none.
			return notes, map[string]any{"activeDeadlineSeconds": 1, "parallelism": 0, "suspend": false}, nil
		case r.Queue != "":
			return notes, nil, nil
		}
		return notes, j.backend.suspend(true), nil
	})
	if err != nil {
		return err
	}
	if r.Queue != "" && !r.Ended {
		if err := j.activate(ctx, r, false); err != nil {
			return err
		}
	}
	return j.until(ctx, func(p train.Phase) bool { return p.Ended() })
}

// until waits for a phase.
func (j *job) until(ctx context.Context, there func(train.Phase) bool) error {
	return j.follow(ctx, func(r *phase.Root, pods []phase.Pod) (bool, error) {
		s, _ := phase.Assess(r, pods)
		return there(s.Phase), nil
	})
}

// Delete implements train.Job.
func (j *job) Delete(ctx context.Context) error {
	r, pods, err := j.read(ctx)
	if err != nil {
		return err
	}
	if s, _ := phase.Assess(r, pods); !s.Phase.Ended() {
		return fmt.Errorf("k8s: delete %q: the job is %s, cancel it first: %w", j.id, s.Phase, train.ErrConflict)
	}
	j.keep(ctx)
	return fault(j.l.client.Delete(ctx, j.backend.source.Kind, j.l.opts.Namespace, j.id))
}
