// Package watch keeps one picture of a namespace's jobs for everybody in the
// program who waits for one of them: one watch of each kind of object, whatever
// the number of jobs, with the objects trimmed to what is needed.
package watch

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/millwright-ml/millwright/k8s/internal/foreign"
	"github.com/millwright-ml/millwright/k8s/internal/kube"
	"github.com/millwright-ml/millwright/k8s/internal/manifest"
	"github.com/millwright-ml/millwright/k8s/internal/phase"
)

// Source is one kind of root object: how it is asked for and read.
type Source struct {
	Kind  kube.Kind
	Fresh func() any              // an empty object
	List  func() any              // an empty list
	Items func(list any) []any    // its objects
	Meta  func(any) metav1.Object // of an object
	More  func(list any) (next, rv string)
	Read  func(any) phase.Root
}

// Jobs is the source of batch/v1 Jobs.
func Jobs() *Source {
	return &Source{
		Kind:  kube.Jobs,
		Fresh: func() any { return &batchv1.Job{} },
		List:  func() any { return &batchv1.JobList{} },
		Items: func(list any) []any { return pointers(list.(*batchv1.JobList).Items) },
		More: func(list any) (string, string) {
			l := list.(*batchv1.JobList)
			return l.Continue, l.ResourceVersion
		},
		Meta: func(o any) metav1.Object { return o.(*batchv1.Job) },
		Read: func(o any) phase.Root { return phase.FromJob(o.(*batchv1.Job)) },
	}
}

// Foreign is the source of objects of another project.
func Foreign[T any](kind kube.Kind, meta func(*T) *metav1.ObjectMeta, read func(*T) phase.Root) *Source {
	return &Source{
		Kind:  kind,
		Fresh: func() any { return new(T) },
		List:  func() any { return &foreign.List[T]{} },
		Items: func(list any) []any { return pointers(list.(*foreign.List[T]).Items) },
		More: func(list any) (string, string) {
			l := list.(*foreign.List[T])
			return l.Continue, l.ResourceVersion
		},
		Meta: func(o any) metav1.Object { return meta(o.(*T)) },
		Read: func(o any) phase.Root { return read(o.(*T)) },
	}
}

func pointers[T any](items []T) []any {
	out := make([]any, len(items))
	for i := range items {
		out[i] = &items[i]
	}
	return out
}

// Namespace watches the jobs of one namespace while somebody is subscribed.
// Every method may be called from many goroutines.
type Namespace struct {
	client *kube.Client
	name   string

	mu      sync.Mutex
	closed  bool
	users   int
	jobs    map[string]*job
	streams map[string]*stream // by resource
	cancel  context.CancelFunc
	running sync.WaitGroup
	base    context.Context //nolint:containedctx // Of the streams, which outlive the call that starts them.
}

type job struct {
	root  *phase.Root
	pods  []phase.Pod
	users map[*Subscription]struct{}
}

type stream struct {
	synced bool
	err    error // one that asking again does not mend
}

// Subscription is one watcher's interest in one job.
type Subscription struct {
	// C gets a value after each change, one at most.
	C       chan struct{}
	space   *Namespace
	id      string
	streams []string
}

// New returns a watcher that is idle until somebody subscribes.
func New(client *kube.Client, namespace string) *Namespace {
	return &Namespace{client: client, name: namespace, jobs: map[string]*job{}, streams: map[string]*stream{}}
}

// ErrClosed says that the watcher was shut down.
var ErrClosed = errors.New("the launcher was shut down")

// Subscribe begins to follow a job. The caller calls Close at the end.
func (n *Namespace) Subscribe(id string, source *Source) (*Subscription, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		return nil, ErrClosed
	}
	if n.users == 0 {
		n.base, n.cancel = context.WithCancel(context.Background()) //nolint:gosec // Close and Shutdown call it.
	}
	n.users++
	s := &Subscription{C: make(chan struct{}, 1), space: n, id: id, streams: []string{kube.Pods.Resource, source.Kind.Resource}}
	j := n.job(id)
	j.users[s] = struct{}{}
	n.start(kube.Pods.Resource, n.podSource())
	n.start(source.Kind.Resource, source)
	s.wake()
	return s, nil
}

