package tenants

import (
	"maps"
	"math"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/millwright-ml/millwright/k8s/internal/kube"
	"github.com/millwright-ml/millwright/k8s/internal/plain"
	"github.com/millwright-ml/millwright/k8s/rbac"
	"github.com/millwright-ml/millwright/train"
)

// The labels of what this package makes.
const (
	LabelManaged = "app.kubernetes.io/managed-by" // "millwright"
	LabelTenant  = "millwright.dev/tenant"        // the tenant's name
	LabelTeam    = "millwright.dev/team"          // who pays; on the namespace
)

// JobAccount is the service account that a tenant's pods run as. It has no
// rights, and pods get no token of it.
const JobAccount = "millwright-job"

const (
	manager = "millwright"
	// name is that of the objects of which a tenant has one.
	name = "millwright"
	// queueVersion is what manifests say; Apply asks the cluster.
	queueVersion = "v1beta2"
)

var (
	localQueues = kube.Kind{Group: "kueue.x-k8s.io", Version: queueVersion, Resource: "localqueues", Kind: "LocalQueue"}
	metadata    = []netip.Prefix{netip.MustParsePrefix("169.254.169.254/32"), netip.MustParsePrefix("fd00:ec2::254/128")}
)

// item is one object of a tenant.
type item struct {
	kind   kube.Kind
	name   string
	object any // nil: the tenant does not want it
}

// YAML writes the tenant's objects as plain manifests, in the order in which they
// can be applied. The same tenant gives the same bytes.
func YAML(t Tenant) ([]byte, error) {
	if err := t.Validate(); err != nil {
		return nil, err
	}
	var wanted []any
	for _, it := range items(t, queueVersion) {
		if it.object != nil {
			wanted = append(wanted, it.object)
		}
	}
	return plain.YAML(wanted...)
}

// items are all objects that a tenant may have, in the order of their making.
func items(t Tenant, kueue string) []item {
	queue := localQueues
	queue.Version = kueue
	out := []item{
		{kube.Namespaces, t.Name, namespace(t)},
		{kube.Quotas, name, quota(t)},
		{kube.LimitRanges, name, limits(t)},
		{kube.NetworkPolicies, name, network(t)},
		{kube.ServiceAccounts, JobAccount, account(t)},
		{kube.Roles, name, role(t)},
		{kube.RoleBindings, name, binding(t)},
		{queue, t.queue(), localQueue(t, queue)},
	}
	return out
}

func meta(t Tenant, kind kube.Kind, object string) (metav1.TypeMeta, metav1.ObjectMeta) {
	m := metav1.ObjectMeta{Name: object, Labels: map[string]string{LabelManaged: manager, LabelTenant: t.Name}}
	if !kind.Cluster {
		m.Namespace = t.Name
	}
	return metav1.TypeMeta{APIVersion: kind.APIVersion(), Kind: kind.Kind}, m
}

func namespace(t Tenant) any {
	o := &corev1.Namespace{}
	o.TypeMeta, o.ObjectMeta = meta(t, kube.Namespaces, t.Name)
	maps.Copy(o.Labels, t.Labels)
	o.Labels[LabelTeam] = t.team()
	for _, mode := range []string{"enforce", "warn", "audit"} {
		o.Labels["pod-security.kubernetes.io/"+mode] = t.standard()
	}
	return o
}

func quota(t Tenant) any {
	o := &corev1.ResourceQuota{}
	o.TypeMeta, o.ObjectMeta = meta(t, kube.Quotas, name)
	o.Spec.Hard = corev1.ResourceList{}
	for resourceName, n := range t.GPUs {
		o.Spec.Hard[corev1.ResourceName("requests."+resourceName)] = *resource.NewQuantity(int64(n), resource.DecimalSI)
	}
	for what, q := range quantities(t.Total) {
		o.Spec.Hard["requests."+what] = q
	}
	if t.Jobs > 0 {
		o.Spec.Hard["count/jobs.batch"] = *resource.NewQuantity(int64(t.Jobs), resource.DecimalSI)
	}
	if len(o.Spec.Hard) == 0 {
		return nil
	}
	return o
}

func limits(t Tenant) any {
	each, largest := quantities(t.each()), quantities(t.Largest)
	if len(each)+len(largest) == 0 {
		return nil
	}
	o := &corev1.LimitRange{}
	o.TypeMeta, o.ObjectMeta = meta(t, kube.LimitRanges, name)
	limit := corev1.LimitRangeItem{Type: corev1.LimitTypeContainer}
	if len(each) > 0 {
		limit.DefaultRequest = each
	}
	if len(largest) > 0 {
		limit.Max = largest
		// With a maximum the server wants a limit of each container: those that name
		// none get the maximum.
		limit.Default = maps.Clone(largest)
	}
	o.Spec.Limits = []corev1.LimitRangeItem{limit}
	return o
}

