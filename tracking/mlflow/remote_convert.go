package mlflow

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/millwright-ml/millwright/internal/errs"
	"github.com/millwright-ml/millwright/internal/mlflowapi"
	"github.com/millwright-ml/millwright/internal/mlflowclient"
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

func sealToken(query, token string) string { return mlflowclient.SealToken(query, token) }

func openToken(query, token string) (string, error) { return mlflowclient.OpenToken(query, token) }

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
