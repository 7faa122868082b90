package kuberig_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/millwright-ml/millwright/internal/kuberig"
	"github.com/millwright-ml/millwright/k8s/leader"
	"github.com/millwright-ml/millwright/k8s/rbac"
)

// Three candidates with the rights of rbac.Leader: one leads; when its machine
// dies another does; the API server goes away for longer than anybody may lead,
// and comes back.
func TestLeader(t *testing.T) {
	t.Parallel()
	c := kuberig.Start(t, nil)
	ns := c.Namespace(t)
	objects, err := rbac.Manifests(ns, []rbac.Feature{rbac.Leader}, nil)
	require.NoError(t, err)
	text, err := rbac.YAML(objects...)
	require.NoError(t, err)

	stranger, err := c.ServiceAccount(t.Context(), ns, "default")
	require.NoError(t, err)
	e, err := leader.New(stranger, ns, "loop", nil)
	require.NoError(t, err)
	err = e.Run(t.Context(), func(context.Context) error { return nil })
	require.ErrorIs(t, err, leader.ErrForbidden, "without the right nobody waits for ever")

	applyYAML(t, c, text, false)
	cfg, err := c.ServiceAccount(t.Context(), ns, "millwright")
	require.NoError(t, err)
	c.Eventually(t, "the rights are there", func(ctx context.Context) error { return rbac.Require(ctx, cfg, ns, rbac.Leader) })

	var (
		mu    sync.Mutex
		now   = map[string]int64{} // who leads
		wait  sync.WaitGroup
		stops = map[string]context.CancelFunc{}
	)
	for i := range 3 {
		name := fmt.Sprint("replica-", i)
		own := c.Config()
		own.BearerToken, own.CertData, own.KeyData = cfg.BearerToken, nil, nil
		e, err := leader.New(own, ns, "loop", &leader.Options{
			Identity: name, Duration: 6 * time.Second, Renew: 4 * time.Second, Retry: 200 * time.Millisecond,
		})
		require.NoError(t, err)
		ctx, stop := context.WithCancel(t.Context())
		stops[name] = stop
		wait.Go(func() {
			err := e.Run(ctx, func(ctx context.Context) error {
				mu.Lock()
				if len(now) > 0 {
					t.Errorf("%s leads beside %v", name, now)
				}
				now[name] = leader.Term(ctx)
				mu.Unlock()
				<-ctx.Done()
				mu.Lock()
				delete(now, name)
				mu.Unlock()
				return ctx.Err()
			})
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
		})
	}
	t.Cleanup(func() {
		for _, stop := range stops {
			stop()
		}
		wait.Wait()
	})
	leads := func(not string) (who string, term int64) {
		t.Helper()
		c.Eventually(t, "somebody leads", func(context.Context) error {
			mu.Lock()
			defer mu.Unlock()
			for who, term = range now {
				if who != not {
					return nil
				}
			}
			return fmt.Errorf("%v lead", now)
		})
		return who, term
	}
	first, term := leads("")
	stops[first]()
	second, next := leads(first)
	require.Greater(t, next, term)

	c.StopAPIServer()
	require.Eventually(t, func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(now) == 0
	}, 5*time.Minute, 50*time.Millisecond, "without the Lease nobody leads")
	require.NoError(t, c.StartAPIServer(t.Context()))
	third, last := leads("")
	require.GreaterOrEqual(t, last, next)
	t.Logf("%s, %s and %s led", first, second, third)

	for _, stop := range stops {
		stop()
	}
	wait.Wait()
	c.Eventually(t, "the Lease is given back", func(ctx context.Context) error {
		lease, err := c.Client().CoordinationV1().Leases(ns).Get(ctx, "loop", metav1.GetOptions{})
		if err == nil && lease.Spec.HolderIdentity != nil && *lease.Spec.HolderIdentity != "" {
			err = errors.New("held by " + *lease.Spec.HolderIdentity)
		}
		return err
	})
}
