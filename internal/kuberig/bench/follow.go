package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime/pprof"
	"slices"
	"sync"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/millwright-ml/millwright/internal/kuberig"
	"github.com/millwright-ml/millwright/train"
)

// memory is what it takes to wait for every job: the picture of the namespace
// alone, and with a goroutine for each job that waits.
func (b *bench) memory(ctx context.Context) error {
	client, err := kubernetes.NewForConfig(b.unthrottled())
	if err != nil {
		return err
	}
	capacity := min(len(b.jobs), b.nodes*b.gpus)
	began := time.Now()
	if err := b.until(ctx, func() (bool, error) {
		running, err := runningPods(ctx, client)
		return running >= capacity, err
	}); err != nil {
		return err
	}
	fmt.Printf("%d pods run after %.0f s\n", capacity, time.Since(began).Seconds())
	empty, _ := held()
	waiting, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wait := func(jobs []train.Job) {
		for _, j := range jobs {
			wg.Go(func() { _, _ = j.Wait(waiting) }) // it is broken off
		}
	}
	wait(b.jobs[:1])
	if err := b.settled(ctx); err != nil {
		cancel()
		return err
	}
	one, oneStacks := held()
	wait(b.jobs[1:])
	if err := b.settled(ctx); err != nil {
		cancel()
		return err
	}
	all, allStacks := held()
	if b.heap != "" {
		if err := writeHeap(b.heap); err != nil {
			cancel()
			return err
		}
	}
	cancel()
	wg.Wait()
	b.table.add("heap of a job in the picture", "B", (one-empty)/float64(len(b.jobs)))
	b.table.add("heap of a job that is waited for", "B", (all-empty)/float64(len(b.jobs)))
	b.table.add("stack of the caller that waits", "B", (allStacks-oneStacks)/float64(len(b.jobs)))
	return nil
}

func writeHeap(path string) error {
	out, err := os.Create(path)
	if err != nil {
		return err
	}
	return errors.Join(pprof.WriteHeapProfile(out), out.Close())
}

// settled waits until the memory does not grow any more.
func (b *bench) settled(ctx context.Context) error {
	last := 0.0
	return b.until(ctx, func() (bool, error) {
		heap, stacks := held()
		now := heap + stacks
		still := now < last*1.001
		last = now
		return still, nil
	})
}

