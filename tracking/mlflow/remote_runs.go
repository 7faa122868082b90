package mlflow

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/millwright-ml/millwright/internal/errs"
	"github.com/millwright-ml/millwright/internal/mlflowapi"
	"github.com/millwright-ml/millwright/internal/mlflowclient"
	"github.com/millwright-ml/millwright/tracking"
)

// CreateRun implements tracking.Store, except that the server chooses the ID
// and the ArtifactURI. The wire creates runs that are running: another status
// and an end follow in a second request, and an error of that one leaves the
// run created.
//
// After an error of kind ErrUnavailable that says so the run may exist. The
// request is sent again only when the server surely refused it, as a second
// run would come of it.
func (c *Conn) CreateRun(ctx context.Context, r tracking.RunInfo) (tracking.RunInfo, error) {
	message := &mlflowapi.CreateRun{
		ExperimentID: string(r.Experiment), UserID: r.User, RunName: r.Name, Tags: pairsOf(r.Tags),
	}
	if !r.Start.IsZero() {
		start := r.Start.UnixMilli()
		message.StartTime = &start
	}
	call := apiPost("create run in experiment", string(r.Experiment), "runs/create", message)
	call.rule = resendRefused
	var answer mlflowapi.CreateRunResponse
	if err := c.call(ctx, call, &answer); err != nil {
		return tracking.RunInfo{}, err
	}
	created := remoteRun(&answer.Run)
	u := tracking.RunUpdate{End: r.End}
	if r.Status != created.Status {
		u.Status = r.Status
	}
	if u.Status == "" && u.End.IsZero() {
		return created, nil
	}
	if err := c.updateRun(ctx, created.ID, u); err != nil {
		return created, err
	}
	if u.Status != "" {
		created.Status = u.Status
	}
	if !u.End.IsZero() {
		created.End = time.UnixMilli(u.End.UnixMilli()).UTC()
	}
	return created, nil
}

// Run implements tracking.Store.
func (c *Conn) Run(ctx context.Context, id tracking.RunID) (tracking.RunInfo, error) {
	var answer mlflowapi.GetRunResponse
	if err := c.call(ctx, apiGet("get run", string(id), "runs/get", url.Values{"run_id": {string(id)}}), &answer); err != nil {
		return tracking.RunInfo{}, err
	}
	return remoteRun(&answer.Run), nil
}

// UpdateRun implements tracking.Store, except that each kind of change is a
// request of its own: restore, then name, status and end together, then the
// deletion of tags, then delete. An error leaves those before it done; the
// same update may be sent again.
func (c *Conn) UpdateRun(ctx context.Context, id tracking.RunID, u tracking.RunUpdate) error {
	changes := u.Name != "" || u.Status != "" || !u.End.IsZero()
	if len(u.DeleteTags) > 0 || u.Deleted != nil || !changes {
		if done, err := c.checkUpdate(ctx, id, u, changes); done || err != nil {
			return err
		}
	}
	if u.Deleted != nil && !*u.Deleted {
		if err := c.call(ctx, apiPost("restore run", string(id), "runs/restore", &mlflowapi.RestoreRun{RunID: string(id)}), nil); err != nil {
			return err
		}
	}
	if changes {
		if err := c.updateRun(ctx, id, u); err != nil {
			return err
		}
	}
	for _, key := range u.DeleteTags {
		r := apiPost("delete tag of run", string(id), "runs/delete-tag", &mlflowapi.DeleteTag{RunID: string(id), Key: key})
		r.goneIsDone = true
		if err := c.call(ctx, r, nil); err != nil {
			return err
		}
	}
	if u.Deleted != nil && *u.Deleted {
		return c.call(ctx, apiPost("delete run", string(id), "runs/delete", &mlflowapi.DeleteRun{RunID: string(id)}), nil)
	}
	return nil
}

