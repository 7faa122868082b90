package mlflow

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"

	"github.com/millwright-ml/millwright/internal/errs"
	"github.com/millwright-ml/millwright/internal/mlflowapi"
	"github.com/millwright-ml/millwright/tracking"
)

const maxPage = 1000 // entries of a page that a Conn asks for, metric points excepted

// CreateExperiment implements tracking.Store. The server chooses the ID and
// the times. As names are unique the request is sent again after a lost
// connection; ErrExists may then mean that the first attempt succeeded.
func (c *Conn) CreateExperiment(ctx context.Context, e tracking.Experiment) (tracking.Experiment, error) {
	var created mlflowapi.CreateExperimentResponse
	err := c.call(ctx, apiPost("create experiment", e.Name, "experiments/create", &mlflowapi.CreateExperiment{
		Name: e.Name, ArtifactLocation: e.ArtifactLocation, Tags: pairsOf(e.Tags),
	}), &created)
	if err != nil {
		return tracking.Experiment{}, err
	}
	return c.experiment(ctx, tracking.ExperimentID(created.ExperimentID))
}

func (c *Conn) experiment(ctx context.Context, id tracking.ExperimentID) (tracking.Experiment, error) {
	var answer mlflowapi.GetExperimentResponse
	query := url.Values{"experiment_id": {string(id)}}
	if err := c.call(ctx, apiGet("get experiment", string(id), "experiments/get", query), &answer); err != nil {
		return tracking.Experiment{}, err
	}
	return remoteExperiment(&answer.Experiment), nil
}

func (c *Conn) experimentByName(ctx context.Context, name string) (tracking.Experiment, error) {
	var answer mlflowapi.GetExperimentResponse
	query := url.Values{"experiment_name": {name}}
	if err := c.call(ctx, apiGet("get experiment by name", name, "experiments/get-by-name", query), &answer); err != nil {
		return tracking.Experiment{}, err
	}
	return remoteExperiment(&answer.Experiment), nil
}

