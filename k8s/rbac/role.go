package rbac

import (
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/millwright-ml/millwright/internal/errs"
	"github.com/millwright-ml/millwright/k8s/internal/plain"
)

// Rules are the namespaced rights of the features as the rules of a Role, and
// the others as those of a ClusterRole. Either may be empty.
func Rules(features ...Feature) (role, cluster []rbacv1.PolicyRule, err error) {
	rights, err := Rights(features...)
	if err != nil {
		return nil, nil, err
	}
	return rules(rights, false), rules(rights, true), nil
}

// rules merges rights: resources of one group with the same verbs are one rule.
func rules(rights []Right, cluster bool) []rbacv1.PolicyRule {
	type key struct{ group, resource string }
	verbs := map[key][]string{}
	var order []key
	for _, r := range rights {
		if r.Cluster != cluster {
			continue
		}
		k := key{r.Group, r.Resource}
		if verbs[k] == nil {
			order = append(order, k)
		}
		if !slices.Contains(verbs[k], r.Verb) {
			verbs[k] = append(verbs[k], r.Verb)
		}
	}
	var out []rbacv1.PolicyRule
	for _, k := range order {
		slices.Sort(verbs[k])
		i := slices.IndexFunc(out, func(r rbacv1.PolicyRule) bool { return r.APIGroups[0] == k.group && slices.Equal(r.Verbs, verbs[k]) })
		if i < 0 {
			out = append(out, rbacv1.PolicyRule{APIGroups: []string{k.group}, Resources: []string{k.resource}, Verbs: verbs[k]})
			continue
		}
		out[i].Resources = append(out[i].Resources, k.resource)
	}
	return out
}

// Options changes Manifests. nil is the zero value.
type Options struct {
	// Name is that of all objects. Default: "millwright".
	Name string
	// Namespaces are those in which the program may use the features. Default:
	// the one of its service account.
	Namespaces []string
	// AllNamespaces grants the features in every namespace, also in those that
	// do not exist yet. Default false.
	AllNamespaces bool
	// ServiceAccount is an existing account that gets the rights. Default "":
	// one with Name is made.
	ServiceAccount string
	// Labels are set on all objects. Default: none.
	Labels map[string]string
}

// Manifests are the objects that give a program whose pods run in namespace the
// rights for the features: its ServiceAccount, a Role and a RoleBinding in each
// namespace, and a ClusterRole with its binding where a feature needs one. The
// result is the same for the same arguments, whatever their order.
func Manifests(namespace string, features []Feature, opts *Options) ([]runtime.Object, error) {
	var o Options
	if opts != nil {
		o = *opts
	}
	if o.Name == "" {
		o.Name = "millwright"
	}
	account := o.ServiceAccount
	if account == "" {
		account = o.Name
	}
	namespaces := slices.Compact(slices.Sorted(slices.Values(o.Namespaces)))
	if len(namespaces) == 0 {
		namespaces = []string{namespace}
	}
	var faults errs.Faults
	checkName(&faults, "namespace", namespace)
	checkName(&faults, "name", o.Name)
	checkName(&faults, "service account", account)
	for _, ns := range namespaces {
		checkName(&faults, "namespace", ns)
	}
	faults.Check(!o.AllNamespaces || len(o.Namespaces) == 0, "both Namespaces and AllNamespaces are given")
	rights, err := Rights(features...)
	if err != nil {
		faults.Addf("%v", strings.TrimSuffix(strings.TrimPrefix(err.Error(), "rbac: rights: "), ": invalid"))
	}
	if err := faults.Err("rbac: manifests"); err != nil {
		return nil, err
	}
	if o.AllNamespaces {
		for i := range rights {
			rights[i].Cluster = true
		}
	}
	m := maker{name: o.Name, labels: o.Labels, subject: rbacv1.Subject{Kind: rbacv1.ServiceAccountKind, Name: account, Namespace: namespace}}
	var out []runtime.Object
	if o.ServiceAccount == "" {
		out = append(out, &corev1.ServiceAccount{TypeMeta: kind("v1", "ServiceAccount"), ObjectMeta: m.meta(namespace)})
	}
	if list := rules(rights, true); len(list) > 0 {
		out = append(out,
			&rbacv1.ClusterRole{TypeMeta: kind(rbacV1, "ClusterRole"), ObjectMeta: m.meta(""), Rules: list},
			&rbacv1.ClusterRoleBinding{
				TypeMeta: kind(rbacV1, "ClusterRoleBinding"), ObjectMeta: m.meta(""),
				RoleRef: m.role("ClusterRole"), Subjects: []rbacv1.Subject{m.subject},
			})
	}
	if list := rules(rights, false); len(list) > 0 {
		for _, ns := range namespaces {
			out = append(out,
				&rbacv1.Role{TypeMeta: kind(rbacV1, "Role"), ObjectMeta: m.meta(ns), Rules: list},
				&rbacv1.RoleBinding{
					TypeMeta: kind(rbacV1, "RoleBinding"), ObjectMeta: m.meta(ns),
					RoleRef: m.role("Role"), Subjects: []rbacv1.Subject{m.subject},
				})
		}
	}
	return out, nil
}

// YAML writes objects as the documents of one file, for Git or kubectl apply.
func YAML(objects ...runtime.Object) ([]byte, error) { return plain.YAML(objects...) }

const rbacV1 = rbacAPI + "/v1"

type maker struct {
	name    string
	labels  map[string]string
	subject rbacv1.Subject
}

func (m maker) meta(namespace string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Name: m.name, Namespace: namespace, Labels: maps.Clone(m.labels)}
}

func (m maker) role(k string) rbacv1.RoleRef {
	return rbacv1.RoleRef{APIGroup: rbacAPI, Kind: k, Name: m.name}
}

func kind(version, name string) metav1.TypeMeta {
	return metav1.TypeMeta{APIVersion: version, Kind: name}
}

func checkName(faults *errs.Faults, what, name string) {
	if problems := validation.IsDNS1123Label(name); len(problems) > 0 {
		faults.Addf("%s %q: %s", what, name, strings.Join(problems, ", "))
	}
}
