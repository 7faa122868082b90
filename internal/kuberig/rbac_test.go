package kuberig_test

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/millwright-ml/millwright/internal/kuberig"
	"github.com/millwright-ml/millwright/k8s"
	"github.com/millwright-ml/millwright/k8s/rbac"
	"github.com/millwright-ml/millwright/train"
)

// refusals notes which rights the server found missing.
type refusals struct {
	mu     sync.Mutex
	rights map[string]int
}

func (f *refusals) none() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.rights) == 0
}

func (f *refusals) wrap(next http.RoundTripper) http.RoundTripper {
	return roundTrip(func(r *http.Request) (*http.Response, error) {
		resp, err := next.RoundTrip(r)
		if err == nil && resp.StatusCode == http.StatusForbidden {
			right := refusedRight(resp)
			if right == "" {
				return resp, nil
			}
			f.mu.Lock()
			defer f.mu.Unlock()
			if f.rights == nil {
				f.rights = map[string]int{}
			}
			f.rights[right]++
		}
		return resp, err
	})
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

var cannot = regexp.MustCompile(`cannot ([a-z]+) resource "([^"]+)" in API group "([^"]*)"`)

// refusedRight is the right that the server's answer names, as rbac.Right.String
// writes it. The request would not do: an apply that makes an object needs create.
// It is empty when an admission webhook said no, which asks for no right: Trainer's
// does until it has seen the pods of a suspended job go.
func refusedRight(resp *http.Response) string {
	text, err := io.ReadAll(resp.Body)
	resp.Body = io.NopCloser(bytes.NewReader(text))
	if bytes.Contains(text, []byte("admission webhook")) && bytes.Contains(text, []byte("denied the request")) {
		return ""
	}
	if err != nil {
		return "" // a limit ended the call before the answer was there: the next one is longer
	}
	m := cannot.FindStringSubmatch(strings.ReplaceAll(string(text), `\"`, `"`))
	if m == nil {
		return "?"
	}
	name, sub, found := strings.Cut(m[2], "/")
	if m[3] != "" {
		name += "." + m[3]
	}
	if found {
		name += "/" + sub
	}
	return m[1] + " " + name
}

// grantRights makes a user with just those rights.
func grantRights(t *testing.T, c *kuberig.Cluster, ns, name string, rights []rbac.Right) (*rest.Config, *refusals) {
	t.Helper()
	var role, cluster []rbacv1.PolicyRule
	for _, r := range rights {
		rule := rbacv1.PolicyRule{APIGroups: []string{r.Group}, Resources: []string{r.Resource}, Verbs: []string{r.Verb}}
		if r.Cluster {
			cluster = append(cluster, rule)
		} else {
			role = append(role, rule)
		}
	}
	meta := metav1.ObjectMeta{Name: name}
	who := []rbacv1.Subject{{Kind: rbacv1.UserKind, APIGroup: rbacv1.GroupName, Name: name}}
	api := c.Client().RbacV1()
	_, err := api.Roles(ns).Create(t.Context(), &rbacv1.Role{ObjectMeta: meta, Rules: role}, metav1.CreateOptions{})
	require.NoError(t, err)
	_, err = api.RoleBindings(ns).Create(t.Context(), &rbacv1.RoleBinding{
		ObjectMeta: meta, Subjects: who, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: name},
	}, metav1.CreateOptions{})
	require.NoError(t, err)
	_, err = api.ClusterRoles().Create(t.Context(), &rbacv1.ClusterRole{ObjectMeta: meta, Rules: cluster}, metav1.CreateOptions{})
	require.NoError(t, err)
	_, err = api.ClusterRoleBindings().Create(t.Context(), &rbacv1.ClusterRoleBinding{
		ObjectMeta: meta, Subjects: who, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: name},
	}, metav1.CreateOptions{})
	require.NoError(t, err)
	cfg, err := c.User(name)
	require.NoError(t, err)
	seen := &refusals{}
	cfg.Wrap(seen.wrap)
	return cfg, seen
}

