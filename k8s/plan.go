package k8s

import (
	"context"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"github.com/millwright-ml/millwright/k8s/internal/foreign"
	"github.com/millwright-ml/millwright/k8s/internal/kube"
	"github.com/millwright-ml/millwright/k8s/internal/manifest"
	"github.com/millwright-ml/millwright/train"
)

// Plan implements train.Launcher. Every object is checked by the API server and
// its admission webhooks, which keep nothing of it.
func (l *Launcher) Plan(ctx context.Context, spec train.Spec, opts *train.SubmitOptions) (*train.Plan, error) {
	if err := l.open("plan"); err != nil {
		return nil, err
	}
	c, err := l.compile(ctx, spec, opts)
	if err != nil {
		return nil, fault(err)
	}
	p := &train.Plan{
		Backend: c.backend.name, Reason: c.reason, Rejected: c.rejected, Warnings: c.warnings, GPUTypes: c.types, Cost: c.cost,
	}
	root := c.backend.object(spec, c.params)
	if err := l.dryRun(ctx, p, c.backend.source.Kind, c.params.ID, root); err != nil {
		return nil, fault(err)
	}
	for _, ch := range c.children {
		if err := l.dryRun(ctx, p, ch.kind, ch.name, ch.object(nil)); err != nil {
			return nil, fault(err)
		}
	}
	if c.params.Key != "" {
		if err := l.existing(ctx, p, c); err != nil {
			return nil, fault(err)
		}
	}
	for _, check := range []func(context.Context, *train.Plan, train.Spec, *compiled) error{l.planQuota, l.planQueue, l.planObjects} {
		if err := check(ctx, p, spec, c); err != nil {
			return nil, fault(err)
		}
	}
	return p, nil
}

// dryRun has the server check one object, and adds it to the plan.
func (l *Launcher) dryRun(ctx context.Context, p *train.Plan, kind kube.Kind, name string, object any) error {
	text, err := yaml.Marshal(object)
	if err != nil {
		return fmt.Errorf("k8s: plan: %w", err)
	}
	p.Manifests = append(p.Manifests, train.Manifest{Kind: kind.APIVersion() + " " + kind.Kind, Name: name, YAML: string(text)})
	err = l.client.Create(ctx, kind, l.opts.Namespace, object, nil, true)
	switch {
	case err == nil, errors.Is(err, kube.ErrExists):
	case errors.Is(err, kube.ErrInvalid), errors.Is(err, kube.ErrForbidden), errors.Is(err, kube.ErrQuota), errors.Is(err, kube.ErrNotFound):
		p.Faults = append(p.Faults, kind.Kind+": "+kube.Message(err))
	default:
		return err
	}
	return nil
}

// existing looks for the job that has the key.
func (l *Launcher) existing(ctx context.Context, p *train.Plan, c *compiled) error {
	served, err := l.served(ctx)
	if err != nil {
		return err
	}
	for _, b := range served {
		root := b.source.Fresh()
		err := l.client.Get(ctx, b.source.Kind, l.opts.Namespace, c.params.ID, root)
		switch {
		case errors.Is(err, kube.ErrNotFound), errors.Is(err, kube.ErrForbidden), errors.Is(err, kube.ErrUnsupported):
			continue
		case err != nil:
			return err
		}
		meta := b.source.Meta(root)
		if !owns(meta, c.params.ID) {
			continue
		}
		if err := conflict(c, meta); err != nil {
			p.Faults = append(p.Faults, err.Error())
			continue
		}
		p.Existing = c.params.ID
	}
	return nil
}

func (l *Launcher) planQuota(ctx context.Context, p *train.Plan, s train.Spec, c *compiled) error {
	quotas, err := l.quotas(ctx, 0)
	if err != nil {
		return err
	}
	rooms, never, missing := headroom(quotas, s, c)
	p.Headroom = append(p.Headroom, rooms...)
	p.Faults = append(p.Faults, never...)
	p.Warnings = append(p.Warnings, missing...)
	for _, room := range rooms {
		if room.Fits() || room.Need > room.Limit {
			continue
		}
		text := fmt.Sprintf("%s has %g of %s left, the job needs %g", room.Quota, room.Limit-room.Used, room.Resource, room.Need)
		if s.NodeCount() > 1 && c.params.Gang == manifest.GangNone {
			text += ": some of its nodes would start and hold their GPUs while the others wait"
		} else {
			text += ": it waits"
		}
		p.Warnings = append(p.Warnings, text)
	}
	return nil
}

