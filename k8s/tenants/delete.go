package tenants

import (
	"context"
	"fmt"
	"iter"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/millwright-ml/millwright/k8s/internal/kube"
)

// DeleteOptions changes one Delete. nil is the zero value.
type DeleteOptions struct {
	// Force removes the tenant with what still runs there and the data of its
	// volume claims. Default false.
	Force bool
}

// Delete removes a tenant: its namespace with all that is in it. It refuses with
// ErrConflict when this package did not make the namespace, also with Force; and
// without Force while pods have not ended or volume claims are there. The cluster
// removes the namespace in the background.
func (m *Manager) Delete(ctx context.Context, tenant string, opts *DeleteOptions) error {
	fail := func(err error) error { return fmt.Errorf("tenants: delete %q: %w", tenant, err) }
	present, err := m.check(ctx, tenant, false)
	if err != nil {
		return fail(err)
	}
	if !present {
		return fail(fmt.Errorf("there is no such namespace: %w", ErrNotFound))
	}
	if opts == nil || !opts.Force {
		used, err := m.inUse(ctx, tenant)
		if err != nil {
			return fail(err)
		}
		if len(used) > 0 {
			return fail(fmt.Errorf("%s (see DeleteOptions.Force): %w", strings.Join(used, " and "), ErrConflict))
		}
	}
	if err := m.client.Delete(ctx, kube.Namespaces, "", tenant); err != nil {
		return fail(err)
	}
	return nil
}

// inUse says what would be lost.
func (m *Manager) inUse(ctx context.Context, tenant string) ([]string, error) {
	var out []string
	var pods corev1.PodList
	running := &kube.ListOptions{Fields: "status.phase!=Succeeded,status.phase!=Failed", Limit: 10}
	if err := m.client.List(ctx, kube.Pods, tenant, running, &pods); err != nil {
		return nil, err
	}
	if n := len(pods.Items); n > 0 {
		out = append(out, fmt.Sprintf("pods have not ended: %s", some(n, pods.Continue, pods.Items[0].Name)))
	}
	var claims corev1.PersistentVolumeClaimList
	if err := m.client.List(ctx, kube.Claims, tenant, &kube.ListOptions{Limit: 10}, &claims); err != nil {
		return nil, err
	}
	if n := len(claims.Items); n > 0 {
		out = append(out, fmt.Sprintf("volume claims hold data: %s", some(n, claims.Continue, claims.Items[0].Name)))
	}
	return out, nil
}

func some(n int, more, first string) string {
	switch {
	case more != "":
		return fmt.Sprintf("%s and at least %d more", first, n)
	case n > 1:
		return fmt.Sprintf("%s and %d more", first, n-1)
	}
	return first
}

// Info is a tenant as its namespace shows it.
type Info struct {
	Name string
	Team string
	// Removing says that the namespace is on its way out.
	Removing bool
}

// List yields the tenants that this package made, by name. An error is the last
// thing yielded.
func (m *Manager) List(ctx context.Context) iter.Seq2[Info, error] {
	return func(yield func(Info, error) bool) {
		more := ""
		for {
			var list corev1.NamespaceList
			o := &kube.ListOptions{Labels: LabelManaged + "=" + manager + "," + LabelTenant, Limit: 100, Continue: more}
			if err := m.client.List(ctx, kube.Namespaces, "", o, &list); err != nil {
				yield(Info{}, fmt.Errorf("tenants: list: %w", err))
				return
			}
			for i := range list.Items {
				ns := &list.Items[i]
				info := Info{Name: ns.Name, Team: ns.Labels[LabelTeam], Removing: ns.Status.Phase == corev1.NamespaceTerminating}
				if !yield(info, nil) {
					return
				}
			}
			if more = list.Continue; more == "" {
				return
			}
		}
	}
}
