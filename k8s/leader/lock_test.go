package leader_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/millwright-ml/millwright/k8s/leader"
)

// leases serves one Lease as an API server does; the real one is met in the
// tests on a cluster.
type leases struct {
	mu    sync.Mutex
	lease *coordinationv1.Lease
}

func (l *leases) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	l.mu.Lock()
	defer l.mu.Unlock()
	const path = "/apis/coordination.k8s.io/v1/namespaces/trainer/leases"
	fail := func(code int, reason metav1.StatusReason) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(code)
		_ = json.NewEncoder(w).Encode(metav1.Status{
			TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"},
			Status:   "Failure", Code: int32(code), Reason: reason, Message: string(reason), Details: &metav1.StatusDetails{Name: "loop"},
		})
	}
	lease := &coordinationv1.Lease{}
	switch {
	case !strings.HasPrefix(r.URL.Path, path):
		fail(http.StatusBadRequest, metav1.StatusReasonBadRequest)
		return
	case r.Method == http.MethodPost && l.lease != nil:
		fail(http.StatusConflict, metav1.StatusReasonAlreadyExists)
		return
	case r.Method != http.MethodPost && l.lease == nil:
		fail(http.StatusNotFound, metav1.StatusReasonNotFound)
		return
	case r.Method == http.MethodGet:
		lease = l.lease
	default:
		if err := json.NewDecoder(r.Body).Decode(lease); err != nil || (l.lease != nil && lease.ResourceVersion != l.lease.ResourceVersion) {
			fail(http.StatusConflict, metav1.StatusReasonConflict)
			return
		}
		lease.Name = "loop"
		version, _ := strconv.Atoi(lease.ResourceVersion)
		lease.ResourceVersion = strconv.Itoa(version + 1)
		l.lease = lease
	}
	lease.APIVersion, lease.Kind = "coordination.k8s.io/v1", "Lease"
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(lease)
}

// config is for a server that understands JSON only.
func config(srv *httptest.Server) *rest.Config {
	return &rest.Config{Host: srv.URL, ContentConfig: rest.ContentConfig{ContentType: "application/json"}}
}

func TestOverHTTP(t *testing.T) {
	t.Parallel()
	var server leases
	srv := httptest.NewServer(&server)
	defer srv.Close()
	cfg := config(srv)
	opts := func(name string, heard func(string)) *leader.Options {
		return &leader.Options{Identity: name, Duration: time.Second, Retry: 20 * time.Millisecond, OnChange: heard}
	}
	first, err := leader.New(cfg, "trainer", "loop", opts("first", nil))
	require.NoError(t, err)
	heard := make(chan string, 10)
	second, err := leader.New(cfg, "trainer", "loop", opts("second", func(name string) { heard <- name }))
	require.NoError(t, err)
	leading, stop := make(chan struct{}), make(chan struct{})
	var wait sync.WaitGroup
	wait.Go(func() {
		require.NoError(t, first.Run(t.Context(), func(context.Context) error {
			close(leading)
			<-stop
			return nil
		}))
	})
	<-leading
	wait.Go(func() {
		require.Contains(t, <-heard, "first_")
		close(stop)
	})
	require.NoError(t, second.Run(t.Context(), func(ctx context.Context) error {
		require.EqualValues(t, 2, leader.Term(ctx))
		return nil
	}))
	wait.Wait()
	require.Empty(t, *server.lease.Spec.HolderIdentity)
	require.EqualValues(t, 1, *server.lease.Spec.LeaseTransitions)
	require.NotNil(t, server.lease.Spec.RenewTime)
}

// Of all replicas that run this, one drives the loop.
func ExampleElector_Run() {
	cluster := httptest.NewServer(&leases{}) // stands for the API server
	defer cluster.Close()
	cfg := config(cluster)

	e, err := leader.New(cfg, "trainer", "loop", &leader.Options{Identity: "replica-0"})
	if err != nil {
		fmt.Println(err)
		return
	}
	err = e.Run(context.Background(), func(ctx context.Context) error {
		fmt.Println("replica-0 leads:", e.Leading(), "term", leader.Term(ctx))
		return nil // the loop is done: the Lease is given back
	})
	fmt.Println("ended with", err)
	// Output:
	// replica-0 leads: true term 1
	// ended with <nil>
}
