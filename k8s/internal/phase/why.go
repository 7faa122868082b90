package phase

import (
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/millwright-ml/millwright/train"
)

// Findings are the causes that the job's own objects show.
func Findings(namespace string, r *Root, pods []Pod) []train.Finding {
	var found []train.Finding
	object := kinds[r.Backend] + " " + namespace + "/" + r.ID
	_, end := Assess(r, pods)
	if end != nil && end.Cause != "" {
		text := reason(end)
		if n := len(end.LastLines); n > 0 && end.Cause == train.CauseUser {
			text += fmt.Sprintf("; its last line: %q", cut(end.LastLines[n-1]))
		}
		found = append(found, train.Finding{Kind: end.Cause, Text: text, Object: object, Since: r.Finished})
		return found
	}
	if end != nil {
		return nil
	}
	switch {
	case !r.Cancelled.IsZero():
		found = append(found, train.Finding{Kind: train.CauseCancelled, Text: "it is being cancelled", Object: object, Since: r.Cancelled})
	case !r.Paused.IsZero():
		found = append(found, train.Finding{Kind: train.CauseSuspended, Text: "Suspend was called: Resume lets it go on", Object: object, Since: r.Paused})
	}
	for i := range pods {
		p := &pods[i]
		switch {
		case p.Phase == corev1.PodPending:
			f := finding(p)
			f.Object = "Pod " + namespace + "/" + p.Name
			found = append(found, f)
		case p.Phase == corev1.PodFailed || p.Disrupted != "":
			e := PodEnding(p)
			found = append(found, train.Finding{Kind: e.Cause, Text: "attempt " + fmt.Sprint(p.Attempt) + ": " + reason(&e), Object: "Pod " + namespace + "/" + p.Name, Since: p.Finished})
		}
	}
	return found
}

var kinds = map[string]string{"job": "Job", "jobset": "JobSet", "trainjob": "TrainJob", "pytorchjob": "PyTorchJob", "mpijob": "MPIJob"}

func cut(text string) string {
	if len(text) > 200 {
		return strings.ToValidUTF8(text[:200], "") + "…"
	}
	return text
}

// finding says why a pod does not run.
func finding(p *Pod) train.Finding {
	f := train.Finding{Kind: train.CauseStarting, Since: p.Since, Text: "it is starting"}
	if f.Since.IsZero() {
		f.Since = p.Created
	}
	switch p.Waiting {
	case "ImagePullBackOff", "ErrImagePull", "InvalidImageName", "ErrImageNeverPull", "RegistryUnavailable", "ErrImagePullBackOff":
		f.Kind, f.Text = train.CauseImagePull, "the image cannot be fetched: check its name and the pull secrets"+after(": ", p.Waits)
		return f
	case "CreateContainerConfigError":
		f.Kind, f.Text = train.CauseConfig, "the container cannot be configured"+after(": ", p.Waits)
		return f
	case "CreateContainerError", "RunContainerError", "StartError":
		f.Kind, f.Text = train.CauseConfig, "the container cannot be started"+after(": ", p.Waits)
		return f
	}
	switch {
	case p.Gated:
		f.Kind, f.Text = train.CauseQueued, "a queue holds the pod back"
	case p.Node == "" && gang(p.Unplaced):
		f.Kind, f.Text = train.CauseGang, "all nodes start together or none, and there is no room for all: "+p.Unplaced
	case p.Node == "" && p.Unplaced != "":
		f.Kind, f.Text = train.CauseUnschedulable, "no node fits: "+p.Unplaced
	case p.Node == "":
		f.Text = "the scheduler looks for a node"
	}
	return f
}

func gang(text string) bool {
	text = strings.ToLower(text)
	return strings.Contains(text, "mincount") || strings.Contains(text, "pod group") || strings.Contains(text, "podgroup") || strings.Contains(text, "gang")
}

// FromEvent reads what an event says of a cause, and false for one that says
// nothing of one.
func FromEvent(e *corev1.Event) (train.Finding, bool) {
	f := train.Finding{
		Object: e.InvolvedObject.Kind + " " + e.InvolvedObject.Namespace + "/" + e.InvolvedObject.Name, Since: EventTime(e),
	}
	text := e.Message
	switch {
	case strings.Contains(text, "exceeded quota") || strings.Contains(text, "failed quota"):
		f.Kind, f.Text = train.CauseQuota, "a ResourceQuota leaves too little: "+text
	case e.Reason == "FailedCreate" && strings.Contains(text, "violates PodSecurity"):
		f.Kind, f.Text = train.CauseRefused, "the namespace's pod security refuses the pod: "+text
	case e.Reason == "FailedCreate" && strings.Contains(text, "serviceaccount") && strings.Contains(text, "not found"):
		f.Kind, f.Text = train.CauseConfig, "the service account does not exist: "+text
	case e.Reason == "FailedCreate" && strings.Contains(text, "no PriorityClass"):
		f.Kind, f.Text = train.CauseRefused, "the priority class does not exist: "+text
	case e.Reason == "FailedCreate" && strings.Contains(text, " cannot "):
		f.Kind, f.Text = train.CauseForbidden, "a controller lacks a right: "+text
	case e.Reason == "FailedCreate":
		f.Kind, f.Text = train.CauseRefused, "the API server refuses the pod: "+text
	case e.Reason == "FailedMount" || e.Reason == "FailedAttachVolume":
		f.Kind, f.Text = train.CauseConfig, "a volume cannot be mounted: "+text
	case e.Reason == "FailedToRetrieveImagePullSecret":
		f.Kind, f.Text = train.CauseImagePull, "a pull secret is missing: "+text
	case e.Reason == "Preempted":
		f.Kind, f.Text = train.CausePreempted, text
	default:
		return f, false
	}
	return f, true
}

// EventTime is when an event was last seen.
func EventTime(e *corev1.Event) time.Time {
	switch {
	case e.Series != nil && !e.Series.LastObservedTime.IsZero():
		return e.Series.LastObservedTime.Time
	case !e.LastTimestamp.IsZero():
		return e.LastTimestamp.Time
	case !e.EventTime.IsZero():
		return e.EventTime.Time
	}
	return e.CreationTimestamp.Time
}
