package mlflow

import (
	"bytes"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/millwright-ml/millwright/internal/mlflowapi"
	"github.com/millwright-ml/millwright/internal/mlflowhttp"
	"github.com/millwright-ml/millwright/tracking"
)

// metaAssessmentRun names, in an assessment's metadata, the run that made it.
const metaAssessmentRun = "mlflow.assessment.sourceRunId"

// wireAssessment is an assessment as a message.
func wireAssessment(a *tracking.Assessment) mlflowapi.Assessment {
	out := mlflowapi.Assessment{
		AssessmentID: a.ID, AssessmentName: a.Name, TraceID: string(a.Trace), SpanID: a.Span,
		Source:     &mlflowapi.AssessmentSource{SourceType: mlflowapi.AssessmentSourceType(a.SourceType), SourceID: a.SourceID},
		CreateTime: mlflowapi.Timestamp{Time: a.Created}, LastUpdateTime: mlflowapi.Timestamp{Time: a.Updated},
		Rationale: a.Rationale, Metadata: a.Metadata, Overrides: a.Overrides, Valid: &a.Valid,
	}
	if out.Source.SourceType == "" {
		out.Source.SourceType = "SOURCE_TYPE_UNSPECIFIED"
	}
	value := a.Value
	if len(value) == 0 {
		value = json.RawMessage("null")
	}
	switch a.Kind {
	case tracking.Expectation:
		out.Expectation = &mlflowapi.Expectation{}
		// Lists and objects go as a text.
		if value[0] == '[' || value[0] == '{' {
			out.Expectation.SerializedValue = &mlflowapi.SerializedValue{SerializationFormat: mlflowapi.JSONFormat, Value: string(value)}
		} else {
			out.Expectation.Value = value
		}
	case tracking.IssueRef:
		out.Issue = &mlflowapi.IssueReference{IssueName: textOf(string(value))}
	default:
		out.Feedback = &mlflowapi.Feedback{Value: value}
		if a.ErrorCode != "" || a.ErrorMessage != "" || a.ErrorStack != "" {
			out.Feedback.Error = &mlflowapi.AssessmentError{ErrorCode: a.ErrorCode, ErrorMessage: a.ErrorMessage, StackTrace: a.ErrorStack}
		}
	}
	return out
}

// assessmentFromWire reads an assessment.
func assessmentFromWire(in *mlflowapi.Assessment) (tracking.Assessment, error) {
	out := tracking.Assessment{
		ID: in.AssessmentID, Trace: tracking.TraceID(in.TraceID), Span: in.SpanID, Name: in.AssessmentName,
		SourceType: "SOURCE_TYPE_UNSPECIFIED", Rationale: in.Rationale, Metadata: maps.Clone(in.Metadata), Overrides: in.Overrides,
		Valid: in.Valid == nil || *in.Valid, RunID: tracking.RunID(in.Metadata[metaAssessmentRun]),
		Created: in.CreateTime.Time, Updated: in.LastUpdateTime.Time,
	}
	if in.Source != nil {
		out.SourceType, out.SourceID = string(in.Source.SourceType), in.Source.SourceID
	}
	return out, setAssessmentValue(&out, in)
}

// setAssessmentValue takes the kind and the value of a message.
func setAssessmentValue(out *tracking.Assessment, in *mlflowapi.Assessment) error {
	kinds := 0
	if in.Feedback != nil {
		kinds++
		out.Kind, out.Value = tracking.Feedback, in.Feedback.Value
		failure := in.Feedback.Error
		if failure == nil {
			failure = in.Error // where it was in earlier releases
		}
		out.ErrorCode, out.ErrorMessage, out.ErrorStack = "", "", ""
		if failure != nil {
			out.ErrorCode, out.ErrorMessage, out.ErrorStack = failure.ErrorCode, failure.ErrorMessage, failure.StackTrace
		}
		if len(out.Value) == 0 {
			out.Value = json.RawMessage("null")
		}
	}
	if in.Expectation != nil {
		kinds++
		out.Kind, out.Value = tracking.Expectation, in.Expectation.Value
		if s := in.Expectation.SerializedValue; s != nil {
			if s.SerializationFormat != mlflowapi.JSONFormat || !json.Valid([]byte(s.Value)) || len(out.Value) > 0 {
				return mlflowapi.Errorf(mlflowapi.CodeInvalid, "The serialized_value of an expectation must be JSON in the format %s.", mlflowapi.JSONFormat)
			}
			out.Value = bytes.TrimSpace([]byte(s.Value))
		}
		if len(out.Value) == 0 || string(out.Value) == "null" {
			return mlflowapi.Errorf(mlflowapi.CodeInvalid, "The `value` field must be specified.")
		}
	}
	if in.Issue != nil {
		kinds++
		out.Kind, out.Value = tracking.IssueRef, appendText(nil, in.Issue.IssueName)
	}
	if kinds != 1 {
		return mlflowapi.Errorf(mlflowapi.CodeInvalid, "Exactly one of `expectation`, `feedback` or `issue` should be specified.")
	}
	return nil
}

