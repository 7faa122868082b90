package tenants_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/millwright-ml/millwright/k8s/rbac"
	"github.com/millwright-ml/millwright/k8s/tenants"
	"github.com/millwright-ml/millwright/train"
)

func full() tenants.Tenant {
	return tenants.Tenant{
		Name: "team-a", Team: "vision", Labels: map[string]string{"cost-centre": "42"},
		GPUs: map[string]int{"nvidia.com/gpu": 16, "nvidia.com/mig-1g.10gb": 7}, Total: train.Resources{CPU: 192, Memory: 2 << 40}, Jobs: 100,
		Largest: train.Resources{CPU: 96, Memory: 1 << 40}, ClusterQueue: "research", Queue: "gpu",
		From: []string{"monitoring"}, To: []string{"10.0.0.0/8", "169.0.0.0/8"},
		Launchers: []tenants.Account{{"trainer", "millwright"}, {"ci", "robot"}, {"trainer", "millwright"}},
	}
}

func TestYAML(t *testing.T) {
	t.Parallel()
	for file, tenant := range map[string]tenants.Tenant{"full.yaml": full(), "least.yaml": {Name: "team-b"}} {
		got, err := tenants.YAML(tenant)
		require.NoError(t, err)
		path := filepath.Join("testdata", file)
		if os.Getenv("GOLDEN") == "write" {
			require.NoError(t, os.MkdirAll("testdata", 0o750))
			require.NoError(t, os.WriteFile(path, got, 0o600))
		}
		want, err := os.ReadFile(path)
		require.NoError(t, err)
		require.Equal(t, string(want), string(got))
	}
	open, err := tenants.YAML(tenants.Tenant{Name: "team-c", OpenNetwork: true, PodSecurity: "baseline"})
	require.NoError(t, err)
	require.NotContains(t, string(open), "NetworkPolicy")
	require.Contains(t, string(open), "pod-security.kubernetes.io/enforce: baseline")
}

func TestValidateReportsEveryFault(t *testing.T) {
	t.Parallel()
	_, err := tenants.YAML(tenants.Tenant{
		Name: "Kube System", Team: "a b", Labels: map[string]string{"/": "x", "pod-security.kubernetes.io/enforce": "privileged", tenants.LabelTenant: "y", "z": "a b"},
		GPUs: map[string]int{"gpu": 1, "nvidia.com/gpu": -1}, Total: train.Resources{CPU: -1, Memory: -1, Disk: -1},
		Each: train.Resources{CPU: 2, Memory: 2, Disk: 2}, Largest: train.Resources{CPU: 1, Memory: 1, Disk: 1}, Jobs: -1, Queue: "q",
		PodSecurity: "none", From: []string{"*"}, To: []string{"10.0.0.0"}, OpenNetwork: true,
		Launchers: []tenants.Account{{"", "a_b"}}, Features: []rbac.Feature{"fly"},
	})
	require.ErrorIs(t, err, tenants.ErrInvalid)
	for _, part := range []string{
		`name "Kube System"`, `team "a b"`, `label "/"`, "is set by PodSecurity", `label "millwright.dev/tenant" is set by this package`, `label z "a b"`,
		`gpus "gpu" is no extended resource`, `gpus "nvidia.com/gpu" is -1`, "total cpu is -1", "total memory is -1", "total disk is -1",
		"each cpu is 2, more than", "each memory is 2, more than", "each disk is 2, more than", "jobs is -1", `queue "q" has no cluster queue`,
		`pod security "none"`, `from "*"`, `to "10.0.0.0" is no network`, "open network, and", `launcher "a_b"`, `launcher's namespace ""`, `feature "fly"`,
	} {
		require.ErrorContains(t, err, part)
	}
	_, err = tenants.YAML(tenants.Tenant{Name: "default"})
	require.ErrorContains(t, err, "a namespace of the cluster itself")
	_, err = tenants.YAML(tenants.Tenant{Name: "a", ClusterQueue: "A", Queue: "B"})
	require.ErrorContains(t, err, `cluster queue "A"`)
}

