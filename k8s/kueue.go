package k8s

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/millwright-ml/millwright/k8s/internal/foreign"
	"github.com/millwright-ml/millwright/k8s/internal/kube"
	"github.com/millwright-ml/millwright/k8s/internal/phase"
	"github.com/millwright-ml/millwright/train"
)

// kueue is the version of Kueue's API that the cluster serves; "" without Kueue.
func (l *Launcher) kueue(ctx context.Context) (string, error) {
	versions, err := l.client.Versions(ctx, foreign.KueueGroup)
	if err != nil {
		return "", err
	}
	for _, v := range versions {
		if v == "v1beta2" || v == "v1beta1" {
			return v, nil
		}
	}
	return "", nil
}

// queueFault says why a queue can not take a job; "" when it can, or nobody may
// look.
func (l *Launcher) queueFault(ctx context.Context, name string) (string, *foreign.LocalQueue, error) {
	if name == "" {
		return "", nil, nil
	}
	version, err := l.kueue(ctx)
	if err != nil {
		return "", nil, err
	}
	if version == "" {
		return fmt.Sprintf("queue %q: the cluster has no Kueue, so nothing would ever start the job", name), nil, nil
	}
	var q foreign.LocalQueue
	err = l.client.Get(ctx, foreign.LocalQueues(version), l.opts.Namespace, name, &q)
	switch {
	case errors.Is(err, kube.ErrNotFound):
		return fmt.Sprintf("queue %q: there is no such LocalQueue in namespace %q", name, l.opts.Namespace), nil, nil
	case errors.Is(err, kube.ErrForbidden):
		return "", nil, nil
	case err != nil:
		return "", nil, err
	case q.Spec.StopPolicy != "" && q.Spec.StopPolicy != "None":
		return fmt.Sprintf("queue %q is stopped (%s)", name, q.Spec.StopPolicy), &q, nil
	}
	return "", &q, nil
}

// labelUID is how Kueue notes whose a workload is.
const labelUID = "kueue.x-k8s.io/job-uid"

// listWorkloads returns the namespace's workloads with the labels.
func (j *job) listWorkloads(ctx context.Context, version, labels string) ([]foreign.Workload, error) {
	var all []foreign.Workload
	page := kube.ListOptions{Labels: labels, Limit: listPage}
	for {
		var list foreign.WorkloadList
		if err := j.l.client.List(ctx, foreign.Workloads(version), j.l.opts.Namespace, &page, &list); err != nil {
			return nil, err
		}
		all = append(all, list.Items...)
		if page.Continue = list.Continue; page.Continue == "" {
			return all, nil
		}
	}
}

// workload is the job's own, or nil.
func (j *job) workload(ctx context.Context, version, uid string) (*foreign.Workload, error) {
	list, err := j.listWorkloads(ctx, version, labelUID+"="+uid)
	if err != nil || len(list) == 0 {
		return nil, err
	}
	return &list[0], nil
}

// activate tells Kueue whether the job may run: Kueue would undo a change of
// spec.suspend. A workload that is not there yet is waited for.
func (j *job) activate(ctx context.Context, r *phase.Root, on bool) error {
	version, err := j.l.kueue(ctx)
	if err != nil || version == "" {
		return fault(err)
	}
	for {
		mine, err := j.workload(ctx, version, r.UID)
		if err != nil {
			return fault(err)
		}
		if mine != nil {
			patch := map[string]any{"spec": map[string]any{"active": on}}
			return fault(j.l.client.Merge(ctx, foreign.Workloads(version), j.l.opts.Namespace, mine.Name, patch, nil))
		}
		if time.Since(r.Created) > time.Minute {
			return nil // nobody makes one: Kueue does not manage this kind of job
		}
		timer := time.NewTimer(100 * time.Millisecond)
		select {
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		case <-timer.C:
		}
	}
}

// queueFindings says what Kueue knows of a job that waits.
func (j *job) queueFindings(ctx context.Context, r *phase.Root) ([]train.Finding, error) {
	object := "LocalQueue " + j.l.opts.Namespace + "/" + r.Queue
	if text, _, err := j.l.queueFault(ctx, r.Queue); err != nil || text != "" {
		return []train.Finding{{Kind: train.CauseQueueMissing, Text: text, Object: object}}, err
	}
	version, err := j.l.kueue(ctx)
	if err != nil || version == "" {
		return nil, err
	}
	mine, err := j.workload(ctx, version, r.UID)
	if errors.Is(err, kube.ErrForbidden) || err == nil && mine == nil {
		if time.Since(r.Created) > 10*time.Second && mine == nil && err == nil {
			return []train.Finding{{Kind: train.CauseController, Text: "Kueue has not taken up the job: its controller does not run, or does not manage this kind", Object: object}}, nil
		}
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	object = "Workload " + j.l.opts.Namespace + "/" + mine.Name
	var found []train.Finding
	add := func(kind train.Cause, c foreign.Condition, format string, args ...any) {
		found = append(found, train.Finding{Kind: kind, Text: fmt.Sprintf(format, args...), Object: object, Since: c.LastTransitionTime.Time})
	}
	if c := foreign.Find(mine.Status.Conditions, "Evicted"); c.True() && mine.Pending() {
		kind := train.CauseEvicted
		if c.Reason == "Preempted" {
			kind = train.CausePreempted
		}
		if mine.Spec.Active == nil || *mine.Spec.Active {
			add(kind, c, "Kueue took its quota back (%s): %s", c.Reason, c.Message)
		}
	}
	if c := foreign.Find(mine.Status.Conditions, "QuotaReserved"); mine.Pending() {
		all, err := j.listWorkloads(ctx, version, "")
		if err != nil {
			return nil, err
		}
		place, of := foreign.Position(all, mine.Name)
		where := fmt.Sprintf("place %d of %d in queue %q", place, of, r.Queue)
		switch {
		case c.Reason == "Inadmissible":
			add(train.CauseQueueMissing, c, "the queue %q admits nothing: %s", r.Queue, c.Message)
		case c.Message != "":
			add(train.CauseQuota, c, "%s (%s)", c.Message, where)
		default:
			add(train.CauseQueued, c, "%s", where)
		}
	} else if admitted := foreign.Find(mine.Status.Conditions, "Admitted"); !admitted.True() && c.True() {
		add(train.CauseQueued, c, "its quota is reserved and admission checks go on: %s", admitted.Message)
	}
	return found, nil
}