// createAssessment adds an assessment. A client may bring its ID.
func (h *Handler) createAssessment(c *call, m *mlflowapi.AssessmentMessage) (any, error) {
	if h.traces == nil {
		return nil, unsupported("traces")
	}
	a, err := assessmentFromWire(m.Assessment)
	if err != nil {
		return nil, err
	}
	t, err := h.trace(c.Ctx(), c.Path("trace_id"), false)
	if err != nil {
		return nil, err
	}
	a.Trace = t.ID
	if a.ID != "" {
		// It has the form of a trace's id, so that it fits in a path.
		if tracking.ValidateTraceID(tracking.TraceID(a.ID)) != nil {
			return nil, mlflowapi.InvalidValue("assessment.assessment_id", string(mlflowapi.AppendText(nil, a.ID)), "")
		}
		if slices.ContainsFunc(t.Assessments, func(o tracking.Assessment) bool { return o.ID == a.ID }) {
			return nil, mlflowapi.Errorf(mlflowapi.CodeExists, "Trace '%s' already has an assessment with ID '%s'.", t.ID, a.ID)
		}
	}
	if len(t.Assessments) >= tracking.MaxAssessments {
		return nil, mlflowapi.Errorf(mlflowapi.CodeInvalid, "Trace '%s' has %d assessments, which is the limit.", t.ID, len(t.Assessments))
	}
	if a.Overrides != "" && !slices.ContainsFunc(t.Assessments, func(o tracking.Assessment) bool { return o.ID == a.Overrides }) {
		return nil, noAssessment(a.Overrides, t.ID)
	}
	return h.putAssessment(c, a)
}

func (h *Handler) putAssessment(c *call, a tracking.Assessment) (any, error) {
	if err := a.Validate(); err != nil {
		return nil, err
	}
	stored, err := h.traces.PutAssessment(c.Ctx(), a)
	if err != nil {
		return nil, err
	}
	return &mlflowapi.AssessmentMessage{Assessment: new(wireAssessment(&stored))}, nil
}

func noAssessment(id string, trace tracking.TraceID) error {
	return mlflowapi.Errorf(mlflowapi.CodeNotFound, "Assessment with ID '%s' not found for trace '%s'", mlflowhttp.Printable(id), trace)
}

// assessment returns the assessment that the path names.
func (h *Handler) assessment(c *call) (tracking.Assessment, error) {
	t, err := h.trace(c.Ctx(), c.Path("trace_id"), false)
	if err != nil {
		return tracking.Assessment{}, err
	}
	id := c.Path("assessment_id")
	for i := range t.Assessments {
		if t.Assessments[i].ID == id {
			return t.Assessments[i], nil
		}
	}
	return tracking.Assessment{}, noAssessment(id, t.ID)
}

func (h *Handler) getAssessment(c *call) error {
	a, err := h.assessment(c)
	if err != nil {
		return err
	}
	return c.JSON(&mlflowapi.AssessmentMessage{Assessment: new(wireAssessment(&a))})
}

// updateAssessment changes the fields that the mask names. Metadata is added.
func (h *Handler) updateAssessment(c *call, m *mlflowapi.UpdateAssessment) (any, error) {
	a, err := h.assessment(c)
	if err != nil {
		return nil, err
	}
	in := m.Assessment
	for _, path := range m.UpdateMask.Paths {
		switch path {
		case "assessment_name":
			a.Name = in.AssessmentName
		case "rationale":
			a.Rationale = in.Rationale
		case "valid":
			a.Valid = in.Valid == nil || *in.Valid
		case "metadata":
			a.Metadata = maps.Clone(a.Metadata)
			if a.Metadata == nil {
				a.Metadata = map[string]string{}
			}
			maps.Copy(a.Metadata, in.Metadata)
		case "feedback", "expectation":
			next := a
			if err := setAssessmentValue(&next, in); err != nil {
				return nil, err
			}
			if next.Kind != a.Kind {
				return nil, mlflowapi.Errorf(mlflowapi.CodeInvalid, "Cannot update the value of a %s with a %s.", a.Kind, next.Kind)
			}
			a = next
		default:
			return nil, mlflowapi.InvalidValue("update_mask", string(mlflowapi.AppendText(nil, path)),
				"want assessment_name, feedback, expectation, rationale, metadata or valid")
		}
	}
	a.Updated = time.Now().UTC().Truncate(time.Millisecond)
	return h.putAssessment(c, a)
}

// deleteAssessment is fine with one that is not there, as clients send it again
// when they did not get the answer.
func (h *Handler) deleteAssessment(c *call) error {
	t, err := h.trace(c.Ctx(), c.Path("trace_id"), false)
	if err != nil {
		return err
	}
	err = h.traces.DeleteAssessment(c.Ctx(), t.ID, c.Path("assessment_id"))
	if err != nil && !errors.Is(err, tracking.ErrNotFound) {
		return err
	}
	return c.Send(http.StatusOK, []byte("{}"))
}
