package trackingtest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/millwright-ml/millwright/tracking"
)

// The describe methods write a value as text, so that two that the store may
// not tell apart are equal and a failure shows where they differ. What Open's
// store is allowed to change is left out.

// number writes NaN too as one text.
func (k *kit) number(v float64) string {
	if k.allowed.ClampedInfinities {
		v = min(max(v, -math.MaxFloat64), math.MaxFloat64)
	}
	if math.IsNaN(v) {
		return "NaN"
	}
	return fmt.Sprintf("%v (%x)", v, math.Float64bits(v+0))
}

func instant(t time.Time) string {
	if t.IsZero() {
		return "none"
	}
	return fmt.Sprintf("%d ms %s", t.UnixMilli()-base().UnixMilli(), t.Location())
}

func (k *kit) describeMetric(m tracking.Metric) string {
	return fmt.Sprintf("%s step %d at %s = %s, link %v", m.Key, m.Step, instant(m.Time), k.number(m.Value), m.Link)
}

func (k *kit) describeMetrics(points []tracking.Metric) string {
	return strings.Join(mapSlice(points, k.describeMetric), "\n")
}

// pairs writes a map line by line.
func pairs(b *strings.Builder, what string, m map[string]string) {
	for _, key := range slices.Sorted(maps.Keys(m)) {
		fmt.Fprintf(b, "%s %q = %q\n", what, key, m[key])
	}
}

// ownTags leaves out what the store is allowed to add.
func (k *kit) ownTags(m map[string]string) map[string]string {
	out := cloneMap(m)
	maps.DeleteFunc(out, func(key, _ string) bool { return k.allowed.OwnTags && strings.HasPrefix(key, "mlflow.") })
	return out
}

func (k *kit) describeExperiment(e tracking.Experiment) string {
	var b strings.Builder
	fmt.Fprintf(&b, "name %q at %q deleted %v\n", e.Name, e.ArtifactLocation, e.Deleted)
	if !k.allowed.OwnTimes {
		fmt.Fprintf(&b, "created %s\n", instant(e.Created))
	}
	pairs(&b, "tag", k.ownTags(e.Tags))
	return b.String()
}

// describeRun writes all of a run except its ids and its artifact URI.
func (k *kit) describeRun(r tracking.RunInfo) string {
	var b strings.Builder
	fmt.Fprintf(&b, "name %q user %q status %s start %s end %s deleted %v\n", r.Name, r.User, r.Status, instant(r.Start), instant(r.End), r.Deleted)
	pairs(&b, "param", r.Params)
	pairs(&b, "tag", k.ownTags(r.Tags))
	for _, key := range slices.Sorted(maps.Keys(r.Metrics)) {
		fmt.Fprintf(&b, "metric %q: %s\n", key, k.describeMetric(r.Metrics[key]))
	}
	for _, in := range r.Inputs {
		b.WriteString(k.describeInput(in))
	}
	for _, id := range r.ModelInputs {
		fmt.Fprintf(&b, "model input %q\n", id)
	}
	for _, o := range r.Outputs {
		fmt.Fprintf(&b, "output %q at step %d\n", o.Model, o.Step)
	}
	return b.String()
}

func (k *kit) describeInput(in tracking.DatasetInput) string {
	var b strings.Builder
	fmt.Fprintf(&b, "input %q version %q digest %q context %q type %q\n", in.Name, in.Version, in.Digest, in.Context, in.SourceType)
	if !k.allowed.SharedDatasets {
		fmt.Fprintf(&b, "  source %q schema %q profile %q\n", in.Source, in.Schema, in.Profile)
	}
	pairs(&b, "  tag", in.Tags)
	return b.String()
}

// describeModel writes all of a logged model except its ids and artifact URI.
func (k *kit) describeModel(m tracking.LoggedModel) string {
	var b strings.Builder
	fmt.Fprintf(&b, "name %q type %q status %s deleted %v\n", m.Name, m.Type, m.Status, m.Deleted)
	if !k.allowed.NoStatusMessage {
		fmt.Fprintf(&b, "message %q\n", m.StatusMessage)
	}
	if !k.allowed.OwnTimes {
		fmt.Fprintf(&b, "created %s\n", instant(m.Created))
	}
	pairs(&b, "param", m.Params)
	pairs(&b, "tag", k.ownTags(m.Tags))
	for _, p := range m.Metrics {
		fmt.Fprintf(&b, "metric %q on %q %q: %s at step %d, %s\n", p.Key, p.DatasetName, p.DatasetDigest, k.number(p.Value), p.Step, instant(p.Time))
	}
	return b.String()
}

// describeTrace writes all of a trace except its ids.
func (k *kit) describeTrace(t tracking.Trace) string {
	var b strings.Builder
	duration := "a time not known"
	if t.Duration >= 0 {
		duration = t.Duration.String()
	}
	fmt.Fprintf(&b, "client id %q state %s start %s for %s\nrequest %q\nresponse %q\n",
		t.ClientRequestID, t.State, instant(t.Start), duration, t.RequestPreview, t.ResponsePreview)
	pairs(&b, "metadata", k.ownTags(t.Metadata))
	pairs(&b, "tag", k.ownTags(t.Tags))
	for _, a := range t.Assessments {
		b.WriteString(k.describeAssessment(a))
	}
	for _, s := range t.Spans {
		b.WriteString(k.describeSpan(s))
	}
	return b.String()
}

func (k *kit) describeAssessment(a tracking.Assessment) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %q span %q = %s valid %v rationale %q by %q %q run %q\n",
		a.Kind, a.Name, a.Span, k.json(a.Value), a.Valid, a.Rationale, a.SourceType, a.SourceID, a.RunID)
	fmt.Fprintf(&b, "  error %q %q %q\n", a.ErrorCode, a.ErrorMessage, a.ErrorStack)
	if !k.allowed.OwnTimes {
		fmt.Fprintf(&b, "  created %s updated %s\n", instant(a.Created), instant(a.Updated))
	}
	if !k.allowed.OwnIDs {
		fmt.Fprintf(&b, "  id %q overrides %q\n", a.ID, a.Overrides)
	}
	pairs(&b, "  metadata", a.Metadata)
	return b.String()
}

func (k *kit) describeSpan(s tracking.Span) string {
	text := fmt.Sprintf("span %s parent %q %q type %s %s from %d to %d\n", s.ID, s.Parent, s.Name, s.Type, s.Status, s.Start, s.End)
	if k.allowed.RewrittenSpans {
		return text
	}
	return text + "  " + string(s.Content) + "\n"
}

// json writes a JSON text as it is, or where it may be rewritten in one form.
func (k *kit) json(raw json.RawMessage) string {
	var v any
	if !k.allowed.RewrittenSpans || json.Unmarshal(raw, &v) != nil {
		return string(raw)
	}
	var b bytes.Buffer
	if json.NewEncoder(&b).Encode(v) != nil { // cannot fail, it was JSON
		return string(raw)
	}
	return strings.TrimSpace(b.String())
}
