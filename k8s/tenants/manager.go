package tenants

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/millwright-ml/millwright/k8s/internal/kube"
	"github.com/millwright-ml/millwright/k8s/internal/plain"
)

// Options changes a Manager. nil is the zero value.
type Options struct {
	// Adopt takes over namespaces that exist and are not ours. Default false:
	// they are ErrConflict.
	Adopt bool
	// FieldManager is the owner that the server notes. Default: "millwright".
	FieldManager string
}

// Manager makes, compares and removes tenants in one cluster. It holds nothing
// to be closed, and its methods may be called from many goroutines.
type Manager struct {
	client *kube.Client
	adopt  bool
}

// New returns a Manager for the cluster of cfg. The cluster is not asked.
func New(cfg *rest.Config, opts *Options) (*Manager, error) {
	if opts == nil {
		opts = &Options{}
	}
	client, err := kube.New(cfg, &kube.Options{FieldManager: opts.FieldManager, UserAgent: "millwright-tenants"})
	if err != nil {
		return nil, err
	}
	return &Manager{client: client, adopt: opts.Adopt}, nil
}

// Action is what happens to one object.
type Action string

// The actions.
const (
	Create Action = "create"
	Update Action = "update"
	Remove Action = "remove"
	Keep   Action = "keep"
)

// Change is what happens to one object of a tenant.
type Change struct {
	Kind   string // such as "ResourceQuota"
	Name   string
	Action Action
	// Diff is what changes in an object that is kept.
	Diff []Difference
	// Unchecked says that the server could not check the object, because the
	// namespace is not there yet.
	Unchecked bool
}

// Plan is what Apply does, or did.
type Plan struct {
	Tenant  string
	Changes []Change
}

// Empty reports whether nothing changes.
func (p *Plan) Empty() bool {
	return !slices.ContainsFunc(p.Changes, func(c Change) bool { return c.Action != Keep })
}

// String lists the changes, a line each.
func (p *Plan) String() string {
	var b strings.Builder
	for _, c := range p.Changes {
		fmt.Fprintf(&b, "%s %s %s\n", c.Action, c.Kind, c.Name)
		for _, d := range c.Diff {
			fmt.Fprintf(&b, "  %s\n", d)
		}
	}
	return b.String()
}

// Plan says what Apply would do. It writes nothing; the server checks each object
// by a dry run, where the namespace exists already.
func (m *Manager) Plan(ctx context.Context, t Tenant) (*Plan, error) {
	return m.run(ctx, t, true)
}

// Apply makes the tenant what t says, and returns what it did. What a tenant no
// longer asks for is removed; objects that this package did not make are left
// alone.
func (m *Manager) Apply(ctx context.Context, t Tenant) (*Plan, error) {
	return m.run(ctx, t, false)
}

func (m *Manager) run(ctx context.Context, t Tenant, dry bool) (*Plan, error) {
	if err := t.Validate(); err != nil {
		return nil, err
	}
	op := "apply"
	if dry {
		op = "plan"
	}
	fail := func(err error) error { return fmt.Errorf("tenants: %s %q: %w", op, t.Name, err) }
	kueue, err := m.client.Versions(ctx, localQueues.Group)
	if err != nil {
		return nil, fail(err)
	}
	if len(kueue) == 0 && t.ClusterQueue != "" {
		return nil, fail(fmt.Errorf("the cluster has no Kueue, so there is no queue %q: %w", t.ClusterQueue, ErrUnsupported))
	}
	version := queueVersion
	if len(kueue) > 0 {
		version = kueue[0]
	}
	present, err := m.check(ctx, t.Name, m.adopt)
	if err != nil {
		return nil, fail(err)
	}
	plan := &Plan{Tenant: t.Name}
	for _, it := range items(t, version) {
		if it.kind.Group == localQueues.Group && len(kueue) == 0 {
			continue
		}
		c, err := m.one(ctx, t, it, present, dry)
		if err != nil {
			return plan, fail(err)
		}
		if c != nil {
			plan.Changes = append(plan.Changes, *c)
		}
	}
	if present && len(kueue) > 0 {
		if err := m.formerQueues(ctx, t, version, dry, plan); err != nil {
			return plan, fail(err)
		}
	}
	return plan, nil
}

