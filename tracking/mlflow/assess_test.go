package mlflow_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

type assessment struct {
	ID        string            `json:"assessment_id"`
	Name      string            `json:"assessment_name"`
	TraceID   string            `json:"trace_id"`
	Created   string            `json:"create_time"`
	Updated   string            `json:"last_update_time"`
	Rationale string            `json:"rationale"`
	Metadata  map[string]string `json:"metadata"`
	Overrides string            `json:"overrides"`
	Valid     bool              `json:"valid"`
	Feedback  *struct {
		Value json.RawMessage `json:"value"`
		Error *struct {
			Code string `json:"error_code"`
		} `json:"error"`
	} `json:"feedback"`
	Expectation *struct {
		Value      json.RawMessage `json:"value"`
		Serialized *struct {
			Format string `json:"serialization_format"`
			Value  string `json:"value"`
		} `json:"serialized_value"`
	} `json:"expectation"`
	Issue *struct {
		Name string `json:"issue_name"`
	} `json:"issue"`
}

func (s *artifactServer) assess(method, path, body string) assessment {
	s.t.Helper()
	var answer struct {
		Assessment assessment `json:"assessment"`
	}
	require.NoError(s.t, json.Unmarshal([]byte(s.ok(method, v3+"/tr-1/assessments"+path, body)), &answer))
	return answer.Assessment
}

