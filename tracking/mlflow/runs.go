package mlflow

import (
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/millwright-ml/millwright/internal/mlflowapi"
	"github.com/millwright-ml/millwright/internal/mlflowhttp"
	"github.com/millwright-ml/millwright/tracking"
)

const defaultRuns = 1000

func (h *Handler) runRoutes() []route {
	deleted := byRun(func(m *mlflowapi.DeleteRun) string { return m.RunID })
	post := func(path string, k mark, verb Verb, in scope, serve func(*call) error) route {
		return route{method: http.MethodPost, path: "2.0/mlflow/runs/" + path, mark: k, verb: verb, scope: in, serve: serve}
	}
	inputs := post("log-inputs", core, Write, byRunAndModels(
		func(m *mlflowapi.LogInputs) string { return m.RunID },
		func(m *mlflowapi.LogInputs) (ids []string) {
			for _, in := range m.Models {
				ids = append(ids, in.ModelID)
			}
			return ids
		}), rpc(h.logInputs))
	inputs.maxBody = 64 << 20 // profiles of datasets are large
	return []route{
		post("create", core, Write, byExperiment(func(m *mlflowapi.CreateRun) string { return m.ExperimentID }), rpc(h.createRun)),
		post("update", core, Write, byRun(func(m *mlflowapi.UpdateRun) string { return m.RunID }), rpc(h.updateRun)),
		post("delete", common, Delete, deleted, rpc(h.deleteRun)),
		post("restore", common, Delete, deleted, rpc(h.restoreRun)),
		post("log-parameter", core, Write, byRun(func(m *mlflowapi.LogParam) string { return m.RunID }), rpc(h.logParam)),
		post("set-tag", core, Write, byRun(func(m *mlflowapi.SetTag) string { return m.RunID }), rpc(h.setTag)),
		post("delete-tag", common, Write, byRun(func(m *mlflowapi.DeleteTag) string { return m.RunID }), rpc(h.deleteTag)),
		inputs,
		post("outputs", core, Write, byRunAndModels(
			func(m *mlflowapi.LogOutputs) string { return m.RunID },
			func(m *mlflowapi.LogOutputs) (ids []string) {
				for _, out := range m.Models {
					ids = append(ids, out.ModelID)
				}
				return ids
			}), rpc(h.logOutputs)),
		post("log-model", niche, Write, byRun(func(m *mlflowapi.LogModel) string { return m.RunID }), rpc(h.logModel)),
		post("search", core, Read, filtered, rpcStream(h.searchRuns)),
		{method: http.MethodGet, path: "2.0/mlflow/runs/get", mark: core, verb: Read,
			scope: byRun(func(m *mlflowapi.GetRun) string { return m.RunID }), serve: rpc(h.getRun)},
	}
}

// splitName takes the tag that stands for a run's name out of tags.
func splitName(pairs []mlflowapi.RunTag) (tags map[string]string, name string) {
	tags = mapOf(pairs)
	name = tags[tagRunName]
	delete(tags, tagRunName)
	for key, value := range tags {
		tags[key] = cut(value, maxTagValue)
	}
	return tags, name
}

func (h *Handler) createRun(c *call, m *mlflowapi.CreateRun) (any, error) {
	exp, err := experimentID(m.ExperimentID)
	if err != nil {
		return nil, err
	}
	tags, name := splitName(m.Tags)
	if m.RunName != "" && name != "" && name != m.RunName {
		return nil, mlflowapi.Errorf(mlflowapi.CodeInvalid,
			"Both 'run_name' argument and 'mlflow.runName' tag are specified, but with different values (run_name='%s', mlflow.runName='%s').",
			mlflowhttp.Printable(m.RunName), mlflowhttp.Printable(name))
	}
	run := tracking.RunInfo{
		ID: tracking.NewRunID(), Experiment: exp, Name: m.RunName, User: m.UserID,
		Status: tracking.Running, Start: time.Now().UTC().Truncate(time.Millisecond), Tags: tags,
	}
	if run.Name == "" {
		run.Name = name
	}
	if run.Name == "" {
		run.Name = tracking.RandomName()
	}
	if m.StartTime != nil && *m.StartTime != 0 {
		if run.Start, err = timeOf("start_time", *m.StartTime); err != nil {
			return nil, err
		}
	}
	if err := run.Validate(); err != nil {
		return nil, err
	}
	stored, err := h.store.CreateRun(c.Ctx(), run)
	if errors.Is(err, tracking.ErrNotFound) {
		return nil, noExperiment(string(exp))
	}
	if err != nil {
		return nil, err
	}
	return &mlflowapi.CreateRunResponse{Run: wireRun(&stored)}, nil
}

// maxMillis keeps times well inside what every engine holds exactly.
const maxMillis = 1 << 53

