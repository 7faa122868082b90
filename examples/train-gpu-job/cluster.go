package main

import (
	"context"
	"flag"
	"io"
	"slices"
	"time"

	"k8s.io/client-go/rest"

	"github.com/millwright-ml/millwright/k8s"
	"github.com/millwright-ml/millwright/k8s/rbac"
	"github.com/millwright-ml/millwright/train"
)

// clusterConfig says on which cluster jobs run, if on any.
type clusterConfig struct {
	kubeconfig, context string
	inCluster           bool
	namespace, queue    string
	image               string
}

func (c *clusterConfig) flags(flags *flag.FlagSet) {
	flags.StringVar(&c.kubeconfig, "kubeconfig", "", "the kubeconfig file of the cluster that runs the jobs; without it they run here")
	flags.StringVar(&c.context, "context", "", "its context; the current one without it")
	flags.BoolVar(&c.inCluster, "in-cluster", false, "run the jobs in the cluster that this service runs in")
	flags.StringVar(&c.namespace, "namespace", "default", "the namespace of the jobs")
	flags.StringVar(&c.queue, "queue", "", "the Kueue LocalQueue of the jobs")
	flags.StringVar(&c.image, "image", "", "the container image of the jobs, such as the one that the Dockerfile makes")
}

func (c *clusterConfig) wanted() bool { return c.inCluster || c.kubeconfig != "" }

// needed are the rights without which the service does not start; wished those
// without which it says less.
func (c *clusterConfig) needed() []rbac.Feature {
	features := []rbac.Feature{rbac.Run, rbac.Logs, rbac.Events}
	if c.queue != "" {
		features = append(features, rbac.Kueue)
	}
	return features
}

var wished = []rbac.Feature{rbac.Quota, rbac.Nodes}

func (c *clusterConfig) open(ctx context.Context) (train.Launcher, func(), error) {
	cfg, err := c.config()
	if err != nil {
		return nil, nil, err
	}
	// Better now than as a 403 when the first job is submitted.
	if err := rbac.Require(ctx, cfg, c.namespace, c.needed()...); err != nil {
		return nil, nil, err
	}
	l, err := k8s.New(cfg, &k8s.Options{Namespace: c.namespace, Queue: c.queue, Prices: prices})
	if err != nil {
		return nil, nil, err
	}
	return l, func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		_ = l.Shutdown(ctx) // the program ends, and its watches with it
	}, nil
}

func (c *clusterConfig) config() (*rest.Config, error) {
	if c.inCluster {
		return k8s.InCluster()
	}
	return k8s.FromKubeconfig(c.kubeconfig, c.context)
}

// printRBAC writes the roles for a service in namespace "trainer" that runs jobs
// in the namespace of the flags.
func (c *clusterConfig) printRBAC(out io.Writer) error {
	objects, err := rbac.Manifests("trainer", slices.Concat(c.needed(), wished), &rbac.Options{
		Name: "train-gpu-job", Namespaces: []string{c.namespace},
	})
	if err != nil {
		return err
	}
	text, err := rbac.YAML(objects...)
	if err != nil {
		return err
	}
	_, err = out.Write(text)
	return err
}