// checkUpdate finds out before anything changes what of u would fail; done
// tells that nothing is left to do.
func (c *Conn) checkUpdate(ctx context.Context, id tracking.RunID, u tracking.RunUpdate, changes bool) (done bool, err error) {
	info, err := c.Run(ctx, id)
	if err != nil {
		return false, err
	}
	if info.Deleted && (u.Deleted == nil || *u.Deleted) {
		if changes || len(u.DeleteTags) > 0 || u.Deleted == nil {
			return false, fmt.Errorf("mlflow: update run %q: it is deleted and must be in the 'active' state: %w", id, errs.ErrInvalid)
		}
		return true, nil
	}
	for _, key := range u.DeleteTags {
		if _, ok := info.Tags[key]; !ok {
			return false, fmt.Errorf("mlflow: update run %q: it has no tag %q: %w", id, shownSubject(key), errs.ErrNotFound)
		}
	}
	return !changes && len(u.DeleteTags) == 0 && (u.Deleted == nil || *u.Deleted == info.Deleted), nil
}

// updateRun sets name, status and end.
func (c *Conn) updateRun(ctx context.Context, id tracking.RunID, u tracking.RunUpdate) error {
	message := &mlflowapi.UpdateRun{RunID: string(id), Status: mlflowapi.RunStatus(u.Status)}
	if u.Name != "" {
		message.RunName = &u.Name
	}
	if !u.End.IsZero() {
		end := u.End.UnixMilli()
		message.EndTime = &end
	}
	return c.call(ctx, apiPost("update run", string(id), "runs/update", message), nil)
}

// LogBatch implements tracking.Store. Metrics, params and tags go in one
// request, which our server stores all or nothing; inputs follow in a second
// and outputs in a third, so that an error of a later one leaves the earlier
// stored. Sending the batch again is harmless and completes it.
func (c *Conn) LogBatch(ctx context.Context, id tracking.RunID, b tracking.Batch) error {
	inputs, outputs := len(b.Inputs)+len(b.ModelInputs) > 0, len(b.Outputs) > 0
	if len(b.Metrics)+len(b.Params)+len(b.Tags) > 0 || !inputs && !outputs {
		if err := c.logBatch(ctx, id, b); err != nil {
			return err
		}
	}
	if inputs {
		message := &mlflowapi.LogInputs{RunID: string(id)}
		for i := range b.Inputs {
			message.Datasets = append(message.Datasets, wireInput(&b.Inputs[i]))
		}
		for _, m := range b.ModelInputs {
			message.Models = append(message.Models, mlflowapi.ModelInput{ModelID: string(m)})
		}
		if err := c.call(ctx, apiPost("log inputs of run", string(id), "runs/log-inputs", message), nil); err != nil {
			return err
		}
	}
	if outputs {
		message := &mlflowapi.LogOutputs{RunID: string(id)}
		for _, m := range b.Outputs {
			message.Models = append(message.Models, mlflowapi.ModelOutput{ModelID: string(m.Model), Step: m.Step})
		}
		return c.call(ctx, apiPost("log outputs of run", string(id), "runs/outputs", message), nil)
	}
	return nil
}

func (c *Conn) logBatch(ctx context.Context, id tracking.RunID, b tracking.Batch) error {
	message := &mlflowapi.LogBatch{RunID: string(id), Params: pairsOf(b.Params), Tags: pairsOf(b.Tags)}
	message.Metrics = make([]mlflowapi.Metric, len(b.Metrics))
	linked := false
	for i := range b.Metrics {
		message.Metrics[i] = toRemoteMetric(&b.Metrics[i])
		linked = linked || b.Metrics[i].Link != nil
	}
	r := apiPost("log batch to run", string(id), "runs/log-batch", message)
	r.passing = lostRace
	err := c.call(ctx, r, nil)
	var answer *mlflowclient.Answer
	if err == nil || !errors.As(err, &answer) || !errors.Is(err, errs.ErrInvalid) && !errors.Is(err, errs.ErrConflict) {
		return err
	}
	switch {
	case linked && linkRefused(answer):
		return c.logLinked(ctx, message)
	case len(b.Params) > 0 && strings.Contains(answer.Message, "Changing param values is not allowed"):
		if conflict := c.paramConflict(ctx, id, b.Params); conflict != nil {
			return conflict
		}
	}
	return err
}

// lostRace reports upstream's answer to one of two clients that write the same
// param or tag at the same time.
func lostRace(answer *mlflowclient.Answer) bool {
	return takenTwice(answer.Message) && !linkRefused(answer)
}

