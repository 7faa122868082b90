package mlflow

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/millwright-ml/millwright/internal/errs"
	"github.com/millwright-ml/millwright/internal/mlflowapi"
	"github.com/millwright-ml/millwright/tracking"
)

const maxModelPage = 100 // what upstream gives at most

func remoteModelStatus(s mlflowapi.LoggedModelStatus) tracking.ModelStatus {
	switch s {
	case mlflowapi.ModelReady:
		return tracking.ModelReady
	case mlflowapi.ModelFailed:
		return tracking.ModelFailed
	}
	return tracking.ModelPending
}

func remoteModel(m *mlflowapi.LoggedModel) tracking.LoggedModel {
	out := tracking.LoggedModel{
		ID: tracking.ModelID(m.Info.ModelID), Experiment: tracking.ExperimentID(m.Info.ExperimentID), Name: m.Info.Name,
		Type: m.Info.ModelType, SourceRun: tracking.RunID(m.Info.SourceRunID), Status: remoteModelStatus(m.Info.Status),
		StatusMessage: m.Info.StatusMessage, ArtifactURI: m.Info.ArtifactURI,
		Created: remoteTime(m.Info.CreationTimestampMs), Updated: remoteTime(m.Info.LastUpdatedTimestampMs),
		Params: remoteMap(m.Data.Params), Tags: remoteMap(m.Info.Tags),
	}
	out.Metrics = latestOfModel(m.Data.Metrics)
	return out
}

// latestOfModel keeps the latest point of each metric and dataset, of all that
// upstream sends.
func latestOfModel(points []mlflowapi.Metric) []tracking.ModelMetric {
	type place struct{ key, name, digest string }
	latest := map[place]*mlflowapi.Metric{}
	for i := range points {
		p := &points[i]
		at := place{p.Key, p.DatasetName, p.DatasetDigest}
		if old := latest[at]; old == nil || remoteMetric(p).NewerThan(remoteMetric(old)) {
			latest[at] = p
		}
	}
	out := make([]tracking.ModelMetric, 0, len(latest))
	for _, p := range latest {
		out = append(out, tracking.ModelMetric{
			Key: p.Key, Value: p.Value, Step: p.Step, Time: time.UnixMilli(p.Timestamp).UTC(), Run: tracking.RunID(p.RunID),
			DatasetName: p.DatasetName, DatasetDigest: p.DatasetDigest,
		})
	}
	slices.SortFunc(out, func(a, b tracking.ModelMetric) int {
		return cmp.Or(cmp.Compare(a.Key, b.Key), cmp.Compare(a.DatasetName, b.DatasetName), cmp.Compare(a.DatasetDigest, b.DatasetDigest))
	})
	return out
}

func modelPath(id tracking.ModelID) string {
	return "logged-models/" + url.PathEscape(string(id))
}

// CreateModel implements tracking.ModelStore, except that the server chooses
// ID, ArtifactURI and times, and that the wire has no place for StatusMessage.
// A status other than ModelPending follows in a second request. As CreateRun
// it is not sent again while its outcome is unknown.
func (c *Conn) CreateModel(ctx context.Context, m tracking.LoggedModel) (tracking.LoggedModel, error) {
	r := apiPost("create logged model", m.Name, "logged-models", &mlflowapi.CreateLoggedModel{
		ExperimentID: string(m.Experiment), Name: m.Name, ModelType: m.Type, SourceRunID: string(m.SourceRun),
		Params: pairsOf(m.Params), Tags: pairsOf(m.Tags),
	})
	r.rule = resendRefused
	var answer mlflowapi.LoggedModelResponse
	if err := c.call(ctx, r, &answer); err != nil {
		return tracking.LoggedModel{}, err
	}
	created := remoteModel(&answer.Model)
	if m.Status == "" || m.Status == created.Status {
		return created, nil
	}
	if err := c.finalizeModel(ctx, created.ID, m.Status, &answer); err != nil {
		return created, err
	}
	return remoteModel(&answer.Model), nil
}

func (c *Conn) finalizeModel(ctx context.Context, id tracking.ModelID, s tracking.ModelStatus, answer *mlflowapi.LoggedModelResponse) error {
	r := apiPost("finalize logged model", string(id), modelPath(id), &mlflowapi.FinalizeLoggedModel{ModelID: string(id), Status: wireModelStatus(s)})
	r.method = http.MethodPatch
	*answer = mlflowapi.LoggedModelResponse{}
	return c.call(ctx, r, answer)
}

// Model implements tracking.ModelStore.
func (c *Conn) Model(ctx context.Context, id tracking.ModelID) (tracking.LoggedModel, error) {
	m, err := c.model(ctx, id, false)
	if !errors.Is(err, errs.ErrNotFound) {
		return m, err
	}
	// The message does not tell whether a model is deleted; that it is found
	// this way only does.
	deleted, again := c.model(ctx, id, true)
	if again != nil {
		return tracking.LoggedModel{}, err
	}
	deleted.Deleted, deleted.DeletedAt = true, deleted.Updated
	return deleted, nil
}

func (c *Conn) model(ctx context.Context, id tracking.ModelID, deleted bool) (tracking.LoggedModel, error) {
	var query url.Values
	if deleted {
		query = url.Values{"allow_deleted": {"true"}}
	}
	var answer mlflowapi.LoggedModelResponse
	if err := c.call(ctx, apiGet("get logged model", string(id), modelPath(id), query), &answer); err != nil {
		return tracking.LoggedModel{}, err
	}
	return remoteModel(&answer.Model), nil
}