// everything uses a launcher for all that it can do, and returns what failed.
// Without a right some calls wait for what does not come: limit ends each.
func everything(ctx context.Context, l train.Launcher, key string, limit time.Duration) []error {
	var failed []error
	note := func(what string, err error) {
		if err != nil {
			failed = append(failed, fmt.Errorf("%s: %w", what, err))
		}
	}
	limited := func(do func(context.Context) error) error {
		ctx, cancel := context.WithTimeout(ctx, limit)
		defer cancel()
		return do(ctx)
	}
	spec := gpuSpec(2)
	spec.Retry.Infra = -1
	planned := spec
	planned.Priority = "system-node-critical"
	planned.Volumes = []train.Volume{{Path: "/data", Claim: "none"}}
	note("Plan", limited(func(ctx context.Context) error {
		_, err := l.Plan(ctx, planned, &train.SubmitOptions{Key: key})
		return err
	}))
	var job train.Job
	note("Submit", limited(func(ctx context.Context) (err error) {
		job, err = l.Submit(ctx, spec, &train.SubmitOptions{Key: key})
		return err
	}))
	note("List", limited(func(ctx context.Context) error {
		for _, err := range l.List(ctx, nil) {
			if err != nil {
				return err
			}
		}
		return nil
	}))
	if job == nil {
		var err error
		if job, err = l.Attach(ctx, train.JobID(key)); err != nil {
			return append(failed, err)
		}
	}
	note("Attach", limited(func(ctx context.Context) error { _, err := l.Attach(ctx, job.ID()); return err }))
	note("Why", limited(func(ctx context.Context) error { _, err := job.Why(ctx); return err }))
	note("Suspend", limited(job.Suspend))
	note("Resume", limited(func(ctx context.Context) error { return job.Resume(ctx, nil) }))
	note("Wait", limited(func(ctx context.Context) error { _, err := job.Wait(ctx); return err }))
	note("Status", limited(func(ctx context.Context) error { _, err := job.Status(ctx); return err }))
	note("Logs", limited(func(ctx context.Context) error {
		for _, err := range job.Logs(ctx, nil) {
			if err != nil {
				return err
			}
		}
		return nil
	}))
	note("Events", limited(func(ctx context.Context) error {
		for _, err := range job.Events(ctx, &train.EventOptions{Follow: true}) {
			if err != nil {
				return err
			}
		}
		return nil
	}))
	note("Progress", limited(func(ctx context.Context) error { _, err := job.Progress(ctx); return err }))
	note("Usage", limited(func(ctx context.Context) error { _, err := job.Usage(ctx); return err }))
	note("Cancel", limited(job.Cancel))
	note("Delete", limited(job.Delete))
	return failed
}

// A launcher with the generated rights, and no other, does everything without
// one refusal. With any one of them taken away the check names exactly that one,
// and the server refuses exactly what needs it: so none is missing in the table,
// and none is there for nothing.
func TestRightsAreNeededAndEnough(t *testing.T) {
	t.Parallel()
	w := openWorkshop(t, kuberig.Plain, 2)
	features := []rbac.Feature{rbac.Run, rbac.Logs, rbac.Events, rbac.Quota, rbac.Volumes, rbac.Priority, rbac.Nodes}
	all, err := rbac.Rights(features...)
	require.NoError(t, err)
	behave := kuberig.Behaviour{Run: 300 * time.Millisecond, Logs: []string{"hello"}}
	open := func(t *testing.T, cfg *rest.Config) *k8s.Launcher {
		return w.launcher(t, behave, func(c *rest.Config, _ *k8s.Options) { *c = *cfg })
	}

	t.Run("all", func(t *testing.T) {
		t.Parallel()
		cfg, seen := grantRights(t, w.c, w.ns, w.ns+"-all", all)
		w.c.Eventually(t, "the rights are there", func(ctx context.Context) error { return rbac.Require(ctx, cfg, w.ns, features...) })
		require.Empty(t, everything(t.Context(), open(t, cfg), "all", 5*time.Minute))
		require.Empty(t, seen.rights)
	})
	for i, taken := range all {
		t.Run(taken.String(), func(t *testing.T) {
			t.Parallel()
			rest := slices.Delete(slices.Clone(all), i, i+1)
			cfg, seen := grantRights(t, w.c, w.ns, fmt.Sprint(w.ns, "-", i), rest)
			var missing []rbac.Missing
			w.c.Eventually(t, "the rights are there", func(ctx context.Context) (err error) {
				if missing, err = rbac.Check(ctx, cfg, w.ns, features...); err == nil && len(missing) != 1 {
					err = fmt.Errorf("%v are missing", missing)
				}
				return err
			})
			require.Equal(t, taken, missing[0].Right)
			l := open(t, cfg)
			var failed []error
			// On a slow machine a limit may end before the pod runs whose logs are asked for.
			for limit := 3 * time.Second; limit < 5*time.Minute && seen.none(); limit *= 5 {
				failed = everything(t.Context(), l, fmt.Sprint("without-", i, "-", limit), limit)
			}
			seen.mu.Lock()
			defer seen.mu.Unlock()
			require.Len(t, seen.rights, 1, "without %s: refused %v, failed %v", taken, seen.rights, failed)
			require.NotZero(t, seen.rights[taken.String()], "without %s: refused %v", taken, seen.rights)
			t.Logf("without %s (%s) %d calls fail: %v", taken, taken.Breaks, len(failed), cmp.Or(fmt.Sprint(failed), "none"))
		})
	}
}
