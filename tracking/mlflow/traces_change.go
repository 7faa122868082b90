package mlflow

import (
	"encoding/json"
	"errors"
	"net/http"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/millwright-ml/millwright/internal/mlflowapi"
	"github.com/millwright-ml/millwright/internal/mlflowhttp"
	"github.com/millwright-ml/millwright/tracking"
)

func (h *Handler) setTraceTag(c *call, m *mlflowapi.SetTraceTag) (any, error) {
	if err := checkTraceTag(m.Key, "set"); err != nil {
		return nil, err
	}
	return h.changeTrace(c, tracking.TraceUpdate{SetTags: map[string]string{m.Key: truncate(m.Value, maxTraceValue)}})
}

func (h *Handler) deleteTraceTag(c *call, m *mlflowapi.DeleteTraceTag) (any, error) {
	if err := checkTraceTag(m.Key, "deleted"); err != nil {
		return nil, err
	}
	t, err := h.trace(c.Ctx(), c.Path("trace_id"), false)
	if err != nil {
		return nil, err
	}
	if _, ok := t.Tags[m.Key]; !ok {
		return nil, mlflowapi.Errorf(mlflowapi.CodeNotFound, "No trace tag with key '%s' for trace with ID '%s'", mlflowhttp.Printable(m.Key), t.ID)
	}
	return h.changeTrace(c, tracking.TraceUpdate{DeleteTags: []string{m.Key}})
}

// changeTrace changes the trace that the path names.
func (h *Handler) changeTrace(c *call, u tracking.TraceUpdate) (any, error) {
	if h.traces == nil {
		return nil, unsupported("traces")
	}
	id := c.Path("trace_id")
	if tracking.ValidateTraceID(tracking.TraceID(id)) != nil {
		return nil, noTrace(id)
	}
	if err := u.Validate(); err != nil {
		return nil, err
	}
	err := h.traces.UpdateTrace(c.Ctx(), tracking.TraceID(id), u)
	if errors.Is(err, tracking.ErrNotFound) && len(u.DeleteTags) == 0 {
		err = noTrace(id)
	}
	return nil, err
}

func (h *Handler) deleteTraces(c *call, m *mlflowapi.DeleteTraces) (any, error) {
	if h.traces == nil {
		return nil, unsupported("traces")
	}
	exp, err := experimentID(m.ExperimentID)
	if err != nil {
		return nil, err
	}
	byTime, byID := m.MaxTimestampMillis != nil, len(m.RequestIDs) > 0
	switch {
	case !byTime && !byID:
		return nil, mlflowapi.Errorf(mlflowapi.CodeInvalid, "Either `max_timestamp_millis` or `trace_ids` must be specified.")
	case byTime && byID:
		return nil, mlflowapi.Errorf(mlflowapi.CodeInvalid, "Only one of `max_timestamp_millis` and `trace_ids` can be specified.")
	case byID && m.MaxTraces != nil:
		return nil, mlflowapi.Errorf(mlflowapi.CodeInvalid, "`max_traces` can't be specified if `trace_ids` is specified.")
	case m.MaxTraces != nil && *m.MaxTraces <= 0:
		return nil, mlflowapi.Errorf(mlflowapi.CodeInvalid, "`max_traces` must be a positive integer, received %d.", *m.MaxTraces)
	}
	out := &mlflowapi.DeleteTracesResponse{}
	if byID {
		for chunk := range slices.Chunk(m.RequestIDs, maxTraces) {
			ids := make([]tracking.TraceID, len(chunk))
			for i, id := range chunk {
				ids[i] = tracking.TraceID(id)
			}
			n, err := h.traces.DeleteTraces(c.Ctx(), exp, ids, time.Time{}, 0)
			if err != nil {
				return nil, err
			}
			out.TracesDeleted += int32(n) //nolint:gosec // at most the number of ids
		}
		return out, nil
	}
	before := fromMillis(*m.MaxTimestampMillis)
	for {
		limit := deleteChunk
		if m.MaxTraces != nil {
			limit = min(limit, int(*m.MaxTraces-out.TracesDeleted))
		}
		n, err := h.traces.DeleteTraces(c.Ctx(), exp, nil, before, limit)
		if err != nil {
			return nil, err
		}
		out.TracesDeleted += int32(n) //nolint:gosec // at most limit
		if n < limit || m.MaxTraces != nil && out.TracesDeleted >= *m.MaxTraces {
			return out, nil
		}
	}
}

func (h *Handler) linkTraces(c *call, m *mlflowapi.LinkTracesToRun) (any, error) {
	if h.traces == nil {
		return nil, unsupported("traces")
	}
	if len(m.TraceIDs) > maxTraceLinks {
		return nil, mlflowapi.Errorf(mlflowapi.CodeInvalid,
			"Cannot link more than %d traces to a run in a single request. Provided %d traces.", maxTraceLinks, len(m.TraceIDs))
	}
	run, err := h.run(c.Ctx(), tracking.RunID(m.RunID))
	if err != nil {
		return nil, err
	}
	ids := make([]tracking.TraceID, len(m.TraceIDs))
	for i, id := range m.TraceIDs {
		if ids[i] = tracking.TraceID(id); tracking.ValidateTraceID(ids[i]) != nil {
			return nil, noTrace(id)
		}
	}
	known, err := h.tracesByID(c, ids, false)
	if err != nil {
		return nil, err
	}
	for _, id := range ids {
		t, ok := known[id]
		if !ok {
			return nil, noTrace(string(id))
		}
		if err := c.authorize(Write, t.Experiment); err != nil {
			return nil, mlflowhttp.Refused(err)
		}
	}
	return nil, h.traces.LinkTraces(c.Ctx(), run.ID, ids)
}