func quantities(r train.Resources) corev1.ResourceList {
	out := corev1.ResourceList{}
	if r.CPU > 0 {
		out[corev1.ResourceCPU] = *resource.NewMilliQuantity(int64(math.Ceil(r.CPU*1000)), resource.DecimalSI)
	}
	if r.Memory > 0 {
		out[corev1.ResourceMemory] = *resource.NewQuantity(r.Memory, resource.BinarySI)
	}
	if r.Disk > 0 {
		out[corev1.ResourceEphemeralStorage] = *resource.NewQuantity(r.Disk, resource.BinarySI)
	}
	return out
}

func network(t Tenant) any {
	if t.OpenNetwork {
		return nil
	}
	o := &networkingv1.NetworkPolicy{}
	o.TypeMeta, o.ObjectMeta = meta(t, kube.NetworkPolicies, name)
	o.Spec.PolicyTypes = []networkingv1.PolicyType{networkingv1.PolicyTypeIngress, networkingv1.PolicyTypeEgress}
	own := networkingv1.NetworkPolicyPeer{PodSelector: &metav1.LabelSelector{}}
	from := []networkingv1.NetworkPolicyPeer{own}
	for _, ns := range slices.Compact(slices.Sorted(slices.Values(t.From))) {
		from = append(from, networkingv1.NetworkPolicyPeer{NamespaceSelector: named(ns)})
	}
	o.Spec.Ingress = []networkingv1.NetworkPolicyIngressRule{{From: from}}
	to := []networkingv1.NetworkPolicyPeer{own}
	networks := slices.Compact(slices.Sorted(slices.Values(t.To)))
	if len(networks) == 0 {
		networks = []string{"0.0.0.0/0", "::/0"}
	}
	for _, cidr := range networks {
		to = append(to, networkingv1.NetworkPolicyPeer{IPBlock: block(cidr)})
	}
	udp, tcp, dns := corev1.ProtocolUDP, corev1.ProtocolTCP, intstr.FromInt32(53)
	o.Spec.Egress = []networkingv1.NetworkPolicyEgressRule{
		{To: to},
		{
			To:    []networkingv1.NetworkPolicyPeer{{NamespaceSelector: named("kube-system")}},
			Ports: []networkingv1.NetworkPolicyPort{{Protocol: &udp, Port: &dns}, {Protocol: &tcp, Port: &dns}},
		},
	}
	return o
}

func named(ns string) *metav1.LabelSelector {
	return &metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelMetadataName: ns}}
}

// block is a network without the metadata service, unless it is named itself.
func block(cidr string) *networkingv1.IPBlock {
	prefix, err := netip.ParsePrefix(cidr)
	if err != nil {
		return &networkingv1.IPBlock{CIDR: cidr} // Validate refused it already
	}
	out := &networkingv1.IPBlock{CIDR: prefix.Masked().String()}
	for _, m := range metadata {
		if prefix.Contains(m.Addr()) && prefix.Bits() < m.Bits() {
			out.Except = append(out.Except, m.String())
		}
	}
	return out
}

func account(t Tenant) any {
	o := &corev1.ServiceAccount{}
	o.TypeMeta, o.ObjectMeta = meta(t, kube.ServiceAccounts, JobAccount)
	no := false
	o.AutomountServiceAccountToken = &no
	return o
}

func role(t Tenant) any {
	if len(t.Launchers) == 0 {
		return nil
	}
	o := &rbacv1.Role{}
	o.TypeMeta, o.ObjectMeta = meta(t, kube.Roles, name)
	o.Rules, _, _ = rbac.Rules(t.features()...) // Validate refused what it refuses
	return o
}

func binding(t Tenant) any {
	if len(t.Launchers) == 0 {
		return nil
	}
	o := &rbacv1.RoleBinding{RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: name}}
	o.TypeMeta, o.ObjectMeta = meta(t, kube.RoleBindings, name)
	accounts := slices.Clone(t.Launchers)
	slices.SortFunc(accounts, func(a, b Account) int {
		return strings.Compare(a.Namespace+"/"+a.Name, b.Namespace+"/"+b.Name)
	})
	for _, a := range slices.Compact(accounts) {
		o.Subjects = append(o.Subjects, rbacv1.Subject{Kind: rbacv1.ServiceAccountKind, Namespace: a.Namespace, Name: a.Name})
	}
	return o
}

func localQueue(t Tenant, kind kube.Kind) any {
	if t.ClusterQueue == "" {
		return nil
	}
	types, objects := meta(t, kind, t.queue())
	return map[string]any{
		"apiVersion": types.APIVersion, "kind": types.Kind,
		"metadata": map[string]any{"name": objects.Name, "namespace": objects.Namespace, "labels": objects.Labels},
		"spec":     map[string]any{"clusterQueue": t.ClusterQueue},
	}
}
