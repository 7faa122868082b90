package k8s

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/millwright-ml/millwright/k8s/internal/kube"
	"github.com/millwright-ml/millwright/k8s/internal/manifest"
	"github.com/millwright-ml/millwright/train"
)

const quotaAge = 5 * time.Second

// quotas are the namespace's ResourceQuotas; none where the launcher may not look.
func (l *Launcher) quotas(ctx context.Context, age time.Duration) ([]corev1.ResourceQuota, error) {
	l.mu.Lock()
	have := l.known.quotas
	l.mu.Unlock()
	if have.fresh(age) {
		return have.value, nil
	}
	var list corev1.ResourceQuotaList
	err := l.client.List(ctx, kube.Quotas, l.opts.Namespace, nil, &list)
	if err != nil && !errors.Is(err, kube.ErrForbidden) {
		return nil, err
	}
	l.mu.Lock()
	l.known.quotas = aged[[]corev1.ResourceQuota]{time.Now(), list.Items}
	l.mu.Unlock()
	return list.Items, nil
}

// needs is what the whole job counts for in a quota.
func needs(s train.Spec, c *compiled) map[corev1.ResourceName]*resource.Quantity {
	nodes := int64(s.NodeCount())
	out := map[corev1.ResourceName]*resource.Quantity{corev1.ResourcePods: resource.NewQuantity(nodes, resource.DecimalSI)}
	out["count/pods"] = out[corev1.ResourcePods]
	one := resource.NewQuantity(1, resource.DecimalSI)
	kind := c.backend.source.Kind
	out[corev1.ResourceName("count/"+kind.String())] = one
	if len(c.children) > 0 {
		for _, ch := range c.children {
			out[corev1.ResourceName("count/"+ch.kind.String())] = one
		}
		out["services"] = one
	}
	req := manifest.Requirements(s.Resources, c.params.GPU)
	times := func(q resource.Quantity) *resource.Quantity {
		q.Mul(nodes)
		return &q
	}
	for name, q := range req.Requests {
		out["requests."+name] = times(q)
		if name == corev1.ResourceCPU || name == corev1.ResourceMemory || name == corev1.ResourceEphemeralStorage {
			out[name] = times(q)
		}
	}
	for name, q := range req.Limits {
		if name == corev1.ResourceCPU || name == corev1.ResourceMemory || name == corev1.ResourceEphemeralStorage {
			out["limits."+name] = times(q)
		}
	}
	return out
}

// applies reports whether a quota counts the job's pods. Where its scopes say
// something that is not known here, it does not.
func applies(q *corev1.ResourceQuota, s train.Spec, c *compiled) bool {
	effort := s.Resources.CPU == 0 && s.Resources.Memory == 0
	ok := func(scope corev1.ResourceQuotaScope) bool {
		switch scope {
		case corev1.ResourceQuotaScopeTerminating:
			return false // the deadline is the job's, not the pods'
		case corev1.ResourceQuotaScopeNotTerminating:
			return true
		case corev1.ResourceQuotaScopeBestEffort:
			return effort
		case corev1.ResourceQuotaScopeNotBestEffort:
			return !effort
		}
		return false
	}
	for _, scope := range q.Spec.Scopes {
		if !ok(scope) {
			return false
		}
	}
	if q.Spec.ScopeSelector == nil {
		return true
	}
	for _, m := range q.Spec.ScopeSelector.MatchExpressions {
		if m.ScopeName == corev1.ResourceQuotaScopePriorityClass {
			in := slices.Contains(m.Values, s.Priority)
			switch m.Operator {
			case corev1.ScopeSelectorOpIn:
				if !in {
					return false
				}
			case corev1.ScopeSelectorOpNotIn:
				if in {
					return false
				}
			case corev1.ScopeSelectorOpExists:
				if s.Priority == "" {
					return false
				}
			default:
				if s.Priority != "" {
					return false
				}
			}
			continue
		}
		if !ok(m.ScopeName) {
			return false
		}
	}
	return true
}

// headroom compares the job with the namespace's quotas. never says what can not
// be met however long the job waits, missing what a quota wants and the Spec
// does not say.
func headroom(quotas []corev1.ResourceQuota, s train.Spec, c *compiled) (rooms []train.Headroom, never, missing []string) {
	need := needs(s, c)
	for i := range quotas {
		q := &quotas[i]
		if !applies(q, s, c) {
			continue
		}
		name := "ResourceQuota " + q.Namespace + "/" + q.Name
		for _, res := range sortedKeys(q.Spec.Hard) {
			hard := q.Spec.Hard[res]
			want := need[res]
			if want == nil {
				if res == "requests.cpu" || res == "cpu" || res == "requests.memory" || res == "memory" || res == "limits.memory" || res == "limits.cpu" {
					missing = append(missing, fmt.Sprintf("%s counts %s, which the job does not say: its pods are refused unless a LimitRange has a default", name, res))
				}
				continue
			}
			used := q.Status.Used[res]
			rooms = append(rooms, train.Headroom{
				Quota: name, Resource: string(res),
				Limit: hard.AsApproximateFloat64(), Used: used.AsApproximateFloat64(), Need: want.AsApproximateFloat64(),
			})
			if want.Cmp(hard) > 0 {
				never = append(never, fmt.Sprintf("%s allows %s of %s, the job needs %s", name, hard.String(), res, want.String()))
			}
		}
	}
	return rooms, never, missing
}

func sortedKeys[M ~map[K]V, K ~string, V any](m M) []K {
	out := make([]K, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

// preflight refuses what could never start, before anything is made.
func (l *Launcher) preflight(ctx context.Context, s train.Spec, c *compiled) error {
	quotas, err := l.quotas(ctx, quotaAge)
	if err != nil {
		return err
	}
	if _, never, _ := headroom(quotas, s, c); len(never) > 0 {
		return fmt.Errorf("k8s: submit %q: %s: %w", s.Name, strings.Join(never, "; "), train.ErrQuotaExceeded)
	}
	name := c.params.Queue
	if name == "" {
		return nil
	}
	l.mu.Lock()
	have := l.known.queues[name]
	l.mu.Unlock()
	if have.fresh(quotaAge) {
		return have.value
	}
	text, _, err := l.queueFault(ctx, name)
	if err != nil {
		return err
	}
	if text != "" && !strings.Contains(text, "is stopped") {
		err = fmt.Errorf("k8s: submit %q: %s: %w", s.Name, text, train.ErrInvalid)
	}
	l.mu.Lock()
	if l.known.queues == nil {
		l.known.queues = map[string]aged[error]{}
	}
	l.known.queues[name] = aged[error]{time.Now(), err}
	l.mu.Unlock()
	return err
}