// linkPrompts keeps which prompts a trace used in a tag, as clients do that
// know them when the trace is made.
func (h *Handler) linkPrompts(c *call, m *mlflowapi.LinkPromptsToTrace) (any, error) {
	t, err := h.trace(c.Ctx(), m.TraceID, false)
	if err != nil {
		return nil, err
	}
	var list []mlflowapi.PromptVersionRef
	if text := t.Tags[tagLinkedPrompts]; text != "" && json.Unmarshal([]byte(text), &list) != nil {
		list = nil // set by hand
	}
	for _, p := range m.PromptVersions {
		if _, err := strconv.Atoi(p.Version); err != nil || p.Name == "" {
			return nil, mlflowapi.Errorf(mlflowapi.CodeInvalid, "A prompt version needs a name and a number, not '%s' and '%s'.", mlflowhttp.Printable(p.Name), mlflowhttp.Printable(p.Version))
		}
		if !slices.Contains(list, p) {
			list = append(list, p)
		}
	}
	tag := []byte{'['}
	for i, p := range list {
		if i > 0 {
			tag = append(tag, ", "...)
		}
		tag = appendText(append(tag, `{"name": `...), p.Name)
		tag = append(appendText(append(tag, `, "version": `...), p.Version), '}')
	}
	u := tracking.TraceUpdate{SetTags: map[string]string{tagLinkedPrompts: string(append(tag, ']'))}}
	if err := u.Validate(); err != nil {
		return nil, err
	}
	return nil, h.traces.UpdateTrace(c.Ctx(), t.ID, u)
}

// byTraceQuery is the scope of a route whose URL names a trace.
func byTraceQuery(c *call) ([]tracking.ExperimentID, error) {
	query, err := mlflowhttp.Query(c.R)
	if err != nil {
		return nil, err
	}
	id := query.Get("request_id")
	if id == "" {
		return nil, errNoRequestID
	}
	t, err := c.h.trace(c.Ctx(), id, false)
	return []tracking.ExperimentID{t.Experiment}, err
}

var errNoRequestID = mlflowapi.Errorf(mlflowapi.CodeBadRequest, "Request must include the \"request_id\" query parameter.")

// traceFile is the file of spans of a client that keeps them as an artifact.
const traceFile = "traces.json"

// getTraceArtifact sends the spans of a trace to the UI, or a file that is
// attached to it.
func (h *Handler) getTraceArtifact(c *call) error {
	query, err := mlflowhttp.Query(c.R)
	if err != nil {
		return err
	}
	id, file := query.Get("request_id"), query.Get("path")
	if id == "" {
		return errNoRequestID
	}
	if file != "" {
		if err := mlflowhttp.CheckPath(file); err != nil {
			return err
		}
	}
	t, err := h.trace(c.Ctx(), id, file == "")
	if err != nil {
		return err
	}
	if file == "" && (len(t.Spans) > 0 || t.Tags[tagSpansLocation] == inTrackingStore) {
		return sendSpans(c, &t)
	}
	location := t.Tags[tagArtifactLocation]
	if !h.ownLocation(c, &t, location) {
		return noArtifact(path.Base(file))
	}
	f, err := h.folderAt(c.Ctx(), location)
	if err != nil {
		return err
	}
	if file == "" {
		return f.send(c, traceFile)
	}
	return f.send(c, "attachments/"+file)
}

// ownLocation reports whether the tag of a trace, which its client may set to
// anything, is where the server would keep it.
func (h *Handler) ownLocation(c *call, t *tracking.Trace, location string) bool {
	e, err := h.experiment(c.Ctx(), t.Experiment)
	return err == nil && location == traceLocation(&e, t.ID)
}

// sendSpans answers with the spans as they are stored.
func sendSpans(c *call, t *tracking.Trace) error {
	rootFirst(t.Spans)
	buf := mlflowhttp.NewBuffer()
	defer buf.Release()
	buf.B = append(buf.B, `{"spans":[`...)
	for i := range t.Spans {
		if i > 0 {
			buf.B = append(buf.B, ',')
		}
		buf.B = append(buf.B, t.Spans[i].Content...)
	}
	buf.B = append(buf.B, `]}`...)
	mlflowhttp.Attachment(c.W.Header(), traceFile)
	c.W.Header().Set("Content-Length", strconv.Itoa(len(buf.B)))
	c.W.WriteHeader(http.StatusOK)
	_, _ = c.W.Write(buf.B) // a client that went away needs no answer
	return nil
}

// rootFirst orders spans as MLflow's server does.
func rootFirst(spans []tracking.Span) {
	slices.SortStableFunc(spans, func(a, b tracking.Span) int {
		if (a.Parent == "") != (b.Parent == "") {
			if a.Parent == "" {
				return -1
			}
			return 1
		}
		if a.Start != b.Start {
			if a.Start < b.Start {
				return -1
			}
			return 1
		}
		return strings.Compare(a.ID, b.ID)
	})
}
