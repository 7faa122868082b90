package mlflow

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/millwright-ml/millwright/internal/mlflowapi"
	"github.com/millwright-ml/millwright/internal/mlflowhttp"
	"github.com/millwright-ml/millwright/tracking"
)

const (
	maxTraces      = 500 // of one request
	maxTraceLinks  = 100
	defaultTraces  = 100
	traceSpanChunk = 10 // traces that are read with their spans at a time
	deleteChunk    = 1000
	// exportTime is how long a request for a whole trace waits for spans that
	// are still on their way.
	exportTime = 3 * time.Second
)

func (h *Handler) traceRoutes() []route {
	const v2, v3 = "2.0/mlflow/traces", "3.0/mlflow/traces"
	const one2, one3 = v2 + "/{trace_id}", v3 + "/{trace_id}"
	started := byExperiment(func(m *mlflowapi.TraceMessage) string { return locationExperiment(&m.Trace.TraceInfo.TraceLocation) })
	deleted := byExperiment(func(m *mlflowapi.DeleteTraces) string { return m.ExperimentID })
	linked := byRun(func(m *mlflowapi.LinkTracesToRun) string { return m.RunID })
	table := []route{
		{method: http.MethodPost, path: "/v1/traces", mark: core, verb: Write, scope: byHeader, maxBody: maxOTLP, serve: h.exportSpans},
		{method: http.MethodPost, path: v3, mark: core, verb: Write, scope: started, serve: rpc(h.startTrace)},
		{method: http.MethodPost, path: v3 + "/search", mark: core, verb: Read, scope: filtered, serve: rpc(h.searchTraces)},
		{method: http.MethodGet, path: v3 + "/batchGet", mark: core, verb: Read, scope: filtered, serve: rpcStream(h.batchGetTraces)},
		{method: http.MethodPost, path: v3 + "/batchGetInfos", mark: common, verb: Read, scope: filtered, serve: rpc(h.batchGetTraceInfos)},
		{method: http.MethodGet, path: v3 + "/get", mark: common, verb: Read,
			scope: byTrace(func(m *mlflowapi.GetTrace) string { return m.TraceID }), serve: rpcStream(h.getTrace)},
		{method: http.MethodGet, path: one3, mark: common, verb: Read, scope: byTracePath, serve: h.getTraceInfo},
		{method: http.MethodPost, path: v2 + "/link-to-run", mark: common, verb: Write, scope: linked, serve: rpc(h.linkTraces)},
		{method: http.MethodPost, path: v2 + "/link-prompts", mark: common, verb: Write,
			scope: byTrace(func(m *mlflowapi.LinkPromptsToTrace) string { return m.TraceID }), serve: rpc(h.linkPrompts)},
		{method: http.MethodPost, path: v3 + "/calculate-filter-correlation", mark: common, verb: Read, scope: filtered, serve: rpc(h.correlateFilters)},
		{method: http.MethodPost, path: v3 + "/metrics", mark: common, verb: Read, scope: filtered, serve: rpc(h.traceMetrics)},

		{method: http.MethodPost, path: one3 + "/assessments", mark: common, verb: Write, scope: byTracePath, serve: rpc(h.createAssessment)},
		{method: http.MethodGet, path: one3 + "/assessments/{assessment_id}", mark: common, verb: Read, scope: byTracePath, serve: h.getAssessment},
		{method: http.MethodPatch, path: one3 + "/assessments/{assessment_id}", mark: common, verb: Write, scope: byTracePath, serve: rpc(h.updateAssessment)},
		{method: http.MethodDelete, path: one3 + "/assessments/{assessment_id}", mark: common, verb: Write, scope: byTracePath, serve: h.deleteAssessment},

		{method: http.MethodPost, path: v2, mark: niche, verb: Write,
			scope: byExperiment(func(m *mlflowapi.StartTraceV2) string { return m.ExperimentID }), serve: rpc(h.startTraceV2)},
		{method: http.MethodPatch, path: one2, mark: niche, verb: Write, scope: byTracePath, serve: rpc(h.endTraceV2)},
		{method: http.MethodGet, path: one2 + "/info", mark: niche, verb: Read, scope: byTracePath, serve: h.getTraceInfoV2},
		{method: http.MethodGet, path: v2, mark: niche, verb: Read, scope: filtered, serve: rpc(h.searchTracesV2)},
	}
	for _, version := range [...]string{v2, v3} {
		table = append(table,
			route{method: http.MethodPatch, path: version + "/{trace_id}/tags", mark: common, verb: Write, scope: byTracePath, serve: rpc(h.setTraceTag)},
			route{method: http.MethodDelete, path: version + "/{trace_id}/tags", mark: common, verb: Write, scope: byTracePath, serve: rpc(h.deleteTraceTag)},
			route{method: http.MethodPost, path: version + "/delete-traces", mark: common, verb: Delete, scope: deleted, serve: rpc(h.deleteTraces)},
			route{method: http.MethodGet, path: strings.TrimSuffix(version, "traces") + "get-trace-artifact", mark: common, verb: Read, scope: byTraceQuery, serve: h.getTraceArtifact},
		)
	}
	return table
}

