package mlflow

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/millwright-ml/millwright/internal/mlflowapi"
	"github.com/millwright-ml/millwright/internal/mlflowhttp"
	"github.com/millwright-ml/millwright/tracking"
)

// defaultExperiment is where clients log by default.
const defaultExperiment tracking.ExperimentID = "0"

// public is the verb of the routes that anyone may call.
const public Verb = "public"

// wholeServer is the scope of a route that concerns no experiment.
func wholeServer(*call) ([]tracking.ExperimentID, error) {
	return []tracking.ExperimentID{""}, nil
}

// filtered is the scope of a route that itself leaves out of its answer what
// the caller may not read, by call.readable or call.mayRead.
func filtered(*call) ([]tracking.ExperimentID, error) { return nil, nil }

// byExperiment is the scope of a route whose message names an experiment.
func byExperiment[M any](id func(*M) string) scope {
	return func(c *call) ([]tracking.ExperimentID, error) {
		m, err := message[M](c)
		if err != nil {
			return nil, err
		}
		return []tracking.ExperimentID{tracking.ExperimentID(id(m))}, nil
	}
}

// byRun is the scope of a route whose message names a run.
func byRun[M any](id func(*M) string) scope {
	return byRunAndModels(id, nil)
}

// byRunAndModels is the scope of a route whose message names a run and logged
// models, which may be of another experiment. Models that do not exist are
// nobody's.
func byRunAndModels[M any](run func(*M) string, models func(*M) []string) scope {
	return func(c *call) ([]tracking.ExperimentID, error) {
		m, err := message[M](c)
		if err != nil {
			return nil, err
		}
		exp, err := c.h.experimentOfRun(c.Ctx(), tracking.RunID(run(m)))
		if err != nil {
			return nil, err
		}
		targets := []tracking.ExperimentID{exp}
		if models == nil {
			return targets, nil
		}
		for _, id := range models(m) {
			exp, err := c.h.experimentOfModel(c.Ctx(), tracking.ModelID(id))
			if errors.Is(err, tracking.ErrNotFound) || errors.Is(err, tracking.ErrUnsupported) {
				continue
			}
			if err != nil {
				return nil, err
			}
			targets = append(targets, exp)
		}
		return targets, nil
	}
}

// byModelPath is the scope of a route whose path names a logged model.
func byModelPath(c *call) ([]tracking.ExperimentID, error) {
	exp, err := c.h.experimentOfModel(c.Ctx(), tracking.ModelID(c.Path("model_id")))
	return []tracking.ExperimentID{exp}, err
}

// experiment returns one experiment, also a deleted one.
func (h *Handler) experiment(ctx context.Context, id tracking.ExperimentID) (tracking.Experiment, error) {
	page, _, err := h.store.SearchExperiments(ctx, tracking.ExperimentQuery{ID: id, View: tracking.All, Page: tracking.Page{Max: 1}})
	if err != nil {
		return tracking.Experiment{}, err
	}
	if id == "" || len(page) == 0 {
		return tracking.Experiment{}, noExperiment(string(id))
	}
	return page[0], nil
}

// run returns one run, also a deleted one.
func (h *Handler) run(ctx context.Context, id tracking.RunID) (tracking.RunInfo, error) {
	if err := tracking.ValidateRunID(id); err != nil {
		return tracking.RunInfo{}, mlflowapi.InvalidValue("run_id", string(mlflowapi.AppendText(nil, string(id))), "")
	}
	run, err := h.store.Run(ctx, id)
	if errors.Is(err, tracking.ErrNotFound) {
		return run, noRun(id)
	}
	return run, err
}

func noRun(id tracking.RunID) error {
	return mlflowapi.Errorf(mlflowapi.CodeNotFound, "Run with id=%s not found", id)
}

// model returns one logged model, a deleted one only when that is asked for.
func (h *Handler) model(ctx context.Context, id tracking.ModelID, deleted bool) (tracking.LoggedModel, error) {
	if h.models == nil {
		return tracking.LoggedModel{}, unsupported("logged models")
	}
	m, err := h.models.Model(ctx, id)
	if errors.Is(err, tracking.ErrNotFound) || err == nil && m.Deleted && !deleted {
		return tracking.LoggedModel{}, noModel(id)
	}
	return m, err
}

func noModel(id tracking.ModelID) error {
	return mlflowapi.Errorf(mlflowapi.CodeNotFound, "Logged model with ID '%s' not found.", mlflowhttp.Printable(string(id)))
}

// unsupported is the error of routes that the store has nothing for.
func unsupported(what string) error {
	return fmt.Errorf("mlflow: the store of this server keeps no %s: %w", what, tracking.ErrUnsupported)
}

// experimentOfRun returns the experiment of a run. It is remembered, since it
// never changes and is asked for with every point that is logged.
func (h *Handler) experimentOfRun(ctx context.Context, id tracking.RunID) (tracking.ExperimentID, error) {
	if exp, ok := h.scopes.get("r" + string(id)); ok {
		return exp, nil
	}
	run, err := h.run(ctx, id)
	if err != nil {
		return "", err
	}
	h.scopes.put("r"+string(id), run.Experiment)
	return run.Experiment, nil
}

// experimentOfModel returns the experiment of a logged model.
func (h *Handler) experimentOfModel(ctx context.Context, id tracking.ModelID) (tracking.ExperimentID, error) {
	if exp, ok := h.scopes.get("m" + string(id)); ok {
		return exp, nil
	}
	m, err := h.model(ctx, id, true)
	if err != nil {
		return "", err
	}
	h.scopes.put("m"+string(id), m.Experiment)
	return m.Experiment, nil
}

// scopeCache remembers the experiments of runs and models for a while: an id
// that was purged and given again must not keep its old rights for long.
type scopeCache struct {
	mu      sync.Mutex
	entries map[string]scopeEntry
}

type scopeEntry struct {
	experiment tracking.ExperimentID
	until      time.Time
}

const (
	maxScopes = 4096
	scopeTime = time.Minute
)

func (c *scopeCache) get(key string) (tracking.ExperimentID, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.entries[key]
	return e.experiment, ok && time.Now().Before(e.until)
}

func (c *scopeCache) put(key string, exp tracking.ExperimentID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.entries == nil || len(c.entries) >= maxScopes {
		c.entries = make(map[string]scopeEntry)
	}
	c.entries[key] = scopeEntry{exp, time.Now().Add(scopeTime)}
}

// byRuns is the scope of a route whose message names several runs. Their
// number is checked before they are looked up.
func byRuns[M any](ids func(*M) []string) scope {
	return func(c *call) ([]tracking.ExperimentID, error) {
		m, err := message[M](c)
		if err != nil {
			return nil, err
		}
		return c.h.experimentsOfRuns(c, ids(m))
	}
}

// experimentsOfRuns returns the experiments of those runs that exist; the
// others have nothing to show.
func (h *Handler) experimentsOfRuns(c *call, ids []string) ([]tracking.ExperimentID, error) {
	if len(ids) > maxBulkRuns {
		ids = ids[:maxBulkRuns] // the route refuses the request
	}
	var targets []tracking.ExperimentID
	for _, id := range ids {
		exp, err := h.experimentOfRun(c.Ctx(), tracking.RunID(id))
		if errors.Is(err, tracking.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		targets = append(targets, exp)
	}
	return targets, nil
}
