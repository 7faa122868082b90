package rbac

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"github.com/millwright-ml/millwright/internal/errs"
)

// ErrInvalid says that a feature, name or namespace cannot be.
var ErrInvalid = errs.ErrInvalid

// Feature is something that a program does with a cluster and needs rights for.
type Feature string

// The features. The first part are those of one namespace, the second part those
// that look at the whole cluster.
const (
	Run        Feature = "run"        // submit, follow, suspend, cancel and delete batch Jobs
	Logs       Feature = "logs"       // read what the jobs print
	Events     Feature = "events"     // say why a job waits or failed
	Quota      Feature = "quota"      // say before a job is submitted whether a quota has room
	Volumes    Feature = "volumes"    // say before a job is submitted whether its claims exist
	JobSet     Feature = "jobset"     // run jobs of several nodes as JobSets
	TrainJob   Feature = "trainjob"   // run jobs as TrainJobs of Kubeflow
	PyTorchJob Feature = "pytorchjob" // run jobs as PyTorchJobs of Kubeflow's older operator
	MPIJob     Feature = "mpijob"     // run jobs as MPIJobs
	Kueue      Feature = "kueue"      // queue jobs, and say where in the queue they are
	Volcano    Feature = "volcano"    // gang scheduling by Volcano
	DRA        Feature = "dra"        // ask for GPUs by dynamic resource allocation
	Leader     Feature = "leader"     // elect a leader among replicas (package k8s/leader)

	KueueCluster Feature = "kueue-cluster" // show the quotas behind the queues
	Priority     Feature = "priority"      // say before a job is submitted whether its priority class exists
	Nodes        Feature = "nodes"         // match GPU types with what the nodes have
	Inventory    Feature = "inventory"     // count free GPUs (package k8s/gpus)
	Tenants      Feature = "tenants"       // make and remove tenants (package k8s/tenants)
)

// Right is one thing that a feature has to be allowed.
type Right struct {
	Feature  Feature
	Group    string // API group; "" is the core
	Resource string // such as "jobs" or "pods/log"
	Verb     string
	// Cluster says that the right counts outside of namespaces, or in all.
	Cluster bool
	// Breaks says in a few words what does not work without it.
	Breaks string
}

// String writes the right as "get pods/log" or "create jobs.batch".
func (r Right) String() string {
	name, sub, found := strings.Cut(r.Resource, "/")
	if r.Group != "" {
		name += "." + r.Group
	}
	if found {
		name += "/" + sub
	}
	return r.Verb + " " + name
}

// grant is one line of the table: verbs on a resource, each with what breaks.
type grant struct {
	group, resource string
	cluster         bool
	verbs           map[string]string
}

const (
	kubeflow = "kubeflow.org"
	trainer  = "trainer.kubeflow.org"
	kueue    = "kueue.x-k8s.io"
	claims   = "resource.k8s.io"
	gangs    = "scheduling.k8s.io"
	rbacAPI  = "rbac.authorization.k8s.io"
)

// lifecycle are the verbs on an object that a launcher makes and owns.
func lifecycle(what string) map[string]string {
	return map[string]string{
		"create": "Submit cannot make the " + what,
		"get":    "Attach, Submit with a key and Plan cannot read the " + what,
		"list":   "List and Wait cannot find the " + what,
		"watch":  "Wait, Events and Logs with Follow do not hear when the " + what + " changes",
		"patch":  "Submit, Suspend, Resume and Cancel cannot change the " + what,
		"delete": "Delete cannot remove the " + what,
	}
}

// readable are verbs on objects that are only looked at.
func readable(breaks string, verbs ...string) map[string]string {
	out := map[string]string{}
	for _, verb := range verbs {
		out[verb] = breaks
	}
	return out
}

