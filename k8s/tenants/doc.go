// Package tenants makes a place for a team to train in: one call for the
// namespace with its quotas, default sizes, queue, network rules, pod security,
// accounts and roles.
//
//	t := tenants.Tenant{
//		Name:         "team-a",
//		GPUs:         map[string]int{"nvidia.com/gpu": 16},
//		ClusterQueue: "research",
//		Launchers:    []tenants.Account{{Namespace: "trainer", Name: "millwright"}},
//	}
//	m, err := tenants.New(cfg, nil)
//	plan, err := m.Plan(ctx, t)   // what would change, checked by the server
//	plan, err = m.Apply(ctx, t)   // the same, done
//
// [YAML] writes the same objects as plain manifests for GitOps. Apply is
// server-side apply: run it again and nothing changes, change a field and only
// that field does. An object that a tenant no longer asks for is removed, if this
// package made it.
//
// # What is made
//
//   - Namespace, with the pod security standard "restricted" (Tenant.PodSecurity)
//   - ResourceQuota for GPUs, CPU, memory and numbers of jobs
//   - LimitRange, so that pods which name no size get one and none is too large
//   - NetworkPolicy: from outside of the namespace nobody reaches the pods; they
//     reach everything but the machine's metadata service, which hands out the
//     node's credentials
//   - LocalQueue of Kueue, when Tenant.ClusterQueue is given
//   - ServiceAccount "millwright-job" for the pods, without API rights or token
//   - Role and RoleBinding for each of Tenant.Launchers, with exactly the rights
//     of Tenant.Features (see package k8s/rbac)
//
// # What is guarded
//
// Apply touches no namespace that it did not make, unless Options.Adopt. Delete
// also refuses while pods run or volume claims hold data, unless it is forced.
//
// The caller needs the rights of rbac.Tenants and those that it grants: the API
// server lets nobody grant what he does not have.
package tenants