// api keeps objects by path as a server would, without knowing what they mean;
// the real one is met in the tests on a cluster.
type api struct {
	mu      sync.Mutex
	objects map[string]map[string]any
	kueue   bool
	writes  int
}

func (a *api) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	answer := func(code int, v any) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(code)
		_ = json.NewEncoder(w).Encode(v)
	}
	path := r.URL.Path
	if path == "/apis" {
		list := metav1.APIGroupList{}
		if a.kueue {
			v := metav1.GroupVersionForDiscovery{GroupVersion: "kueue.x-k8s.io/v1beta1", Version: "v1beta1"}
			list.Groups = []metav1.APIGroup{{Name: "kueue.x-k8s.io", PreferredVersion: v, Versions: []metav1.GroupVersionForDiscovery{v}}}
		}
		answer(http.StatusOK, list)
		return
	}
	if strings.HasSuffix(path, "/localqueues") || strings.HasSuffix(path, "/pods") || strings.HasSuffix(path, "/persistentvolumeclaims") || path == "/api/v1/namespaces" {
		items, kind := []any{}, map[bool]string{true: "PodList", false: "PersistentVolumeClaimList"}[strings.HasSuffix(path, "/pods")]
		if path == "/api/v1/namespaces" {
			kind = "NamespaceList"
		}
		for at, o := range a.objects {
			if strings.HasPrefix(at, path+"/") && !strings.Contains(strings.TrimPrefix(at, path+"/"), "/") {
				items = append(items, o)
			}
		}
		answer(http.StatusOK, map[string]any{"kind": kind, "apiVersion": "v1", "items": items})
		return
	}
	object := a.objects[path]
	if r.Method != http.MethodPatch && object == nil {
		answer(http.StatusNotFound, metav1.Status{
			TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}, Status: "Failure", Code: 404, Reason: "NotFound",
			Details: &metav1.StatusDetails{Name: filepath.Base(path)},
		})
		return
	}
	dry := r.URL.Query().Get("dryRun") != ""
	if r.Method == http.MethodPatch {
		data, _ := io.ReadAll(r.Body)
		object = map[string]any{}
		if err := json.Unmarshal(data, &object); err != nil || r.URL.Query().Get("fieldManager") != "millwright" {
			answer(http.StatusBadRequest, nil)
			return
		}
		object["metadata"].(map[string]any)["resourceVersion"] = fmt.Sprint(a.writes)
	}
	if r.Method != http.MethodGet && !dry {
		a.writes++
		a.objects[path] = object
		if r.Method == http.MethodDelete {
			delete(a.objects, path)
		}
	}
	answer(http.StatusOK, object)
}

func cluster(t *testing.T, kueue bool, opts *tenants.Options) (*tenants.Manager, *api) {
	t.Helper()
	a := &api{objects: map[string]map[string]any{}, kueue: kueue}
	srv := httptest.NewServer(a)
	t.Cleanup(srv.Close)
	m, err := tenants.New(&rest.Config{Host: srv.URL}, opts)
	require.NoError(t, err)
	return m, a
}

