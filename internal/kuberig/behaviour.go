package kuberig

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/retry"
)

// prefix begins the names of our labels and annotations.
const prefix = "kuberig.millwright.dev/"

// The annotations that stages.yaml and the log server read.
const (
	annotRun          = prefix + "run"
	annotStartDelay   = prefix + "start-delay"
	annotExitCode     = prefix + "exit-code"
	annotExitCodes    = prefix + "exit-codes"
	annotFailAttempts = prefix + "fail-attempts"
	annotReason       = prefix + "reason"
	annotMessage      = prefix + "message"
	annotWaiting      = prefix + "waiting"
	annotGrace        = prefix + "grace"
	annotTermExitCode = prefix + "term-exit-code"
	annotLogs         = prefix + "logs"
	annotLogEvery     = prefix + "log-every"
)

// Forever is the running time of a pod that runs until it is deleted or finished.
const Forever time.Duration = -1

// Behaviour is what the containers of a fake pod do. It goes into the annotations
// of a pod, or of a pod template.
type Behaviour struct {
	// Start is how long the pod is in ContainerCreating, by default not at all.
	Start time.Duration
	// Run is how long it runs, by default 0.2 s for a pod of a Job and for ever
	// for another. Forever is until it is deleted or finished.
	Run time.Duration
	// ExitCode is how it ends, by default 0.
	ExitCode int
	// ExitCodes are the exit codes of single ranks (completion indexes).
	ExitCodes map[int]int
	// FailAttempts is how many attempts of a JobSet fail with the code; later ones
	// succeed. By default all fail.
	FailAttempts int
	// Reason and Message are those of the failed container, or of the waiting one.
	// The reason of a failure is by default Error; OOMKilled goes with code 137.
	Reason, Message string
	// Waiting keeps the pod from starting, with this reason: ImagePullBackOff,
	// CreateContainerConfigError. It starts when the annotation is removed.
	Waiting string
	// Grace is the time from SIGTERM to the end, by default none.
	Grace time.Duration
	// TermExitCode is the exit code after SIGTERM, by default 143. Below 0 it is 0.
	TermExitCode int
	// Logs are the lines that each container logs. $RANK, $POD and $ATTEMPT stand
	// for the completion index, the pod's name and the JobSet's attempt.
	Logs []string
	// LogEvery is the time between two lines, by default none.
	LogEvery time.Duration
}

// Annotations is the behaviour in the form of annotations of the pod.
func (b Behaviour) Annotations() map[string]string {
	a := map[string]string{}
	set := func(key, value string, wanted bool) {
		if wanted {
			a[key] = value
		}
	}
	run := b.Run.String()
	if b.Run < 0 {
		run = "forever"
	}
	codes, _ := json.Marshal(b.ExitCodes) // numbers always encode
	set(annotRun, run, b.Run != 0)
	set(annotStartDelay, b.Start.String(), b.Start > 0)
	set(annotExitCode, strconv.Itoa(b.ExitCode), b.ExitCode != 0)
	set(annotExitCodes, string(codes), len(b.ExitCodes) > 0)
	set(annotFailAttempts, strconv.Itoa(b.FailAttempts), b.FailAttempts > 0)
	set(annotReason, b.Reason, b.Reason != "")
	set(annotMessage, b.Message, b.Message != "")
	set(annotWaiting, b.Waiting, b.Waiting != "")
	set(annotGrace, b.Grace.String(), b.Grace > 0)
	set(annotTermExitCode, strconv.Itoa(max(b.TermExitCode, 0)), b.TermExitCode != 0)
	set(annotLogs, strings.Join(b.Logs, "\n"), len(b.Logs) > 0)
	set(annotLogEvery, b.LogEvery.String(), b.LogEvery > 0)
	return a
}

// End is how Finish ends a pod.
type End struct {
	// ExitCode of all containers. 0 is success.
	ExitCode int
	// Reason and Message of the containers; by default Completed, or Error.
	Reason, Message string
	// PodReason and PodMessage are of the pod itself, as with Evicted.
	PodReason, PodMessage string
}

