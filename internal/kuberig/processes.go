package kuberig

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"
)

// RunsProcesses is the behaviour of pods that RunProcesses gives real processes:
// nothing but the process ends them.
func RunsProcesses() Behaviour { return Behaviour{Run: Forever, Grace: startPatience * 6} }

// RunProcesses starts a real process for each pod of a namespace once kwok says
// that it runs: the command of its first container, with its environment. A pod
// that is deleted gets SIGTERM, and its status is what the process ends with. So
// what a training program does with a cluster's decisions can be seen without
// images. It ends with the test.
func (c *Cluster) RunProcesses(t testing.TB, namespace string) {
	t.Helper()
	r := &processes{c: c, dir: t.TempDir(), running: map[types.UID]*exec.Cmd{}, never: map[types.UID]bool{}, errorf: t.Errorf}
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	source := cache.NewListWatchFromClient(c.client.CoreV1().RESTClient(), "pods", namespace, fields.Everything())
	_, informer := cache.NewInformerWithOptions(cache.InformerOptions{ListerWatcher: source, ObjectType: &corev1.Pod{}, Handler: cache.ResourceEventHandlerFuncs{
		AddFunc:    func(o any) { r.look(ctx, o.(*corev1.Pod)) },
		UpdateFunc: func(_, o any) { r.look(ctx, o.(*corev1.Pod)) },
	}})
	var watching sync.WaitGroup
	watching.Go(func() { informer.RunWithContext(ctx) })
	t.Cleanup(func() {
		stop()
		watching.Wait()
		r.end()
	})
}

type processes struct {
	c      *Cluster
	dir    string
	errorf func(format string, args ...any)

	mu      sync.Mutex
	running map[types.UID]*exec.Cmd
	never   map[types.UID]bool
	ended   bool
	all     sync.WaitGroup
}

// look starts a pod's process, or asks it to end.
func (r *processes) look(ctx context.Context, pod *corev1.Pod) {
	r.mu.Lock()
	defer r.mu.Unlock()
	cmd := r.running[pod.UID]
	switch {
	case r.ended:
	case cmd == nil && pod.Status.Phase == corev1.PodRunning && pod.DeletionTimestamp == nil:
		if err := r.start(ctx, pod); err != nil {
			r.errorf("the process of %s: %v", pod.Name, err)
		}
	case cmd == nil && pod.Status.Phase == corev1.PodRunning && !r.never[pod.UID]:
		r.never[pod.UID] = true // deleted before its process began
		r.all.Go(func() { r.finish(ctx, pod, End{ExitCode: 143}) })
	case cmd != nil && pod.DeletionTimestamp != nil:
		_ = cmd.Process.Signal(syscall.SIGTERM) // it may have ended
	}
}