// byTrace is the scope of a route whose message names a trace.
func byTrace[M any](id func(*M) string) scope {
	return func(c *call) ([]tracking.ExperimentID, error) {
		m, err := message[M](c)
		if err != nil {
			return nil, err
		}
		t, err := c.h.trace(c.Ctx(), id(m), false)
		return []tracking.ExperimentID{t.Experiment}, err
	}
}

// byTracePath is the scope of a route whose path names a trace.
func byTracePath(c *call) ([]tracking.ExperimentID, error) {
	t, err := c.h.trace(c.Ctx(), c.Path("trace_id"), false)
	return []tracking.ExperimentID{t.Experiment}, err
}

// trace returns one trace.
func (h *Handler) trace(ctx context.Context, id string, spans bool) (tracking.Trace, error) {
	if h.traces == nil {
		return tracking.Trace{}, unsupported("traces")
	}
	if tracking.ValidateTraceID(tracking.TraceID(id)) != nil {
		return tracking.Trace{}, noTrace(id)
	}
	list, err := h.traces.Traces(ctx, []tracking.TraceID{tracking.TraceID(id)}, spans)
	if err != nil {
		return tracking.Trace{}, err
	}
	if len(list) == 0 {
		return tracking.Trace{}, noTrace(id)
	}
	return list[0], nil
}

func noTrace(id string) error {
	return mlflowapi.Errorf(mlflowapi.CodeNotFound, "Trace with ID '%s' not found.", mlflowhttp.Printable(id))
}

// startTrace stores what a client tells of a trace as a whole; its spans came
// before or come later.
func (h *Handler) startTrace(c *call, m *mlflowapi.TraceMessage) (any, error) {
	if h.traces == nil {
		return nil, unsupported("traces")
	}
	t, err := traceFromWire(&m.Trace.TraceInfo)
	if err != nil {
		return nil, err
	}
	if _, err := experimentID(string(t.Experiment)); err != nil {
		return nil, err
	}
	if err := t.Validate(); err != nil {
		return nil, err
	}
	known, err := h.tracesByID(c, []tracking.TraceID{t.ID}, false)
	if err != nil {
		return nil, err
	}
	if old, ok := known[t.ID]; ok {
		if err := c.authorize(Write, old.Experiment); err != nil {
			return nil, mlflowhttp.Refused(err)
		}
	}
	e, err := h.experiment(c.Ctx(), t.Experiment)
	if err != nil {
		return nil, err
	}
	t.Tags[tagArtifactLocation] = traceLocation(&e, t.ID)
	t.Metadata[metaFinalized] = "true"
	stored, err := h.traces.PutTrace(c.Ctx(), t)
	if err != nil {
		return nil, err
	}
	return &mlflowapi.TraceMessage{Trace: &mlflowapi.Trace{TraceInfo: wireTrace(&stored)}}, nil
}

func (h *Handler) getTraceInfo(c *call) error {
	t, err := h.trace(c.Ctx(), c.Path("trace_id"), false)
	if err != nil {
		return err
	}
	return c.JSON(&mlflowapi.TraceMessage{Trace: &mlflowapi.Trace{TraceInfo: wireTrace(&t)}})
}

// getTrace answers with a trace and its spans, once all of them came unless a
// part is enough.
func (h *Handler) getTrace(c *call, m *mlflowapi.GetTrace) error {
	deadline := time.Now().Add(exportTime)
	pause := 50 * time.Millisecond
	for {
		t, err := h.trace(c.Ctx(), m.TraceID, true)
		if err != nil {
			return err
		}
		if m.AllowPartial || complete(&t) {
			buf := mlflowhttp.NewBuffer()
			defer buf.Release()
			buf.B = append(buf.B, `{"trace":`...)
			if buf.B, err = appendTrace(buf.B, &t); err != nil {
				return err
			}
			buf.B = append(buf.B, '}')
			return c.Send(http.StatusOK, buf.B)
		}
		if time.Now().Add(pause).After(deadline) {
			return mlflowapi.Errorf(mlflowapi.CodeNotFound, "Trace with ID %s is not fully exported yet, please try again later.", mlflowhttp.Printable(m.TraceID))
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-c.Ctx().Done():
			timer.Stop()
			return c.Ctx().Err()
		}
		pause *= 2
	}
}

