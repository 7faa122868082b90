package parity

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"

	mpi "github.com/kubeflow/mpi-operator/pkg/apis/kubeflow/v2beta1"
	trainer "github.com/kubeflow/trainer/v2/pkg/apis/trainer/v1alpha1"
	kubeflow "github.com/kubeflow/training-operator/pkg/apis/kubeflow.org/v1"
	"github.com/stretchr/testify/require"
	resourcev1 "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	jobset "sigs.k8s.io/jobset/api/jobset/v1alpha2"
	kjson "sigs.k8s.io/json"
	kueue1 "sigs.k8s.io/kueue/apis/kueue/v1beta1"
	kueue2 "sigs.k8s.io/kueue/apis/kueue/v1beta2"
	volcano "volcano.sh/apis/pkg/apis/scheduling/v1beta1"

	"github.com/millwright-ml/millwright/k8s/internal/foreign"
	"github.com/millwright-ml/millwright/k8s/internal/kube"
)

// pair is a small type and the real one.
type pair struct {
	ours, real any // pointers to zero values
	kind       kube.Kind
	version    schema.GroupVersion
	// others are fields of ours that belong to another real type, or to another
	// version of it, as paths of JSON.
	others []string
}

func pairs() map[string]pair {
	const v1, v2 = "v1beta1", "v1beta2"
	// One type of ours stands for what is set and what is used of a resource.
	const set, used = "spec.resourceGroups.flavors.resources.", "status.flavorsUsage.resources."
	amounts := []string{set + "total", set + "borrowed", used + "nominalQuota", used + "borrowingLimit"}
	return map[string]pair{
		"JobSet":   {ours: &foreign.JobSet{}, real: &jobset.JobSet{}, kind: foreign.JobSets, version: jobset.GroupVersion},
		"TrainJob": {ours: &foreign.TrainJob{}, real: &trainer.TrainJob{}, kind: foreign.TrainJobs, version: trainer.GroupVersion},
		"PyTorchJob": {
			ours: &foreign.KubeflowJob{}, real: &kubeflow.PyTorchJob{}, kind: foreign.PyTorchJobs, version: kubeflow.GroupVersion,
			others: []string{"spec.mpiReplicaSpecs", "spec.slotsPerWorker", "spec.runLauncherAsWorker"},
		},
		"MPIJob": {
			ours: &foreign.KubeflowJob{}, real: &mpi.MPIJob{}, kind: foreign.MPIJobs, version: mpi.SchemeGroupVersion,
			others: []string{"spec.pytorchReplicaSpecs", "spec.nprocPerNode"},
		},
		"PodGroup":          {ours: &foreign.PodGroup{}, real: &volcano.PodGroup{}, kind: foreign.PodGroups, version: volcano.SchemeGroupVersion},
		"Workload v1":       {ours: &foreign.Workload{}, real: &kueue1.Workload{}, kind: foreign.Workloads(v1), version: kueue1.SchemeGroupVersion},
		"Workload v2":       {ours: &foreign.Workload{}, real: &kueue2.Workload{}, kind: foreign.Workloads(v2), version: kueue2.SchemeGroupVersion},
		"LocalQueue v1":     {ours: &foreign.LocalQueue{}, real: &kueue1.LocalQueue{}, kind: foreign.LocalQueues(v1), version: kueue1.SchemeGroupVersion},
		"LocalQueue v2":     {ours: &foreign.LocalQueue{}, real: &kueue2.LocalQueue{}, kind: foreign.LocalQueues(v2), version: kueue2.SchemeGroupVersion},
		"ClusterQueue v1":   {ours: &foreign.ClusterQueue{}, real: &kueue1.ClusterQueue{}, kind: foreign.ClusterQueues(v1), version: kueue1.SchemeGroupVersion, others: append([]string{"spec.cohortName"}, amounts...)},
		"ClusterQueue v2":   {ours: &foreign.ClusterQueue{}, real: &kueue2.ClusterQueue{}, kind: foreign.ClusterQueues(v2), version: kueue2.SchemeGroupVersion, others: append([]string{"spec.cohort"}, amounts...)},
		"ResourceClaimTemp": {ours: &resourcev1.ResourceClaimTemplate{}, real: &resourcev1.ResourceClaimTemplate{}, kind: foreign.Claims, version: resourcev1.SchemeGroupVersion},
	}
}

