package alert

import (
	"fmt"
	"hash/fnv"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/millwright-ml/millwright/monitor"
)

// payload is what Alertmanager sends to a webhook, version 4.
type payload struct {
	Version           string            `json:"version"`
	GroupKey          string            `json:"groupKey"`
	TruncatedAlerts   int               `json:"truncatedAlerts"`
	Status            string            `json:"status"`
	Receiver          string            `json:"receiver"`
	GroupLabels       map[string]string `json:"groupLabels"`
	CommonLabels      map[string]string `json:"commonLabels"`
	CommonAnnotations map[string]string `json:"commonAnnotations"`
	ExternalURL       string            `json:"externalURL"`
	Alerts            []one             `json:"alerts"`
}

// one is an alert of it.
type one struct {
	Status       string            `json:"status"`
	Labels       map[string]string `json:"labels"`
	Annotations  map[string]string `json:"annotations"`
	StartsAt     time.Time         `json:"startsAt"`
	EndsAt       time.Time         `json:"endsAt"`
	GeneratorURL string            `json:"generatorURL"`
	Fingerprint  string            `json:"fingerprint"`
}

// postable is an alert as Alertmanager takes it.
type postable struct {
	Labels       map[string]string `json:"labels"`
	Annotations  map[string]string `json:"annotations,omitempty"`
	StartsAt     time.Time         `json:"startsAt"`
	EndsAt       time.Time         `json:"endsAt,omitzero"`
	GeneratorURL string            `json:"generatorURL,omitempty"`
}

// alert describes the trigger of a report. Its labels name the model and the
// version, not the trigger or the feature: replicas and repetitions are one
// alert.
func (s *Sender) alert(r *monitor.Report, status string, resolved time.Time) one {
	a := one{
		Status: status, StartsAt: r.Trigger.Opened.UTC(), EndsAt: resolved.UTC(), GeneratorURL: s.opts.Link,
		Labels: map[string]string{"alertname": "MillwrightDrift", "severity": "warning", "model": r.Model},
		Annotations: map[string]string{
			"summary": fmt.Sprintf("%s %s has drifted", r.Model, r.Version), "description": r.String(), "trigger": r.Trigger.Key, "report": r.Key,
		},
	}
	if r.Version != "" {
		a.Labels["version"] = r.Version
	}
	causes := r.Trigger.Causes
	if len(causes) == 0 {
		causes = r.Causes
	}
	if len(causes) > 0 {
		a.Annotations["causes"] = strings.Join(causes, "; ")
	}
	maps.Copy(a.Labels, s.opts.Labels)
	maps.Copy(a.Annotations, s.opts.Annotations)
	maps.DeleteFunc(a.Labels, func(_, v string) bool { return v == "" }) // Which is no label.
	a.Fingerprint = fingerprint(a.Labels)
	return a
}

func (s *Sender) payload(a one) payload {
	group := map[string]string{"alertname": a.Labels["alertname"], "model": a.Labels["model"]}
	return payload{
		Version: "4", GroupKey: fmt.Sprintf("{}:{alertname=%q, model=%q}", group["alertname"], group["model"]), Status: a.Status,
		Receiver: s.opts.Receiver, GroupLabels: group, CommonLabels: a.Labels, CommonAnnotations: a.Annotations,
		ExternalURL: s.opts.Link, Alerts: []one{a},
	}
}

// fingerprint names an alert by its labels, as Prometheus does.
func fingerprint(labels map[string]string) string {
	h := fnv.New64a()
	for _, k := range slices.Sorted(maps.Keys(labels)) {
		_, _ = h.Write([]byte(k + "\xff" + labels[k] + "\xff")) // A hash takes all.
	}
	return fmt.Sprintf("%016x", h.Sum64())
}