// takenTwice recognises what SQLite, PostgreSQL and MySQL say of a key that is
// there already.
func takenTwice(text string) bool {
	return strings.Contains(text, "UNIQUE constraint failed") || strings.Contains(text, "duplicate key value") || strings.Contains(text, "Duplicate entry")
}

// linkRefused reports upstream's answer to a point of a logged model that it
// has already, or of one that does not exist; both ought to be ignored.
func linkRefused(answer *mlflowclient.Answer) bool {
	return strings.Contains(answer.Message, "logged_model_metrics") &&
		(takenTwice(answer.Message) || strings.Contains(strings.ToLower(answer.Message), "foreign key constraint"))
}

// logLinked stores a batch that upstream refused for a known point of a logged
// model: first all of it without the links, then link by link.
func (c *Conn) logLinked(ctx context.Context, message *mlflowapi.LogBatch) error {
	var links []mlflowapi.Metric
	for i, m := range message.Metrics {
		if m.ModelID != "" {
			links = append(links, m)
			message.Metrics[i].ModelID, message.Metrics[i].DatasetName, message.Metrics[i].DatasetDigest = "", "", ""
		}
	}
	r := apiPost("log batch to run", message.RunID, "runs/log-batch", message)
	if err := c.call(ctx, r, nil); err != nil {
		return err
	}
	for _, m := range links {
		r.message = &mlflowapi.LogBatch{RunID: message.RunID, Metrics: []mlflowapi.Metric{m}}
		err := c.call(ctx, r, nil)
		var answer *mlflowclient.Answer
		if err != nil && !(errors.As(err, &answer) && linkRefused(answer)) {
			return err
		}
	}
	return nil
}

// paramConflict finds which param the server refused to change. The texts of
// servers name it in several ways, the run itself in one.
func (c *Conn) paramConflict(ctx context.Context, id tracking.RunID, params map[string]string) error {
	info, err := c.Run(ctx, id)
	if err != nil {
		return nil // the server's own answer has to do
	}
	for _, kv := range pairsOf(params) {
		if old, ok := info.Params[kv.Key]; ok && old != kv.Value {
			return &tracking.ParamConflictError{Run: id, Key: kv.Key, Old: old, New: kv.Value}
		}
	}
	return nil
}

// SearchRuns implements tracking.Store. A page that is too large for
// DialOptions.MaxResponse is asked for again with fewer runs.
func (c *Conn) SearchRuns(ctx context.Context, q tracking.RunQuery) ([]tracking.RunInfo, string, error) {
	query := fmt.Sprintf("runs %q %q %q %q", q.Experiments, q.View, q.Filter, q.OrderBy)
	token, err := openQuery(query, q.Page.Token, q.Filter, q.OrderBy)
	if err != nil {
		return nil, "", fmt.Errorf("mlflow: search runs: %w", err)
	}
	if len(q.Experiments) == 0 {
		return nil, "", fmt.Errorf("mlflow: search runs: no experiments are named: %w", errs.ErrInvalid)
	}
	message := &mlflowapi.SearchRuns{
		Filter: remoteFilter(q.Filter), RunViewType: remoteView(q.View), MaxResults: pageSize[int32](q.Page.Max, 100, maxPage),
		OrderBy: q.OrderBy, PageToken: token,
	}
	for _, id := range q.Experiments {
		message.ExperimentIDs = append(message.ExperimentIDs, string(id))
	}
	for {
		var answer mlflowapi.SearchRunsResponse
		err := c.call(ctx, apiPost("search runs", "", "runs/search", message), &answer)
		if errors.Is(err, errTooLarge) && *message.MaxResults > 1 {
			*message.MaxResults /= 4
			*message.MaxResults = max(*message.MaxResults, 1)
			continue
		}
		if err != nil {
			return nil, "", err
		}
		page := make([]tracking.RunInfo, len(answer.Runs))
		for i := range answer.Runs {
			page[i] = remoteRun(&answer.Runs[i])
			for j := range page[i].Inputs {
				page[i].Inputs[j].Schema, page[i].Inputs[j].Profile = "", ""
			}
		}
		return page, sealToken(query, answer.NextPageToken), nil
	}
}
