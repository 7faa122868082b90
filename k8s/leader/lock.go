package leader

import (
	"context"
	"math"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/millwright-ml/millwright/k8s/internal/kube"
)

// record is what a Lease says.
type record struct {
	holder   string
	duration time.Duration
	term     int64 // how often the Lease changed hands
	acquired time.Time
	version  string
}

// lock is where the vote is kept. update fails with kube.ErrConflict when the
// version is not the newest, and get with kube.ErrNotFound before create.
type lock interface {
	get(ctx context.Context) (record, error)
	create(ctx context.Context, r record) (record, error)
	update(ctx context.Context, r record) (record, error)
}

// leaseLock keeps it in a Lease, in the fields that client-go's leader election
// uses, so that both can stand for the same one.
type leaseLock struct {
	client          *kube.Client
	namespace, name string
}

func (l *leaseLock) get(ctx context.Context) (record, error) {
	var lease coordinationv1.Lease
	if err := l.client.Get(ctx, kube.Leases, l.namespace, l.name, &lease); err != nil {
		return record{}, err
	}
	return read(&lease), nil
}

func (l *leaseLock) create(ctx context.Context, r record) (record, error) {
	lease := &coordinationv1.Lease{
		TypeMeta:   metav1.TypeMeta{APIVersion: kube.Leases.APIVersion(), Kind: kube.Leases.Kind},
		ObjectMeta: metav1.ObjectMeta{Namespace: l.namespace, Name: l.name},
		Spec:       spec(r),
	}
	var made coordinationv1.Lease
	if err := l.client.Create(ctx, kube.Leases, l.namespace, lease, &made, false); err != nil {
		return record{}, err
	}
	return read(&made), nil
}

func (l *leaseLock) update(ctx context.Context, r record) (record, error) {
	s := spec(r)
	patch := map[string]any{
		"metadata": map[string]any{"resourceVersion": r.version},
		// Every field is named: one that is nil is removed.
		"spec": map[string]any{
			"holderIdentity": s.HolderIdentity, "leaseDurationSeconds": s.LeaseDurationSeconds,
			"acquireTime": s.AcquireTime, "renewTime": s.RenewTime, "leaseTransitions": s.LeaseTransitions,
		},
	}
	var changed coordinationv1.Lease
	if err := l.client.Merge(ctx, kube.Leases, l.namespace, l.name, patch, &changed); err != nil {
		return record{}, err
	}
	return read(&changed), nil
}

func spec(r record) coordinationv1.LeaseSpec {
	seconds := int32(min(r.duration/time.Second, math.MaxInt32))
	term := int32(min(r.term, math.MaxInt32))
	acquired, renewed := metav1.NewMicroTime(r.acquired), metav1.NowMicro()
	s := coordinationv1.LeaseSpec{
		LeaseDurationSeconds: &seconds, LeaseTransitions: &term, AcquireTime: &acquired, RenewTime: &renewed,
	}
	if r.holder != "" {
		s.HolderIdentity = &r.holder
	}
	return s
}

func read(lease *coordinationv1.Lease) record {
	r := record{version: lease.ResourceVersion}
	s := lease.Spec
	if s.HolderIdentity != nil {
		r.holder = *s.HolderIdentity
	}
	if s.LeaseDurationSeconds != nil {
		r.duration = time.Duration(*s.LeaseDurationSeconds) * time.Second
	}
	if s.LeaseTransitions != nil {
		r.term = int64(*s.LeaseTransitions)
	}
	if s.AcquireTime != nil {
		r.acquired = s.AcquireTime.Time
	}
	return r
}
