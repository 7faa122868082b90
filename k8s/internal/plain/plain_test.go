package plain_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/millwright-ml/millwright/k8s/internal/plain"
)

func TestYAML(t *testing.T) {
	t.Parallel()
	ns := &corev1.Namespace{TypeMeta: metav1.TypeMeta{Kind: "Namespace", APIVersion: "v1"}, ObjectMeta: metav1.ObjectMeta{Name: "a"}}
	ns.Status.Phase = corev1.NamespaceActive
	job := &batchv1.Job{TypeMeta: metav1.TypeMeta{Kind: "Job", APIVersion: "batch/v1"}, ObjectMeta: metav1.ObjectMeta{Name: "b"}}
	job.Spec.Template.Labels = map[string]string{"app": "b"}
	out, err := plain.YAML[any](ns, job)
	require.NoError(t, err)
	require.Equal(t, `apiVersion: v1
kind: Namespace
metadata:
  name: a
spec: {}
---
apiVersion: batch/v1
kind: Job
metadata:
  name: b
spec:
  template:
    metadata:
      labels:
        app: b
    spec:
      containers: null
`, string(out))
	_, err = plain.YAML(func() {})
	require.ErrorContains(t, err, "func()")
	_, err = plain.YAML([]int{1})
	require.ErrorContains(t, err, "[]int")
	old, err := plain.Map(map[string]any{"list": []any{map[string]any{"creationTimestamp": nil, "x": 1}}})
	require.NoError(t, err)
	require.Equal(t, map[string]any{"list": []any{map[string]any{"x": 1.0}}}, old)
}
