package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"runtime"
	"runtime/pprof"
	"sync"
	"sync/atomic"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/millwright-ml/millwright/internal/kuberig"
	"github.com/millwright-ml/millwright/k8s"
	"github.com/millwright-ml/millwright/train"
)

// The namespaces of the launcher and of the bare API server.
const (
	ours = "launched"
	bare = "created"
)

type bench struct {
	config
	cluster  *kuberig.Cluster
	table    table
	launcher *k8s.Launcher
	requests atomic.Int64 // of the launcher
	jobs     []train.Job
}

func (b *bench) open(count bool) (*k8s.Launcher, error) {
	cfg := b.unthrottled()
	if count {
		cfg.Wrap(func(next http.RoundTripper) http.RoundTripper { return counting{next, &b.requests} })
	}
	return k8s.New(cfg, &k8s.Options{Namespace: ours, PodAnnotations: kuberig.Behaviour{Run: kuberig.Forever}.Annotations()})
}

// counting counts requests.
type counting struct {
	next http.RoundTripper
	n    *atomic.Int64
}

func (c counting) RoundTrip(r *http.Request) (*http.Response, error) {
	c.n.Add(1)
	return c.next.RoundTrip(r)
}

func spec() train.Spec {
	return train.Spec{Name: "bench", Image: "registry.example/train:1", Command: []string{"python3", "train.py"}, GPU: train.GPU{Count: 1}}
}

// submit times the launcher and, in turns with it, the creation of copies of the
// very same object by a client of the API server. The Jobs of the latter are
// suspended, and made into others' load by nobody: what is compared is the rate of
// writing. So the launcher's are too, by a pause of all controllers but the server.
func (b *bench) submit(ctx context.Context) error {
	client, err := kubernetes.NewForConfig(b.unthrottled())
	if err != nil {
		return err
	}
	for _, name := range []string{ours, bare} {
		ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
		if _, err := client.CoreV1().Namespaces().Create(ctx, ns, metav1.CreateOptions{}); err != nil {
			return err
		}
	}
	if b.launcher, err = b.open(true); err != nil {
		return err
	}
	// One before, which finds out what the cluster has, and is the pattern.
	first, err := b.launcher.Submit(ctx, spec(), &train.SubmitOptions{Key: "first"})
	if err != nil {
		return err
	}
	pattern, err := client.BatchV1().Jobs(ours).Get(ctx, first.ID(), metav1.GetOptions{})
	if err != nil {
		return err
	}
	b.jobs = append(b.jobs, first)
	for _, component := range []string{kuberig.Controllers, kuberig.Scheduler} {
		if err := b.cluster.Kill(component); err != nil {
			return err
		}
	}
	if b.profile != "" {
		out, err := os.Create(b.profile)
		if err != nil {
			return err
		}
		defer out.Close()
		if err := pprof.StartCPUProfile(out); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}
	const turn = 250
	var mu sync.Mutex
	var launched, created time.Duration
	before := b.requests.Load()
	n, copies := 0, 0
	for len(b.jobs) < b.config.jobs {
		count := min(turn, b.config.jobs-len(b.jobs))
		took, err := b.each(ctx, count, func(ctx context.Context, i int) error {
			j, err := b.launcher.Submit(ctx, spec(), &train.SubmitOptions{Key: fmt.Sprint("job-", n+i)})
			if err == nil {
				mu.Lock()
				b.jobs = append(b.jobs, j)
				mu.Unlock()
			}
			return err
		})
		if err != nil {
			return err
		}
		launched += took
		took, err = b.each(ctx, count, func(ctx context.Context, i int) error {
			_, err := client.BatchV1().Jobs(bare).Create(ctx, copyOf(pattern, fmt.Sprint("job-", n+i)), metav1.CreateOptions{})
			return err
		})
		if err != nil {
			return err
		}
		created += took
		n, copies = n+count, copies+count
	}
	rate := float64(n) / launched.Seconds()
	b.table.against("jobs submitted", "1/s", rate, "API server's own creates", float64(copies)/created.Seconds())
	b.table.add("requests a submission", "", float64(b.requests.Load()-before)/float64(n))
	if err := client.BatchV1().Jobs(bare).DeleteCollection(ctx, metav1.DeleteOptions{PropagationPolicy: new(metav1.DeletePropagationBackground)}, metav1.ListOptions{}); err != nil {
		return err
	}
	for _, component := range []string{kuberig.Controllers, kuberig.Scheduler} {
		if err := b.cluster.Revive(ctx, component); err != nil {
			return err
		}
	}
	return nil
}

// copyOf is a Job as the launcher wrote it, before the server filled it in.
func copyOf(job *batchv1.Job, name string) *batchv1.Job {
	out := &batchv1.Job{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: job.Labels, Annotations: job.Annotations}, Spec: *job.Spec.DeepCopy()}
	out.Spec.Selector = nil
	labels := map[string]string{}
	for key, value := range job.Spec.Template.Labels {
		if key != "batch.kubernetes.io/controller-uid" && key != "controller-uid" && key != "batch.kubernetes.io/job-name" && key != "job-name" {
			labels[key] = value
		}
	}
	out.Spec.Template.Labels = labels
	return out
}

// each does something n times by all writers, and returns how long it took.
func (b *bench) each(ctx context.Context, n int, do func(context.Context, int) error) (time.Duration, error) {
	began := time.Now()
	var next atomic.Int64
	var wg sync.WaitGroup
	errs := make([]error, b.writers)
	for w := range b.writers {
		wg.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= n || ctx.Err() != nil {
					return
				}
				if err := do(ctx, i); err != nil {
					errs[w] = err
					return
				}
			}
		})
	}
	wg.Wait()
	return time.Since(began), errors.Join(errs...)
}

// held is what the program has on its heap, and on its stacks, in bytes.
func held() (heap, stacks float64) {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc), float64(m.StackInuse)
}
