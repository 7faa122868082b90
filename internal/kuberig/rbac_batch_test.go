package kuberig_test

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"k8s.io/client-go/rest"

	"github.com/millwright-ml/millwright/internal/kuberig"
	"github.com/millwright-ml/millwright/k8s"
	"github.com/millwright-ml/millwright/k8s/rbac"
	"github.com/millwright-ml/millwright/train"
)

// uses notes which rights requests needed, with one request of each.
type uses struct {
	mu     sync.Mutex
	rights map[string]use
}

type use struct{ method, path, query, kind string }

func (u *uses) wrap(next http.RoundTripper) http.RoundTripper {
	return roundTrip(func(r *http.Request) (*http.Response, error) {
		if right := usedRight(r); right != "" {
			u.mu.Lock()
			if u.rights == nil {
				u.rights = map[string]use{}
			}
			u.rights[right] = use{r.Method, r.URL.Path, r.URL.RawQuery, r.Header.Get("Content-Type")}
			u.mu.Unlock()
		}
		return next.RoundTrip(r)
	})
}

// usedRight is the right that the API server asks for, as rbac.Right.String
// writes it; "" for what everybody may.
func usedRight(r *http.Request) string {
	parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	group := ""
	switch {
	case len(parts) > 2 && parts[0] == "api":
		parts = parts[2:]
	case len(parts) > 3 && parts[0] == "apis":
		group, parts = parts[1], parts[3:]
	default:
		return ""
	}
	if parts[0] == "namespaces" && len(parts) > 2 {
		parts = parts[2:]
	}
	resource := parts[0]
	if group == "authorization.k8s.io" {
		return ""
	}
	verb := map[string]string{
		http.MethodPost: "create", http.MethodPut: "update", http.MethodPatch: "patch", http.MethodDelete: "delete", http.MethodGet: "get",
	}[r.Method]
	if verb == "get" && len(parts) == 1 {
		verb = "list"
		if r.URL.Query().Get("watch") != "" {
			verb = "watch"
		}
	}
	if group != "" {
		resource += "." + group
	}
	if len(parts) > 2 {
		resource += "/" + parts[2]
	}
	return verb + " " + resource
}

// With the rights of JobSet, TrainJob and Kueue a launcher does everything on
// these, without one refusal, and uses each of them. Without any one of them the
// check names just that one, and the server refuses just the request that needs
// it.
func TestRightsOfQueuesAndJobSets(t *testing.T) {
	t.Parallel()
	w := openWorkshop(t, kuberig.Batch, 2)
	w.queues(t, 16, 0)
	features := []rbac.Feature{
		rbac.Run, rbac.Logs, rbac.Events, rbac.Quota, rbac.Nodes, rbac.JobSet, rbac.TrainJob, rbac.Kueue, rbac.KueueCluster,
	}
	all, err := rbac.Rights(features...)
	require.NoError(t, err)
	cfg, refused := grantRights(t, w.c, w.ns, w.ns+"-all", all)
	used := &uses{}
	cfg.Wrap(used.wrap)
	w.c.Eventually(t, "the rights are there", func(ctx context.Context) error { return rbac.Require(ctx, cfg, w.ns, features...) })
	ctx := patient(t)
	for _, backend := range []string{"jobset", "trainjob"} {
		for _, queue := range []string{"", "a"} {
			l := w.launcher(t, kuberig.Behaviour{Run: 300 * time.Millisecond, Logs: []string{"hello"}}, func(c *rest.Config, o *k8s.Options) {
				*c = *cfg
				o.Backends = []string{backend}
			})
			spec := gpuSpec(1)
			spec.Retry.Infra, spec.Launch, spec.Queue = -1, train.Torchrun, queue
			key := backend + queue
			_, err := l.Plan(ctx, spec, &train.SubmitOptions{Key: key})
			require.NoError(t, err)
			j := submitJob(t, l, spec, key)
			for _, err := range l.List(ctx, nil) {
				require.NoError(t, err)
			}
			_, err = l.Attach(ctx, j.ID())
			require.NoError(t, err)
			_, err = j.Why(ctx)
			require.NoError(t, err)
			_, err = j.Wait(ctx)
			require.NoError(t, err)
			for _, err := range j.Logs(ctx, nil) {
				require.NoError(t, err)
			}
			require.NoError(t, j.Cancel(ctx))
			require.NoError(t, j.Delete(ctx))
		}
	}
	// Suspend and Resume of what a queue holds and of what none does. These jobs do
	// not end by themselves: one that has ended can not be suspended.
	for _, backend := range []string{"jobset", "trainjob"} {
		held := w.launcher(t, kuberig.Behaviour{Run: kuberig.Forever}, func(c *rest.Config, o *k8s.Options) {
			*c = *cfg
			o.Backends = []string{backend}
		})
		for _, queue := range []string{"", "a"} {
			spec := gpuSpec(1)
			spec.Launch, spec.Queue = train.Torchrun, queue
			j := submitJob(t, held, spec, "held"+backend+queue)
			require.NoError(t, j.Suspend(ctx))
			require.NoError(t, j.Resume(ctx, nil))
			require.NoError(t, j.Cancel(ctx))
		}
	}

	require.Empty(t, refused.rights)
	for right, u := range used.rights {
		require.True(t, slices.ContainsFunc(all, func(r rbac.Right) bool { return r.String() == right }), "%s (%v) is in no list", right, u)
	}
	for _, right := range all {
		switch right.Feature {
		case rbac.Run, rbac.Logs, rbac.Events, rbac.Quota, rbac.Nodes:
			continue // TestRightsAreNeededAndEnough
		}
		require.Contains(t, used.rights, right.String(), "%s is for nothing", right)
		t.Run(right.String(), func(t *testing.T) {
			t.Parallel()
			withoutRight(t, w, features, all, right, used.rights[right.String()])
		})
	}
}

// withoutRight takes one right away and sends a request that needs it.
func withoutRight(t *testing.T, w *workshop, features []rbac.Feature, all []rbac.Right, taken rbac.Right, u use) {
	t.Helper()
	i := slices.Index(all, taken)
	user := fmt.Sprint(w.ns, "-", i)
	cfg, refused := grantRights(t, w.c, w.ns, user, slices.Delete(slices.Clone(all), i, i+1))
	var missing []rbac.Missing
	w.c.Eventually(t, "the rights are there", func(ctx context.Context) (err error) {
		if missing, err = rbac.Check(ctx, cfg, w.ns, features...); err == nil && len(missing) != 1 {
			err = fmt.Errorf("%v are missing", missing)
		}
		return err
	})
	require.Equal(t, taken, missing[0].Right)
	client, err := rest.HTTPClientFor(cfg)
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	// Nobody decodes the body before the right is looked for.
	req, err := http.NewRequestWithContext(ctx, u.method, strings.TrimSuffix(cfg.Host, "/")+u.path+"?"+u.query, strings.NewReader("{}"))
	require.NoError(t, err)
	req.Header.Set("Content-Type", cmp.Or(u.kind, "application/json"))
	resp, err := client.Do(req)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, http.StatusForbidden, resp.StatusCode)
	require.Equal(t, map[string]int{taken.String(): 1}, refused.rights)
}
