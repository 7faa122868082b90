package kuberig

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// Cluster is a cluster that runs.
type Cluster struct {
	opts       Options
	tools      *tools
	dir        string
	pki        *pki
	supervisor *supervisor
	ports      ports
	config     *rest.Config
	client     *kubernetes.Clientset
	dynamic    *dynamic.DynamicClient
	kubelet    *kubelet

	mu        sync.Mutex // guards what follows
	processes map[string]*process
	stopped   bool
	nodes     int // the number of the last node that was named
	spaces    int // the number of the last namespace
}

// The components, by the names that Kill and Log know.
const (
	Etcd        = "etcd"
	APIServer   = "apiserver"
	Controllers = "controllers"
	Scheduler   = "scheduler"
	Kwok        = "kwok"
	Kueue       = "kueue"
	JobSet      = "jobset"
	Trainer     = "trainer"
)

// ports are the ports that a cluster listens on.
type ports struct {
	etcd, etcdPeer, api, controllers, scheduler, kwok                   int
	kueueHook, kueueHealth, jobsetHook, jobsetHealth, jobsetMetrics     int
	trainerHook, trainerHealth, trainerMetrics, trainerStatus, kueueMet int
}

func newPorts() (ports, error) {
	p, err := freePorts(16)
	if err != nil {
		return ports{}, err
	}
	return ports{p[0], p[1], p[2], p[3], p[4], p[5], p[6], p[7], p[8], p[9], p[10], p[11], p[12], p[13], p[14], p[15]}, nil
}

// startPatience is how long a cluster may take to start on a busy machine.
const startPatience = 10 * time.Minute

// Launch starts a cluster and waits until all of it is ready. The caller stops
// it; when the process dies first, the cluster dies with it. Tests use Start.
func Launch(ctx context.Context, opts *Options) (*Cluster, error) {
	t, err := findTools()
	if err != nil {
		return nil, err
	}
	o := Options{}
	if opts != nil {
		o = *opts
	}
	o.JobSet = o.JobSet || o.Trainer
	if err := t.need(&o); err != nil {
		return nil, err
	}
	c, err := launch(ctx, t, &o)
	// A port that was free may be taken by the time that a server wants it.
	if err != nil && strings.Contains(err.Error(), "address already in use") {
		c, err = launch(ctx, t, &o)
	}
	return c, err
}

func launch(ctx context.Context, t *tools, opts *Options) (*Cluster, error) {
	dir, err := os.MkdirTemp("", "kuberig-")
	if err != nil {
		return nil, err
	}
	c := &Cluster{opts: *opts, tools: t, dir: dir, supervisor: newSupervisor(), processes: map[string]*process{}}
	ctx, cancel := context.WithTimeout(ctx, startPatience)
	defer cancel()
	if err := c.start(ctx); err != nil {
		return nil, errors.Join(err, c.Stop())
	}
	return c, nil
}

// start brings the cluster up: the store and the API server first, then all that
// are its clients, beside each other.
func (c *Cluster) start(ctx context.Context) error {
	var err error
	if c.ports, err = newPorts(); err != nil {
		return err
	}
	if c.pki, err = newPKI(c.dir); err != nil {
		return err
	}
	if err := c.configure(); err != nil {
		return err
	}
	if c.kubelet, err = newKubelet(c); err != nil {
		return err
	}
	if err := c.startEtcd(); err != nil {
		return err
	}
	if err := c.startAPIServer(ctx); err != nil {
		return err
	}
	steps := []func(context.Context) error{c.startControllers, c.startScheduler, c.startKwok}
	if c.opts.JobSet || c.opts.Kueue {
		steps = append(steps, c.startManagers)
	}
	if err := together(ctx, steps...); err != nil {
		return err
	}
	if c.opts.OwnPools {
		if err := c.ownPools(ctx); err != nil {
			return err
		}
	}
	for _, spec := range c.opts.Nodes {
		if _, err := c.addNodes(ctx, spec); err != nil {
			return err
		}
	}
	return nil
}

// together runs steps beside each other and joins their errors. The first error
// ends the others.
func together(ctx context.Context, steps ...func(context.Context) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	errs := make([]error, len(steps))
	var wg sync.WaitGroup
	for i, step := range steps {
		wg.Go(func() {
			if errs[i] = step(ctx); errs[i] != nil {
				cancel(errs[i])
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// Stop ends the cluster: its controllers, then the API server, then etcd, as an
// API server without its etcd takes minutes to end. It removes all files.
func (c *Cluster) Stop() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stopped {
		return nil
	}
	c.stopped = true
	var wg sync.WaitGroup
	for name, p := range c.processes {
		if name != Etcd && name != APIServer {
			// They hold nothing that has to be written down.
			wg.Go(p.kill)
		}
	}
	wg.Wait()
	if c.kubelet != nil {
		c.kubelet.close()
	}
	c.processes[APIServer].stop(5 * time.Second)
	c.processes[Etcd].stop(5 * time.Second)
	c.supervisor.close()
	return os.RemoveAll(c.dir)
}

// run starts a component and remembers it.
func (c *Cluster) run(name string, env []string, program string, args ...string) (*process, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stopped {
		return nil, fmt.Errorf("kuberig: start %s: the cluster is stopped", name)
	}
	p, err := c.supervisor.start(c.dir, name, env, program, args...)
	if err == nil {
		c.processes[name] = p
	}
	return p, err
}

// process returns a component that was started, or nil.
func (c *Cluster) process(name string) *process {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.processes[name]
}

// Log returns the end of what a component said.
func (c *Cluster) Log(name string) string {
	if p := c.process(name); p != nil {
		return p.tail()
	}
	return ""
}

// Dir is the folder of the cluster's files, among them the log of each component.
func (c *Cluster) Dir() string { return c.dir }

func (c *Cluster) path(name string) string { return filepath.Join(c.dir, name) }
