package phase

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/millwright-ml/millwright/k8s/internal/manifest"
	"github.com/millwright-ml/millwright/train"
)

// Root is what is kept of the object that stands for a job, whatever its kind.
type Root struct {
	Backend string // "job", "jobset", "trainjob", "pytorchjob" or "mpijob"
	ID      string
	UID     string
	Version string // resourceVersion
	Created time.Time
	Deleted bool // it is being removed

	Nodes     int
	Queue     string
	Deadline  time.Duration
	Attempt   int // resumes before
	Cancelled time.Time
	Paused    time.Time // Suspend was called

	Suspended bool // spec.suspend, by whomever
	Settled   bool // its controller has noted that it is suspended and that no pod is left
	Started   time.Time
	Finished  time.Time
	Ended     bool
	OK        bool
	Reason    string // of the end, or of why nothing moves
	Message   string
	Restarts  int // of all ranks together

	History  []Past         // attempts whose pods are gone
	Progress train.Progress // the newest report of pods that are gone
}

// Past is an attempt whose pods are gone.
type Past struct {
	Attempt    int       `json:"n"`
	Started    time.Time `json:"s,omitzero"`
	Finished   time.Time `json:"f,omitzero"`
	Cause      string    `json:"c,omitempty"`
	GPU        string    `json:"g,omitempty"`
	Spot       bool      `json:"p,omitempty"`
	Checkpoint time.Time `json:"k,omitzero"`
	// Young are those of its pods that were made in the second in which it ended.
	// The API tells times in whole seconds, so only their names set them apart from
	// the pods of the next attempt.
	Young []string `json:"y,omitempty"`

	pods []made
}

// made is when a pod was made.
type made struct {
	pod string
	at  time.Time
}

// mark is how Past.Young names a pod: short, for there may be thousands.
func mark(uid string) string { return uid[:min(len(uid), 8)] }

// Add notes that a pod is of the attempt.
func (h *Past) Add(p *Pod) { h.pods = append(h.pods, made{mark(p.UID), p.Created}) }

// Close is the attempt with Young, which needs to know when it ended.
func (h Past) Close() Past {
	h.Young = nil
	for _, p := range h.pods {
		if !p.at.Before(h.Finished.Truncate(time.Second)) {
			h.Young = append(h.Young, p.pod)
		}
	}
	return h
}

// before tells that a pod is of a later attempt.
func (h *Past) before(p *Pod) bool {
	over := h.Finished.Truncate(time.Second)
	return !h.Finished.IsZero() && !p.Created.Before(over) && !slices.Contains(h.Young, mark(p.UID))
}

// Pod is what is kept of a pod.
type Pod struct {
	Name    string
	UID     string
	Job     string // id
	Rank    int
	Attempt int
	Node    string

	Phase    corev1.PodPhase
	Created  time.Time
	Started  time.Time // of the container
	Finished time.Time
	Deleting bool
	Gone     bool // its object was removed, and this is how it was last
	Ready    bool

	ExitCode  int
	Reason    string // of the container's end, or of the pod's
	Message   string // the last lines, or what the kubelet says
	Disrupted string // reason of the DisruptionTarget condition
	Disturbed string // its message
	Waiting   string // reason for which the container waits
	Waits     string // its message
	Unplaced  string // what the scheduler says
	Gated     bool   // a queue holds the pod back
	Since     time.Time
}

// Live reports whether the pod's process may run, now or later.
func (p *Pod) Live() bool { return p.Phase == corev1.PodPending || p.Phase == corev1.PodRunning }

// Ghost is a pod whose object was removed, and false for one whose end says
// nothing.
func Ghost(p Pod) (Pod, bool) {
	if p.Phase == corev1.PodSucceeded || (p.Phase != corev1.PodFailed && p.Disrupted == "") {
		return p, false
	}
	p.Gone, p.Deleting, p.Ready, p.Phase = true, true, false, corev1.PodFailed
	return p, true
}

// Meta fills what every root object has in its labels and annotations.
func Meta(backend string, m *metav1.ObjectMeta) Root {
	r := Root{
		Backend: backend, ID: m.Labels[manifest.LabelJob], UID: string(m.UID), Version: m.ResourceVersion,
		Created: m.CreationTimestamp.Time, Deleted: m.DeletionTimestamp != nil,
		Nodes: max(1, number(m.Annotations[manifest.NoteNodes])), Queue: m.Labels[manifest.LabelQueue],
		Attempt: number(m.Annotations[manifest.NoteAttempt]),
	}
	r.Deadline, _ = time.ParseDuration(m.Annotations[manifest.NoteDeadline])             // zero when it is none
	r.Cancelled, _ = time.Parse(time.RFC3339Nano, m.Annotations[manifest.NoteCancelled]) // likewise
	r.Paused, _ = time.Parse(time.RFC3339Nano, m.Annotations[manifest.NoteSuspended])
	if text := m.Annotations[manifest.NoteHistory]; text != "" {
		_ = json.Unmarshal([]byte(text), &r.History) // what another wrote there is not ours to judge
	}
	if text := m.Annotations[manifest.NoteProgress]; text != "" {
		_ = json.Unmarshal([]byte(text), &r.Progress)
	}
	return r
}

func number(text string) int {
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 {
		return 0
	}
	return n
}

func at(t *metav1.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.Time
}

