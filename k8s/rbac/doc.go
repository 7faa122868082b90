// Package rbac knows which rights each use of a cluster needs: it writes the
// Roles that grant exactly those, and checks at start that a program has them.
//
// A program names its [Feature]s. [Manifests] makes the ServiceAccount, Roles and
// bindings, which [YAML] writes for Git or kubectl:
//
//	objects, err := rbac.Manifests("trainer", []rbac.Feature{rbac.Run, rbac.Logs, rbac.Events}, &rbac.Options{
//		Namespaces: []string{"team-a", "team-b"},
//	})
//	text, err := rbac.YAML(objects...)
//
// [Require] asks the cluster at start whether the rights are there, so that the
// program says at once "get pods/log in namespace team-a (Logs and the last lines
// of a failure are empty)", and not a 403 hours later:
//
//	err := rbac.Require(ctx, cfg, "team-a", rbac.Run, rbac.Logs, rbac.Events)
//
// # What no feature asks for
//
// No feature may create or exec into pods, or read secrets. But whoever may
// create Jobs in a namespace can mount every secret of it into one, so keep
// secrets that jobs must not have out of the namespaces of jobs. A program with
// [Tenants] can grant only the rights that it has itself: give it the features
// that its tenants get, with Options.AllNamespaces.
package rbac