var table = map[Feature][]grant{
	Run: {
		{group: "batch", resource: "jobs", verbs: lifecycle("Job")},
		{resource: "pods", verbs: map[string]string{
			"list":  "Status, Wait and Why do not see pods: no exit code, rank or last lines",
			"watch": "Status and Wait do not hear when a pod changes",
		}},
		{resource: "services", verbs: map[string]string{
			"create": "Submit cannot make the headless Service of a job with several nodes",
			"patch":  "Submit cannot apply the headless Service of a job with several nodes",
		}},
	},
	Logs:   {{resource: "pods/log", verbs: readable("Logs and the last lines of a failure are empty", "get")}},
	Events: {{resource: "events", verbs: readable("Events is empty, and Why cannot say what the scheduler, the quota and the kubelet refused", "list", "watch")}},
	Quota:  {{resource: "resourcequotas", verbs: readable("Plan does not see what the ResourceQuotas leave: a job beyond them starts in part and waits", "list")}},
	Volumes: {
		{resource: "persistentvolumeclaims", verbs: readable("Plan does not see that a claim is absent: the pods wait", "get")},
	},
	JobSet: {{group: "jobset.x-k8s.io", resource: "jobsets", verbs: lifecycle("JobSet")}},
	TrainJob: {
		{group: trainer, resource: "trainjobs", verbs: lifecycle("TrainJob")},
		{group: trainer, resource: "trainingruntimes", verbs: readable("Plan does not see the namespace's training runtimes", "get")},
		{group: trainer, resource: "clustertrainingruntimes", cluster: true, verbs: readable("Plan does not see the cluster's training runtimes", "get")},
	},
	PyTorchJob: {{group: kubeflow, resource: "pytorchjobs", verbs: lifecycle("PyTorchJob")}},
	MPIJob:     {{group: kubeflow, resource: "mpijobs", verbs: lifecycle("MPIJob")}},
	Kueue: {
		{group: kueue, resource: "localqueues", verbs: readable("Plan does not see that a queue is absent or stopped", "get")},
		{group: kueue, resource: "workloads", verbs: map[string]string{
			"list":  "Status and Why cannot say where in the queue a job is, and why it is not admitted",
			"patch": "Suspend and Resume cannot hold a job's place in the queue",
		}},
	},
	Volcano: {{group: "scheduling.volcano.sh", resource: "podgroups", verbs: map[string]string{
		"create": "Submit cannot make the PodGroup of a gang",
		"patch":  "Submit cannot apply the PodGroup of a gang",
	}}},
	DRA: {{group: claims, resource: "resourceclaimtemplates", verbs: map[string]string{
		"create": "Submit cannot make the claim for GPUs",
		"patch":  "Submit cannot apply the claim for GPUs",
	}}},
	Leader: {{group: "coordination.k8s.io", resource: "leases", verbs: map[string]string{
		"create": "the first leader cannot be elected",
		"get":    "no leader can be elected",
		"update": "a leader cannot keep its Lease",
	}}},
	KueueCluster: {{group: kueue, resource: "clusterqueues", cluster: true, verbs: readable("Plan does not see the quota behind a queue", "get")}},
	Priority:     {{group: gangs, resource: "priorityclasses", cluster: true, verbs: readable("Plan does not see that a priority class is absent", "get")}},
	Nodes: {
		{resource: "nodes", cluster: true, verbs: map[string]string{
			"get":  "Status and Usage cannot say on which type of GPU a job runs",
			"list": "GPU types are guessed from known products instead of what the nodes have",
		}},
		{group: claims, resource: "resourceslices", cluster: true, verbs: readable("GPU types are guessed where a DRA driver offers the GPUs", "list")},
	},
	Inventory: {
		{resource: "nodes", cluster: true, verbs: readable("the inventory cannot be taken", "list")},
		{resource: "pods", cluster: true, verbs: readable("the inventory cannot tell which GPUs are in use", "list")},
		{group: claims, resource: "resourceslices", cluster: true, verbs: readable("the inventory lacks the devices of DRA drivers", "list")},
		{group: claims, resource: "resourceclaims", cluster: true, verbs: readable("the inventory cannot tell which devices of DRA drivers are in use", "list")},
	},
	Tenants: tenants(),
}

// tenants are the objects that package k8s/tenants makes, in namespaces that do
// not exist yet: so the rights count in all.
func tenants() []grant {
	out := []grant{{resource: "namespaces", cluster: true, verbs: map[string]string{
		"create": "a tenant cannot be made",
		"get":    "a tenant cannot be looked at",
		"list":   "tenants cannot be listed",
		"patch":  "a tenant's labels cannot be set",
		"delete": "a tenant cannot be removed",
	}}}
	for _, o := range []struct{ group, resource string }{
		{"", "resourcequotas"}, {"", "limitranges"}, {"", "serviceaccounts"}, {"networking.k8s.io", "networkpolicies"},
		{rbacAPI, "roles"}, {rbacAPI, "rolebindings"}, {kueue, "localqueues"},
	} {
		out = append(out, grant{group: o.group, resource: o.resource, cluster: true, verbs: map[string]string{
			"create": "a tenant's " + o.resource + " cannot be made",
			"get":    "a tenant's " + o.resource + " cannot be compared",
			"patch":  "a tenant's " + o.resource + " cannot be changed",
			"delete": "a tenant's " + o.resource + " that are no longer wanted cannot be removed",
		}})
	}
	out[len(out)-1].verbs["list"] = "a tenant's former queues cannot be found" // of localqueues
	// Whoever removes a namespace must see what is lost with it.
	return append(out,
		grant{resource: "pods", cluster: true, verbs: readable("a tenant with running pods cannot be told from an empty one: Delete refuses", "list")},
		grant{resource: "persistentvolumeclaims", cluster: true, verbs: readable("a tenant with data cannot be told from an empty one: Delete refuses", "list")},
	)
}

// Features lists all features, sorted.
func Features() []Feature {
	out := make([]Feature, 0, len(table))
	for f := range table {
		out = append(out, f)
	}
	slices.Sort(out)
	return out
}

// Rights lists what the features need, sorted, each right once for each feature
// that needs it. An unknown feature is ErrInvalid.
func Rights(features ...Feature) ([]Right, error) {
	var faults errs.Faults
	var out []Right
	seen := map[Feature]bool{}
	for _, f := range features {
		grants, ok := table[f]
		faults.Check(ok, "feature %q is not one of %v", f, Features())
		if seen[f] {
			continue
		}
		seen[f] = true
		for _, g := range grants {
			for verb, breaks := range g.verbs {
				out = append(out, Right{Feature: f, Group: g.group, Resource: g.resource, Verb: verb, Cluster: g.cluster, Breaks: breaks})
			}
		}
	}
	faults.Check(len(features) > 0, "no feature is given")
	if err := faults.Err("rbac: rights"); err != nil {
		return nil, err
	}
	slices.SortFunc(out, func(a, b Right) int {
		return cmp.Or(
			strings.Compare(strconv.FormatBool(a.Cluster), strconv.FormatBool(b.Cluster)), strings.Compare(a.Group, b.Group), strings.Compare(a.Resource, b.Resource),
			strings.Compare(a.Verb, b.Verb), strings.Compare(string(a.Feature), string(b.Feature)),
		)
	})
	return out, nil
}
