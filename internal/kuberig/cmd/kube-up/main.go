// Command kube-up runs a cluster for a person: it starts one, prints the path of
// its kubeconfig, and stops it on Ctrl-C.
//
//	kube-up                        the control plane, and 4 nodes of 8 GPUs
//	kube-up -all -nodes 1000       with Kueue, JobSet, Trainer and gang scheduling
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/millwright-ml/millwright/internal/kuberig"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "kube-up:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("kube-up", flag.ContinueOnError)
	var opts kuberig.Options
	all := flags.Bool("all", false, "Kueue, JobSet, Trainer and gang scheduling")
	flags.BoolVar(&opts.Kueue, "kueue", false, "run Kueue")
	flags.BoolVar(&opts.JobSet, "jobset", false, "run JobSet")
	flags.BoolVar(&opts.Trainer, "trainer", false, "run Kubeflow Trainer, and JobSet")
	flags.BoolVar(&opts.Gang, "gang", false, "turn on the gang scheduling of Kubernetes")
	nodes := flags.Int("nodes", 4, "the number of nodes with GPUs")
	gpus := flags.Int("gpus", 8, "the GPUs of each node")
	product := flags.String("product", "NVIDIA-H100-80GB-HBM3", "the product name of the GPUs")
	link := flags.String("kubeconfig", "", "also copy the kubeconfig to this file")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *all {
		opts.Kueue, opts.Trainer, opts.Gang = true, true, true
	}
	if *nodes > 0 {
		opts.Nodes = []kuberig.NodeSpec{{Count: *nodes, GPUs: *gpus, Product: *product}}
	}
	began := time.Now()
	c, err := kuberig.Launch(ctx, &opts)
	if err != nil {
		return err
	}
	path := c.Kubeconfig()
	if *link != "" {
		data, err := os.ReadFile(path)
		if err == nil {
			err = os.WriteFile(*link, data, 0o600)
		}
		if err != nil {
			_ = c.Stop() // the other error is the one to tell
			return err
		}
		path = *link
	}
	_, err = fmt.Fprintf(out, "%s\n\nexport KUBECONFIG=%s\n\nup in %.1f s; logs in %s; Ctrl-C stops it\n",
		c.Config().Host, path, time.Since(began).Seconds(), c.Dir())
	if err != nil {
		_ = c.Stop() // the other error is the one to tell
		return err
	}
	<-ctx.Done()
	return c.Stop()
}
