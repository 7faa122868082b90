// Command bench measures the launcher of package k8s at scale, on a simulated
// cluster with a real control plane, in one run with what it is compared with: the
// API server's own rate of creating the same Jobs, and a client that polls every
// two seconds, as the Kubeflow SDK does.
//
//	MILLWRIGHT_CACHE=…/.cache go run ./bench                          # 1,000 nodes of 8 GPUs, 10,000 jobs
//	MILLWRIGHT_CACHE=…/.cache go run ./bench -nodes 20 -jobs 500      # smaller
//
// The programs of the cluster are those that scripts/realtools.sh provisions.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"k8s.io/client-go/rest"

	"github.com/millwright-ml/millwright/internal/kuberig"
)

type config struct {
	nodes   int
	gpus    int
	jobs    int
	writers int
	sample  int
	poll    time.Duration
	profile string
	heap    string
	limit   time.Duration
}

func main() {
	var c config
	flag.IntVar(&c.nodes, "nodes", 1000, "simulated nodes")
	flag.IntVar(&c.gpus, "gpus", 8, "GPUs of each")
	flag.IntVar(&c.jobs, "jobs", 10_000, "jobs of one GPU each")
	flag.IntVar(&c.writers, "writers", 8, "jobs that are submitted, or created, beside each other")
	flag.IntVar(&c.sample, "sample", 200, "jobs whose end, and whose answer to Why, is timed")
	flag.DurationVar(&c.poll, "poll", 2*time.Second, "how often the polling client asks")
	flag.StringVar(&c.profile, "cpuprofile", "", "file for a profile of this program while jobs are submitted")
	flag.StringVar(&c.heap, "memprofile", "", "file for a profile of this program's memory while all jobs are waited for")
	flag.DurationVar(&c.limit, "limit", 0, "the longest time for all of it, after which what was measured is printed; 0 is no limit")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if c.limit > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.limit)
		defer cancel()
	}
	err := run(ctx, c)
	if errors.Is(err, context.DeadlineExceeded) {
		fmt.Printf("cut off after %s\n", c.limit)
		return
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, c config) (err error) {
	began := time.Now()
	cluster, err := kuberig.Launch(ctx, &kuberig.Options{NoServiceAccounts: true, Nodes: []kuberig.NodeSpec{{Count: c.nodes, GPUs: c.gpus}}})
	if err != nil {
		return err
	}
	defer func() {
		if stopped := cluster.Stop(); err == nil {
			err = stopped
		}
	}()
	fmt.Printf("%d nodes of %d GPUs after %.0f s\n", c.nodes, c.gpus, time.Since(began).Seconds())
	b := &bench{config: c, cluster: cluster}
	defer func() { b.table.print(os.Stdout) }()
	for _, step := range []func(context.Context) error{b.submit, b.memory, b.endings, b.why, b.attach} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// unthrottled is the cluster for a client that is not slowed down on purpose.
func (b *bench) unthrottled() *rest.Config {
	cfg := b.cluster.Config()
	cfg.QPS = -1
	return cfg
}

// row is one line of the result.
type row struct {
	name, unit  string
	value, than float64 // than: what it is compared with, 0 for nothing
	what        string  // that than is
	ratio       float64
}

type table []row

func (t *table) add(name, unit string, value float64) {
	*t = append(*t, row{name: name, unit: unit, value: value})
	t.say()
}

// against adds a value and another one with their ratio.
func (t *table) against(name, unit string, value float64, what string, than float64) {
	*t = append(*t, row{name, unit, value, than, what, value / than})
	t.say()
}

// say shows the last row at once: a run takes minutes.
func (t *table) say() { (*t)[len(*t)-1:].print(os.Stderr) }

func (t table) print(to *os.File) {
	for _, r := range t {
		line := fmt.Sprintf("%-52s %12.4g %-6s", r.name, r.value, r.unit)
		if r.what != "" {
			line += fmt.Sprintf(" %s: %.4g, ratio %.3g", r.what, r.than, r.ratio)
		}
		fmt.Fprintln(to, line)
	}
}
