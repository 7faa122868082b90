package mlflow

import (
	"time"

	"github.com/millwright-ml/millwright/internal/mlflowapi"
	"github.com/millwright-ml/millwright/tracking"
)

// locationExperiment returns the experiment that a trace's location names.
func locationExperiment(l *mlflowapi.TraceLocation) string {
	if l.MlflowExperiment == nil {
		return ""
	}
	return l.MlflowExperiment.ExperimentID
}

// wireTrace is a trace without its spans as a message of version 3.
func wireTrace(t *tracking.Trace) mlflowapi.TraceInfoV3 {
	out := mlflowapi.TraceInfoV3{
		TraceID: string(t.ID), ClientRequestID: t.ClientRequestID,
		TraceLocation: mlflowapi.TraceLocation{
			Type: mlflowapi.InExperiment, MlflowExperiment: &mlflowapi.ExperimentRef{ExperimentID: string(t.Experiment)},
		},
		RequestPreview: textOrNone(t.RequestPreview), ResponsePreview: textOrNone(t.ResponsePreview),
		RequestTime: mlflowapi.Timestamp{Time: t.Start}, State: mlflowapi.TraceState(t.State),
		TraceMetadata: t.Metadata, Tags: t.Tags,
	}
	if out.State == "" {
		out.State = mlflowapi.TraceState(tracking.TraceUnspecified)
	}
	if t.Duration >= 0 {
		out.ExecutionDuration = &mlflowapi.Duration{Duration: t.Duration}
	}
	for i := range t.Assessments {
		out.Assessments = append(out.Assessments, wireAssessment(&t.Assessments[i]))
	}
	return out
}

// textOrNone is a text that is absent when empty.
func textOrNone(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func textIn(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// traceFromWire reads a trace without its spans.
func traceFromWire(in *mlflowapi.TraceInfoV3) (tracking.Trace, error) {
	out := tracking.Trace{
		ID: tracking.TraceID(in.TraceID), Experiment: tracking.ExperimentID(locationExperiment(&in.TraceLocation)),
		ClientRequestID: in.ClientRequestID, State: tracking.TraceState(in.State),
		Start: in.RequestTime.Time, Duration: -time.Millisecond,
		RequestPreview: textIn(in.RequestPreview), ResponsePreview: textIn(in.ResponsePreview),
		Metadata: map[string]string{}, Tags: map[string]string{},
	}
	if out.Start.IsZero() {
		out.Start = time.UnixMilli(0).UTC()
	}
	if in.ExecutionDuration != nil {
		out.Duration = in.ExecutionDuration.Duration
	}
	for key, value := range in.TraceMetadata {
		out.Metadata[key] = truncate(value, maxTraceValue)
	}
	for key, value := range in.Tags {
		if !blockedTag(key) {
			out.Tags[key] = truncate(value, maxTraceValue)
		}
	}
	for i := range in.Assessments {
		a, err := assessmentFromWire(&in.Assessments[i])
		if err != nil {
			return out, err
		}
		a.Trace = out.ID
		out.Assessments = append(out.Assessments, a)
	}
	return out, nil
}

// appendTrace appends a trace with its spans as a message.
func appendTrace(dst []byte, t *tracking.Trace) ([]byte, error) {
	info := wireTrace(t)
	dst = append(dst, `{"trace_info":`...)
	dst = mlflowapi.Append(dst, &info)
	rootFirst(t.Spans)
	for i := range t.Spans {
		if i == 0 {
			dst = append(dst, `,"spans":[`...)
		} else {
			dst = append(dst, ',')
		}
		var err error
		if dst, err = appendWireSpan(dst, t.Spans[i].Content); err != nil {
			return nil, err
		}
	}
	if len(t.Spans) > 0 {
		dst = append(dst, ']')
	}
	return append(dst, '}'), nil
}
