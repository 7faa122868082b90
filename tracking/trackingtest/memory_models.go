package trackingtest

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/millwright-ml/millwright/tracking"
)

// CreateModel implements tracking.ModelStore.
func (m *Memory) CreateModel(ctx context.Context, model tracking.LoggedModel) (tracking.LoggedModel, error) {
	end, err := m.begin(ctx)
	if err != nil {
		return tracking.LoggedModel{}, err
	}
	defer end()
	const operation = "create logged model"
	exp, err := m.activeExperiment(operation, model.Name, model.Experiment)
	if err != nil {
		return tracking.LoggedModel{}, err
	}
	model.ID = cmp.Or(model.ID, tracking.ModelID("m-"+randomHex()))
	if m.models[model.ID] != nil {
		return tracking.LoggedModel{}, fail(operation, string(model.ID), "the ID is taken", tracking.ErrExists)
	}
	if model.Created.IsZero() {
		model.Created = m.now()
	}
	if model.Updated.IsZero() {
		model.Updated = model.Created
	}
	stored := copyModel(&model)
	stored.Status = cmp.Or(model.Status, tracking.ModelPending)
	stored.ArtifactURI = cmp.Or(model.ArtifactURI, exp.ArtifactLocation+"/models/"+string(model.ID)+"/artifacts")
	stored.Created, stored.Updated = toMS(model.Created), toMS(model.Updated)
	stored.Deleted, stored.DeletedAt, stored.Metrics = false, time.Time{}, nil
	m.models[model.ID] = &stored
	return copyModel(&stored), nil
}

func randomHex() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails: crypto/rand ends the program instead
	return hex.EncodeToString(b[:])
}

func copyModel(m *tracking.LoggedModel) tracking.LoggedModel {
	out := *m
	out.Params, out.Tags, out.Metrics = cloneMap(m.Params), cloneMap(m.Tags), slices.Clone(m.Metrics)
	return out
}

// Model implements tracking.ModelStore.
func (m *Memory) Model(ctx context.Context, id tracking.ModelID) (tracking.LoggedModel, error) {
	end, err := m.begin(ctx)
	if err != nil {
		return tracking.LoggedModel{}, err
	}
	defer end()
	model := m.models[id]
	if model == nil {
		return tracking.LoggedModel{}, fail("get logged model", string(id), "there is none", tracking.ErrNotFound)
	}
	return copyModel(model), nil
}

// UpdateModel implements tracking.ModelStore.
func (m *Memory) UpdateModel(ctx context.Context, id tracking.ModelID, u tracking.ModelUpdate) error {
	end, err := m.begin(ctx)
	if err != nil {
		return err
	}
	defer end()
	const operation = "update logged model"
	model := m.models[id]
	if model == nil {
		return fail(operation, string(id), "there is none", tracking.ErrNotFound)
	}
	if model.Deleted && u.Deleted != nil && *u.Deleted && u.Status == "" && u.StatusMessage == "" &&
		len(u.SetTags)+len(u.DeleteTags)+len(u.SetParams) == 0 {
		return nil // deleting again does nothing
	}
	if model.Deleted && (u.Deleted == nil || *u.Deleted) {
		return fail(operation, string(id), notActive, tracking.ErrNotFound)
	}
	params := cloneMap(model.Params)
	for _, key := range slices.Sorted(maps.Keys(u.SetParams)) {
		if old, exists := params[key]; exists && old != u.SetParams[key] {
			cause := fmt.Sprintf("param %q is %q already, params are written once", key, old)
			return fail(operation, string(id), cause, tracking.ErrConflict)
		}
		params[key] = u.SetParams[key]
	}
	tags, err := changeTags(model.Tags, u.SetTags, u.DeleteTags)
	if err != nil {
		return fail(operation, string(id), err.Error(), tracking.ErrNotFound)
	}
	now := m.now()
	model.Params, model.Tags, model.Updated = params, tags, now
	model.Status = cmp.Or(u.Status, model.Status)
	model.StatusMessage = cmp.Or(u.StatusMessage, model.StatusMessage)
	model.Deleted, model.DeletedAt = changeDeleted(u.Deleted, model.Deleted, model.DeletedAt, now)
	return nil
}

// measureModel adds the point of a run to the metrics of the model that it
// measures, if there is such a model.
func (m *Memory) measureModel(run tracking.RunID, p tracking.Metric) {
	if p.Link == nil || m.models[p.Link.Model] == nil {
		return
	}
	model := m.models[p.Link.Model]
	point := tracking.ModelMetric{
		Key: p.Key, Value: p.Value + 0, Step: p.Step, Time: toMS(p.Time), Run: run,
		DatasetName: p.Link.DatasetName, DatasetDigest: p.Link.DatasetDigest,
	}
	at, exists := slices.BinarySearchFunc(model.Metrics, point, compareModelMetric)
	switch {
	case !exists:
		model.Metrics = slices.Insert(model.Metrics, at, point)
	case newerThan(point, model.Metrics[at]):
		model.Metrics[at] = point
	}
}

// compareModelMetric orders by what there is one point of.
func compareModelMetric(a, b tracking.ModelMetric) int {
	return cmp.Or(
		strings.Compare(a.Key, b.Key),
		strings.Compare(a.DatasetName, b.DatasetName),
		strings.Compare(a.DatasetDigest, b.DatasetDigest),
	)
}

// newerThan is Metric.NewerThan; of two equal points the one that came first
// stays.
func newerThan(a, b tracking.ModelMetric) bool {
	plain := func(p tracking.ModelMetric) tracking.Metric {
		return tracking.Metric{Value: p.Value, Step: p.Step, Time: p.Time}
	}
	return plain(a).NewerThan(plain(b))
}

// SearchModels implements tracking.ModelStore.
func (m *Memory) SearchModels(ctx context.Context, q tracking.ModelQuery) ([]tracking.LoggedModel, string, error) {
	end, err := m.begin(ctx)
	if err != nil {
		return nil, "", err
	}
	defer end()
	s, err := parseModelQuery(q)
	if err != nil {
		return nil, "", err
	}
	var found []*tracking.LoggedModel
	for _, model := range m.models {
		if slices.Contains(q.Experiments, model.Experiment) && q.View.Includes(model.Deleted) && s.matchModel(model, q.Datasets) {
			found = append(found, model)
		}
	}
	page, next, err := readPage(found, s.modelPlace, q.Page, 100, queryText("models", q))
	return mapSlice(page, copyModel), next, err
}