// Every field of ours, filled, is one of the real type, of the same JSON, and
// comes back from it.
func TestFields(t *testing.T) {
	t.Parallel()
	for name, p := range pairs() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fill(reflect.ValueOf(p.ours).Elem(), new(int), 0)
			whole := object(t, p.ours)
			for _, path := range p.others {
				mine := object(t, whole)
				require.NotEmpty(t, fields(strict(t, mine, p.real)), "%s is said to be of another type", path)
				require.True(t, remove(whole, path), path)
			}
			require.Empty(t, fields(strict(t, whole, p.real)), "fields that %T does not know", p.real)
			require.Empty(t, missing("", whole, object(t, p.real)), "what %T lost or changed", p.real)

			// The other way: what the real one writes is what ours reads.
			back := reflect.New(reflect.TypeOf(p.ours).Elem()).Interface()
			data, err := json.Marshal(p.real)
			require.NoError(t, err)
			require.NoError(t, json.Unmarshal(data, back))
			require.Empty(t, missing("", whole, object(t, back)))

			// The comparison would see a field that is not there.
			whole["spec"].(map[string]any)["noSuchField"] = 1.0
			require.Len(t, strict(t, whole, p.real), 1)
		})
	}
}

// The kinds are those of the real types.
func TestKinds(t *testing.T) {
	t.Parallel()
	for name, p := range pairs() {
		require.Equal(t, p.version.Group, p.kind.Group, name)
		require.Equal(t, p.version.Version, p.kind.Version, name)
		require.Equal(t, reflect.TypeOf(p.real).Elem().Name(), p.kind.Kind, name)
	}
	for kind, real := range map[kube.Kind]any{foreign.Runtimes: trainer.TrainingRuntime{}, foreign.AllRuntimes: trainer.ClusterTrainingRuntime{}} {
		require.Equal(t, trainer.GroupVersion.Group, kind.Group)
		require.Equal(t, trainer.GroupVersion.Version, kind.Version)
		require.Equal(t, reflect.TypeOf(real).Name(), kind.Kind)
	}
	// Resources are made of the kinds as everywhere.
	require.Equal(t, kubeflow.PyTorchJobPlural, foreign.PyTorchJobs.Resource)
	for _, k := range []kube.Kind{foreign.JobSets, foreign.TrainJobs, foreign.MPIJobs, foreign.PodGroups, foreign.Claims, foreign.Runtimes, foreign.AllRuntimes} {
		require.Equal(t, strings.ToLower(k.Kind)+"s", k.Resource)
	}
}

// strict decodes an object into a real type as an API server does that is asked
// for strict validation, and returns what it objects to.
func strict(t *testing.T, what map[string]any, real any) []error {
	t.Helper()
	data, err := json.Marshal(what)
	require.NoError(t, err)
	reflect.ValueOf(real).Elem().SetZero()
	objections, err := kjson.UnmarshalStrict(data, real)
	require.NoError(t, err, "%s", data)
	return objections
}

func fields(objections []error) []string {
	var out []string
	for _, err := range objections {
		out = append(out, err.Error())
	}
	return out
}

func object(t *testing.T, of any) map[string]any {
	t.Helper()
	data, err := json.Marshal(of)
	require.NoError(t, err)
	var out map[string]any
	require.NoError(t, json.Unmarshal(data, &out))
	return out
}

// remove removes a path and reports whether it was there.
func remove(from map[string]any, path string) bool {
	head, rest, nested := strings.Cut(path, ".")
	if nested {
		next := from[head]
		if list, ok := next.([]any); ok && len(list) == 1 {
			next = list[0]
		}
		inner, ok := next.(map[string]any)
		return ok && remove(inner, rest)
	}
	_, ok := from[head]
	delete(from, head)
	return ok
}

// missing lists what of ours is not in real, or is something else there.
func missing(path string, ours, real any) []string {
	var out []string
	switch ours := ours.(type) {
	case map[string]any:
		other, ok := real.(map[string]any)
		if !ok {
			return []string{path + " is no object"}
		}
		for key, value := range ours {
			if _, ok := other[key]; !ok {
				out = append(out, path+"."+key+" is lost")
				continue
			}
			out = append(out, missing(path+"."+key, value, other[key])...)
		}
	case []any:
		other, ok := real.([]any)
		if !ok || len(other) != len(ours) {
			return []string{path + " is another list"}
		}
		for i := range ours {
			out = append(out, missing(fmt.Sprint(path, "[", i, "]"), ours[i], other[i])...)
		}
	default:
		if !reflect.DeepEqual(ours, real) {
			out = append(out, fmt.Sprintf("%s is %v, was %v", path, real, ours))
		}
	}
	return out
}
