package k8s

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/millwright-ml/millwright/k8s/internal/foreign"
	"github.com/millwright-ml/millwright/k8s/internal/manifest"
	"github.com/millwright-ml/millwright/k8s/internal/phase"
	"github.com/millwright-ml/millwright/k8s/internal/watch"
	"github.com/millwright-ml/millwright/train"
)

var namespaceName = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)

// backend is one kind of object that can stand for a job.
type backend struct {
	name      string
	source    *watch.Source
	object    func(train.Spec, *manifest.Params) any
	container string // that runs the command
	runPolicy bool   // spec.runPolicy.suspend, not spec.suspend
	gangs     bool   // its pods can be tied to a PodGroup of Volcano
	// refuses says why the backend cannot run a Spec; "" when it can.
	refuses func(train.Spec) string
}

// suspend is the patch that sets the object's switch.
func (b *backend) suspend(on bool) map[string]any {
	if b.runPolicy {
		return map[string]any{"runPolicy": map[string]any{"suspend": on}}
	}
	return map[string]any{"suspend": on}
}

// backends are the kinds that are known. Nobody changes them.
var backends = map[string]*backend{
	"job": {
		name: "job", source: watch.Jobs(), container: manifest.Container, gangs: true,
		object:  func(s train.Spec, p *manifest.Params) any { return manifest.Job(s, p) },
		refuses: noMPI,
	},
	"jobset": {
		name: "jobset", container: manifest.Container, gangs: true,
		source:  watch.Foreign(foreign.JobSets, func(o *foreign.JobSet) *metav1.ObjectMeta { return &o.ObjectMeta }, phase.FromJobSet),
		object:  func(s train.Spec, p *manifest.Params) any { return manifest.JobSet(s, p) },
		refuses: noMPI,
	},
	"trainjob": {
		name: "trainjob", container: "node",
		source: watch.Foreign(foreign.TrainJobs, func(o *foreign.TrainJob) *metav1.ObjectMeta { return &o.ObjectMeta }, phase.FromTrainJob),
		object: func(s train.Spec, p *manifest.Params) any { return manifest.TrainJob(s, p) },
		refuses: func(s train.Spec) string {
			switch {
			case s.Priority != "":
				return "a TrainJob takes its priority class from the runtime"
			case s.Dir != "":
				return "a TrainJob takes its working directory from the image"
			}
			return ""
		},
	},
	"pytorchjob": {
		name: "pytorchjob", container: "pytorch", runPolicy: true,
		source:  watch.Foreign(foreign.PyTorchJobs, func(o *foreign.KubeflowJob) *metav1.ObjectMeta { return &o.ObjectMeta }, phase.FromPyTorchJob),
		object:  func(s train.Spec, p *manifest.Params) any { return manifest.PyTorchJob(s, p) },
		refuses: noMPI,
	},
	"mpijob": {
		name: "mpijob", container: "mpi", runPolicy: true,
		source: watch.Foreign(foreign.MPIJobs, func(o *foreign.KubeflowJob) *metav1.ObjectMeta { return &o.ObjectMeta }, phase.FromMPIJob),
		object: func(s train.Spec, p *manifest.Params) any { return manifest.MPIJob(s, p) },
		refuses: func(s train.Spec) string {
			if s.Launch != train.MPI {
				return "it runs mpirun, which the Spec does not ask for"
			}
			return ""
		},
	},
}

func noMPI(s train.Spec) string {
	if s.Launch == train.MPI {
		return "mpirun needs a launcher pod that reaches the others"
	}
	return ""
}

// owns reports whether an object is the root of the job with that id, and not
// made by a controller for one of another kind.
func owns(meta metav1.Object, id string) bool {
	return meta.GetName() == id && meta.GetLabels()[manifest.LabelJob] == id && len(meta.GetOwnerReferences()) == 0
}

// order is how backends are tried for a Spec.
func (l *Launcher) order(s train.Spec) []string {
	switch {
	case len(l.opts.Backends) > 0:
		return l.opts.Backends
	case s.Launch == train.MPI:
		return []string{"mpijob", "trainjob"}
	case s.NodeCount() == 1:
		return []string{"job", "jobset", "trainjob", "pytorchjob"}
	}
	return []string{"jobset", "trainjob", "pytorchjob", "job"}
}

// served are the backends that the cluster has.
func (l *Launcher) served(ctx context.Context) ([]*backend, error) {
	var out []*backend
	for _, name := range []string{"job", "jobset", "trainjob", "pytorchjob", "mpijob"} {
		b := backends[name]
		if b == nil {
			continue
		}
		ok := name == "job"
		if !ok {
			var err error
			if ok, err = l.client.Serves(ctx, b.source.Kind); err != nil {
				return nil, err
			}
		}
		if ok {
			out = append(out, b)
		}
	}
	return out, nil
}

// choice is what choose found.
type choice struct {
	backend  *backend
	reason   string
	rejected []train.Choice
}

// choose takes the first backend that the cluster has and that can run the Spec.
func (l *Launcher) choose(ctx context.Context, s train.Spec) (*choice, error) {
	if s.CommandsPerNode() > 1 {
		return nil, fmt.Errorf("k8s: spec %q: %d processes on a node need a command that starts them: launch torchrun or mpi: %w", s.Name, s.Procs, train.ErrUnsupported)
	}
	if s.Image == "" {
		return nil, fmt.Errorf("k8s: spec %q: image is empty: a cluster runs containers: %w", s.Name, train.ErrInvalid)
	}
	served, err := l.served(ctx)
	if err != nil {
		return nil, err
	}
	c := &choice{}
	names := l.order(s)
	for _, name := range names {
		b := backends[name]
		switch {
		case b == nil || !slices.Contains(served, b):
			c.rejected = append(c.rejected, train.Choice{Backend: name, Reason: "the cluster does not have it"})
		case b.refuses(s) != "":
			c.rejected = append(c.rejected, train.Choice{Backend: name, Reason: b.refuses(s)})
		case c.backend != nil:
			c.rejected = append(c.rejected, train.Choice{Backend: name, Reason: c.backend.name + " comes first"})
		default:
			c.backend = b
		}
	}
	if c.backend == nil {
		var why []string
		for _, r := range c.rejected {
			why = append(why, r.Backend+": "+r.Reason)
		}
		return nil, fmt.Errorf("k8s: spec %q: no backend of the cluster can run it (%s): %w", s.Name, strings.Join(why, "; "), train.ErrUnsupported)
	}
	c.reason = reasonFor(c.backend.name, s, len(l.opts.Backends) > 0)
	return c, nil
}

func reasonFor(name string, s train.Spec, told bool) string {
	switch {
	case told:
		return "Options.Backends names it first of those that the cluster has"
	case name == "job" && s.NodeCount() == 1:
		return "one pod needs no more than a Job"
	case name == "job":
		return "the cluster has nothing that restarts several nodes together, so none is restarted"
	case name == "jobset":
		return "it restarts all nodes together when the infrastructure fails one"
	case name == "trainjob":
		return "Kubeflow Trainer is there, and JobSet is not to be used directly"
	case name == "mpijob":
		return "mpirun needs the MPI operator's launcher and host file"
	}
	return "the training operator is there"
}
