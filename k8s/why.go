package k8s

import (
	"context"
	"errors"
	"iter"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/millwright-ml/millwright/k8s/internal/kube"
	"github.com/millwright-ml/millwright/k8s/internal/phase"
	"github.com/millwright-ml/millwright/train"
)

// Why implements train.Job. What the launcher may not read is left out.
func (j *job) Why(ctx context.Context) (train.Why, error) {
	r, pods, err := j.read(ctx)
	if kept := j.archived(ctx, err); kept != nil {
		return kept.Why(ctx)
	}
	if err != nil {
		return train.Why{}, err
	}
	found := phase.Findings(j.l.opts.Namespace, r, pods)
	s, end := phase.Assess(r, pods)
	if end != nil {
		return train.NewWhy(found...), nil
	}
	if r.Queue != "" && (r.Suspended || s.Phase == train.Queued || s.Phase == train.Admitted) {
		more, err := j.queueFindings(ctx, r)
		if err != nil && !errors.Is(err, kube.ErrForbidden) {
			return train.Why{}, fault(err)
		}
		found = append(found, more...)
	}
	if s.Phase != train.Running {
		more, err := j.eventFindings(ctx, r, pods)
		if err != nil && !errors.Is(err, kube.ErrForbidden) {
			return train.Why{}, fault(err)
		}
		found = append(found, more...)
	}
	if len(found) == 0 && s.Phase != train.Running {
		text := s.Reason
		if text == "" {
			text = "its controller has yet to act on it"
		}
		found = append(found, train.Finding{Kind: train.CauseStarting, Text: text, Object: j.backend.source.Kind.Kind + " " + j.l.opts.Namespace + "/" + j.id, Since: r.Created})
	}
	return train.NewWhy(found...), nil
}

// eventFindings reads the events of what the job still waits for. An event about
// a pod that has gone on since says nothing any more.
func (j *job) eventFindings(ctx context.Context, r *phase.Root, pods []phase.Pod) ([]train.Finding, error) {
	var names []string
	if len(pods) < r.Nodes {
		names = append(names, j.id) // not all pods could be made
	}
	for i := range pods {
		if pods[i].Phase == corev1.PodPending && len(names) < 4 {
			names = append(names, pods[i].Name)
		}
	}
	var found []train.Finding
	for _, name := range names {
		var list corev1.EventList
		opts := &kube.ListOptions{Fields: "involvedObject.name=" + name, Limit: listPage}
		if err := j.l.client.List(ctx, kube.Events, j.l.opts.Namespace, opts, &list); err != nil {
			return nil, err
		}
		for i := range list.Items {
			if f, ok := phase.FromEvent(&list.Items[i]); ok {
				found = append(found, f)
			}
		}
	}
	return found, nil
}

// listEvents returns the events of the job's objects, oldest first, and the
// version of the list.
func (j *job) listEvents(ctx context.Context) ([]corev1.Event, string, error) {
	var events []corev1.Event
	version := ""
	page := kube.ListOptions{Limit: listPage}
	for {
		var list corev1.EventList
		if err := j.l.client.List(ctx, kube.Events, j.l.opts.Namespace, &page, &list); err != nil {
			return nil, "", err
		}
		if version == "" {
			version = list.ResourceVersion
		}
		for i := range list.Items {
			if j.concerns(&list.Items[i]) {
				events = append(events, list.Items[i])
			}
		}
		if page.Continue = list.Continue; page.Continue == "" {
			break
		}
	}
	slices.SortStableFunc(events, func(a, b corev1.Event) int { return phase.EventTime(&a).Compare(phase.EventTime(&b)) })
	return events, version, nil
}

// concerns reports whether an event is about the job: the names of all its
// objects begin with its id, with a kind's name in front for Kueue's.
func (j *job) concerns(e *corev1.Event) bool {
	name := e.InvolvedObject.Name
	return name == j.id || strings.HasPrefix(name, j.id+"-") || strings.Contains(name, "-"+j.id+"-")
}

// Events implements train.Job.
func (j *job) Events(ctx context.Context, opts *train.EventOptions) iter.Seq2[train.Event, error] {
	return func(yield func(train.Event, error) bool) {
		events, version, err := j.listEvents(ctx)
		if err != nil {
			yield(train.Event{}, fault(err))
			return
		}
		for i := range events {
			if !yield(j.event(&events[i]), nil) {
				return
			}
		}
		if opts == nil || !opts.Follow {
			return
		}
		if err := j.followEvents(ctx, version, yield); err != nil {
			yield(train.Event{}, err)
		}
	}
}

var errStop = errors.New("stop")

// followEvents yields events until the job has ended.
func (j *job) followEvents(ctx context.Context, version string, yield func(train.Event, error) bool) error {
	ended, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() {
		err := j.until(ended, func(p train.Phase) bool { return p.Ended() })
		if err == nil {
			sleep(ended, lastEvents)
			err = errStop
		}
		cancel(err)
	}()
	seen := map[string]int32{}
	for {
		err := j.l.client.Watch(ended, kube.Events, j.l.opts.Namespace, &kube.ListOptions{ResourceVersion: version}, func() any { return &corev1.Event{} }, func(c kube.Change) error {
			e := c.Object.(*corev1.Event)
			version = e.ResourceVersion
			if c.Type == "BOOKMARK" || c.Type == "DELETED" || !j.concerns(e) || (seen[string(e.UID)] == e.Count && e.Count > 0) {
				return nil
			}
			seen[string(e.UID)] = e.Count
			if !yield(j.event(e), nil) {
				return errStop
			}
			return nil
		})
		switch {
		case errors.Is(err, errStop), errors.Is(context.Cause(ended), errStop):
			return nil
		case ended.Err() != nil:
			return context.Cause(ended)
		case errors.Is(err, kube.ErrExpired):
			version = "" // what was missed comes again, as the newest state
		case errors.Is(err, kube.ErrForbidden), errors.Is(err, kube.ErrUnauthorized):
			return fault(err)
		case err != nil:
			sleep(ended, eventsAgain)
		}
	}
}

const (
	// lastEvents is how long after a job's end its events are listened to:
	// controllers write what they say behind the state that it is about.
	lastEvents = time.Second
	// eventsAgain is the time to the next try when the server is away.
	eventsAgain = 200 * time.Millisecond
)

func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

func (j *job) event(e *corev1.Event) train.Event {
	return train.Event{
		Time: phase.EventTime(e), Object: e.InvolvedObject.Kind + " " + e.InvolvedObject.Namespace + "/" + e.InvolvedObject.Name,
		Reason: e.Reason, Text: e.Message, Warning: e.Type == corev1.EventTypeWarning, Count: max(1, int(e.Count)),
	}
}
