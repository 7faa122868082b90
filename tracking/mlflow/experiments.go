package mlflow

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/millwright-ml/millwright/internal/mlflowapi"
	"github.com/millwright-ml/millwright/internal/mlflowhttp"
	"github.com/millwright-ml/millwright/tracking"
)

const (
	defaultExperiments = 1000
	maxResults         = 50_000
	maxSummaries       = 1000
	maxSummaryScopes   = 20
)

func (h *Handler) experimentRoutes() []route {
	ofName := func(c *call) ([]tracking.ExperimentID, error) {
		m, err := message[mlflowapi.GetExperimentByName](c)
		if err != nil {
			return nil, err
		}
		e, err := h.experimentByName(c.Ctx(), m.ExperimentName)
		return []tracking.ExperimentID{e.ID}, err
	}
	deleted := byExperiment(func(m *mlflowapi.DeleteExperiment) string { return m.ExperimentID })
	search := rpcStream(h.searchExperiments)
	return []route{
		{method: http.MethodPost, path: "2.0/mlflow/experiments/create", mark: core, verb: Create, scope: wholeServer, serve: rpc(h.createExperiment)},
		{method: http.MethodGet, path: "2.0/mlflow/experiments/get", mark: core, verb: Read,
			scope: byExperiment(func(m *mlflowapi.GetExperiment) string { return m.ExperimentID }), serve: rpc(h.getExperiment)},
		{method: http.MethodGet, path: "2.0/mlflow/experiments/get-by-name", mark: core, verb: Read, scope: ofName, serve: rpc(h.getExperimentByName)},
		{method: http.MethodPost, path: "2.0/mlflow/experiments/search", mark: core, verb: Read, scope: filtered, serve: search},
		{method: http.MethodGet, path: "2.0/mlflow/experiments/search", mark: core, verb: Read, scope: filtered, serve: search},
		{method: http.MethodPost, path: "2.0/mlflow/experiments/delete", mark: common, verb: Delete, scope: deleted, serve: rpc(h.deleteExperiment)},
		{method: http.MethodPost, path: "2.0/mlflow/experiments/restore", mark: common, verb: Delete, scope: deleted, serve: rpc(h.restoreExperiment)},
		{method: http.MethodPost, path: "2.0/mlflow/experiments/update", mark: common, verb: Write,
			scope: byExperiment(func(m *mlflowapi.UpdateExperiment) string { return m.ExperimentID }), serve: rpc(h.renameExperiment)},
		{method: http.MethodPost, path: "2.0/mlflow/experiments/set-experiment-tag", mark: common, verb: Write,
			scope: byExperiment(func(m *mlflowapi.SetExperimentTag) string { return m.ExperimentID }), serve: rpc(h.setExperimentTag)},
		{method: http.MethodPost, path: "2.0/mlflow/experiments/delete-experiment-tag", mark: common, verb: Write,
			scope: byExperiment(func(m *mlflowapi.DeleteExperimentTag) string { return m.ExperimentID }), serve: rpc(h.deleteExperimentTag)},
		{method: http.MethodPost, path: "2.0/mlflow/experiments/search-datasets", mark: common, verb: Read, scope: filtered, serve: rpc(h.searchDatasets)},
	}
}

// experimentID checks the form of an id: it is a number, as a text.
func experimentID(id string) (tracking.ExperimentID, error) {
	n, err := strconv.ParseInt(id, 10, 64)
	if err != nil || n < 0 || strconv.FormatInt(n, 10) != id {
		return "", mlflowapi.Errorf(mlflowapi.CodeInvalid, "Invalid experiment ID '%s'. Experiment ID must be a valid integer.", mlflowhttp.Printable(id))
	}
	return tracking.ExperimentID(id), nil
}

// experimentIDs checks several, without those that are there twice.
func experimentIDs(ids []string) ([]tracking.ExperimentID, error) {
	if len(ids) > maxExperimentIDs {
		return nil, mlflowapi.Errorf(mlflowapi.CodeInvalid, "A request names at most %d experiments, this one %d.", maxExperimentIDs, len(ids))
	}
	out := make([]tracking.ExperimentID, 0, len(ids))
	seen := make(map[string]bool, len(ids))
	for _, text := range ids {
		id, err := experimentID(text)
		if err != nil {
			return nil, err
		}
		if !seen[text] {
			seen[text] = true
			out = append(out, id)
		}
	}
	return out, nil
}

const maxExperimentIDs = 10_000

// experimentByName returns one experiment, also a deleted one.
func (h *Handler) experimentByName(ctx context.Context, name string) (tracking.Experiment, error) {
	page, _, err := h.store.SearchExperiments(ctx, tracking.ExperimentQuery{Name: name, View: tracking.All, Page: tracking.Page{Max: 1}})
	if err != nil {
		return tracking.Experiment{}, err
	}
	if len(page) == 0 {
		return tracking.Experiment{}, mlflowapi.Errorf(mlflowapi.CodeNotFound, "Could not find experiment with name '%s'", mlflowhttp.Printable(name))
	}
	return page[0], nil
}