// UpdateExperiment implements tracking.Store, except that each change is a
// request of its own: restore, rename, set tags in the order of their keys,
// delete tags, delete. An error leaves those before it done; the same update
// may be sent again.
func (c *Conn) UpdateExperiment(ctx context.Context, id tracking.ExperimentID, u tracking.ExperimentUpdate) error {
	e, err := c.experiment(ctx, id)
	if err != nil {
		return err
	}
	if e.Deleted && (u.Deleted == nil || *u.Deleted) {
		if u.Deleted != nil && u.Name == "" && len(u.SetTags)+len(u.DeleteTags) == 0 {
			return nil // deleted already
		}
		return fmt.Errorf("mlflow: update experiment %q: it is deleted and must be in the 'active' state: %w", id, errs.ErrInvalid)
	}
	for _, key := range u.DeleteTags { // known before anything changes
		if _, ok := e.Tags[key]; !ok {
			return fmt.Errorf("mlflow: update experiment %q: it has no tag %q: %w", id, shownSubject(key), errs.ErrNotFound)
		}
	}
	if e.Deleted {
		if err := c.call(ctx, apiPost("restore experiment", string(id), "experiments/restore", &mlflowapi.RestoreExperiment{ExperimentID: string(id)}), nil); err != nil {
			return err
		}
	}
	if u.Name != "" && u.Name != e.Name {
		if err := c.call(ctx, apiPost("rename experiment", string(id), "experiments/update", &mlflowapi.UpdateExperiment{ExperimentID: string(id), NewName: u.Name}), nil); err != nil {
			return c.renameError(ctx, id, u.Name, err)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(u.SetTags)) {
		message := &mlflowapi.SetExperimentTag{ExperimentID: string(id), Key: key, Value: u.SetTags[key]}
		if err := c.call(ctx, apiPost("tag experiment", string(id), "experiments/set-experiment-tag", message), nil); err != nil {
			return err
		}
	}
	for _, key := range u.DeleteTags {
		r := apiPost("delete tag of experiment", string(id), "experiments/delete-experiment-tag", &mlflowapi.DeleteExperimentTag{ExperimentID: string(id), Key: key})
		r.goneIsDone = true
		if err := c.call(ctx, r, nil); err != nil {
			return err
		}
	}
	if u.Deleted != nil && *u.Deleted {
		r := apiPost("delete experiment", string(id), "experiments/delete", &mlflowapi.DeleteExperiment{ExperimentID: string(id)})
		r.goneIsDone = true
		return c.call(ctx, r, nil)
	}
	return nil
}

// renameError finds out whether a name is taken, for which upstream has no
// code of its own.
func (c *Conn) renameError(ctx context.Context, id tracking.ExperimentID, name string, err error) error {
	if !errors.Is(err, errs.ErrInvalid) {
		return err
	}
	other, again := c.experimentByName(ctx, name)
	if again == nil && other.ID != id {
		return fmt.Errorf("mlflow: rename experiment %q: experiment %q has the name %q: %w", id, other.ID, shownSubject(name), errs.ErrExists)
	}
	return err
}

// SearchExperiments implements tracking.Store.
func (c *Conn) SearchExperiments(ctx context.Context, q tracking.ExperimentQuery) ([]tracking.Experiment, string, error) {
	query := fmt.Sprintf("experiments %q %q %q %q %q", q.ID, q.Name, q.View, q.Filter, q.OrderBy)
	token, err := openQuery(query, q.Page.Token, q.Filter, q.OrderBy)
	if err != nil {
		return nil, "", fmt.Errorf("mlflow: search experiments: %w", err)
	}
	if q.ID != "" || q.Name != "" {
		page, err := c.exactExperiments(ctx, q)
		return page, "", err
	}
	page, next, err := c.searchExperiments(ctx, q, token)
	return page, sealToken(query, next), err
}

func (c *Conn) searchExperiments(ctx context.Context, q tracking.ExperimentQuery, token string) ([]tracking.Experiment, string, error) {
	var answer mlflowapi.SearchExperimentsResponse
	err := c.call(ctx, apiPost("search experiments", "", "experiments/search", &mlflowapi.SearchExperiments{
		MaxResults: pageSize[int64](q.Page.Max, 100, maxPage), PageToken: token,
		Filter: remoteFilter(q.Filter), OrderBy: q.OrderBy, ViewType: remoteView(q.View),
	}), &answer)
	if err != nil {
		return nil, "", err
	}
	page := make([]tracking.Experiment, len(answer.Experiments))
	for i := range answer.Experiments {
		page[i] = remoteExperiment(&answer.Experiments[i])
	}
	return page, answer.NextPageToken, nil
}

// exactExperiments finds by ID or name, for which the API has routes of their
// own. A filter beside them is left to the server.
func (c *Conn) exactExperiments(ctx context.Context, q tracking.ExperimentQuery) ([]tracking.Experiment, error) {
	fits := func(e *tracking.Experiment) bool {
		return (q.ID == "" || e.ID == q.ID) && (q.Name == "" || e.Name == q.Name) && q.View.Includes(e.Deleted)
	}
	if q.Filter != "" || len(q.OrderBy) > 0 {
		q.Page.Max = maxPage
		var found []tracking.Experiment
		for token := ""; ; {
			page, next, err := c.searchExperiments(ctx, q, token)
			if err != nil {
				return nil, err
			}
			for i := range page {
				if fits(&page[i]) {
					found = append(found, page[i])
				}
			}
			if next == "" || next == token {
				return found, nil
			}
			token = next
		}
	}
	var e tracking.Experiment
	var err error
	if q.ID != "" {
		e, err = c.experiment(ctx, q.ID)
	} else {
		e, err = c.experimentByName(ctx, q.Name)
	}
	if errors.Is(err, errs.ErrNotFound) {
		return nil, nil
	}
	if err != nil || !fits(&e) {
		return nil, err
	}
	return []tracking.Experiment{e}, nil
}

// SearchInputs implements tracking.InputSearcher.
func (c *Conn) SearchInputs(ctx context.Context, experiments []tracking.ExperimentID, limit int) ([]tracking.InputSummary, error) {
	const perRequest = 20 // what upstream takes
	var found []tracking.InputSummary
	for part := range slices.Chunk(experiments, perRequest) {
		message := &mlflowapi.SearchDatasets{}
		for _, id := range part {
			message.ExperimentIDs = append(message.ExperimentIDs, string(id))
		}
		var answer mlflowapi.SearchDatasetsResponse
		r := apiPost("search inputs", "", "", message)
		r.path = "/ajax-api/2.0/mlflow/experiments/search-datasets" // the only place where upstream has it
		if err := c.call(ctx, r, &answer); err != nil {
			return nil, err
		}
		for _, d := range answer.DatasetSummaries {
			if len(found) == limit {
				return found, nil
			}
			found = append(found, tracking.InputSummary{
				Experiment: tracking.ExperimentID(d.ExperimentID), Name: d.Name, Digest: d.Digest, Context: d.Context,
			})
		}
	}
	return found, nil
}
