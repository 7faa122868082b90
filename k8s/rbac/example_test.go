package rbac_test

import (
	"fmt"

	"github.com/millwright-ml/millwright/k8s/rbac"
)

// The rights of a program that runs jobs in the namespace of one team, and shows
// their logs.
func ExampleManifests() {
	objects, err := rbac.Manifests("trainer", []rbac.Feature{rbac.Leader, rbac.Logs}, &rbac.Options{Namespaces: []string{"team-a"}})
	if err != nil {
		fmt.Println(err)
		return
	}
	text, err := rbac.YAML(objects[1])
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Print(string(text))
	// Output:
	// apiVersion: rbac.authorization.k8s.io/v1
	// kind: Role
	// metadata:
	//   name: millwright
	//   namespace: team-a
	// rules:
	// - apiGroups:
	//   - ""
	//   resources:
	//   - pods/log
	//   verbs:
	//   - get
	// - apiGroups:
	//   - coordination.k8s.io
	//   resources:
	//   - leases
	//   verbs:
	//   - create
	//   - get
	//   - update
}

func ExampleRights() {
	rights, err := rbac.Rights(rbac.Logs)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, r := range rights {
		fmt.Println("without", r, "-", r.Breaks)
	}
	// Output:
	// without get pods/log - Logs and the last lines of a failure are empty
}
