package mlflow

import (
	"time"

	"github.com/millwright-ml/millwright/internal/mlflowapi"
	"github.com/millwright-ml/millwright/tracking"
)

// Version 2 of the API of traces, which clients before MLflow 3 speak. They
// keep the spans as an artifact.

func wireTraceV2(t *tracking.Trace) mlflowapi.TraceInfoV2 {
	out := mlflowapi.TraceInfoV2{
		RequestID: string(t.ID), ExperimentID: string(t.Experiment), TimestampMs: millis(t.Start), Status: mlflowapi.TraceStatus(t.State),
		RequestMetadata: pairsOf(t.Metadata), Tags: pairsOf(t.Tags),
	}
	if t.State == "" || t.State == tracking.TraceUnspecified {
		out.Status = mlflowapi.TraceUnspecifiedV2
	}
	if t.Duration > 0 {
		out.ExecutionTimeMs = t.Duration.Milliseconds()
	}
	return out
}

func (h *Handler) startTraceV2(c *call, m *mlflowapi.StartTraceV2) (any, error) {
	if h.traces == nil {
		return nil, unsupported("traces")
	}
	exp, err := experimentID(m.ExperimentID)
	if err != nil {
		return nil, err
	}
	e, err := h.experiment(c.Ctx(), exp)
	if err != nil {
		return nil, err
	}
	t := tracking.Trace{
		ID: tracking.TraceID(tracking.NewRunID()), Experiment: exp, State: tracking.TraceInProgress,
		Start: fromMillis(*m.TimestampMs), Duration: -time.Millisecond, Metadata: mapOf(m.RequestMetadata), Tags: map[string]string{},
	}
	for _, kv := range m.Tags {
		if !blockedTag(kv.Key) {
			t.Tags[kv.Key] = kv.Value
		}
	}
	t.Tags[tagArtifactLocation] = traceLocation(&e, t.ID)
	if err := t.Validate(); err != nil {
		return nil, err
	}
	stored, err := h.traces.PutTrace(c.Ctx(), t)
	if err != nil {
		return nil, err
	}
	return &mlflowapi.TraceInfoV2Message{TraceInfo: wireTraceV2(&stored)}, nil
}

func (h *Handler) endTraceV2(c *call, m *mlflowapi.EndTraceV2) (any, error) {
	t, err := h.trace(c.Ctx(), c.Path("trace_id"), false)
	if err != nil {
		return nil, err
	}
	took := fromMillis(*m.TimestampMs).Sub(t.Start)
	u := tracking.TraceUpdate{
		State: tracking.TraceState(m.Status), Duration: &took, SetMetadata: mapOf(m.RequestMetadata), SetTags: map[string]string{},
	}
	if m.Status == mlflowapi.TraceUnspecifiedV2 {
		u.State = tracking.TraceUnspecified
	}
	for _, kv := range m.Tags {
		if !blockedTag(kv.Key) && kv.Key != tagArtifactLocation {
			u.SetTags[kv.Key] = kv.Value
		}
	}
	if _, err := h.changeTrace(c, u); err != nil {
		return nil, err
	}
	if t, err = h.trace(c.Ctx(), string(t.ID), false); err != nil {
		return nil, err
	}
	return &mlflowapi.TraceInfoV2Message{TraceInfo: wireTraceV2(&t)}, nil
}

func (h *Handler) getTraceInfoV2(c *call) error {
	t, err := h.trace(c.Ctx(), c.Path("trace_id"), false)
	if err != nil {
		return err
	}
	return c.JSON(&mlflowapi.TraceInfoV2Message{TraceInfo: wireTraceV2(&t)})
}

func (h *Handler) searchTracesV2(c *call, m *mlflowapi.SearchTracesV2) (any, error) {
	q := tracking.TraceQuery{Filter: m.Filter, OrderBy: m.OrderBy, Page: tracking.Page{Token: m.PageToken}}
	list, next, err := h.findTraces(c, m.ExperimentIDs, q, m.MaxResults)
	if err != nil {
		return nil, err
	}
	out := &mlflowapi.SearchTracesV2Response{NextPageToken: next}
	for i := range list {
		out.Traces = append(out.Traces, wireTraceV2(&list[i]))
	}
	return out, nil
}
