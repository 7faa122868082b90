package kuberig

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// logFile is the log of one run of one container, in the format of container
// runtimes.
type logFile struct {
	path string

	mu sync.Mutex // one line at a time
}

// file returns the log of a container. The first time it starts to write what the
// pod's annotations say that the container logs.
func (k *kubelet) file(pod *corev1.Pod, status *corev1.ContainerStatus, restart int) (*logFile, error) {
	// A pod that is made anew has the same name and another UID.
	path := filepath.Join(k.c.dir, "logs", string(pod.UID), status.Name, strconv.Itoa(restart)+".log")
	k.mu.Lock()
	defer k.mu.Unlock()
	if f := k.files[path]; f != nil {
		return f, nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		return nil, err
	}
	f := &logFile{path: path}
	k.files[path] = f
	lines, every, err := script(pod)
	if err != nil {
		return nil, err
	}
	started := time.Now()
	var ended time.Time
	for _, state := range []corev1.ContainerState{status.State, status.LastTerminationState} {
		if state.Terminated != nil {
			started, ended = state.Terminated.StartedAt.Time, state.Terminated.FinishedAt.Time
			break
		}
		if state.Running != nil {
			started = state.Running.StartedAt.Time
			break
		}
	}
	return f, k.play(f, lines, every, started, ended)
}

// play writes the lines that are due and leaves the others to a goroutine.
func (k *kubelet) play(f *logFile, lines []string, every time.Duration, started, ended time.Time) error {
	for i, line := range lines {
		due := started.Add(time.Duration(i) * every)
		if !ended.IsZero() && due.After(ended) {
			return nil // the container ended before
		}
		if wait := time.Until(due); wait > 0 {
			rest := lines[i:]
			go func() {
				timer := time.NewTimer(wait)
				defer timer.Stop()
				for _, line := range rest {
					select {
					case <-k.ctx.Done():
						return
					case <-timer.C:
					}
					_ = f.write(time.Now(), line) // the folder goes with the cluster
					timer.Reset(every)
				}
			}()
			return nil
		}
		if err := f.write(due, line); err != nil {
			return err
		}
	}
	return nil
}

func (f *logFile) write(at time.Time, line string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	file, err := os.OpenFile(f.path, os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(file, "%s stdout F %s\n", at.UTC().Format(time.RFC3339Nano), line)
	if e := file.Close(); err == nil {
		err = e
	}
	return err
}

// script is what the containers of a pod log by themselves.
func script(pod *corev1.Pod) ([]string, time.Duration, error) {
	text, ok := pod.Annotations[annotLogs]
	if !ok {
		return nil, 0, nil
	}
	var every time.Duration
	if v := pod.Annotations[annotLogEvery]; v != "" {
		var err error
		if every, err = time.ParseDuration(v); err != nil {
			return nil, 0, err
		}
	}
	rank := pod.Annotations["batch.kubernetes.io/job-completion-index"]
	text = strings.NewReplacer("$RANK", rank, "$POD", pod.Name, "$ATTEMPT", pod.Labels["jobset.sigs.k8s.io/restart-attempt"]).Replace(text)
	return strings.Split(text, "\n"), every, nil
}