func TestAssessments(t *testing.T) {
	t.Parallel()
	s := serveArtifacts(t, nil)
	s.ok(http.MethodPost, v3, started("tr-1", ""))
	const head = `{"assessment": {"assessment_name": "correct", "trace_id": "tr-1", "source": {"source_type": "HUMAN", "source_id": "bob"},
		"create_time": "2026-11-21T11:22:23.873Z", "last_update_time": "2026-11-21T11:22:23.873Z", `
	a := s.assess(http.MethodPost, "", head+`"feedback": {"value": true}, "rationale": "ok", "metadata": {"a": "b"}, "valid": true}}`)
	require.Regexp(t, "^a-[0-9a-f]{32}$", a.ID)
	require.Equal(t, "true", string(a.Feedback.Value))
	require.Equal(t, "2026-11-21T11:22:23.873Z", a.Created)
	require.Equal(t, "ok", a.Rationale)
	require.True(t, a.Valid)
	require.Equal(t, a, s.assess(http.MethodGet, "/"+a.ID, ""))

	failed := s.assess(http.MethodPost, "", head+`"feedback": {"value": null, "error": {"error_code": "E", "error_message": "m", "stack_trace": "s"}}}}`)
	require.Equal(t, "null", string(failed.Feedback.Value))
	require.Equal(t, "E", failed.Feedback.Error.Code)
	list := s.assess(http.MethodPost, "", head+`"feedback": {"value": ["a", 1.0, null]}}}`)
	require.JSONEq(t, `["a", 1.0, null]`, string(list.Feedback.Value))
	text := s.assess(http.MethodPost, "", head+`"expectation": {"value": "hi"}}}`)
	require.Equal(t, `"hi"`, string(text.Expectation.Value))
	object := s.assess(http.MethodPost, "", head+`"expectation": {"serialized_value": {"serialization_format": "JSON_FORMAT", "value": "{\"x\": [1]}"}}}}`)
	require.Equal(t, `{"x": [1]}`, object.Expectation.Serialized.Value)
	issue := s.assess(http.MethodPost, "", head+`"issue": {"issue_name": "slow"}}}`)
	require.Equal(t, "slow", issue.Issue.Name)
	require.Len(t, s.info("tr-1").Assessments, 6)

	own := s.assess(http.MethodPost, "", head+`"assessment_id": "a-own", "feedback": {"value": 1}}}`)
	require.Equal(t, "a-own", own.ID)
	s.fails(http.StatusBadRequest, "RESOURCE_ALREADY_EXISTS", http.MethodPost, v3+"/tr-1/assessments", head+`"assessment_id": "a-own", "feedback": {"value": 1}}}`)
	s.fails(http.StatusBadRequest, "INVALID_PARAMETER_VALUE", http.MethodPost, v3+"/tr-1/assessments", head+`"assessment_id": "a/../b", "feedback": {"value": 1}}}`)

	// As the client sends a mask: in camel case.
	b := s.assess(http.MethodPatch, "/"+a.ID, `{"assessment": {"assessment_name": "correct2", "feedback": {"value": false}, "rationale": "no", "metadata": {"c": "d"}},
		"update_mask": "assessmentName,feedback,rationale,metadata"}`)
	require.Equal(t, "correct2", b.Name)
	require.Equal(t, "false", string(b.Feedback.Value))
	require.Equal(t, map[string]string{"a": "b", "c": "d"}, b.Metadata)
	require.Equal(t, a.Created, b.Created)
	require.NotEqual(t, a.Updated, b.Updated)

	over := s.assess(http.MethodPost, "", head+`"feedback": {"value": "maybe"}, "overrides": "`+a.ID+`"}}`)
	require.False(t, s.assess(http.MethodGet, "/"+a.ID, "").Valid)
	require.Equal(t, "{}", s.ok(http.MethodDelete, v3+"/tr-1/assessments/"+over.ID, `{}`))
	require.True(t, s.assess(http.MethodGet, "/"+a.ID, "").Valid)
	require.Equal(t, "{}", s.ok(http.MethodDelete, v3+"/tr-1/assessments/"+over.ID, ""))

	for name, body := range map[string]string{
		"no kind":          head + `"valid": true}}`,
		"two kinds":        head + `"feedback": {"value": 1}, "issue": {"issue_name": "x"}}}`,
		"no expectation":   head + `"expectation": {}}}`,
		"null expectation": head + `"expectation": {"value": null}}}`,
		"bad format":       head + `"expectation": {"serialized_value": {"serialization_format": "XML", "value": "1"}}}}`,
		"bad JSON":         head + `"expectation": {"serialized_value": {"serialization_format": "JSON_FORMAT", "value": "{"}}}}`,
		"no name":          strings.Replace(head, `"correct"`, `""`, 1) + `"feedback": {"value": 1}}}`,
		"bad source":       strings.Replace(head, `"HUMAN"`, `"DOG"`, 1) + `"feedback": {"value": 1}}}`,
		"large":            head + `"feedback": {"value": "` + strings.Repeat("x", 70_000) + `"}}}`,
		"none":             `{}`,
	} {
		status, _, answer := s.do(http.MethodPost, v3+"/tr-1/assessments", body)
		require.Equal(t, http.StatusBadRequest, status, "%s: %s", name, answer)
	}
	for _, body := range []string{
		`{"assessment": {"expectation": {"value": 1}}, "update_mask": "expectation"}`,
		`{"assessment": {}, "update_mask": "feedback"}`, `{"assessment": {}, "update_mask": "source"}`, `{"assessment": {}}`,
	} {
		s.fails(http.StatusBadRequest, "INVALID_PARAMETER_VALUE", http.MethodPatch, v3+"/tr-1/assessments/"+a.ID, body)
	}
	s.fails(http.StatusNotFound, "RESOURCE_DOES_NOT_EXIST", http.MethodPost, v3+"/none/assessments", head+`"feedback": {"value": 1}}}`)
	s.fails(http.StatusNotFound, "RESOURCE_DOES_NOT_EXIST", http.MethodPost, v3+"/tr-1/assessments", head+`"feedback": {"value": 1}, "overrides": "a-none"}}`)
	s.fails(http.StatusNotFound, "RESOURCE_DOES_NOT_EXIST", http.MethodGet, v3+"/tr-1/assessments/a-none", "")
	s.fails(http.StatusNotFound, "RESOURCE_DOES_NOT_EXIST", http.MethodPatch, v3+"/tr-1/assessments/a-none", `{"assessment": {"rationale": "x"}, "update_mask": "rationale"}`)
}