func TestApply(t *testing.T) {
	t.Parallel()
	m, a := cluster(t, true, nil)
	tenant := full()
	plan, err := m.Plan(t.Context(), tenant)
	require.NoError(t, err)
	require.Len(t, plan.Changes, 8)
	require.True(t, plan.Changes[1].Unchecked)
	require.Zero(t, a.writes, "a plan writes nothing")

	done, err := m.Apply(t.Context(), tenant)
	require.NoError(t, err)
	require.Len(t, done.Changes, 8)
	require.Contains(t, a.objects, "/apis/kueue.x-k8s.io/v1beta1/namespaces/team-a/localqueues/gpu", "in the version that the cluster prefers")
	again, err := m.Apply(t.Context(), tenant)
	require.NoError(t, err)
	require.True(t, again.Empty(), "%s", again)

	// Drift, a change and something that is no longer wanted.
	dig := a.objects["/api/v1/namespaces/team-a/resourcequotas/millwright"]["spec"].(map[string]any)["hard"].(map[string]any)
	dig["requests.nvidia.com/gpu"] = "64"
	tenant.Largest, tenant.ClusterQueue, tenant.Queue = train.Resources{}, "", ""
	tenant.Total = train.Resources{}
	plan, err = m.Plan(t.Context(), tenant)
	require.NoError(t, err)
	require.True(t, strings.HasSuffix(plan.String(), "remove LocalQueue gpu\n"), "%s", plan)
	require.Equal(t, `keep Namespace team-a
update ResourceQuota millwright
  spec.hard.requests.cpu: "192" -> (none)
  spec.hard.requests.memory: "2Ti" -> (none)
  spec.hard.requests.nvidia.com/gpu: "64" -> "16"
remove LimitRange millwright
keep NetworkPolicy millwright
keep ServiceAccount millwright-job
update Role millwright
`, plan.String()[:strings.Index(plan.String(), "  rules")])
	_, err = m.Apply(t.Context(), tenant)
	require.NoError(t, err)
	require.NotContains(t, a.objects, "/api/v1/namespaces/team-a/limitranges/millwright")
	require.NotContains(t, a.objects, "/apis/kueue.x-k8s.io/v1beta1/namespaces/team-a/localqueues/gpu")

	var names []string
	for info, err := range m.List(t.Context()) {
		require.NoError(t, err)
		names = append(names, info.Name+" "+info.Team)
	}
	require.Equal(t, []string{"team-a vision"}, names)
}

func TestGuards(t *testing.T) {
	t.Parallel()
	m, a := cluster(t, false, nil)
	_, err := m.Apply(t.Context(), full())
	require.ErrorIs(t, err, tenants.ErrUnsupported)
	require.ErrorContains(t, err, `the cluster has no Kueue, so there is no queue "research"`)
	require.Empty(t, a.objects)

	require.ErrorIs(t, m.Delete(t.Context(), "team-a", nil), tenants.ErrNotFound)
	a.objects["/api/v1/namespaces/theirs"] = map[string]any{"kind": "Namespace", "apiVersion": "v1", "metadata": map[string]any{"name": "theirs"}}
	_, err = m.Plan(t.Context(), tenants.Tenant{Name: "theirs"})
	require.ErrorIs(t, err, tenants.ErrConflict)
	require.ErrorIs(t, m.Delete(t.Context(), "theirs", &tenants.DeleteOptions{Force: true}), tenants.ErrConflict)
	require.Contains(t, a.objects, "/api/v1/namespaces/theirs")

	tenant := tenants.Tenant{Name: "team-a"}
	_, err = m.Apply(t.Context(), tenant)
	require.NoError(t, err)
	for _, kind := range []string{"pods", "persistentvolumeclaims"} {
		a.objects["/api/v1/namespaces/team-a/"+kind+"/x"] = map[string]any{"metadata": map[string]any{"name": "x"}}
	}
	err = m.Delete(t.Context(), "team-a", nil)
	require.ErrorIs(t, err, tenants.ErrConflict)
	require.ErrorContains(t, err, "pods have not ended: x and volume claims hold data: x")
	require.NoError(t, m.Delete(t.Context(), "team-a", &tenants.DeleteOptions{Force: true}))
	a.objects["/api/v1/namespaces/team-a"] = map[string]any{
		"metadata": map[string]any{"name": "team-a", "labels": map[string]any{tenants.LabelManaged: "millwright", tenants.LabelTenant: "team-a"}},
		"status":   map[string]any{"phase": "Terminating"},
	}
	_, err = m.Apply(t.Context(), tenant)
	require.ErrorContains(t, err, "is being removed")

	taker, b := cluster(t, false, &tenants.Options{Adopt: true})
	b.objects["/api/v1/namespaces/theirs"] = map[string]any{"kind": "Namespace", "apiVersion": "v1", "metadata": map[string]any{"name": "theirs"}}
	_, err = taker.Apply(t.Context(), tenants.Tenant{Name: "theirs"})
	require.NoError(t, err)

	_, err = tenants.New(nil, nil)
	require.ErrorIs(t, err, tenants.ErrInvalid)
}
