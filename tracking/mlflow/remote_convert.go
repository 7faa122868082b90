package mlflow

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/millwright-ml/millwright/internal/errs"
	"github.com/millwright-ml/millwright/internal/mlflowapi"
	"github.com/millwright-ml/millwright/tracking"
)

// remoteTime is a time on the wire; 0 is none.
func remoteTime(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

// remoteMap is mapOf that is never nil.
func remoteMap(list []mlflowapi.KeyValue) map[string]string {
	m := make(map[string]string, len(list))
	for _, kv := range list {
		m[kv.Key] = kv.Value
	}
	return m
}

func remoteView(v tracking.View) mlflowapi.ViewType {
	switch v {
	case tracking.DeletedOnly:
		return mlflowapi.DeletedOnly
	case tracking.All:
		return mlflowapi.All
	}
	return mlflowapi.ActiveOnly
}

func remoteExperiment(e *mlflowapi.Experiment) tracking.Experiment {
	out := tracking.Experiment{
		ID: tracking.ExperimentID(e.ExperimentID), Name: e.Name, ArtifactLocation: e.ArtifactLocation,
		Tags: remoteMap(e.Tags), Deleted: e.LifecycleStage == mlflowapi.StageDeleted,
		Created: remoteTime(e.CreationTime), Updated: remoteTime(e.LastUpdateTime),
	}
	if out.Deleted { // the wire has no time of its own for it, the deletion was the last change
		out.DeletedAt = out.Updated
	}
	return out
}

func remoteRun(r *mlflowapi.Run) tracking.RunInfo {
	info := remoteRunInfo(&r.Info)
	info.Params = remoteMap(r.Data.Params)
	info.Tags = remoteMap(r.Data.Tags)
	if info.Name == "" { // of servers before 2.0
		info.Name = info.Tags[tagRunName]
	}
	delete(info.Tags, tagRunName)
	info.Metrics = make(map[string]tracking.Metric, len(r.Data.Metrics))
	for i := range r.Data.Metrics {
		m := remoteMetric(&r.Data.Metrics[i])
		info.Metrics[m.Key] = m
	}
	for i := range r.Inputs.DatasetInputs {
		info.Inputs = append(info.Inputs, inputOf(&r.Inputs.DatasetInputs[i]))
	}
	for _, m := range r.Inputs.ModelInputs {
		info.ModelInputs = append(info.ModelInputs, tracking.ModelID(m.ModelID))
	}
	for _, m := range r.Outputs.ModelOutputs {
		info.Outputs = append(info.Outputs, tracking.ModelOutput{Model: tracking.ModelID(m.ModelID), Step: m.Step})
	}
	return info
}

func remoteRunInfo(r *mlflowapi.RunInfo) tracking.RunInfo {
	id := r.RunID
	if id == "" {
		id = r.RunUUID
	}
	return tracking.RunInfo{
		ID: tracking.RunID(id), Experiment: tracking.ExperimentID(r.ExperimentID), Name: r.RunName, User: r.UserID,
		Status: tracking.Status(r.Status), Start: remoteTime(r.StartTime), End: remoteTime(r.EndTime),
		ArtifactURI: r.ArtifactURI, Deleted: r.LifecycleStage == mlflowapi.StageDeleted,
	}
}

// remoteMetric leaves out what links the point to a model, which is no part of
// a run's metrics.
func remoteMetric(m *mlflowapi.Metric) tracking.Metric {
	return tracking.Metric{Key: m.Key, Value: m.Value, Step: m.Step, Time: time.UnixMilli(m.Timestamp).UTC()}
}

func toRemoteMetric(m *tracking.Metric) mlflowapi.Metric {
	out := mlflowapi.Metric{Key: m.Key, Value: m.Value, Step: m.Step, Timestamp: m.Time.UnixMilli()}
	if m.Link != nil {
		out.ModelID, out.DatasetName, out.DatasetDigest = string(m.Link.Model), m.Link.DatasetName, m.Link.DatasetDigest
	}
	return out
}

// A page token of a Conn is the server's token behind eight bytes that tie it
// to the query, since servers take a token of another query for their own and
// answer with a wrong page.

const tokenMark = 8

func markOf(query, token string) []byte {
	sum := sha256.Sum256([]byte(query + "\x00" + token))
	return sum[:tokenMark]
}

// sealToken returns the Conn's token for what the server answered.
func sealToken(query, token string) string {
	if token == "" {
		return ""
	}
	return base64.RawURLEncoding.EncodeToString(append(markOf(query, token), token...))
}

// openToken returns the server's token. ErrInvalid when it is damaged or
// belongs to another query.
func openToken(query, token string) (string, error) {
	if token == "" {
		return "", nil
	}
	data, err := base64.RawURLEncoding.Strict().DecodeString(token)
	if err == nil && len(data) > tokenMark && string(data[:tokenMark]) == string(markOf(query, string(data[tokenMark:]))) {
		return string(data[tokenMark:]), nil
	}
	return "", fmt.Errorf("page token %q is damaged or belongs to another query: %w", shownSubject(token), errs.ErrInvalid)
}

// pageSize is how many entries to ask the server for.
func pageSize[T int32 | int64](want, standard, limit int) *T {
	if want <= 0 {
		want = standard
	}
	n := T(min(want, limit))
	return &n
}

// checkQuery refuses texts that JSON cannot carry, which would become others.
func checkQuery(filter string, orderBy []string) error {
	for _, text := range append([]string{filter}, orderBy...) {
		if !utf8.ValidString(text) {
			return fmt.Errorf("%q is not valid UTF-8: %w", shownSubject(text), errs.ErrInvalid)
		}
	}
	return nil
}

// openQuery checks a query and opens its page token.
func openQuery(query, token, filter string, orderBy []string) (string, error) {
	if err := checkQuery(filter, orderBy); err != nil {
		return "", err
	}
	return openToken(query, token)
}

// remoteFilter sends no filter for a blank one, which upstream cannot parse.
func remoteFilter(filter string) string {
	if strings.TrimSpace(filter) == "" {
		return ""
	}
	return filter
}
