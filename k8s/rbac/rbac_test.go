package rbac_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	authorizationv1 "k8s.io/api/authorization/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/client-go/rest"

	"github.com/millwright-ml/millwright/k8s/rbac"
)

var launcher = []rbac.Feature{rbac.Run, rbac.Logs, rbac.Events, rbac.Quota, rbac.Kueue, rbac.JobSet, rbac.Nodes}

// golden compares with a file, which GOLDEN=write renews.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if os.Getenv("GOLDEN") == "write" {
		require.NoError(t, os.MkdirAll("testdata", 0o750))
		require.NoError(t, os.WriteFile(path, got, 0o600))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, string(want), string(got))
}

func TestManifests(t *testing.T) {
	t.Parallel()
	objects, err := rbac.Manifests("trainer", launcher, &rbac.Options{
		Namespaces: []string{"team-b", "team-a", "team-a"}, Labels: map[string]string{"app": "trainer"},
	})
	require.NoError(t, err)
	text, err := rbac.YAML(objects...)
	require.NoError(t, err)
	golden(t, "launcher.yaml", text)

	// Neither the order of the features nor naming one twice changes a byte.
	turned := append([]rbac.Feature{rbac.Nodes, rbac.Logs, rbac.Nodes}, launcher...)
	objects, err = rbac.Manifests("trainer", turned, &rbac.Options{
		Namespaces: []string{"team-a", "team-b"}, Labels: map[string]string{"app": "trainer"},
	})
	require.NoError(t, err)
	again, err := rbac.YAML(objects...)
	require.NoError(t, err)
	require.Equal(t, string(text), string(again))

	objects, err = rbac.Manifests("ops", append(launcher, rbac.Tenants), &rbac.Options{AllNamespaces: true, ServiceAccount: "ops", Name: "tenants"})
	require.NoError(t, err)
	text, err = rbac.YAML(objects...)
	require.NoError(t, err)
	golden(t, "tenants.yaml", text)
}

// Every feature by itself, and none of them what no launcher may have.
func TestFeatures(t *testing.T) {
	t.Parallel()
	for _, f := range rbac.Features() {
		rights, err := rbac.Rights(f)
		require.NoError(t, err)
		require.NotEmpty(t, rights, f)
		role, cluster, err := rbac.Rules(f)
		require.NoError(t, err)
		granted := map[string]bool{}
		for i, rules := range [][]rbacv1.PolicyRule{role, cluster} {
			for _, r := range rules {
				for _, resource := range r.Resources {
					for _, verb := range r.Verbs {
						granted[fmt.Sprint(i == 1, r.APIGroups[0], resource, verb)] = true
						require.NotEqual(t, "*", verb)
						require.NotContains(t, []string{"secrets", "pods/exec", "*"}, resource)
						require.False(t, resource == "pods" && verb == "create", "%s: whoever makes pods is root on the nodes", f)
					}
				}
			}
		}
		require.Len(t, granted, len(rights), "%s: the rules grant the rights and nothing else", f)
		for _, r := range rights {
			require.True(t, granted[fmt.Sprint(r.Cluster, r.Group, r.Resource, r.Verb)], "%s: %s", f, r)
			require.NotEmpty(t, r.Breaks)
			require.Equal(t, f, r.Feature)
		}
	}
}

func TestInvalid(t *testing.T) {
	t.Parallel()
	_, err := rbac.Manifests("Team A", []rbac.Feature{"fly", "swim"}, &rbac.Options{
		Name: "x/y", Namespaces: []string{"-"}, AllNamespaces: true, ServiceAccount: strings.Repeat("a", 64),
	})
	require.ErrorIs(t, err, rbac.ErrInvalid)
	for _, part := range []string{`namespace "Team A"`, `name "x/y"`, `namespace "-"`, `feature "fly"`, `feature "swim"`, "both Namespaces and", "no more than 63"} {
		require.ErrorContains(t, err, part)
	}
	_, err = rbac.Rights()
	require.EqualError(t, err, "rbac: rights: no feature is given: invalid")
	_, _, err = rbac.Rules("fly")
	require.ErrorIs(t, err, rbac.ErrInvalid)
	_, err = rbac.Check(t.Context(), &rest.Config{}, "a", "fly")
	require.ErrorIs(t, err, rbac.ErrInvalid)
}

// authorizer answers access reviews, and refuses what deny names. The real one is
// asked in the tests on a cluster; this one counts, and fails as it is told.
func authorizer(t *testing.T, deny func(a *authorizationv1.ResourceAttributes) bool) (*rest.Config, *atomic.Int64) {
	t.Helper()
	var asked atomic.Int64
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		var review authorizationv1.SelfSubjectAccessReview
		if err := json.NewDecoder(r.Body).Decode(&review); err != nil || r.URL.Path != "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews" {
			http.Error(w, "what?", http.StatusBadRequest)
			return
		}
		review.Status.Allowed = !deny(review.Spec.ResourceAttributes)
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(review)
	}))
	t.Cleanup(srv.Close)
	return &rest.Config{Host: srv.URL}, &asked
}

func TestCheck(t *testing.T) {
	t.Parallel()
	cfg, asked := authorizer(t, func(a *authorizationv1.ResourceAttributes) bool {
		return (a.Resource == "pods" && a.Subresource == "log") || a.Resource == "nodes" && a.Verb == "list" && a.Namespace == ""
	})
	missing, err := rbac.Check(t.Context(), cfg, "team-a", append(launcher, rbac.Inventory)...)
	require.NoError(t, err)
	var texts []string
	for _, m := range missing {
		texts = append(texts, string(m.Feature)+": "+m.String())
	}
	require.Equal(t, []string{
		"logs: get pods/log in namespace team-a (Logs and the last lines of a failure are empty)",
		"inventory: list nodes in the cluster (the inventory cannot be taken)",
		"nodes: list nodes in the cluster (GPU types are guessed from known products instead of what the nodes have)",
	}, texts)
	require.Equal(t, []rbac.Feature{rbac.Inventory, rbac.Logs, rbac.Nodes}, rbac.Needed(missing))
	rights, err := rbac.Rights(append(launcher, rbac.Inventory)...)
	require.NoError(t, err)
	distinct := map[string]bool{}
	for _, r := range rights {
		distinct[fmt.Sprint(r.Cluster, r)] = true
	}
	require.EqualValues(t, len(distinct), asked.Load(), "each right is asked for once")

	err = rbac.Require(t.Context(), cfg, "team-a", launcher...)
	require.ErrorIs(t, err, rbac.ErrForbidden)
	require.ErrorContains(t, err, "2 rights are missing: get pods/log in namespace team-a")
	require.NoError(t, rbac.Require(t.Context(), cfg, "team-a", rbac.Run))
}

func TestCheckUnreachable(t *testing.T) {
	t.Parallel()
	srv := httptest.NewServer(http.NotFoundHandler())
	srv.Close()
	err := rbac.Require(t.Context(), &rest.Config{Host: srv.URL}, "team-a", rbac.Run)
	require.ErrorContains(t, err, "rbac: check: ")
	require.ErrorContains(t, err, "connection refused")
	require.NotErrorIs(t, err, rbac.ErrForbidden, "what could not be asked is not missing")
}