// Finish ends a running pod now, as its kubelet would when its containers exit.
func (c *Cluster) Finish(ctx context.Context, namespace, name string, end End) error {
	pods := c.client.CoreV1().Pods(namespace)
	err := retry.RetryOnConflict(retry.DefaultBackoff, func() error {
		pod, err := pods.Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		finish(pod, end)
		_, err = pods.UpdateStatus(ctx, pod, metav1.UpdateOptions{})
		return err
	})
	if err != nil {
		return fmt.Errorf("kuberig: finish the pod %s/%s: %w", namespace, name, err)
	}
	return nil
}

func finish(pod *corev1.Pod, end End) {
	now := metav1.Now()
	phase, reason := corev1.PodSucceeded, "Completed"
	if end.ExitCode != 0 {
		phase, reason = corev1.PodFailed, "Error"
	}
	if end.Reason != "" {
		reason = end.Reason
	}
	pod.Status.Phase, pod.Status.Reason, pod.Status.Message = phase, end.PodReason, end.PodMessage
	var statuses []corev1.ContainerStatus
	for i, container := range pod.Spec.Containers {
		status := corev1.ContainerStatus{Name: container.Name, Image: container.Image}
		started := now
		if i < len(pod.Status.ContainerStatuses) {
			status = pod.Status.ContainerStatuses[i]
			if r := status.State.Running; r != nil {
				started = r.StartedAt
			}
		}
		status.Ready = false
		status.State = corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{
			ExitCode: int32(end.ExitCode), Reason: reason, Message: end.Message, StartedAt: started, FinishedAt: now,
		}}
		statuses = append(statuses, status)
	}
	pod.Status.ContainerStatuses = statuses
	for i := range pod.Status.Conditions {
		if cond := &pod.Status.Conditions[i]; cond.Type == corev1.PodReady || cond.Type == corev1.ContainersReady {
			cond.Status, cond.LastTransitionTime = corev1.ConditionFalse, now
		}
	}
}

// WriteLog adds lines to the log of a running pod's container, which is the first
// one when the name is empty.
func (c *Cluster) WriteLog(ctx context.Context, namespace, name, container string, lines ...string) error {
	pod, err := c.client.CoreV1().Pods(namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return err
	}
	if container == "" {
		container = pod.Spec.Containers[0].Name
	}
	status, err := containerStatus(pod, container)
	if err != nil {
		return fmt.Errorf("kuberig: write to the log: %w", err)
	}
	f, err := c.kubelet.file(pod, status, int(status.RestartCount))
	if err != nil {
		return err
	}
	for _, line := range lines {
		if err := f.write(time.Now(), line); err != nil {
			return err
		}
	}
	return nil
}

// Restart ends the containers of a running pod with an exit code and starts them
// anew in the same pod, as a kubelet does with restartPolicy OnFailure.
func (c *Cluster) Restart(ctx context.Context, namespace, name string, exitCode int) error {
	pods := c.client.CoreV1().Pods(namespace)
	err := retry.RetryOnConflict(retry.DefaultBackoff, func() error {
		pod, err := pods.Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		running := pod.DeepCopy()
		finish(pod, End{ExitCode: exitCode})
		for i := range running.Status.ContainerStatuses {
			s := &running.Status.ContainerStatuses[i]
			s.LastTerminationState = pod.Status.ContainerStatuses[i].State
			s.State = corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: metav1.Now()}}
			s.RestartCount++
		}
		_, err = pods.UpdateStatus(ctx, running, metav1.UpdateOptions{})
		return err
	})
	if err != nil {
		return fmt.Errorf("kuberig: restart the pod %s/%s: %w", namespace, name, err)
	}
	return nil
}

// gone tells that an object is absent, which deleting takes for success.
func gone(err error) bool { return apierrors.IsNotFound(err) }
