package mlflow

import (
	"maps"
	"slices"
	"time"

	"github.com/millwright-ml/millwright/internal/mlflowapi"
	"github.com/millwright-ml/millwright/tracking"
)

// The tags that stand for fields of this module.
const (
	tagRunName = "mlflow.runName"
	tagUser    = "mlflow.user"
	tagContext = "mlflow.data.context"
	tagVersion = "millwright.version"
)

// millis is t in milliseconds, 0 for the zero Time.
func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

func fromMillis(ms int64) time.Time { return time.UnixMilli(ms).UTC() }

func stage(deleted bool) string {
	if deleted {
		return mlflowapi.StageDeleted
	}
	return mlflowapi.StageActive
}

func viewOf(v mlflowapi.ViewType) tracking.View {
	switch v {
	case mlflowapi.DeletedOnly:
		return tracking.DeletedOnly
	case mlflowapi.All:
		return tracking.All
	}
	return tracking.ActiveOnly
}

// pairsOf returns m as pairs ordered by key.
func pairsOf(m map[string]string) []mlflowapi.KeyValue {
	out := make([]mlflowapi.KeyValue, 0, len(m)+1)
	for key, value := range m {
		out = append(out, mlflowapi.KeyValue{Key: key, Value: value})
	}
	sortPairs(out)
	return out
}

func sortPairs(list []mlflowapi.KeyValue) {
	slices.SortFunc(list, func(a, b mlflowapi.KeyValue) int {
		if a.Key < b.Key {
			return -1
		}
		return 1
	})
}

// mapOf returns pairs as a map; of equal keys the last wins.
func mapOf(pairs []mlflowapi.KeyValue) map[string]string {
	if len(pairs) == 0 {
		return nil
	}
	m := make(map[string]string, len(pairs))
	for _, kv := range pairs {
		m[kv.Key] = kv.Value
	}
	return m
}

func wireExperiment(e *tracking.Experiment) mlflowapi.Experiment {
	return mlflowapi.Experiment{
		ExperimentID:     string(e.ID),
		Name:             e.Name,
		ArtifactLocation: e.ArtifactLocation,
		LifecycleStage:   stage(e.Deleted),
		LastUpdateTime:   millis(e.Updated),
		CreationTime:     millis(e.Created),
		Tags:             pairsOf(e.Tags),
		Workspace:        "default", // what MLflow without workspaces answers
	}
}

func wireInfo(r *tracking.RunInfo) mlflowapi.RunInfo {
	return mlflowapi.RunInfo{
		RunID:          string(r.ID),
		RunUUID:        string(r.ID),
		ExperimentID:   string(r.Experiment),
		RunName:        r.Name,
		UserID:         r.User,
		Status:         mlflowapi.RunStatus(r.Status),
		StartTime:      millis(r.Start),
		EndTime:        millis(r.End),
		ArtifactURI:    r.ArtifactURI,
		LifecycleStage: stage(r.Deleted),
	}
}

func wireRun(r *tracking.RunInfo) mlflowapi.Run {
	out := mlflowapi.Run{Info: wireInfo(r)}
	out.Data.Params = pairsOf(r.Params)
	out.Data.Tags = pairsOf(r.Tags)
	if r.Name != "" {
		out.Data.Tags = append(out.Data.Tags, mlflowapi.RunTag{Key: tagRunName, Value: r.Name})
		sortPairs(out.Data.Tags)
	}
	if len(r.Metrics) > 0 {
		out.Data.Metrics = make([]mlflowapi.Metric, 0, len(r.Metrics))
		for _, key := range slices.Sorted(maps.Keys(r.Metrics)) {
			m := r.Metrics[key]
			out.Data.Metrics = append(out.Data.Metrics, wireMetric(key, &m))
		}
	}
	for i := range r.Inputs {
		out.Inputs.DatasetInputs = append(out.Inputs.DatasetInputs, wireInput(&r.Inputs[i]))
	}
	for _, id := range r.ModelInputs {
		out.Inputs.ModelInputs = append(out.Inputs.ModelInputs, mlflowapi.ModelInput{ModelID: string(id)})
	}
	for _, o := range r.Outputs {
		out.Outputs.ModelOutputs = append(out.Outputs.ModelOutputs, mlflowapi.ModelOutput{ModelID: string(o.Model), Step: o.Step})
	}
	return out
}

func wireMetric(key string, m *tracking.Metric) mlflowapi.Metric {
	return mlflowapi.Metric{Key: key, Value: m.Value, Timestamp: millis(m.Time), Step: m.Step}
}

func wireInput(in *tracking.DatasetInput) mlflowapi.DatasetInput {
	out := mlflowapi.DatasetInput{
		Tags: pairsOf(in.Tags),
		Dataset: mlflowapi.Dataset{
			Name: in.Name, Digest: in.Digest, SourceType: in.SourceType, Source: in.Source,
			Schema: in.Schema, Profile: in.Profile,
		},
	}
	if in.Context != "" {
		out.Tags = append(out.Tags, mlflowapi.InputTag{Key: tagContext, Value: in.Context})
	}
	if in.Version != "" {
		out.Tags = append(out.Tags, mlflowapi.InputTag{Key: tagVersion, Value: in.Version})
	}
	sortPairs(out.Tags)
	return out
}

func inputOf(in *mlflowapi.DatasetInput) tracking.DatasetInput {
	out := tracking.DatasetInput{
		Name: in.Dataset.Name, Digest: in.Dataset.Digest,
		SourceType: in.Dataset.SourceType, Source: in.Dataset.Source,
		Schema: in.Dataset.Schema, Profile: in.Dataset.Profile,
	}
	for _, tag := range in.Tags {
		switch tag.Key {
		case tagContext:
			out.Context = tag.Value
		case tagVersion:
			out.Version = tag.Value
		default:
			if out.Tags == nil {
				out.Tags = map[string]string{}
			}
			out.Tags[tag.Key] = tag.Value
		}
	}
	return out
}

func wireModel(m *tracking.LoggedModel) mlflowapi.LoggedModel {
	out := mlflowapi.LoggedModel{
		Info: mlflowapi.LoggedModelInfo{
			ModelID:                string(m.ID),
			ExperimentID:           string(m.Experiment),
			Name:                   m.Name,
			CreationTimestampMs:    millis(m.Created),
			LastUpdatedTimestampMs: millis(m.Updated),
			ArtifactURI:            m.ArtifactURI,
			Status:                 wireModelStatus(m.Status),
			ModelType:              m.Type,
			SourceRunID:            string(m.SourceRun),
			StatusMessage:          m.StatusMessage,
			Tags:                   pairsOf(m.Tags),
		},
		Data: mlflowapi.LoggedModelData{Params: pairsOf(m.Params)},
	}
	for i := range m.Metrics {
		p := &m.Metrics[i]
		out.Data.Metrics = append(out.Data.Metrics, mlflowapi.Metric{
			Key: p.Key, Value: p.Value, Timestamp: millis(p.Time), Step: p.Step,
			DatasetName: p.DatasetName, DatasetDigest: p.DatasetDigest,
			ModelID: string(m.ID), RunID: string(p.Run),
		})
	}
	return out
}

func wireModelStatus(s tracking.ModelStatus) mlflowapi.LoggedModelStatus {
	switch s {
	case tracking.ModelPending:
		return mlflowapi.ModelPending
	case tracking.ModelReady:
		return mlflowapi.ModelReady
	case tracking.ModelFailed:
		return mlflowapi.ModelFailed
	}
	return mlflowapi.ModelUnspecified
}