func (b *bench) until(ctx context.Context, there func() (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, time.Hour)
	defer cancel()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		if ok, err := there(); ok || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

func runningPods(ctx context.Context, client kubernetes.Interface) (int, error) {
	n := 0
	opts := metav1.ListOptions{Limit: 1000, FieldSelector: "status.phase=Running"}
	for {
		list, err := client.CoreV1().Pods(ours).List(ctx, opts)
		if err != nil {
			return 0, err
		}
		n += len(list.Items)
		if opts.Continue = list.Continue; opts.Continue == "" {
			return n, nil
		}
	}
}

// endings times from the news of a Job's end, as a watch of its own has it, to
// Wait's return, while all jobs are waited for; and how long after it a client
// knows that polls.
func (b *bench) endings(ctx context.Context) error {
	client, err := kubernetes.NewForConfig(b.unthrottled())
	if err != nil {
		return err
	}
	news := &endings{at: map[string]time.Time{}}
	watching, cancel := context.WithCancel(ctx)
	defer cancel()
	events, err := client.BatchV1().Jobs(ours).Watch(watching, metav1.ListOptions{})
	if err != nil {
		return err
	}
	go func() {
		for e := range events.ResultChan() {
			if job, ok := e.Object.(*batchv1.Job); ok && complete(job) {
				news.note(job.Name)
			}
		}
	}()
	ends := make([]time.Time, len(b.jobs))
	polled := make([]time.Time, b.sampled())
	var waits, polls, rest sync.WaitGroup
	errs := make([]error, len(b.jobs))
	sample, pods, err := b.running(ctx, client)
	if err != nil {
		return err
	}
	var pollRequests, mu = 0, sync.Mutex{}
	before := b.requests.Load()
	began := time.Now()
	for i, j := range b.jobs {
		group, until := &rest, watching
		if slices.Contains(sample, i) {
			group, until = &waits, ctx
		}
		group.Go(func() {
			if _, err := j.Wait(until); err == nil {
				ends[i] = time.Now()
			} else if until == ctx {
				errs[i] = err
			}
		})
	}
	for k, i := range sample {
		polls.Go(func() {
			for ctx.Err() == nil {
				job, err := client.BatchV1().Jobs(ours).Get(ctx, b.jobs[i].ID(), metav1.GetOptions{})
				mu.Lock()
				pollRequests++
				mu.Unlock()
				if err == nil && complete(job) {
					polled[k] = time.Now()
					return
				}
				select {
				case <-ctx.Done():
				case <-time.After(b.poll):
				}
			}
		})
	}
	if err := b.settled(ctx); err != nil {
		return err
	}
	for _, i := range sample {
		if err := b.cluster.Finish(ctx, ours, pods[b.jobs[i].ID()], kuberig.End{}); err != nil {
			return err
		}
	}
	waits.Wait()
	took := time.Since(began)
	handled := b.requests.Load() - before
	polls.Wait()
	cancel()
	rest.Wait()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	var late, slow []float64
	for k, i := range sample {
		at, ok := news.of(b.jobs[i].ID())
		if !ok {
			return fmt.Errorf("the watch missed the end of %s", b.jobs[i].ID())
		}
		late = append(late, milliseconds(ends[i].Sub(at)))
		slow = append(slow, milliseconds(polled[k].Sub(at)))
	}
	b.table.against("news of an end to Wait's return, p50", "ms", quantile(late, 0.5), "polling", quantile(slow, 0.5))
	b.table.against("news of an end to Wait's return, p99", "ms", quantile(late, 0.99), "polling", quantile(slow, 0.99))
	perJob := float64(handled) / float64(len(b.jobs)) / took.Minutes()
	b.table.against("requests a waiting job and minute", "", perJob, "polling", float64(pollRequests)/float64(len(sample))/took.Minutes())
	return nil
}

func (b *bench) sampled() int { return min(b.sample, len(b.jobs)) }

// running are the places of some jobs whose pods run, and the names of the pods. To
// ask for each pod when it is to end would keep the server busy with lists, and
// time that.
func (b *bench) running(ctx context.Context, client kubernetes.Interface) ([]int, map[string]string, error) {
	names := map[string]string{}
	opts := metav1.ListOptions{Limit: 1000, FieldSelector: "status.phase=Running"}
	for {
		list, err := client.CoreV1().Pods(ours).List(ctx, opts)
		if err != nil {
			return nil, nil, err
		}
		for i := range list.Items {
			names[list.Items[i].Labels["batch.kubernetes.io/job-name"]] = list.Items[i].Name
		}
		if opts.Continue = list.Continue; opts.Continue == "" {
			break
		}
	}
	var out []int
	for i, j := range b.jobs {
		if names[j.ID()] != "" && len(out) < b.sampled() {
			out = append(out, i)
		}
	}
	if len(out) == 0 {
		return nil, nil, errors.New("no job runs")
	}
	return out, names, nil
}

func complete(job *batchv1.Job) bool {
	return slices.ContainsFunc(job.Status.Conditions, func(c batchv1.JobCondition) bool {
		return c.Type == batchv1.JobComplete && c.Status == corev1.ConditionTrue
	})
}

// endings are when the news of the ends of Jobs came.
type endings struct {
	mu sync.Mutex
	at map[string]time.Time
}

func (e *endings) note(name string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if _, ok := e.at[name]; !ok {
		e.at[name] = time.Now()
	}
}

func (e *endings) of(name string) (time.Time, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	at, ok := e.at[name]
	return at, ok
}

// why times the one answer, of jobs that wait and of jobs that run.
func (b *bench) why(ctx context.Context) error {
	var took []float64
	for i := range b.sampled() {
		j := b.jobs[len(b.jobs)-1-i*len(b.jobs)/b.sampled()]
		began := time.Now()
		if _, err := j.Why(ctx); err != nil {
			return err
		}
		took = append(took, milliseconds(time.Since(began)))
	}
	b.table.add("Why, p50", "ms", quantile(took, 0.5))
	b.table.add("Why, p99", "ms", quantile(took, 0.99))
	return nil
}

// attach is what a service does that starts again: find all its jobs, and follow
// them.
func (b *bench) attach(ctx context.Context) error {
	l, err := b.open(false)
	if err != nil {
		return err
	}
	began := time.Now()
	n := 0
	for _, err := range l.List(ctx, nil) {
		if err != nil {
			return err
		}
		n++
	}
	took := time.Since(began)
	if n != len(b.jobs) {
		return fmt.Errorf("%d jobs were found, want %d", n, len(b.jobs))
	}
	b.table.add(fmt.Sprintf("attach to %d jobs", n), "s", took.Seconds())
	return errors.Join(l.Shutdown(ctx), b.launcher.Shutdown(ctx))
}

func milliseconds(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e6 }

func quantile(values []float64, q float64) float64 {
	slices.Sort(values)
	return values[min(len(values)-1, int(q*float64(len(values))))]
}