func (h *Handler) createExperiment(c *call, m *mlflowapi.CreateExperiment) (any, error) {
	e := tracking.Experiment{Name: m.Name, ArtifactLocation: m.ArtifactLocation, Tags: mapOf(m.Tags)}
	if e.ArtifactLocation != "" {
		if err := h.checkLocation(e.ArtifactLocation); err != nil {
			return nil, err
		}
		if err := c.authorizeLocation(e.ArtifactLocation); err != nil {
			return nil, err
		}
		var err error
		if e.ArtifactLocation, err = tracking.CleanLocation(e.ArtifactLocation); err != nil {
			return nil, err
		}
	}
	if err := e.Validate(); err != nil {
		return nil, err
	}
	stored, err := h.store.CreateExperiment(c.Ctx(), e)
	if errors.Is(err, tracking.ErrExists) && h.opts.ReuseDeletedNames {
		stored, err = h.takeName(c.Ctx(), e)
	}
	if errors.Is(err, tracking.ErrExists) {
		return nil, mlflowapi.Errorf(mlflowapi.CodeExists, "Experiment(name=%s) already exists.", e.Name)
	}
	if err != nil {
		return nil, err
	}
	if h.opts.Created != nil {
		if err := h.opts.Created(c.R, stored.ID); err != nil {
			return nil, err
		}
	}
	return &mlflowapi.CreateExperimentResponse{ExperimentID: string(stored.ID)}, nil
}

// authorizeLocation asks for the right to write where the experiment's
// artifacts are to be: else an experiment over another one's folder would open
// that to its maker.
func (c *call) authorizeLocation(location string) error {
	owners := []tracking.ExperimentID{""}
	if key, ok := strings.CutPrefix(location, proxyScheme+":"); ok {
		owners = ownerOfKey(strings.TrimLeft(key, "/"))
	}
	for _, id := range owners {
		if err := c.authorize(Write, id); err != nil {
			return mlflowhttp.Refused(err)
		}
	}
	return nil
}

// takeName gives the name of a deleted experiment to a new one. The deleted
// one is restored for a moment, since a deleted one cannot be renamed.
func (h *Handler) takeName(ctx context.Context, e tracking.Experiment) (tracking.Experiment, error) {
	old, err := h.experimentByName(ctx, e.Name)
	if err != nil {
		return e, err
	}
	if !old.Deleted {
		return e, fmt.Errorf("mlflow: experiment %q: %w", e.Name, tracking.ErrExists)
	}
	const stamp = 40 // bytes left for what makes the old name unique
	name := []rune(old.Name)
	free := fmt.Sprintf("%s (deleted %s, %s)", string(name[:min(len(name), 500-stamp-len(old.ID))]), old.DeletedAt.Format(time.DateTime), old.ID)
	if err := h.store.UpdateExperiment(ctx, old.ID, tracking.ExperimentUpdate{Name: free, Deleted: new(false)}); err != nil {
		return e, err
	}
	if err := h.store.UpdateExperiment(ctx, old.ID, tracking.ExperimentUpdate{Deleted: new(true)}); err != nil {
		return e, err
	}
	return h.store.CreateExperiment(ctx, e)
}

func (h *Handler) getExperiment(c *call, m *mlflowapi.GetExperiment) (any, error) {
	id, err := experimentID(m.ExperimentID)
	if err != nil {
		return nil, err
	}
	e, err := h.experiment(c.Ctx(), id)
	if err != nil {
		return nil, err
	}
	return &mlflowapi.GetExperimentResponse{Experiment: wireExperiment(&e)}, nil
}

func (h *Handler) getExperimentByName(c *call, m *mlflowapi.GetExperimentByName) (any, error) {
	e, err := h.experimentByName(c.Ctx(), m.ExperimentName)
	if err != nil {
		return nil, err
	}
	return &mlflowapi.GetExperimentResponse{Experiment: wireExperiment(&e)}, nil
}

// pageMax checks max_results, nil for the default.
func pageMax[N int32 | int64](n *N, byDefault, limit int) (int, error) {
	if n == nil {
		return byDefault, nil
	}
	if *n < 1 || int64(*n) > int64(limit) {
		return 0, mlflowapi.Errorf(mlflowapi.CodeInvalid, "Invalid value %d for parameter 'max_results' supplied. It must be a positive integer of at most %d.", *n, limit)
	}
	return int(*n), nil
}