// UpdateModel implements tracking.ModelStore as far as the wire goes: it
// cannot restore a model nor set StatusMessage, which are ErrUnsupported. Each
// kind of change is a request of its own, in this order: params, tags, deletion
// of tags, status, delete. An error leaves those before it done; the same
// update may be sent again.
func (c *Conn) UpdateModel(ctx context.Context, id tracking.ModelID, u tracking.ModelUpdate) error {
	m, err := c.Model(ctx, id)
	if err != nil {
		return err
	}
	unsupported := func(what string) error {
		return fmt.Errorf("mlflow: update logged model %q: MLflow's API cannot %s: %w", id, what, errs.ErrUnsupported)
	}
	switch {
	case m.Deleted && u.Deleted != nil && !*u.Deleted:
		return unsupported("restore a logged model")
	case m.Deleted && (u.Deleted == nil || u.Status != "" || len(u.SetTags)+len(u.DeleteTags)+len(u.SetParams) > 0):
		return fmt.Errorf("mlflow: update logged model %q: it is deleted: %w", id, errs.ErrNotFound)
	case m.Deleted:
		return nil
	case u.StatusMessage != "":
		return unsupported("set a status message")
	}
	for _, key := range u.DeleteTags {
		if _, ok := m.Tags[key]; !ok {
			return fmt.Errorf("mlflow: update logged model %q: it has no tag %q: %w", id, shownSubject(key), errs.ErrNotFound)
		}
	}
	return c.updateModel(ctx, &m, u)
}

func (c *Conn) updateModel(ctx context.Context, m *tracking.LoggedModel, u tracking.ModelUpdate) error {
	id, path := string(m.ID), modelPath(m.ID)
	if len(u.SetParams) > 0 {
		missing := map[string]string{} // upstream refuses a param that is there, even with the same value
		for _, kv := range pairsOf(u.SetParams) {
			switch old, ok := m.Params[kv.Key]; {
			case !ok:
				missing[kv.Key] = kv.Value
			case old != kv.Value:
				return fmt.Errorf("mlflow: update logged model %q: param %q is %q already and cannot become %q, params are written once: %w",
					id, kv.Key, shownSubject(old), shownSubject(kv.Value), errs.ErrConflict)
			}
		}
		if len(missing) > 0 {
			message := &mlflowapi.LogLoggedModelParams{ModelID: id, Params: pairsOf(missing)}
			if err := c.call(ctx, apiPost("log params of logged model", id, path+"/params", message), nil); err != nil {
				return err
			}
		}
	}
	if len(u.SetTags) > 0 {
		r := apiPost("tag logged model", id, path+"/tags", &mlflowapi.SetLoggedModelTags{ModelID: id, Tags: pairsOf(u.SetTags)})
		r.method = http.MethodPatch
		if err := c.call(ctx, r, nil); err != nil {
			return err
		}
	}
	for _, key := range u.DeleteTags {
		r := apiGet("delete tag of logged model", id, path+"/tags/"+url.PathEscape(key), nil)
		r.method, r.goneIsDone = http.MethodDelete, true
		if err := c.call(ctx, r, nil); err != nil {
			return err
		}
	}
	if u.Status != "" && u.Status != m.Status {
		if err := c.finalizeModel(ctx, m.ID, u.Status, &mlflowapi.LoggedModelResponse{}); err != nil {
			return err
		}
	}
	if u.Deleted != nil && *u.Deleted {
		r := apiGet("delete logged model", id, path, nil)
		r.method, r.goneIsDone = http.MethodDelete, true
		return c.call(ctx, r, nil)
	}
	return nil
}

// SearchModels implements tracking.ModelStore. The wire shows active models
// only; another View is ErrUnsupported.
func (c *Conn) SearchModels(ctx context.Context, q tracking.ModelQuery) ([]tracking.LoggedModel, string, error) {
	query := fmt.Sprintf("models %q %q %q %q %v", q.Experiments, q.View, q.Filter, q.Datasets, q.OrderBy)
	token, err := openQuery(query, q.Page.Token, q.Filter, nil)
	if err != nil {
		return nil, "", fmt.Errorf("mlflow: search logged models: %w", err)
	}
	if q.View != tracking.ActiveOnly {
		return nil, "", fmt.Errorf("mlflow: search logged models: MLflow's API cannot show deleted ones: %w", errs.ErrUnsupported)
	}
	message := &mlflowapi.SearchLoggedModels{
		Filter: remoteFilter(q.Filter), MaxResults: pageSize[int32](q.Page.Max, maxModelPage, maxModelPage), PageToken: token,
	}
	for _, id := range q.Experiments {
		message.ExperimentIDs = append(message.ExperimentIDs, string(id))
	}
	for _, d := range q.Datasets {
		message.Datasets = append(message.Datasets, mlflowapi.SearchLoggedModelsDataset{DatasetName: d.Name, DatasetDigest: d.Digest})
	}
	for _, o := range q.OrderBy {
		ascending := !o.Desc
		message.OrderBy = append(message.OrderBy, mlflowapi.SearchLoggedModelsOrderBy{
			FieldName: o.Field, Ascending: &ascending, DatasetName: o.Dataset.Name, DatasetDigest: o.Dataset.Digest,
		})
	}
	var answer mlflowapi.SearchLoggedModelsResponse
	if err := c.call(ctx, apiPost("search logged models", "", "logged-models/search", message), &answer); err != nil {
		return nil, "", err
	}
	page := make([]tracking.LoggedModel, len(answer.Models))
	for i := range answer.Models {
		page[i] = remoteModel(&answer.Models[i])
	}
	return page, sealToken(query, answer.NextPageToken), nil
}
