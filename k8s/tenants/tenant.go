package tenants

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/millwright-ml/millwright/internal/errs"
	"github.com/millwright-ml/millwright/k8s/rbac"
	"github.com/millwright-ml/millwright/train"
)

// The kinds of error that this package returns.
var (
	ErrInvalid  = errs.ErrInvalid
	ErrNotFound = errs.ErrNotFound
	// ErrConflict: a namespace that is not ours, or one in use.
	ErrConflict = errs.ErrConflict
	// ErrUnsupported: the cluster has no Kueue and the tenant wants a queue.
	ErrUnsupported = errs.ErrUnsupported
)

// Tenant is a team's place in a cluster. It is pure data.
type Tenant struct {
	// Name is that of the namespace. Required.
	Name string `json:"name"`
	// Team is who pays, a label of the namespace and of nothing else. Default:
	// Name.
	Team string `json:"team,omitempty"`
	// Labels are added to the namespace. Default: none.
	Labels map[string]string `json:"labels,omitempty"`

	// GPUs is how many the running pods may hold, by extended resource, such as
	// "nvidia.com/gpu". Default: no bound.
	GPUs map[string]int `json:"gpus,omitempty"`
	// Total is what the running pods may ask for. Zero fields set no bound.
	Total train.Resources `json:"total,omitzero"`
	// Jobs is how many batch Jobs may exist, ended ones too. Default 0: no bound.
	Jobs int `json:"jobs,omitempty"`
	// Each is what a container gets that names no size. Default: where Total has
	// a bound, 1 core, 1 GiB of memory and 10 GiB of disk, because the server
	// refuses pods without a size under a quota.
	Each train.Resources `json:"each,omitzero"`
	// Largest bounds each container. Zero fields set no bound.
	Largest train.Resources `json:"largest,omitzero"`

	// ClusterQueue is the queue of Kueue whose quota the tenant draws on. Default
	// "": no LocalQueue.
	ClusterQueue string `json:"clusterQueue,omitempty"`
	// Queue is the name of the LocalQueue. Default: "default".
	Queue string `json:"queue,omitempty"`

	// PodSecurity is the standard that pods are held to: "restricted", "baseline"
	// or "privileged". Default: "restricted".
	PodSecurity string `json:"podSecurity,omitempty"`
	// OpenNetwork leaves out the NetworkPolicy. Default false.
	OpenNetwork bool `json:"openNetwork,omitempty"`
	// From are namespaces whose pods may reach the tenant's pods, such as that of
	// the metrics collector. Default: none.
	From []string `json:"from,omitempty"`
	// To are networks, as CIDRs, that the pods may reach besides each other and
	// the cluster's DNS. Default: all, but for the metadata service.
	To []string `json:"to,omitempty"`

	// Launchers are the service accounts that may run jobs here. Default: none.
	Launchers []Account `json:"launchers,omitempty"`
	// Features are what they may do. Default: rbac.Run, Logs, Events and Quota,
	// with ClusterQueue also rbac.Kueue. Those of the whole cluster are not
	// granted here.
	Features []rbac.Feature `json:"features,omitempty"`
}

// Account is a service account.
type Account struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
}

// system are namespaces that are nobody's tenant.
var system = []string{"default", "kube-system", "kube-public", "kube-node-lease"}