func (h *Handler) searchExperiments(c *call, m *mlflowapi.SearchExperiments) error {
	limit, err := pageMax(m.MaxResults, defaultExperiments, maxResults)
	if err != nil {
		return err
	}
	q := tracking.ExperimentQuery{View: viewOf(m.ViewType), Filter: m.Filter, OrderBy: m.OrderBy}
	return mlflowhttp.Pages(mlflowhttp.NewStream(&c.Call, "experiments"), limit, m.PageToken, func(s *mlflowhttp.Stream, limit int, token string) (int, string, error) {
		q.Page = tracking.Page{Max: limit, Token: token}
		page, next, err := h.store.SearchExperiments(c.Ctx(), q)
		if err != nil {
			return 0, "", err
		}
		shown := 0
		for i := range page {
			ok, err := c.mayRead(page[i].ID)
			if err != nil {
				return 0, "", err
			}
			if ok {
				e := wireExperiment(&page[i])
				s.Add(&e)
				shown++
			}
		}
		return shown, next, nil
	})
}

// changeExperiment applies an update.
func (h *Handler) changeExperiment(c *call, id string, u tracking.ExperimentUpdate) (any, error) {
	exp, err := experimentID(id)
	if err != nil {
		return nil, err
	}
	if err := u.Validate(); err != nil {
		return nil, err
	}
	return nil, h.store.UpdateExperiment(c.Ctx(), exp, u)
}

func noExperiment(id string) error {
	return mlflowapi.Errorf(mlflowapi.CodeNotFound, "No Experiment with id=%s exists", mlflowhttp.Printable(id))
}

func (h *Handler) deleteExperiment(c *call, m *mlflowapi.DeleteExperiment) (any, error) {
	answer, err := h.changeExperiment(c, m.ExperimentID, tracking.ExperimentUpdate{Deleted: new(true)})
	if errors.Is(err, tracking.ErrNotFound) {
		err = noExperiment(m.ExperimentID)
	}
	return answer, err
}

func (h *Handler) restoreExperiment(c *call, m *mlflowapi.RestoreExperiment) (any, error) {
	answer, err := h.changeExperiment(c, m.ExperimentID, tracking.ExperimentUpdate{Deleted: new(false)})
	if errors.Is(err, tracking.ErrNotFound) {
		err = noExperiment(m.ExperimentID)
	}
	return answer, err
}

func (h *Handler) renameExperiment(c *call, m *mlflowapi.UpdateExperiment) (any, error) {
	answer, err := h.changeExperiment(c, m.ExperimentID, tracking.ExperimentUpdate{Name: m.NewName})
	switch {
	case errors.Is(err, tracking.ErrNotFound):
		err = noExperiment(m.ExperimentID)
	case errors.Is(err, tracking.ErrExists):
		err = mlflowapi.Errorf(mlflowapi.CodeExists, "Experiment(name=%s) already exists.", m.NewName)
	}
	return answer, err
}

func (h *Handler) setExperimentTag(c *call, m *mlflowapi.SetExperimentTag) (any, error) {
	answer, err := h.changeExperiment(c, m.ExperimentID, tracking.ExperimentUpdate{SetTags: map[string]string{m.Key: m.Value}})
	if errors.Is(err, tracking.ErrNotFound) {
		err = noExperiment(m.ExperimentID)
	}
	return answer, err
}

func (h *Handler) deleteExperimentTag(c *call, m *mlflowapi.DeleteExperimentTag) (any, error) {
	answer, err := h.changeExperiment(c, m.ExperimentID, tracking.ExperimentUpdate{DeleteTags: []string{m.Key}})
	if errors.Is(err, tracking.ErrNotFound) {
		if _, err := h.getExperiment(c, &mlflowapi.GetExperiment{ExperimentID: m.ExperimentID}); err != nil {
			return nil, err
		}
		err = mlflowapi.Errorf(mlflowapi.CodeNotFound, "No tag with name: %s in experiment with id %s", mlflowhttp.Printable(m.Key), m.ExperimentID)
		return nil, err
	}
	return answer, err
}

func (h *Handler) searchDatasets(c *call, m *mlflowapi.SearchDatasets) (any, error) {
	switch n := len(m.ExperimentIDs); {
	case n == 0:
		return nil, mlflowapi.Errorf(mlflowapi.CodeInvalid, "SearchDatasets request must specify at least one experiment_id.")
	case n > maxSummaryScopes:
		return nil, mlflowapi.Errorf(mlflowapi.CodeInvalid, "SearchDatasets request cannot specify more than %d experiment_ids. Received %d experiment_ids.", maxSummaryScopes, n)
	case h.inputs == nil:
		return nil, unsupported("dataset summaries")
	}
	ids, err := experimentIDs(m.ExperimentIDs)
	if err != nil {
		return nil, err
	}
	if ids, err = c.readable(ids); err != nil || len(ids) == 0 {
		return nil, err
	}
	found, err := h.inputs.SearchInputs(c.Ctx(), ids, maxSummaries)
	if err != nil {
		return nil, err
	}
	out := &mlflowapi.SearchDatasetsResponse{}
	for _, s := range found {
		out.DatasetSummaries = append(out.DatasetSummaries, mlflowapi.DatasetSummary{
			ExperimentID: string(s.Experiment), Name: s.Name, Digest: s.Digest, Context: s.Context,
		})
	}
	return out, nil
}
