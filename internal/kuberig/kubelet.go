package kuberig

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	criapi "k8s.io/cri-api/pkg/apis"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
	"k8s.io/cri-client/pkg/logs"
)

// kubelet serves the logs of the pods on all our nodes, at the place where the API
// server asks a node for them. It reads them with the kubelet's own code, so that
// following ends when the container does, and times, tails and limits are as real.
// (kwok can serve logs too, but not of each pod its own, and its following never
// ends.)
type kubelet struct {
	c      *Cluster
	port   int
	server *http.Server
	ctx    context.Context // it ends the writers of logs with the server
	cancel context.CancelFunc

	mu    sync.Mutex
	files map[string]*logFile // by path
}

func newKubelet(c *Cluster) (*kubelet, error) {
	cert, err := tls.LoadX509KeyPair(c.pki.path("server.crt"), c.pki.path("server.key"))
	if err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // It blocks on nothing.
	if err != nil {
		return nil, err
	}
	k := &kubelet{c: c, port: l.Addr().(*net.TCPAddr).Port, files: map[string]*logFile{}}
	k.ctx, k.cancel = context.WithCancel(context.Background())
	mux := http.NewServeMux()
	mux.HandleFunc("GET /containerLogs/{namespace}/{pod}/{container}", k.containerLogs)
	k.server = &http.Server{
		Handler: mux, ReadHeaderTimeout: time.Minute,
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12},
	}
	go func() { _ = k.server.ServeTLS(l, "", "") }() // it ends by close
	return k, nil
}

func (k *kubelet) close() {
	k.cancel()
	_ = k.server.Close() // it has no other connections than the API server's
}

func (k *kubelet) containerLogs(w http.ResponseWriter, r *http.Request) {
	namespace, name, container := r.PathValue("namespace"), r.PathValue("pod"), r.PathValue("container")
	opts, follow, previous, err := logOptions(r.URL.Query())
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	pod, err := k.c.client.CoreV1().Pods(namespace).Get(r.Context(), name, metav1.GetOptions{})
	if err != nil {
		http.Error(w, err.Error(), http.StatusNotFound)
		return
	}
	status, err := containerStatus(pod, container)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	restart := int(status.RestartCount)
	if previous {
		restart--
	}
	switch {
	case status.State.Waiting != nil && !previous:
		http.Error(w, fmt.Sprintf("container %q in pod %q is waiting to start: %s", container, name, status.State.Waiting.Reason), http.StatusBadRequest)
		return
	case restart < 0:
		http.Error(w, fmt.Sprintf("previous terminated container %q in pod %q not found", container, name), http.StatusBadRequest)
		return
	}
	f, err := k.file(pod, status, restart)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	opts.Follow = follow && !previous
	w.Header().Set("Content-Type", "text/plain")
	w.WriteHeader(http.StatusOK)
	out := &flushing{w: w}
	out.flush()
	// The headers are sent; the reader sees the end of the stream as the end.
	_ = logs.ReadLogs(r.Context(), f.path, container, opts, runtimeOf{k: k, namespace: namespace, pod: name, restart: restart}, out, out)
}

// logOptions reads what a request for logs asks for, as the kubelet does.
func logOptions(q url.Values) (opts *logs.LogOptions, follow, previous bool, err error) {
	whole := func(name string) *int64 {
		if q.Get(name) == "" {
			return nil
		}
		n, e := strconv.ParseInt(q.Get(name), 10, 64)
		if e != nil {
			err = errors.Join(err, fmt.Errorf("%s: %w", name, e))
		}
		return &n
	}
	flag := func(name string) bool {
		b, e := strconv.ParseBool(q.Get(name))
		return e == nil && b
	}
	opts = &logs.LogOptions{TailLines: whole("tailLines"), LimitBytes: whole("limitBytes"), Timestamp: flag("timestamps")}
	if seconds := whole("sinceSeconds"); seconds != nil {
		opts.Since = time.Now().Add(-time.Duration(*seconds) * time.Second)
	}
	if since := q.Get("sinceTime"); since != "" {
		t, e := time.Parse(time.RFC3339Nano, since)
		if e != nil {
			err = errors.Join(err, fmt.Errorf("sinceTime: %w", e))
		}
		opts.Since = t
	}
	return opts, flag("follow"), flag("previous"), err
}

// containerStatus finds the status of a container.
func containerStatus(pod *corev1.Pod, container string) (*corev1.ContainerStatus, error) {
	for _, list := range [][]corev1.ContainerStatus{pod.Status.ContainerStatuses, pod.Status.InitContainerStatuses} {
		for i := range list {
			if list[i].Name == container {
				return &list[i], nil
			}
		}
	}
	return nil, fmt.Errorf("container %q in pod %q is not available", container, pod.Name)
}

// runtimeOf is the one question of the log reader to the container runtime:
// whether the container still runs.
type runtimeOf struct {
	criapi.RuntimeService

	k              *kubelet
	namespace, pod string
	restart        int
}

func (r runtimeOf) ContainerStatus(ctx context.Context, container string, _ bool) (*runtimeapi.ContainerStatusResponse, error) {
	state := runtimeapi.ContainerState_CONTAINER_EXITED
	pod, err := r.k.c.client.CoreV1().Pods(r.namespace).Get(ctx, r.pod, metav1.GetOptions{})
	if err == nil {
		status, err := containerStatus(pod, container)
		if err == nil && status.State.Running != nil && int(status.RestartCount) == r.restart {
			state = runtimeapi.ContainerState_CONTAINER_RUNNING
		}
	}
	return &runtimeapi.ContainerStatusResponse{Status: &runtimeapi.ContainerStatus{State: state}}, nil
}

// flushing sends each line as it comes.
type flushing struct{ w http.ResponseWriter }

func (f *flushing) Write(b []byte) (int, error) {
	n, err := f.w.Write(b)
	f.flush()
	return n, err
}

func (f *flushing) flush() { _ = http.NewResponseController(f.w).Flush() } // an error comes back at the next write

var _ io.Writer = (*flushing)(nil)
