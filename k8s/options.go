package k8s

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/millwright-ml/millwright/internal/errs"
	"github.com/millwright-ml/millwright/k8s/internal/kube"
	"github.com/millwright-ml/millwright/k8s/internal/watch"
	"github.com/millwright-ml/millwright/train"
)

// The kinds of error that a cluster adds to those of package train.
var (
	// ErrClosed: the launcher was shut down.
	ErrClosed = errs.ErrClosed
	// ErrForbidden: the launcher lacks a right; package k8s/rbac writes the Role.
	ErrForbidden = kube.ErrForbidden
	// ErrUnauthorized: the cluster does not accept the credentials.
	ErrUnauthorized = kube.ErrUnauthorized
)

// Options changes a Launcher. nil is the zero value.
type Options struct {
	// Namespace is where the jobs live. Default "": "default".
	Namespace string
	// Queue is the LocalQueue of Kueue for jobs without one. Default "": none.
	Queue string
	// Backends are those that may be used, the best first, of "job", "jobset",
	// "trainjob", "pytorchjob" and "mpijob". Default: "job" for one node; "mpijob"
	// for MPI; else "jobset", "trainjob", "pytorchjob", "job", whichever the
	// cluster has.
	Backends []string
	// Runtime is the ClusterTrainingRuntime or TrainingRuntime of TrainJobs.
	// Default "": by the launch mode, "torch-distributed", "jax-distributed" or
	// "mpi-distributed", if the cluster has it.
	Runtime string
	// Prices are for Plan, MaxCost and Usage. Default: none known.
	Prices train.Prices
	// Keep is where ended jobs and their logs are kept. Default nil: nowhere, they
	// are gone with the cluster's objects.
	Keep *train.Archive
	// ServiceAccount is that of the pods. Default "": the namespace's default,
	// without a token.
	ServiceAccount string
	// ImagePullSecrets are the names of the pods' pull secrets. Default: none.
	ImagePullSecrets []string
	// Tolerations are added to those that GPUs and spot nodes need. Default: none.
	Tolerations []corev1.Toleration
	// NodeSelector narrows the nodes by their labels. Default: all nodes.
	NodeSelector map[string]string
	// PodAnnotations are put on every pod, as service meshes and log collectors
	// want. Default: none.
	PodAnnotations map[string]string
	// PodSecurity "restricted" writes what namespaces with that level of pod
	// security ask for: the image must not run as root then. Default "": images
	// that run as root work.
	PodSecurity string
	// RunAsUser is the user id of the processes and the group of their volumes.
	// Default nil: that of the image.
	RunAsUser *int64
	// FieldManager is the owner of what the launcher writes. Default "":
	// "millwright".
	FieldManager string
	// Logger gets what goes wrong in the background. Default nil: nowhere.
	Logger *slog.Logger
}

// Launcher runs training jobs on one cluster. It is a train.Launcher. Every
// method may be called from many goroutines; Shutdown ends its watches.
type Launcher struct {
	client *kube.Client
	config *rest.Config
	opts   Options
	space  *watch.Namespace
	log    *slog.Logger

	mu     sync.Mutex // guards what follows
	closed bool
	known  facts
}

var _ train.Launcher = (*Launcher)(nil)

// New returns a launcher for the cluster of cfg. The cluster is not asked:
// package k8s/rbac checks what the launcher may do there.
func New(cfg *rest.Config, opts *Options) (*Launcher, error) {
	l := &Launcher{config: cfg}
	if opts != nil {
		l.opts = *opts
	}
	if l.opts.Namespace == "" {
		l.opts.Namespace = "default"
	}
	var f errs.Faults
	for _, name := range l.opts.Backends {
		f.Check(backends[name] != nil, "backend %q is none of job, jobset, trainjob, pytorchjob and mpijob", name)
	}
	f.Check(namespaceName.MatchString(l.opts.Namespace), "namespace %q is not lower-case letters, digits and \"-\"", l.opts.Namespace)
	f.Check(l.opts.PodSecurity == "" || l.opts.PodSecurity == "restricted", "podSecurity is %q, want \"\" or \"restricted\"", l.opts.PodSecurity)
	if err := f.Err("k8s: options"); err != nil {
		return nil, err
	}
	client, err := kube.New(cfg, &kube.Options{FieldManager: l.opts.FieldManager})
	if err != nil {
		return nil, err
	}
	l.client, l.space = client, watch.New(client, l.opts.Namespace)
	l.log = l.opts.Logger
	if l.log == nil {
		l.log = slog.New(slog.DiscardHandler)
	}
	l.opts.Backends = slices.Clone(l.opts.Backends)
	return l, nil
}

// InCluster is the configuration of the cluster that the program runs in, by the
// service account of its pod.
func InCluster() (*rest.Config, error) {
	cfg, err := rest.InClusterConfig()
	if err != nil {
		return nil, fmt.Errorf("k8s: configure: the program does not run in a pod with a service account: %w: %w", err, train.ErrUnsupported)
	}
	return cfg, nil
}

// FromKubeconfig is the configuration of one context of a kubeconfig file. An
// empty context is the file's current one.
func FromKubeconfig(path, kubeContext string) (*rest.Config, error) {
	cfg, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(
		&clientcmd.ClientConfigLoadingRules{ExplicitPath: path}, &clientcmd.ConfigOverrides{CurrentContext: kubeContext},
	).ClientConfig()
	if err != nil {
		return nil, fmt.Errorf("k8s: configure from %q: the file or its context %q cannot be used: %w: %w", path, kubeContext, err, train.ErrInvalid)
	}
	return cfg, nil
}

// Shutdown ends the launcher's watches. Whoever waits on a job gets ErrClosed;
// the jobs run on. Calling it twice is allowed.
func (l *Launcher) Shutdown(ctx context.Context) error {
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	done := make(chan struct{})
	go func() {
		l.space.Shutdown()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// open refuses calls after Shutdown.
func (l *Launcher) open(op string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return fmt.Errorf("k8s: %s: the launcher was shut down: %w", op, ErrClosed)
	}
	return nil
}

// fault gives an error of the cluster a kind of package train where there is
// one.
func fault(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, kube.ErrQuota):
		return fmt.Errorf("%w: %w", err, train.ErrQuotaExceeded)
	case errors.Is(err, watch.ErrClosed):
		return fmt.Errorf("k8s: %w: %w", err, ErrClosed)
	}
	return err
}

// facts are answers of the cluster that are used again for a while.
type facts struct {
	quotas aged[[]corev1.ResourceQuota]
	types  aged[types]
	queues map[string]aged[error]
	nodes  map[string]aged[node]
}

type aged[T any] struct {
	at    time.Time
	value T
}

func (a *aged[T]) fresh(age time.Duration) bool { return !a.at.IsZero() && time.Since(a.at) < age }
