package k8s

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/millwright-ml/millwright/k8s/internal/foreign"
	"github.com/millwright-ml/millwright/k8s/internal/kube"
	"github.com/millwright-ml/millwright/k8s/internal/manifest"
	"github.com/millwright-ml/millwright/train"
)

// maxSpec is the most bytes of a Spec's JSON: it is an annotation of two objects,
// which may have 256 KiB in all.
const maxSpec = 200 << 10

// compiled is a Spec made into objects.
type compiled struct {
	*choice
	params   *manifest.Params
	children []child
	cost     train.Cost
	warnings []string
	types    []string
}

// child is an object that goes with the root and is owned by it.
type child struct {
	kind   kube.Kind
	name   string
	object func(*metav1.OwnerReference) any
}

// compile checks the Spec, chooses a backend and writes the objects.
func (l *Launcher) compile(ctx context.Context, s train.Spec, opts *train.SubmitOptions) (*compiled, error) {
	if err := s.Validate(); err != nil {
		return nil, err
	}
	data, err := json.Marshal(s)
	if err != nil {
		return nil, fmt.Errorf("k8s: spec %q: %w: %w", s.Name, err, train.ErrInvalid)
	}
	if len(data) > maxSpec {
		return nil, fmt.Errorf("k8s: spec %q: its JSON has %d bytes, a cluster keeps at most %d: %w", s.Name, len(data), maxSpec, train.ErrInvalid)
	}
	c := &compiled{}
	if c.choice, err = l.choose(ctx, s); err != nil {
		return nil, err
	}
	p := &manifest.Params{
		ID: train.NewJobID(), Namespace: l.opts.Namespace, SpecJSON: string(data), Hash: s.Hash(),
		Queue: l.opts.Queue, ServiceAccount: l.opts.ServiceAccount, PullSecrets: l.opts.ImagePullSecrets,
		Tolerations: l.opts.Tolerations, PodAnnotations: l.opts.PodAnnotations, RunAsUser: l.opts.RunAsUser,
		NodeSelector: l.opts.NodeSelector, Team: s.Team, Restricted: l.opts.PodSecurity == "restricted",
	}
	if opts != nil && opts.Key != "" {
		p.ID, p.Key = train.JobID(opts.Key), opts.Key
	}
	if s.Queue != "" {
		p.Queue = s.Queue
	}
	c.params = p
	if err := l.matchGPU(ctx, s, c); err != nil {
		return nil, err
	}
	if c.cost, err = l.opts.Prices.Cost(s, c.types, s.Spot == train.SpotRequire); err != nil {
		return nil, err
	}
	p.Deadline = c.cost.Deadline
	if err := l.gang(ctx, s, c); err != nil {
		return nil, err
	}
	if err := l.runtime(ctx, s, c); err != nil {
		return nil, err
	}
	c.children = l.childrenOf(s, c)
	if c.backend.name == "job" && s.NodeCount() > 1 && s.Retry.Infra > 0 {
		c.warnings = append(c.warnings, "retries: nothing in the cluster restarts all nodes together, so a failed job is not started again; JobSet would")
	}
	return c, nil
}

func (l *Launcher) childrenOf(s train.Spec, c *compiled) []child {
	var out []child
	p := c.params
	if p.GPU.Device != nil {
		out = append(out, child{foreign.Claims, manifest.ClaimTemplate(p.ID), func(owner *metav1.OwnerReference) any { return manifest.Claim(s, p, owner) }})
	}
	if p.Gang == manifest.GangVolcano {
		out = append(out, child{foreign.PodGroups, p.ID, func(owner *metav1.OwnerReference) any { return manifest.Group(s, p, owner) }})
	}
	if c.backend.name == "job" && s.NodeCount() > 1 {
		out = append(out, child{kube.Services, p.ID, func(owner *metav1.OwnerReference) any { return manifest.Service(s, p, owner) }})
	}
	return out
}

// Submit implements train.Launcher. The job's name comes from the key, so that
// the API server decides which of several submissions is first; a repeated one
// also makes up for what a broken-off one did not get to.
func (l *Launcher) Submit(ctx context.Context, spec train.Spec, opts *train.SubmitOptions) (train.Job, error) {
	if err := l.open("submit"); err != nil {
		return nil, err
	}
	c, err := l.compile(ctx, spec, opts)
	if err != nil {
		return nil, fault(err)
	}
	p := c.params
	if p.Key != "" {
		if j, err := l.elsewhere(ctx, c); j != nil || err != nil {
			return j.orNil(), err
		}
	}
	if err := l.preflight(ctx, spec, c); err != nil {
		return nil, fault(err)
	}
	root := c.backend.source.Fresh()
	err = l.client.Create(ctx, c.backend.source.Kind, p.Namespace, c.backend.object(spec, p), root, false)
	if errors.Is(err, kube.ErrExists) {
		root = c.backend.source.Fresh()
		if err = l.client.Get(ctx, c.backend.source.Kind, p.Namespace, p.ID, root); err == nil {
			err = conflict(c, c.backend.source.Meta(root))
		}
	}
	if err != nil {
		return nil, fault(err)
	}
	j := l.handle(c.backend, c.backend.source.Meta(root))
	if err := l.applyChildren(ctx, c, c.backend.source.Meta(root)); err != nil {
		return j, fault(fmt.Errorf("k8s: submit %q: the job is there and lacks a part, submit it again with the same key: %w", p.ID, err))
	}
	return j, nil
}