// Validate reports every fault of the tenant in one ErrInvalid.
func (t Tenant) Validate() error {
	var f errs.Faults
	label(&f, "name", t.Name)
	f.Check(!slices.Contains(system, t.Name), "name %q is a namespace of the cluster itself", t.Name)
	value(&f, "team", t.Team)
	for _, key := range slices.Sorted(maps.Keys(t.Labels)) {
		if problems := validation.IsQualifiedName(key); len(problems) > 0 {
			f.Addf("label %q: %s", key, strings.Join(problems, ", "))
		}
		f.Check(!strings.HasPrefix(key, "pod-security.kubernetes.io/"), "label %q is set by PodSecurity", key)
		f.Check(key != LabelTenant && key != LabelTeam && key != LabelManaged, "label %q is set by this package", key)
		value(&f, "label "+key, t.Labels[key])
	}
	for _, name := range slices.Sorted(maps.Keys(t.GPUs)) {
		f.Check(strings.Contains(name, "/") && len(validation.IsQualifiedName(name)) == 0, "gpus %q is no extended resource, such as nvidia.com/gpu", name)
		f.Check(t.GPUs[name] >= 0, "gpus %q is %d, want 0 or more", name, t.GPUs[name])
	}
	for what, r := range map[string]train.Resources{"total": t.Total, "each": t.Each, "largest": t.Largest} {
		f.Check(r.CPU >= 0 && r.CPU <= 1e6, "%s cpu is %v, want 0 to 1e6", what, r.CPU)
		f.Check(r.Memory >= 0, "%s memory is %d, want 0 or more", what, r.Memory)
		f.Check(r.Disk >= 0, "%s disk is %d, want 0 or more", what, r.Disk)
	}
	each := t.each()
	f.Check(t.Largest.CPU == 0 || each.CPU <= t.Largest.CPU, "each cpu is %v, more than the largest of %v", each.CPU, t.Largest.CPU)
	f.Check(t.Largest.Memory == 0 || each.Memory <= t.Largest.Memory, "each memory is %d, more than the largest of %d", each.Memory, t.Largest.Memory)
	f.Check(t.Largest.Disk == 0 || each.Disk <= t.Largest.Disk, "each disk is %d, more than the largest of %d", each.Disk, t.Largest.Disk)
	f.Check(t.Jobs >= 0, "jobs is %d, want 0 or more", t.Jobs)
	if t.ClusterQueue != "" {
		label(&f, "cluster queue", t.ClusterQueue)
		label(&f, "queue", t.queue())
	}
	f.Check(t.Queue == "" || t.ClusterQueue != "", "queue %q has no cluster queue", t.Queue)
	f.Check(slices.Contains([]string{"", "restricted", "baseline", "privileged"}, t.PodSecurity), "pod security %q is not restricted, baseline or privileged", t.PodSecurity)
	for _, ns := range t.From {
		label(&f, "from", ns)
	}
	for _, cidr := range t.To {
		_, err := netip.ParsePrefix(cidr)
		f.Check(err == nil, "to %q is no network such as 10.0.0.0/8", cidr)
	}
	f.Check(!t.OpenNetwork || len(t.From)+len(t.To) == 0, "open network, and From or To")
	for _, a := range t.Launchers {
		label(&f, "launcher's namespace", a.Namespace)
		label(&f, "launcher", a.Name)
	}
	if _, err := rbac.Rights(t.features()...); err != nil {
		f.Addf("%v", strings.TrimSuffix(strings.TrimPrefix(err.Error(), "rbac: rights: "), ": invalid"))
	}
	return f.Err(fmt.Sprintf("tenants: tenant %q", t.Name))
}

func label(f *errs.Faults, what, text string) {
	if problems := validation.IsDNS1123Label(text); len(problems) > 0 {
		f.Addf("%s %q: %s", what, text, strings.Join(problems, ", "))
	}
}

func value(f *errs.Faults, what, text string) {
	if problems := validation.IsValidLabelValue(text); len(problems) > 0 {
		f.Addf("%s %q: %s", what, text, strings.Join(problems, ", "))
	}
}

func (t Tenant) team() string {
	if t.Team == "" {
		return t.Name
	}
	return t.Team
}

func (t Tenant) queue() string {
	if t.Queue == "" {
		return "default"
	}
	return t.Queue
}

func (t Tenant) standard() string {
	if t.PodSecurity == "" {
		return "restricted"
	}
	return t.PodSecurity
}

// each is Each with its defaults.
func (t Tenant) each() train.Resources {
	e := t.Each
	if e.CPU == 0 && t.Total.CPU > 0 {
		e.CPU = 1
	}
	if e.Memory == 0 && t.Total.Memory > 0 {
		e.Memory = 1 << 30
	}
	if e.Disk == 0 && t.Total.Disk > 0 {
		e.Disk = 10 << 30
	}
	return e
}

func (t Tenant) features() []rbac.Feature {
	if len(t.Features) > 0 {
		return t.Features
	}
	out := []rbac.Feature{rbac.Run, rbac.Logs, rbac.Events, rbac.Quota}
	if t.ClusterQueue != "" {
		out = append(out, rbac.Kueue)
	}
	return out
}
