package kuberig

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// explained are the kinds of objects that say how a job stands, its root first.
var explained = []schema.GroupVersionResource{
	{Group: "trainer.kubeflow.org", Version: "v1alpha1", Resource: "trainjobs"},
	{Group: "jobset.x-k8s.io", Version: "v1alpha2", Resource: "jobsets"},
	{Group: "batch", Version: "v1", Resource: "jobs"},
	{Group: "kueue.x-k8s.io", Version: "v1beta2", Resource: "workloads"},
	{Version: "v1", Resource: "pods"},
}

// ExplainFailure shows the objects of a namespace when the test fails, a line for
// each, and once more behind all else that the run of tests says: what a shared
// cluster logs is about other tests as well, and the end of a long output is all
// that some services keep.
func (c *Cluster) ExplainFailure(t testing.TB, namespace string) {
	t.Cleanup(func() {
		if !t.Failed() || c.down() {
			return
		}
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 30*time.Second)
		defer cancel()
		text := c.explain(ctx, namespace)
		t.Log(text)
		shared.mu.Lock()
		defer shared.mu.Unlock()
		shared.failures = append(shared.failures, t.Name()+": "+text)
	})
}

func (c *Cluster) explain(ctx context.Context, namespace string) string {
	lines := []string{"at " + time.Now().UTC().Format(time.TimeOnly) + " namespace " + namespace + " has"}
	for _, gvr := range explained {
		list, err := c.dynamic.Resource(gvr).Namespace(namespace).List(ctx, metav1.ListOptions{})
		if err != nil {
			continue // this cluster does not have the kind
		}
		for i := range list.Items {
			lines = append(lines, explainObject(&list.Items[i]))
		}
	}
	if events, err := c.client.CoreV1().Events(namespace).List(ctx, metav1.ListOptions{}); err == nil {
		var warnings []string
		for i := range events.Items {
			if e := &events.Items[i]; e.Type == "Warning" {
				warnings = append(warnings, clip(fmt.Sprintf("%s %s %s: %s", e.LastTimestamp.UTC().Format(time.TimeOnly), e.InvolvedObject.Name, e.Reason, e.Message), 240))
			}
		}
		slices.Sort(warnings)
		lines = append(lines, warnings[max(0, len(warnings)-6):]...)
	}
	return strings.Join(lines, "\n  ")
}

func explainObject(u *unstructured.Unstructured) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s", u.GetKind(), u.GetName())
	if u.GetDeletionTimestamp() != nil {
		b.WriteString(" deleting")
	}
	for _, path := range [][]string{
		{"spec", "suspend"}, {"spec", "active"}, {"spec", "nodeName"}, {"status", "phase"}, {"status", "active"}, {"status", "failed"}, {"status", "restarts"},
		{"status", "jobsStatus"}, {"status", "replicatedJobsStatus"},
	} {
		if v, ok, _ := unstructured.NestedFieldNoCopy(u.Object, path...); ok {
			fmt.Fprintf(&b, " %s=%v", path[len(path)-1], v)
		}
	}
	for name, value := range u.GetAnnotations() {
		if short, ok := strings.CutPrefix(name, "millwright.dev/"); ok && short != "spec" && short != "spec-hash" {
			fmt.Fprintf(&b, " %s=%s", short, clip(value, 200))
		}
	}
	if found := below(u.Object["spec"], "millwright.dev/attempt"); len(found) > 0 {
		fmt.Fprintf(&b, " template's attempt=%v", found)
	}
	conditions, _, _ := unstructured.NestedSlice(u.Object, "status", "conditions")
	for _, item := range conditions {
		if cond, ok := item.(map[string]any); ok {
			fmt.Fprintf(&b, " %v=%v(%v %.19v)", cond["type"], cond["status"], cond["reason"], cond["lastTransitionTime"])
		}
	}
	return clip(b.String(), 700)
}

// below finds the values of a key at any depth.
func below(v any, key string) []any {
	var found []any
	switch v := v.(type) {
	case []any:
		for _, item := range v {
			found = append(found, below(item, key)...)
		}
	case map[string]any:
		for name, item := range v {
			if name == key {
				found = append(found, item)
			} else {
				found = append(found, below(item, key)...)
			}
		}
	}
	return found
}

func clip(text string, n int) string {
	if len(text) > n {
		return strings.ToValidUTF8(text[:n], "") + "…"
	}
	return text
}

// complaint finds the lines of a log that tell of a fault.
var complaint = regexp.MustCompile(`^E\d{4} |"level":"(error|fatal|panic)"|\tERROR\t|"level":"ERROR"|panic:|fatal error:`)

// complaints are the last few lines of a log that tell of a fault.
func complaints(log string) string {
	var found []string
	for line := range strings.Lines(log) {
		if complaint.MatchString(line) {
			found = append(found, clip(strings.TrimRight(line, "\n"), 240))
		}
	}
	return strings.Join(found[max(0, len(found)-3):], "\n")
}