// elsewhere finds the key's job when it runs on another backend than would be
// chosen now.
func (l *Launcher) elsewhere(ctx context.Context, c *compiled) (*job, error) {
	served, err := l.served(ctx)
	if err != nil {
		return nil, err
	}
	for _, b := range served {
		if b == c.backend {
			continue
		}
		root := b.source.Fresh()
		err := l.client.Get(ctx, b.source.Kind, c.params.Namespace, c.params.ID, root)
		switch {
		case errors.Is(err, kube.ErrNotFound), errors.Is(err, kube.ErrForbidden), errors.Is(err, kube.ErrUnsupported):
			continue
		case err != nil:
			return nil, err
		}
		if meta := b.source.Meta(root); owns(meta, c.params.ID) {
			if err := conflict(c, meta); err != nil {
				return nil, err
			}
			return l.handle(b, meta), nil
		}
	}
	return nil, nil
}

// conflict compares what has the name with what was to have it.
func conflict(c *compiled, have metav1.Object) error {
	if hash := have.GetAnnotations()[manifest.NoteHash]; hash != c.params.Hash {
		return &train.ConflictError{Job: c.params.ID, Key: c.params.Key, Want: c.params.Hash, Have: hash}
	}
	return nil
}

func (l *Launcher) applyChildren(ctx context.Context, c *compiled, root metav1.Object) error {
	yes := true
	owner := &metav1.OwnerReference{
		APIVersion: c.backend.source.Kind.APIVersion(), Kind: c.backend.source.Kind.Kind,
		Name: root.GetName(), UID: root.GetUID(), Controller: &yes,
	}
	for _, ch := range c.children {
		if err := l.client.Apply(ctx, ch.kind, c.params.Namespace, ch.name, ch.object(owner), nil, false); err != nil {
			return err
		}
	}
	return nil
}

// Attach implements train.Launcher.
func (l *Launcher) Attach(ctx context.Context, id string) (train.Job, error) {
	if err := l.open("attach"); err != nil {
		return nil, err
	}
	if !train.ValidJobID(id) {
		return nil, fmt.Errorf("k8s: attach %.40q: not the id of a job: %w", id, train.ErrNotFound)
	}
	served, err := l.served(ctx)
	if err != nil {
		return nil, fault(err)
	}
	for _, b := range served {
		root := b.source.Fresh()
		err := l.client.Get(ctx, b.source.Kind, l.opts.Namespace, id, root)
		switch {
		case err == nil && owns(b.source.Meta(root), id):
			return l.handle(b, b.source.Meta(root)), nil
		case err == nil, errors.Is(err, kube.ErrNotFound), errors.Is(err, kube.ErrUnsupported):
		case errors.Is(err, kube.ErrForbidden) && b.name != "job":
		default:
			return nil, fault(err)
		}
	}
	if l.opts.Keep != nil {
		return l.opts.Keep.Attach(ctx, id)
	}
	return nil, fmt.Errorf("k8s: attach %q: there is no such job in namespace %q: %w", id, l.opts.Namespace, train.ErrNotFound)
}

const listPage = 500

// List implements train.Launcher. It holds one page of the cluster's answer at a
// time. Jobs that only the archive has are not listed.
func (l *Launcher) List(ctx context.Context, opts *train.ListOptions) iter.Seq2[train.Job, error] {
	return func(yield func(train.Job, error) bool) {
		if opts == nil {
			opts = &train.ListOptions{}
		}
		if err := l.open("list"); err != nil {
			yield(nil, err)
			return
		}
		served, err := l.served(ctx)
		if err != nil {
			yield(nil, fault(err))
			return
		}
		terms := []string{manifest.LabelManaged + "=" + manifest.Managed, manifest.LabelJob}
		for _, name := range slices.Sorted(maps.Keys(opts.Labels)) {
			terms = append(terms, name+"="+opts.Labels[name])
		}
		if opts.Team != "" {
			terms = append(terms, manifest.LabelTeam+"="+opts.Team)
		}
		for _, b := range served {
			if !l.listOne(ctx, b, strings.Join(terms, ","), opts.Active, yield) {
				return
			}
		}
	}
}

func (l *Launcher) listOne(ctx context.Context, b *backend, selector string, active bool, yield func(train.Job, error) bool) bool {
	page := kube.ListOptions{Labels: selector, Limit: listPage}
	for {
		list := b.source.List()
		if err := l.client.List(ctx, b.source.Kind, l.opts.Namespace, &page, list); err != nil {
			if b.name != "job" && (errors.Is(err, kube.ErrForbidden) || errors.Is(err, kube.ErrUnsupported)) {
				return true // a backend that the launcher may not use has none of its jobs
			}
			return yield(nil, fault(err))
		}
		for _, item := range b.source.Items(list) {
			if active {
				if r := b.source.Read(item); r.Ended || (!r.Cancelled.IsZero() && r.Suspended) {
					continue
				}
			}
			meta := b.source.Meta(item)
			if !owns(meta, meta.GetLabels()[manifest.LabelJob]) {
				continue // made by a controller for the root
			}
			if !yield(l.handle(b, meta), nil) {
				return false
			}
		}
		if page.Continue, _ = b.source.More(list); page.Continue == "" {
			return true
		}
	}
}
