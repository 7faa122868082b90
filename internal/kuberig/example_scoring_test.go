package kuberig_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"

	"github.com/millwright-ml/millwright/internal/kuberig"
)

// The manifests of the scoring service are what the server accepts, with every
// field: a misspelt one is an error of a server-side apply. KServe's resource has
// the pod spec of the Deployment in it, so that is what of it is checked here: as
// a pod.
func TestExampleScoringService(t *testing.T) {
	t.Parallel()
	c := kuberig.Shared(t, kuberig.Plain)
	ns := c.Namespace(t)
	dir := filepath.Join("..", "..", "examples", "scoring-service", "deploy")
	text, err := os.ReadFile(filepath.Join(dir, "deployment.yaml"))
	require.NoError(t, err)
	own := strings.ReplaceAll(string(text), "namespace: scoring\n", "namespace: "+ns+"\n")
	require.Contains(t, own, "kind: Deployment")
	applyYAML(t, c, []byte(own), true)

	text, err = os.ReadFile(filepath.Join(dir, "inferenceservice.yaml"))
	require.NoError(t, err)
	var service struct {
		APIVersion string `json:"apiVersion"`
		Kind       string `json:"kind"`
		Metadata   map[string]any
		Spec       struct {
			Predictor map[string]any `json:"predictor"`
		}
	}
	require.NoError(t, yaml.UnmarshalStrict(text, &service))
	require.Equal(t, "serving.kserve.io/v1beta1", service.APIVersion)
	require.Equal(t, "InferenceService", service.Kind)
	pod := service.Spec.Predictor
	for _, field := range []string{"minReplicas", "maxReplicas", "scaleMetric", "scaleTarget"} { // KServe's own
		require.Contains(t, pod, field)
		delete(pod, field)
	}
	manifest, err := yaml.Marshal(map[string]any{
		"apiVersion": "v1", "kind": "Pod", "metadata": map[string]any{"name": "scoring-service", "namespace": ns}, "spec": pod,
	})
	require.NoError(t, err)
	applyYAML(t, c, manifest, true)
}
