package tenants_test

import (
	"fmt"
	"strings"

	"github.com/millwright-ml/millwright/k8s/tenants"
)

// A team's place, as manifests for Git.
func ExampleYAML() {
	text, err := tenants.YAML(tenants.Tenant{
		Name:         "team-a",
		GPUs:         map[string]int{"nvidia.com/gpu": 16},
		ClusterQueue: "research",
		Launchers:    []tenants.Account{{Namespace: "trainer", Name: "millwright"}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	documents := strings.Split(string(text), "---\n")
	for _, d := range documents {
		for line := range strings.Lines(d) {
			if kind, ok := strings.CutPrefix(line, "kind: "); ok {
				fmt.Print(kind)
			}
		}
	}
	fmt.Print(documents[1])
	// Output:
	// Namespace
	// ResourceQuota
	// NetworkPolicy
	// ServiceAccount
	// Role
	// RoleBinding
	// LocalQueue
	// apiVersion: v1
	// kind: ResourceQuota
	// metadata:
	//   labels:
	//     app.kubernetes.io/managed-by: millwright
	//     millwright.dev/tenant: team-a
	//   name: millwright
	//   namespace: team-a
	// spec:
	//   hard:
	//     requests.nvidia.com/gpu: "16"
}
