package foreign

import (
	"cmp"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/millwright-ml/millwright/k8s/internal/kube"
)

// KueueGroup is the group of Kueue, in the version that is asked for here.
const KueueGroup = "kueue.x-k8s.io"

// Workloads is the kind of Kueue's view of jobs, in a version.
func Workloads(version string) kube.Kind {
	return kube.Kind{Group: KueueGroup, Version: version, Resource: "workloads", Kind: "Workload"}
}

// LocalQueues is the kind of a namespace's queues.
func LocalQueues(version string) kube.Kind {
	return kube.Kind{Group: KueueGroup, Version: version, Resource: "localqueues", Kind: "LocalQueue"}
}

// ClusterQueues is the kind of the queues behind them.
func ClusterQueues(version string) kube.Kind {
	return kube.Kind{Group: KueueGroup, Version: version, Resource: "clusterqueues", Kind: "ClusterQueue", Cluster: true}
}

// Condition is what all of them have.
type Condition struct {
	Type               string      `json:"type"`
	Status             string      `json:"status"`
	Reason             string      `json:"reason,omitempty"`
	Message            string      `json:"message,omitempty"`
	LastTransitionTime metav1.Time `json:"lastTransitionTime,omitzero"`
}

// Find returns the condition of a type, or a zero one.
func Find(conditions []Condition, name string) Condition {
	i := slices.IndexFunc(conditions, func(c Condition) bool { return c.Type == name })
	if i < 0 {
		return Condition{}
	}
	return conditions[i]
}

// True reports whether the condition holds.
func (c Condition) True() bool { return c.Status == "True" }

// Workload is Kueue's view of one job.
type Workload struct {
	metav1.ObjectMeta `json:"metadata"`
	Spec              struct {
		QueueName string `json:"queueName,omitempty"`
		Active    *bool  `json:"active,omitempty"`
		Priority  *int32 `json:"priority,omitempty"`
	} `json:"spec"`
	Status struct {
		Conditions []Condition `json:"conditions,omitempty"`
		Admission  *struct {
			ClusterQueue string `json:"clusterQueue"`
		} `json:"admission,omitempty"`
		RequeueState *struct {
			Count     *int32       `json:"count,omitempty"`
			RequeueAt *metav1.Time `json:"requeueAt,omitempty"`
		} `json:"requeueState,omitempty"`
	} `json:"status"`
}

// WorkloadList is a list of them.
type WorkloadList struct {
	metav1.ListMeta `json:"metadata"`
	Items           []Workload `json:"items"`
}

// Pending reports whether the workload waits for quota.
func (w *Workload) Pending() bool {
	return !Find(w.Status.Conditions, "QuotaReserved").True() && !Find(w.Status.Conditions, "Finished").True() && (w.Spec.Active == nil || *w.Spec.Active)
}

// queued is since when it waits: an eviction puts it back into the queue by its
// creation all the same.
func (w *Workload) queued() time.Time { return w.CreationTimestamp.Time }

// Position is the place of a workload among the pending ones of its queue, from
// 1, and how many there are. 0 when it does not wait.
func Position(all []Workload, name string) (place, of int) {
	i := slices.IndexFunc(all, func(w Workload) bool { return w.Name == name })
	if i < 0 || !all[i].Pending() {
		return 0, 0
	}
	queue := all[i].Spec.QueueName
	var waiting []*Workload
	for k := range all {
		if w := &all[k]; w.Spec.QueueName == queue && w.Pending() {
			waiting = append(waiting, w)
		}
	}
	priority := func(w *Workload) int32 {
		if w.Spec.Priority == nil {
			return 0
		}
		return *w.Spec.Priority
	}
	slices.SortStableFunc(waiting, func(a, b *Workload) int {
		return cmp.Or(cmp.Compare(priority(b), priority(a)), a.queued().Compare(b.queued()), cmp.Compare(a.Name, b.Name))
	})
	return 1 + slices.IndexFunc(waiting, func(w *Workload) bool { return w.Name == name }), len(waiting)
}

// Quantity is an amount of one resource.
type Quantity struct {
	Name           string             `json:"name"`
	NominalQuota   resource.Quantity  `json:"nominalQuota,omitzero"`
	BorrowingLimit *resource.Quantity `json:"borrowingLimit,omitempty"`
	Total          resource.Quantity  `json:"total,omitzero"`
	Borrowed       resource.Quantity  `json:"borrowed,omitzero"`
}

// Flavor is the amounts of one flavor.
type Flavor struct {
	Name      string     `json:"name"`
	Resources []Quantity `json:"resources,omitempty"`
}

// LocalQueue is a namespace's queue.
type LocalQueue struct {
	metav1.ObjectMeta `json:"metadata"`
	Spec              struct {
		ClusterQueue string `json:"clusterQueue,omitempty"`
		StopPolicy   string `json:"stopPolicy,omitempty"`
	} `json:"spec"`
	Status struct {
		Conditions       []Condition `json:"conditions,omitempty"`
		PendingWorkloads int32       `json:"pendingWorkloads,omitempty"`
	} `json:"status"`
}

// ClusterQueue holds the quota.
type ClusterQueue struct {
	metav1.ObjectMeta `json:"metadata"`
	Spec              struct {
		ResourceGroups []struct {
			Flavors []Flavor `json:"flavors,omitempty"`
		} `json:"resourceGroups,omitempty"`
		CohortName string `json:"cohortName,omitempty"`
		Cohort     string `json:"cohort,omitempty"`
		StopPolicy string `json:"stopPolicy,omitempty"`
	} `json:"spec"`
	Status struct {
		Conditions  []Condition `json:"conditions,omitempty"`
		FlavorUsage []Flavor    `json:"flavorsUsage,omitempty"`
	} `json:"status"`
}