func (n *Namespace) job(id string) *job {
	j := n.jobs[id]
	if j == nil {
		j = &job{users: map[*Subscription]struct{}{}}
		n.jobs[id] = j
	}
	return j
}

func (n *Namespace) start(name string, source *Source) {
	if old := n.streams[name]; old != nil && old.err == nil {
		return
	}
	st := &stream{}
	n.streams[name] = st
	ctx := n.base
	n.running.Go(func() { n.run(ctx, st, source) })
}

// Close ends the interest. When nobody is left the watches end.
func (s *Subscription) Close() {
	n := s.space
	n.mu.Lock()
	defer n.mu.Unlock()
	j := n.jobs[s.id]
	if j == nil {
		return
	}
	if _, ok := j.users[s]; !ok {
		return
	}
	delete(j.users, s)
	if n.users--; n.users == 0 {
		n.stop()
	}
}

func (n *Namespace) stop() {
	if n.cancel != nil {
		n.cancel()
	}
	n.jobs, n.streams = map[string]*job{}, map[string]*stream{}
}

// Shutdown ends the watches and wakes everybody who waits.
func (n *Namespace) Shutdown() {
	n.mu.Lock()
	n.closed = true
	n.wakeAll()
	if n.cancel != nil {
		n.cancel()
	}
	n.mu.Unlock()
	n.running.Wait()
}

func (s *Subscription) wake() {
	select {
	case s.C <- struct{}{}:
	default:
	}
}

// State is what is known of the job: ok is false until the first answer has
// come, and a nil root then says that there is no such job.
func (s *Subscription) State() (root *phase.Root, pods []phase.Pod, ok bool, err error) {
	n := s.space
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		return nil, nil, false, ErrClosed
	}
	ok = true
	for _, name := range s.streams {
		st := n.streams[name]
		if st == nil {
			return nil, nil, false, ErrClosed
		}
		if st.err != nil {
			return nil, nil, false, st.err
		}
		ok = ok && st.synced
	}
	j := n.jobs[s.id]
	if j == nil || !ok {
		return nil, nil, ok, nil
	}
	return j.root, slices.Clone(j.pods), ok, nil
}

// selector finds what belongs to a launcher's jobs.
const selector = manifest.LabelJob

func (n *Namespace) podSource() *Source {
	return &Source{
		Kind:  kube.Pods,
		Fresh: func() any { return &corev1.Pod{} },
		List:  func() any { return &corev1.PodList{} },
		Items: func(list any) []any { return pointers(list.(*corev1.PodList).Items) },
		More: func(list any) (string, string) {
			l := list.(*corev1.PodList)
			return l.Continue, l.ResourceVersion
		},
		Meta: func(o any) metav1.Object { return o.(*corev1.Pod) },
	}
}

const (
	page     = 500
	minDelay = 50 * time.Millisecond
	maxDelay = 2 * time.Second
)

// run lists and watches one kind until ctx ends. A list comes first and whenever
// the server can not go on from the version that was seen last; a server that is
// away is asked again and again.
func (n *Namespace) run(ctx context.Context, st *stream, source *Source) {
	version, delay := "", minDelay
	for ctx.Err() == nil {
		var err error
		if version == "" {
			version, err = n.list(ctx, st, source)
		}
		if err == nil {
			seen := version
			err = n.client.Watch(ctx, source.Kind, n.name, &kube.ListOptions{Labels: selector, ResourceVersion: version}, source.Fresh, func(c kube.Change) error {
				meta := source.Meta(c.Object)
				version = meta.GetResourceVersion()
				if c.Type != "BOOKMARK" {
					n.take(ctx, source, c.Object, c.Type == "DELETED")
				}
				return nil
			})
			if version != seen {
				delay = minDelay
			}
		}
		switch {
		case errors.Is(err, kube.ErrExpired):
			version = ""
		case errors.Is(err, kube.ErrUnauthorized), errors.Is(err, kube.ErrForbidden), errors.Is(err, kube.ErrUnsupported):
			n.fail(ctx, st, err)
			return
		}
		if err == nil && delay == minDelay {
			continue // the server ends each watch after some minutes
		}
		if !pause(ctx, delay/2+rand.N(delay)) {
			return
		}
		delay = min(2*delay, maxDelay)
	}
}

