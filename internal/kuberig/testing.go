package kuberig

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Start starts a cluster of the test's own, and stops it at the test's end. A
// test that changes nothing but its namespace takes a Shared one.
func Start(t testing.TB, opts *Options) *Cluster {
	t.Helper()
	c, err := Launch(t.Context(), opts)
	if err != nil {
		unavailable(t, err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			c.report(t.Logf)
		}
		if err := c.Stop(); err != nil {
			t.Errorf("stop the cluster: %v", err)
		}
	})
	return c
}

// unavailable skips the test when the programs are not built. With REQUIRE_REAL=1
// that is a failure, as every other error is.
func unavailable(t testing.TB, err error) {
	t.Helper()
	if errors.Is(err, ErrNotBuilt) && os.Getenv("REQUIRE_REAL") != "1" { //nolint:forbidigo // The test run's own setting.
		t.Skip(err)
	}
	t.Fatal(err)
}

// report shows the last complaints in the components' logs. It is short: what is
// kept of the output of a failed run may be as well.
func (c *Cluster) report(printf func(format string, args ...any)) {
	for _, name := range []string{APIServer, Controllers, Scheduler, Kwok, Kueue, JobSet, Trainer} {
		if text := complaints(c.Log(name)); text != "" {
			printf("%s complained:\n%s", name, text)
		}
	}
}

// shared are the clusters that the tests of this binary have in common. They are
// the one thing that outlives a test, so they cannot be in one.
var shared struct {
	mu       sync.Mutex
	clusters map[Kind]*starting
	failures []string // what ExplainFailure said
}

// starting is a cluster that is started once.
type starting struct {
	once    sync.Once
	cluster *Cluster
	err     error
}

// Shared returns a cluster that other tests use as well, started by the first.
// A test keeps to namespaces, nodes and queues of its own: its nodes have the
// PoolLabel of its namespace, which its pods ask for by themselves. Main stops it.
func Shared(t testing.TB, kind Kind) *Cluster {
	t.Helper()
	shared.mu.Lock()
	if shared.clusters == nil {
		shared.clusters = map[Kind]*starting{}
	}
	s := shared.clusters[kind]
	if s == nil {
		s = &starting{}
		shared.clusters[kind] = s
	}
	shared.mu.Unlock()
	s.once.Do(func() { s.cluster, s.err = Launch(context.WithoutCancel(t.Context()), kind.options()) })
	if s.err != nil {
		unavailable(t, s.err)
	}
	return s.cluster
}

// Main runs the tests of a binary and stops the shared clusters:
//
//	func TestMain(m *testing.M) { os.Exit(kuberig.Main(m)) }
func Main(m *testing.M) int {
	code := m.Run()
	shared.mu.Lock()
	defer shared.mu.Unlock()
	var wg sync.WaitGroup
	for _, s := range shared.clusters {
		if s.cluster != nil {
			wg.Go(func() {
				if code != 0 {
					s.cluster.report(func(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) })
				}
				if err := s.cluster.Stop(); err != nil {
					fmt.Fprintln(os.Stderr, "stop a shared cluster:", err)
				}
			})
		}
	}
	wg.Wait()
	for _, text := range shared.failures {
		fmt.Fprintln(os.Stderr, text)
	}
	return code
}

// Namespace makes a namespace with a name of its own and waits for its service
// account. The test's end deletes it and does not wait.
func (c *Cluster) Namespace(t testing.TB) string {
	t.Helper()
	ctx := t.Context()
	c.mu.Lock()
	c.spaces++
	name := fmt.Sprintf("%s-%d", label(t.Name()), c.spaces)
	c.mu.Unlock()
	_, err := c.client.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), patience)
		defer cancel()
		if err := c.client.CoreV1().Namespaces().Delete(ctx, name, metav1.DeleteOptions{}); err != nil && !c.down() && !gone(err) {
			t.Errorf("delete the namespace: %v", err)
		}
	})
	if !c.opts.NoServiceAccounts {
		c.Eventually(t, "the service account of "+name, func(ctx context.Context) error {
			_, err := c.client.CoreV1().ServiceAccounts(name).Get(ctx, "default", metav1.GetOptions{})
			return err
		})
	}
	return name
}

// label makes a name into what a DNS label may be, with room for a number.
func label(name string) string {
	name = strings.ToLower(name)
	name = strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return '-'
	}, strings.TrimPrefix(name, "test"))
	if len(name) > 40 {
		name = name[:40]
	}
	return "t-" + strings.Trim(name, "-")
}

// patience is how long Eventually waits, for a busy machine.
const patience = 5 * time.Minute

// Eventually asks again and again until check answers nil, and fails the test
// with its last error when patience ends.
func (c *Cluster) Eventually(t testing.TB, what string, check func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	ticker := time.NewTicker(30 * time.Millisecond)
	defer ticker.Stop()
	var last error
	for {
		err := check(ctx)
		if err == nil {
			return
		}
		if ctx.Err() == nil || last == nil {
			last = err // and not that the last question was broken off
		}
		select {
		case <-ctx.Done():
			t.Fatalf("%s: not in %s: %v", what, patience, last)
		case <-ticker.C:
		}
	}
}
