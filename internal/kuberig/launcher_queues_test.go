package kuberig_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"

	"github.com/millwright-ml/millwright/k8s"
)

func onlyTrainJob(_ *rest.Config, o *k8s.Options) { o.Backends = []string{"trainjob"} }

func onlyJob(_ *rest.Config, o *k8s.Options) { o.Backends = []string{"job"} }

// queues makes the LocalQueues a and b, each with its quota of GPUs, that lend to
// each other.
func (w *workshop) queues(t *testing.T, a, b int64) {
	t.Helper()
	create := func(resource string, namespaced bool, object map[string]any) {
		t.Helper()
		u := &unstructured.Unstructured{Object: object}
		gvr := schema.GroupVersionResource{Group: "kueue.x-k8s.io", Version: "v1beta2", Resource: resource}
		var err error
		if namespaced {
			_, err = w.c.Dynamic().Resource(gvr).Namespace(w.ns).Create(t.Context(), u, metav1.CreateOptions{})
		} else {
			_, err = w.c.Dynamic().Resource(gvr).Create(t.Context(), u, metav1.CreateOptions{})
		}
		require.NoError(t, err)
	}
	object := func(kind, name string, spec map[string]any) map[string]any {
		return map[string]any{"apiVersion": "kueue.x-k8s.io/v1beta2", "kind": kind, "metadata": map[string]any{"name": name}, "spec": spec}
	}
	create("resourceflavors", false, object("ResourceFlavor", w.ns, map[string]any{}))
	for name, quota := range map[string]int64{"a": a, "b": b} {
		create("clusterqueues", false, object("ClusterQueue", w.ns+"-"+name, map[string]any{
			"cohortName": w.ns, "namespaceSelector": map[string]any{},
			"preemption": map[string]any{"reclaimWithinCohort": "Any", "withinClusterQueue": "LowerPriority"},
			"resourceGroups": []any{map[string]any{
				"coveredResources": []any{"nvidia.com/gpu"},
				"flavors":          []any{map[string]any{"name": w.ns, "resources": []any{map[string]any{"name": "nvidia.com/gpu", "nominalQuota": quota}}}},
			}},
		}))
		create("localqueues", true, object("LocalQueue", name, map[string]any{"clusterQueue": w.ns + "-" + name}))
	}
}