// start runs under the lock.
func (r *processes) start(ctx context.Context, pod *corev1.Pod) error {
	container := &pod.Spec.Containers[0]
	args := append(append([]string(nil), container.Command...), container.Args...)
	if len(args) == 0 {
		return errors.New("its container names no command, and there is no image")
	}
	env := Environment(pod, container.Name)
	// A volume of the downward API is a file beside.
	for _, v := range pod.Spec.Volumes {
		if v.DownwardAPI == nil {
			continue
		}
		for _, item := range v.DownwardAPI.Items {
			path := filepath.Join(r.dir, string(pod.UID)+"-"+filepath.Base(item.Path))
			if err := os.WriteFile(path, []byte(fieldOf(pod, item.FieldRef.FieldPath)), 0o600); err != nil {
				return err
			}
			for _, m := range container.VolumeMounts {
				for name, value := range env {
					if m.Name == v.Name && value == filepath.Join(m.MountPath, item.Path) {
						env[name] = path
					}
				}
			}
		}
	}
	cmd := exec.Command(args[0], args[1:]...)       //nolint:noctx // It gets SIGTERM as a pod's process does.
	cmd.Env = []string{"PATH=" + os.Getenv("PATH")} //nolint:forbidigo // Where programs are.
	for name, value := range env {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	out, w, err := os.Pipe()
	if err != nil {
		return err
	}
	cmd.Stdout, cmd.Stderr = w, w
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	err = cmd.Start()
	_ = w.Close() // the process has its own
	if err != nil {
		_ = out.Close() // nothing was read
		return err
	}
	r.running[pod.UID] = cmd
	r.all.Go(func() { r.follow(ctx, pod, cmd, out) })
	return nil
}

// follow keeps what the process says as the pod's log, and its end as the pod's.
func (r *processes) follow(ctx context.Context, pod *corev1.Pod, cmd *exec.Cmd, out *os.File) {
	var last []string
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		last = append(last[max(0, len(last)-9):], lines.Text())
		if err := r.c.WriteLog(ctx, pod.Namespace, pod.Name, "", lines.Text()); err != nil && ctx.Err() == nil && !gone(err) {
			r.errorf("the log of %s: %v", pod.Name, err)
		}
	}
	_ = out.Close() // it was only read
	_ = cmd.Wait()  // the status says it
	code := cmd.ProcessState.ExitCode()
	if ws, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		code = 128 + int(ws.Signal())
	}
	end := End{ExitCode: code}
	if code != 0 {
		end.Message = strings.Join(last, "\n")
	}
	r.finish(ctx, pod, end)
}

// finish writes a pod's end, also where others write its status too.
func (r *processes) finish(ctx context.Context, pod *corev1.Pod, end End) {
	var err error
	for ctx.Err() == nil {
		if err = r.c.Finish(ctx, pod.Namespace, pod.Name, end); err == nil || gone(err) {
			return
		}
		if !apierrors.IsConflict(err) {
			r.errorf("the end of %s: %v", pod.Name, err)
			return
		}
	}
}

// end kills what still runs.
func (r *processes) end() {
	r.mu.Lock()
	r.ended = true
	for _, cmd := range r.running {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // most have ended
	}
	r.mu.Unlock()
	r.all.Wait()
}

// Environment is what a kubelet would make of a container's variables that have
// values or come from the pod itself.
func Environment(pod *corev1.Pod, container string) map[string]string {
	env := map[string]string{}
	for i := range pod.Spec.Containers {
		if pod.Spec.Containers[i].Name != container {
			continue
		}
		for _, e := range pod.Spec.Containers[i].Env {
			switch {
			case e.ValueFrom == nil:
				env[e.Name] = expand(e.Value, env)
			case e.ValueFrom.FieldRef != nil:
				env[e.Name] = fieldOf(pod, e.ValueFrom.FieldRef.FieldPath)
			}
		}
	}
	return env
}

// expand puts the values of earlier variables in; "$$(" stands for "$(".
func expand(value string, env map[string]string) string {
	var b strings.Builder
	for {
		before, rest, found := strings.Cut(value, "$(")
		if !found {
			return b.String() + value
		}
		if strings.HasSuffix(before, "$") {
			b.WriteString(before + "(")
			value = rest
			continue
		}
		name, after, closed := strings.Cut(rest, ")")
		have, known := env[name]
		if !closed || !known {
			b.WriteString(before + "$(")
			value = rest
			continue
		}
		b.WriteString(before + have)
		value = after
	}
}

// fieldOf is a field of the downward API.
func fieldOf(pod *corev1.Pod, path string) string {
	for prefix, values := range map[string]map[string]string{"metadata.annotations": pod.Annotations, "metadata.labels": pod.Labels} {
		if name, ok := strings.CutPrefix(path, prefix+"['"); ok {
			return values[strings.TrimSuffix(name, "']")]
		}
	}
	switch path {
	case "metadata.name":
		return pod.Name
	case "metadata.namespace":
		return pod.Namespace
	case "metadata.uid":
		return string(pod.UID)
	case "status.podIP":
		return pod.Status.PodIP
	}
	return fmt.Sprintf("(no field %s)", path)
}