// planQueue compares the job with the quota behind its queue, where the launcher
// may look there.
func (l *Launcher) planQueue(ctx context.Context, p *train.Plan, s train.Spec, c *compiled) error {
	text, queue, err := l.queueFault(ctx, c.params.Queue)
	if err != nil {
		return err
	}
	if text != "" {
		p.Faults = append(p.Faults, text)
	}
	if queue == nil {
		return nil
	}
	version, err := l.kueue(ctx)
	if err != nil {
		return err
	}
	var cq foreign.ClusterQueue
	err = l.client.Get(ctx, foreign.ClusterQueues(version), "", queue.Spec.ClusterQueue, &cq)
	switch {
	case errors.Is(err, kube.ErrForbidden):
		return nil
	case errors.Is(err, kube.ErrNotFound):
		p.Faults = append(p.Faults, fmt.Sprintf("queue %q leads to ClusterQueue %q, which does not exist", c.params.Queue, queue.Spec.ClusterQueue))
		return nil
	case err != nil:
		return err
	}
	need := needs(s, c)
	borrows := cq.Spec.CohortName != "" || cq.Spec.Cohort != ""
	for name, total := range queueTotals(&cq) {
		want := need[corev1.ResourceName(name)]
		if want == nil {
			want = need[corev1.ResourceName("requests."+name)]
		}
		if want == nil {
			continue
		}
		room := train.Headroom{Quota: "ClusterQueue " + queue.Spec.ClusterQueue, Resource: name, Limit: total[0], Used: total[1], Need: want.AsApproximateFloat64()}
		p.Headroom = append(p.Headroom, room)
		switch {
		case room.Need > room.Limit && !borrows:
			p.Faults = append(p.Faults, fmt.Sprintf("%s has %g of %s in all, the job needs %g", room.Quota, room.Limit, name, room.Need))
		case !room.Fits():
			p.Warnings = append(p.Warnings, fmt.Sprintf("%s has %g of %s left, the job needs %g: it waits, borrows or preempts", room.Quota, room.Limit-room.Used, name, room.Need))
		}
	}
	return nil
}

// queueTotals are the nominal quota and the use of each resource.
func queueTotals(cq *foreign.ClusterQueue) map[string][2]float64 {
	out := map[string][2]float64{}
	for _, group := range cq.Spec.ResourceGroups {
		for _, flavor := range group.Flavors {
			for _, q := range flavor.Resources {
				t := out[q.Name]
				t[0] += q.NominalQuota.AsApproximateFloat64()
				out[q.Name] = t
			}
		}
	}
	for _, flavor := range cq.Status.FlavorUsage {
		for _, q := range flavor.Resources {
			t := out[q.Name]
			t[1] += q.Total.AsApproximateFloat64()
			out[q.Name] = t
		}
	}
	return out
}

// planObjects looks for what the pods refer to. Secrets are left alone: a
// launcher has no right to read them, and Why says when one is missing.
func (l *Launcher) planObjects(ctx context.Context, p *train.Plan, s train.Spec, _ *compiled) error {
	check := func(kind kube.Kind, namespace, name, what string) error {
		if name == "" {
			return nil
		}
		var found struct{}
		err := l.client.Get(ctx, kind, namespace, name, &found)
		switch {
		case errors.Is(err, kube.ErrNotFound):
			p.Faults = append(p.Faults, fmt.Sprintf("%s %q does not exist", what, name))
		case err != nil && !errors.Is(err, kube.ErrForbidden):
			return err
		}
		return nil
	}
	for _, v := range s.Volumes {
		if err := check(kube.Claims, l.opts.Namespace, v.Claim, "volume: PersistentVolumeClaim"); err != nil {
			return err
		}
	}
	return check(kube.PriorityClasses, "", s.Priority, "priority: PriorityClass")
}