// FromJob reads a batch/v1 Job.
func FromJob(job *batchv1.Job) Root {
	r := Meta("job", &job.ObjectMeta)
	r.Suspended = job.Spec.Suspend != nil && *job.Spec.Suspend
	r.Started = at(job.Status.StartTime)
	r.Settled = job.Status.StartTime == nil && job.Status.Active == 0
	for i := range job.Status.Conditions {
		c := &job.Status.Conditions[i]
		if c.Status != corev1.ConditionTrue {
			continue
		}
		switch c.Type {
		case batchv1.JobSuspended:
			r.Settled = job.Status.Active == 0
		case batchv1.JobComplete:
			r.Ended, r.OK, r.Finished = true, true, c.LastTransitionTime.Time
		case batchv1.JobFailed:
			r.Ended, r.Finished, r.Reason, r.Message = true, c.LastTransitionTime.Time, c.Reason, c.Message
		case batchv1.JobFailureTarget:
			if !r.Ended {
				r.Reason, r.Message = c.Reason, c.Message
			}
		}
	}
	if r.OK && job.Status.CompletionTime != nil {
		r.Finished = job.Status.CompletionTime.Time
	}
	return r
}

// The labels and annotations by which pods say who they are.
const (
	noteIndex     = "batch.kubernetes.io/job-completion-index"
	noteFailures  = "batch.kubernetes.io/job-index-failure-count"
	labelRestart  = "jobset.sigs.k8s.io/restart-attempt"
	labelKubeflow = "training.kubeflow.org/replica-index"
	labelRole     = "training.kubeflow.org/replica-type"
	maxMessage    = 2 << 10
)

// FromPod reads a pod of a job.
func FromPod(pod *corev1.Pod) Pod {
	p := Pod{
		Name: pod.Name, UID: string(pod.UID), Job: pod.Labels[manifest.LabelJob], Node: pod.Spec.NodeName,
		Phase: pod.Status.Phase, Created: pod.CreationTimestamp.Time, Deleting: pod.DeletionTimestamp != nil,
		Rank:    number(pod.Annotations[noteIndex]),
		Attempt: number(pod.Annotations[manifest.NoteAttempt]) + number(pod.Annotations[noteFailures]) + number(pod.Labels[labelRestart]),
		Reason:  pod.Status.Reason, Message: pod.Status.Message, Gated: len(pod.Spec.SchedulingGates) > 0,
	}
	if index, ok := pod.Labels[labelKubeflow]; ok {
		p.Rank = number(index)
		if strings.EqualFold(pod.Labels[labelRole], "worker") {
			p.Rank++ // the master is rank 0
		}
	}
	for i := range pod.Status.Conditions {
		c := &pod.Status.Conditions[i]
		switch {
		case c.Type == corev1.DisruptionTarget && c.Status == corev1.ConditionTrue:
			p.Disrupted, p.Disturbed = c.Reason, c.Message
		case c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse:
			p.Unplaced, p.Since = c.Message, c.LastTransitionTime.Time
		case c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue:
			p.Ready = true
		}
	}
	for i := range pod.Status.ContainerStatuses {
		status := &pod.Status.ContainerStatuses[i]
		if len(pod.Status.ContainerStatuses) > 1 && !isMain(status.Name) {
			continue
		}
		switch {
		case status.State.Terminated != nil:
			t := status.State.Terminated
			p.ExitCode, p.Started, p.Finished = int(t.ExitCode), t.StartedAt.Time, t.FinishedAt.Time
			if t.Reason != "" && t.Reason != "Completed" && p.Reason == "" {
				p.Reason = t.Reason
			}
			if t.Message != "" {
				p.Message = tail(t.Message, maxMessage)
			}
		case status.State.Running != nil:
			p.Started = status.State.Running.StartedAt.Time
		case status.State.Waiting != nil:
			p.Waiting, p.Waits = status.State.Waiting.Reason, tail(status.State.Waiting.Message, maxMessage)
		}
	}
	for i := range pod.Status.InitContainerStatuses {
		status := &pod.Status.InitContainerStatuses[i]
		if w := status.State.Waiting; w != nil && w.Reason != "PodInitializing" && p.Waiting == "PodInitializing" {
			p.Waiting, p.Waits = w.Reason, tail(w.Message, maxMessage)
		}
	}
	if p.Finished.IsZero() && !p.Live() {
		p.Finished = at(pod.DeletionTimestamp)
	}
	return p
}

// isMain reports whether a container is the one that trains: ours, or what
// Kubeflow's runtimes and operators call theirs.
func isMain(name string) bool {
	return name == manifest.Container || name == "node" || name == "pytorch" || name == "mpi"
}

// tail is the end of a text, at a line's beginning where it has one.
func tail(text string, n int) string {
	if len(text) <= n {
		return strings.Clone(text)
	}
	text = text[len(text)-n:]
	if _, rest, ok := strings.Cut(text, "\n"); ok {
		text = rest
	}
	return strings.ToValidUTF8(text, "")
}

// Lines are the last lines of a text, at most 20.
func Lines(text string) []string {
	text = strings.TrimRight(text, "\n")
	if text == "" {
		return nil
	}
	lines := strings.Split(text, "\n")
	kept := lines[:0]
	for _, line := range lines {
		if _, ok := train.ParseReport(line); !ok {
			kept = append(kept, strings.TrimSuffix(line, "\r"))
		}
	}
	return kept[max(0, len(kept)-20):]
}
