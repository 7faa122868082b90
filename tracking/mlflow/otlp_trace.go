package mlflow

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"

	commonpb "go.opentelemetry.io/proto/otlp/common/v1"

	"github.com/millwright-ml/millwright/internal/mlflowapi"
	"github.com/millwright-ml/millwright/internal/mlflowhttp"
	"github.com/millwright-ml/millwright/tracking"
)

// The tags and metadata of traces that mean something to MLflow.
const (
	tagTraceName        = "mlflow.traceName"
	tagSpansLocation    = "mlflow.trace.spansLocation"
	tagArtifactLocation = "mlflow.artifactLocation"
	tagLinkedPrompts    = "mlflow.linkedPrompts"
	metaFinalized       = "mlflow.trace.infoFinalized"
	metaSession         = "mlflow.trace.session"
	metaUser            = "mlflow.trace.user"
	metaUsage           = "mlflow.trace.tokenUsage"
	metaCost            = "mlflow.trace.cost"
	metaSizes           = "mlflow.trace.sizeStats"

	inTrackingStore = "TRACKING_STORE"
)

// traceBatch is what a request tells of one trace.
type traceBatch struct {
	id            tracking.TraceID
	spans         map[string]bool // by id
	root          *received       // nil when its root did not come
	nodes         []sumNode
	session, user string
	resource      map[string]string // attributes of what the spans come from, as tags
	tags          map[string]string // that the root carries
}

func (t *traceBatch) add(r *received, resource []*commonpb.KeyValue) {
	t.spans[r.span.ID] = true
	t.nodes = append(t.nodes, nodeOf(r.span.ID, r.span.Parent, r.attrs))
	if t.session == "" {
		if t.session = textOf(r.attrs.get(attrSession)); t.session == "" {
			t.session = textOf(r.attrs.get(attrConversation))
		}
	}
	if t.user == "" {
		t.user = textOf(r.attrs.get(attrUser))
	}
	if t.resource == nil && len(resource) > 0 {
		t.resource = resourceTags(resource)
	}
	if r.span.Parent != "" {
		return
	}
	t.root = r
	for _, kv := range r.attrs {
		if key, ok := strings.CutPrefix(kv.key, attrTagPrefix); ok && !blockedTag(key) {
			addTag(&t.tags, key, textOf(kv.value))
		}
	}
}

// resourceTags are the attributes of a resource as tags of the trace, without
// those about the SDK and those that MLflow keeps for itself.
func resourceTags(resource []*commonpb.KeyValue) map[string]string {
	var tags map[string]string
	for _, kv := range distinct(resource) {
		if strings.HasPrefix(kv.GetKey(), "telemetry.sdk.") || strings.HasPrefix(kv.GetKey(), "mlflow.") {
			continue
		}
		addTag(&tags, kv.GetKey(), textOf(string(appendAttribute(nil, kv.GetValue()))))
	}
	return tags
}

// addTag adds a tag that stores take. Others are left out: a trace is not
// refused for what its instrumentation adds on its own.
func addTag(tags *map[string]string, key, value string) {
	if tracking.ValidateKey(key) != nil || len(key) > maxTraceKey || !storable(value) || len(*tags) >= tracking.MaxTraceTags/2 {
		return
	}
	if *tags == nil {
		*tags = map[string]string{}
	}
	(*tags)[key] = truncate(value, maxTraceValue)
}

// storeSpans stores the spans of a request and what follows from them for
// their traces. Sent again it comes to the same.
func (h *Handler) storeSpans(c *call, exp tracking.ExperimentID, batch *spanBatch) error {
	if len(batch.spans) == 0 {
		return nil
	}
	if err := tracking.ValidateSpans(batch.spans); err != nil {
		return err
	}
	ids := make([]tracking.TraceID, len(batch.traces))
	for i, t := range batch.traces {
		ids[i] = t.id
	}
	known, err := h.tracesByID(c, ids, false)
	if err != nil {
		return err
	}
	for _, t := range known {
		// Spans join their trace wherever it is.
		if err := c.authorize(Write, t.Experiment); err != nil {
			return mlflowhttp.Refused(err)
		}
	}
	e, err := h.experiment(c.Ctx(), exp)
	if err != nil {
		return err
	}
	if err := h.traces.PutSpans(c.Ctx(), exp, batch.spans); err != nil {
		return err
	}
	now, err := h.tracesByID(c, ids, false)
	if err != nil {
		return err
	}
	for _, b := range batch.traces {
		t, ok := now[b.id]
		if !ok {
			continue // deleted meanwhile
		}
		_, existed := known[b.id]
		u, err := h.traceUpdate(c, b, &t, &e, existed)
		if err != nil {
			return err
		}
		if err := h.traces.UpdateTrace(c.Ctx(), b.id, u); err != nil {
			return err
		}
	}
	return nil
}