// complete reports whether all spans of a trace are there, as far as the client
// told how many there are.
func complete(t *tracking.Trace) bool {
	var stats struct {
		NumSpans int `json:"num_spans"`
	}
	if text := t.Metadata[metaSizes]; text != "" && json.Unmarshal([]byte(text), &stats) != nil {
		return true
	}
	return len(t.Spans) >= stats.NumSpans
}

// wantedTraces checks a request for several traces, and returns those that
// exist, without their spans, in the order of the request.
func (h *Handler) wantedTraces(c *call, m *mlflowapi.BatchGetTraces) ([]tracking.Trace, error) {
	if h.traces == nil {
		return nil, unsupported("traces")
	}
	if len(m.TraceIDs) > maxTraces {
		return nil, mlflowapi.Errorf(mlflowapi.CodeInvalid, "A request names at most %d traces, this one %d.", maxTraces, len(m.TraceIDs))
	}
	seen := map[string]bool{}
	var ids []tracking.TraceID
	for _, id := range m.TraceIDs {
		if !seen[id] && tracking.ValidateTraceID(tracking.TraceID(id)) == nil {
			seen[id] = true
			ids = append(ids, tracking.TraceID(id))
		}
	}
	list, err := h.traces.Traces(c.Ctx(), ids, false)
	if err != nil {
		return nil, err
	}
	out := list[:0]
	for _, t := range list {
		ok, err := c.mayRead(t.Experiment)
		if err != nil {
			return nil, err
		}
		if ok && (len(m.ExperimentIDs) == 0 || slices.Contains(m.ExperimentIDs, string(t.Experiment))) {
			out = append(out, t)
		}
	}
	return out, nil
}

func (h *Handler) batchGetTraces(c *call, m *mlflowapi.BatchGetTraces) error {
	wanted, err := h.wantedTraces(c, m)
	if err != nil {
		return err
	}
	s := mlflowhttp.NewStream(&c.Call, "traces")
	defer s.Release()
	for chunk := range slices.Chunk(wanted, traceSpanChunk) {
		ids := make([]tracking.TraceID, len(chunk))
		for i := range chunk {
			ids[i] = chunk[i].ID
		}
		list, err := h.traces.Traces(c.Ctx(), ids, true)
		if err != nil {
			return s.Fail(err)
		}
		for i := range list {
			if len(list[i].Spans) == 0 || !complete(&list[i]) {
				continue // searches show whole traces only
			}
			s.Next()
			if s.Buf.B, err = appendTrace(s.Buf.B, &list[i]); err != nil {
				return s.Fail(err)
			}
			s.FlushFull()
		}
	}
	return s.End("")
}

func (h *Handler) batchGetTraceInfos(c *call, m *mlflowapi.BatchGetTraces) (any, error) {
	list, err := h.wantedTraces(c, m)
	if err != nil {
		return nil, err
	}
	out := &mlflowapi.BatchGetTraceInfosResponse{}
	for i := range list {
		out.TraceInfos = append(out.TraceInfos, wireTrace(&list[i]))
	}
	return out, nil
}

// findTraces searches in those of the experiments that the caller may read.
func (h *Handler) findTraces(c *call, ids []string, q tracking.TraceQuery, max *int32) ([]tracking.Trace, string, error) {
	if h.traces == nil {
		return nil, "", unsupported("traces")
	}
	limit, err := pageMax(max, defaultTraces, maxTraces)
	if err != nil {
		return nil, "", err
	}
	experiments, err := experimentIDs(ids)
	if err != nil {
		return nil, "", err
	}
	if q.Experiments, err = c.readable(experiments); err != nil {
		return nil, "", err
	}
	q.Page.Max = limit
	return h.traces.SearchTraces(c.Ctx(), q)
}

func (h *Handler) searchTraces(c *call, m *mlflowapi.SearchTracesV3) (any, error) {
	var ids []string
	for i := range m.Locations {
		if m.Locations[i].MlflowExperiment != nil {
			ids = append(ids, m.Locations[i].MlflowExperiment.ExperimentID)
		}
	}
	q := tracking.TraceQuery{Filter: m.Filter, OrderBy: m.OrderBy, Page: tracking.Page{Token: m.PageToken}}
	list, next, err := h.findTraces(c, ids, q, m.MaxResults)
	if err != nil {
		return nil, err
	}
	out := &mlflowapi.SearchTracesV3Response{NextPageToken: next}
	for i := range list {
		out.Traces = append(out.Traces, wireTrace(&list[i]))
	}
	return out, nil
}