// timeOf checks a time of a request, in milliseconds.
func timeOf(field string, ms int64) (time.Time, error) {
	if ms < 0 || ms > maxMillis {
		return time.Time{}, mlflowapi.InvalidValue(field, fmt.Sprint(ms), "It must be a nonnegative number of milliseconds.")
	}
	return fromMillis(ms), nil
}

// runErr is what the client is told when an operation on a run failed.
func runErr(id tracking.RunID, err error) error {
	if errors.Is(err, tracking.ErrNotFound) {
		return noRun(id)
	}
	return err
}

// runID checks the form of a run id.
func runID(id string) (tracking.RunID, error) {
	if tracking.ValidateRunID(tracking.RunID(id)) != nil {
		return "", mlflowapi.InvalidValue("run_id", string(mlflowapi.AppendText(nil, id)), "")
	}
	return tracking.RunID(id), nil
}

func (h *Handler) changeRun(c *call, text string, u tracking.RunUpdate) (tracking.RunID, error) {
	id, err := runID(text)
	if err != nil {
		return id, err
	}
	if err := u.Validate(); err != nil {
		return id, err
	}
	return id, h.store.UpdateRun(c.Ctx(), id, u)
}

func (h *Handler) updateRun(c *call, m *mlflowapi.UpdateRun) (any, error) {
	u := tracking.RunUpdate{Status: tracking.Status(m.Status)}
	if m.RunName != nil {
		u.Name = *m.RunName
	}
	if m.EndTime != nil {
		var err error
		if u.End, err = timeOf("end_time", *m.EndTime); err != nil {
			return nil, err
		}
	}
	id, err := h.changeRun(c, m.RunID, u)
	if err != nil {
		return nil, runErr(id, err)
	}
	run, err := h.run(c.Ctx(), id)
	if err != nil {
		return nil, err
	}
	return &mlflowapi.UpdateRunResponse{RunInfo: wireInfo(&run)}, nil
}

func (h *Handler) deleteRun(c *call, m *mlflowapi.DeleteRun) (any, error) {
	id, err := h.changeRun(c, m.RunID, tracking.RunUpdate{Deleted: new(true)})
	return nil, runErr(id, err)
}

func (h *Handler) restoreRun(c *call, m *mlflowapi.RestoreRun) (any, error) {
	id, err := h.changeRun(c, m.RunID, tracking.RunUpdate{Deleted: new(false)})
	return nil, runErr(id, err)
}

func (h *Handler) getRun(c *call, m *mlflowapi.GetRun) (any, error) {
	run, err := h.run(c.Ctx(), tracking.RunID(m.RunID))
	if err != nil {
		return nil, err
	}
	return &mlflowapi.GetRunResponse{Run: wireRun(&run)}, nil
}

func (h *Handler) deleteTag(c *call, m *mlflowapi.DeleteTag) (any, error) {
	if m.Key == tagRunName {
		return nil, mlflowapi.Errorf(mlflowapi.CodeInvalid, "The tag mlflow.runName is the name of the run: it can be changed but not deleted.")
	}
	id, err := h.changeRun(c, m.RunID, tracking.RunUpdate{DeleteTags: []string{m.Key}})
	if errors.Is(err, tracking.ErrNotFound) {
		if _, err := h.run(c.Ctx(), id); err != nil {
			return nil, err
		}
		return nil, mlflowapi.Errorf(mlflowapi.CodeNotFound, "No tag with name: %s in run with id %s", mlflowhttp.Printable(m.Key), id)
	}
	return nil, err
}

func (h *Handler) searchRuns(c *call, m *mlflowapi.SearchRuns) error {
	limit, err := pageMax(m.MaxResults, defaultRuns, maxResults)
	if err != nil {
		return err
	}
	ids, err := experimentIDs(m.ExperimentIDs)
	if err != nil {
		return err
	}
	if ids, err = c.readable(ids); err != nil {
		return err
	}
	q := tracking.RunQuery{Experiments: ids, View: viewOf(m.RunViewType), Filter: m.Filter, OrderBy: m.OrderBy}
	if len(ids) == 0 {
		return c.Send(http.StatusOK, []byte("{}"))
	}
	return mlflowhttp.Pages(mlflowhttp.NewStream(&c.Call, "runs"), limit, m.PageToken, func(s *mlflowhttp.Stream, limit int, token string) (int, string, error) {
		q.Page = tracking.Page{Max: limit, Token: token}
		page, next, err := h.store.SearchRuns(c.Ctx(), q)
		if err != nil {
			return 0, "", err
		}
		for i := range page {
			addRun(s, &page[i])
		}
		return len(page), next, nil
	})
}

// addRun appends one run.
func addRun(s *mlflowhttp.Stream, r *tracking.RunInfo) {
	run := wireRun(r)
	s.Add(&run)
}