func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

func (n *Namespace) list(ctx context.Context, st *stream, source *Source) (string, error) {
	opts := kube.ListOptions{Labels: selector, Limit: page}
	seen, version := map[string]bool{}, ""
	for {
		list := source.List()
		if err := n.client.List(ctx, source.Kind, n.name, &opts, list); err != nil {
			return "", err
		}
		for _, item := range source.Items(list) {
			seen[source.Meta(item).GetName()] = true
			n.take(ctx, source, item, false)
		}
		next, rv := source.More(list)
		if version == "" {
			version = rv
		}
		if next == "" {
			n.settle(ctx, st, source, seen)
			return version, nil
		}
		opts.Continue = next
	}
}

// settle drops what the list did not have, and says that the picture is whole.
func (n *Namespace) settle(ctx context.Context, st *stream, source *Source, seen map[string]bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if ctx.Err() != nil {
		return
	}
	for id, j := range n.jobs {
		if source.Read == nil {
			j.pods = slices.DeleteFunc(j.pods, func(p phase.Pod) bool { return !p.Gone && !seen[p.Name] })
		} else if j.root != nil && j.root.Backend == source.backend() && !seen[id] {
			j.root = nil
		}
	}
	st.synced = true
	n.wakeAll()
}

func (s *Source) backend() string { return s.Read(s.Fresh()).Backend }

func (n *Namespace) wakeAll() {
	for _, j := range n.jobs {
		j.wake()
	}
}

func (j *job) wake() {
	for s := range j.users {
		s.wake()
	}
}

func (n *Namespace) fail(ctx context.Context, st *stream, err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if ctx.Err() != nil {
		return
	}
	st.err = err
	n.wakeAll()
}

// take keeps the trimmed form of one object.
func (n *Namespace) take(ctx context.Context, source *Source, object any, gone bool) {
	id := source.Meta(object).GetLabels()[manifest.LabelJob]
	if id == "" {
		return
	}
	if source.Read == nil {
		p := phase.FromPod(object.(*corev1.Pod))
		n.change(ctx, id, func(j *job) {
			i := slices.IndexFunc(j.pods, func(q phase.Pod) bool { return q.Name == p.Name })
			switch {
			case gone:
				if i >= 0 {
					j.pods = slices.Delete(j.pods, i, i+1)
				}
				// How it ended is still worth knowing, until another has its rank.
				if ghost, ok := phase.Ghost(p); ok {
					j.pods = append(j.pods, ghost)
				}
			case i >= 0:
				j.pods[i] = p
			default:
				j.pods = slices.DeleteFunc(j.pods, func(q phase.Pod) bool { return q.Gone && q.Rank == p.Rank })
				j.pods = append(j.pods, p)
			}
		})
		return
	}
	if meta := source.Meta(object); meta.GetName() != id || len(meta.GetOwnerReferences()) > 0 {
		return // made by a controller for the root
	}
	r := source.Read(object)
	n.change(ctx, id, func(j *job) {
		if gone {
			j.root = nil
			return
		}
		j.root = &r
	})
}

// change does nothing for a watch that was stopped: what it had still in hand is
// older than what the next one has listed by then.
func (n *Namespace) change(ctx context.Context, id string, apply func(*job)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if ctx.Err() != nil {
		return
	}
	j := n.job(id)
	apply(j)
	if j.root == nil && len(j.pods) == 0 && len(j.users) == 0 {
		delete(n.jobs, id)
	}
	j.wake()
}

// Size is how many jobs are kept, for measurements.
func (n *Namespace) Size() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.jobs)
}