// formerQueues removes the queues that the tenant had under other names.
func (m *Manager) formerQueues(ctx context.Context, t Tenant, version string, dry bool, plan *Plan) error {
	kind := localQueues
	kind.Version = version
	var list struct {
		Items []metav1.PartialObjectMetadata `json:"items"`
	}
	o := &kube.ListOptions{Labels: LabelManaged + "=" + manager + "," + LabelTenant + "=" + t.Name}
	if err := m.client.List(ctx, kind, t.Name, o, &list); err != nil {
		return err
	}
	for _, q := range list.Items {
		if q.Name == t.queue() {
			continue // seen to already
		}
		if !dry {
			if err := m.client.Delete(ctx, kind, t.Name, q.Name); err != nil && !errors.Is(err, kube.ErrNotFound) {
				return err
			}
		}
		plan.Changes = append(plan.Changes, Change{Kind: kind.Kind, Name: q.Name, Action: Remove})
	}
	return nil
}

// check reports whether the namespace exists, and fails when it is not ours.
func (m *Manager) check(ctx context.Context, tenant string, adopt bool) (bool, error) {
	live, err := m.get(ctx, kube.Namespaces, "", tenant)
	switch {
	case errors.Is(err, kube.ErrNotFound):
		return false, nil
	case err != nil:
		return false, err
	case dig(live, "status", "phase") == "Terminating":
		return true, fmt.Errorf("the namespace is being removed: %w", ErrConflict)
	case !adopt && !ours(live, tenant):
		return true, fmt.Errorf("the namespace exists and was not made by this package (see Options.Adopt): %w", ErrConflict)
	}
	return true, nil
}

func ours(live map[string]any, tenant string) bool {
	labels, _ := dig(live, "metadata", "labels").(map[string]any)
	return labels[LabelManaged] == manager && labels[LabelTenant] == tenant
}

func (m *Manager) get(ctx context.Context, kind kube.Kind, namespace, object string) (map[string]any, error) {
	var live map[string]any
	err := m.client.Get(ctx, kind, namespace, object, &live)
	return live, err
}

// one brings one object to what is wanted; nil says that there is nothing to do
// or to say.
func (m *Manager) one(ctx context.Context, t Tenant, it item, present, dry bool) (*Change, error) {
	ns := t.Name
	if it.kind.Cluster {
		ns = ""
	}
	c := &Change{Kind: it.kind.Kind, Name: it.name}
	var live map[string]any
	if present {
		var err error
		if live, err = m.get(ctx, it.kind, ns, it.name); err != nil && !errors.Is(err, kube.ErrNotFound) {
			return nil, err
		}
	}
	if it.object == nil {
		if live == nil || !ours(live, t.Name) {
			return nil, nil
		}
		c.Action = Remove
		if dry {
			return c, nil
		}
		err := m.client.Delete(ctx, it.kind, ns, it.name)
		if errors.Is(err, kube.ErrNotFound) {
			err = nil
		}
		return c, err
	}
	want, err := plain.Map(it.object)
	if err != nil {
		return nil, err
	}
	if dry && !present && !it.kind.Cluster {
		c.Action, c.Unchecked = Create, true
		return c, nil
	}
	var now map[string]any
	if err := m.client.Apply(ctx, it.kind, ns, it.name, want, &now, dry); err != nil {
		return nil, err
	}
	switch {
	case live == nil:
		c.Action = Create
	default:
		c.Diff = diff(live, now)
		c.Action = Keep
		if len(c.Diff) > 0 {
			c.Action = Update
		}
	}
	return c, nil
}