// traceUpdate is what a batch of spans changes of its trace beyond what the
// store derives itself. What the client said about the trace as a whole stays.
func (h *Handler) traceUpdate(c *call, b *traceBatch, t *tracking.Trace, e *tracking.Experiment, existed bool) (tracking.TraceUpdate, error) {
	u := tracking.TraceUpdate{SetTags: map[string]string{tagSpansLocation: inTrackingStore}, SetMetadata: map[string]string{}}
	if t.Tags[tagArtifactLocation] == "" && e.ID == t.Experiment {
		u.SetTags[tagArtifactLocation] = traceLocation(e, t.ID)
	}
	maps.Copy(u.SetTags, b.resource)
	maps.Copy(u.SetTags, b.tags)
	for key, value := range map[string]string{metaSession: b.session, metaUser: b.user} {
		if value != "" && storable(value) && t.Metadata[key] == "" {
			u.SetMetadata[key] = truncate(value, maxTraceValue)
		}
	}
	if err := h.sumUp(c, b, t, existed, u.SetMetadata); err != nil {
		return u, err
	}
	if b.root == nil {
		return u, nil
	}
	if t.State == tracking.TraceUnspecified || t.State == tracking.TraceInProgress {
		u.State = tracking.TraceOK // also of a root that says nothing
		if b.root.span.Status == tracking.TraceError {
			u.State = tracking.TraceError
		}
	}
	if text := preview(b.root.attrs.get(attrInputs), "user"); t.RequestPreview == "" && text != "" {
		u.RequestPreview = &text
	}
	if text := preview(b.root.attrs.get(attrOutputs), "assistant"); t.ResponsePreview == "" && text != "" {
		u.ResponsePreview = &text
	}
	return u, nil
}

// sumUp adds up the tokens and the costs of a trace. When spans of it came
// before, all of them count.
func (h *Handler) sumUp(c *call, b *traceBatch, t *tracking.Trace, existed bool, metadata map[string]string) error {
	nodes := b.nodes
	loaded := !existed
	for _, sum := range [...]struct {
		key    string
		values func(*sumNode) sums
		write  func(sums) string
	}{
		{metaUsage, func(n *sumNode) sums { return n.usage }, writeUsage},
		{metaCost, func(n *sumNode) sums { return n.cost }, writeCost},
	} {
		if t.Metadata[metaFinalized] != "" && t.Metadata[sum.key] != "" {
			continue // the client said it of the whole trace
		}
		if !slices.ContainsFunc(b.nodes, func(n sumNode) bool { return sum.values(&n) != nil }) {
			continue
		}
		if !loaded {
			earlier, err := h.earlierNodes(c, b)
			if err != nil {
				return err
			}
			nodes, loaded = append(slices.Clone(nodes), earlier...), true
		}
		if total := total(nodes, sum.values); total != nil {
			metadata[sum.key] = sum.write(total)
		}
	}
	return nil
}

// earlierNodes reads the spans of a trace that came with other requests.
func (h *Handler) earlierNodes(c *call, b *traceBatch) ([]sumNode, error) {
	traces, err := h.traces.Traces(c.Ctx(), []tracking.TraceID{b.id}, true)
	if err != nil || len(traces) == 0 {
		return nil, err
	}
	var nodes []sumNode
	for i := range traces[0].Spans {
		s := &traces[0].Spans[i]
		if b.spans[s.ID] {
			continue
		}
		var content struct {
			Attributes map[string]string `json:"attributes"`
		}
		if json.Unmarshal(s.Content, &content) != nil {
			continue // not written by this server
		}
		nodes = append(nodes, nodeOf(s.ID, s.Parent, attributes{
			{attrUsage, content.Attributes[attrUsage]}, {attrCost, content.Attributes[attrCost]},
		}))
	}
	return nodes, nil
}

// traceLocation is where the attachments of a trace are kept.
func traceLocation(e *tracking.Experiment, id tracking.TraceID) string {
	return strings.TrimSuffix(e.ArtifactLocation, "/") + "/traces/" + string(id) + "/artifacts"
}

// mayLink reports whether the caller may tie traces to a run, which must exist.
func (h *Handler) mayLink(c *call, run tracking.RunID) error {
	exp, err := h.experimentOfRun(c.Ctx(), run)
	if err != nil {
		return err
	}
	if err := c.authorize(Write, exp); err != nil {
		return mlflowhttp.Refused(err)
	}
	return nil
}

// linkNew ties the traces whose roots came to a run.
func (h *Handler) linkNew(c *call, run tracking.RunID, batch *spanBatch) error {
	var ids []tracking.TraceID
	for _, t := range batch.traces {
		if t.root != nil {
			ids = append(ids, t.id)
		}
	}
	for chunk := range slices.Chunk(ids, maxTraceLinks) {
		if err := h.traces.LinkTraces(c.Ctx(), run, chunk); err != nil {
			return err
		}
	}
	return nil
}

// tracesByID returns those of the traces that exist.
func (h *Handler) tracesByID(c *call, ids []tracking.TraceID, spans bool) (map[tracking.TraceID]tracking.Trace, error) {
	out := make(map[tracking.TraceID]tracking.Trace, len(ids))
	for chunk := range slices.Chunk(ids, maxTraces) {
		page, err := h.traces.Traces(c.Ctx(), chunk, spans)
		if err != nil {
			return nil, err
		}
		for i := range page {
			out[page[i].ID] = page[i]
		}
	}
	return out, nil
}

// blockedTag reports a tag that only this server sets.
func blockedTag(key string) bool {
	return key == tagSpansLocation || key == "mlflow.trace.archiveLocation" || key == "mlflow.trace.archivalFailure"
}

func checkTraceTag(key, done string) error {
	if blockedTag(key) {
		return mlflowapi.Errorf(mlflowapi.CodeInvalid, "Tag '%s' is immutable and cannot be %s on a trace.", key, done)
	}
	return nil
}
