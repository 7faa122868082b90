package mlflow

import (
	"errors"
	"net/http"

	"github.com/millwright-ml/millwright/internal/mlflowapi"
	"github.com/millwright-ml/millwright/internal/mlflowhttp"
	"github.com/millwright-ml/millwright/tracking"
)

const (
	defaultModels = 50
	maxModels     = 1000
)

func (h *Handler) modelRoutes() []route {
	const one = "2.0/mlflow/logged-models/{model_id}"
	needed := func(serve func(*call) error) func(*call) error {
		return func(c *call) error {
			if h.models == nil {
				return unsupported("logged models")
			}
			return serve(c)
		}
	}
	return []route{
		{method: http.MethodPost, path: "2.0/mlflow/logged-models", mark: core, verb: Write, scope: scopeOfNewModel, serve: needed(rpc(h.createModel))},
		{method: http.MethodPost, path: "2.0/mlflow/logged-models/search", mark: core, verb: Read, scope: filtered, serve: needed(rpcStream(h.searchModels))},
		{method: http.MethodGet, path: one, mark: core, verb: Read, scope: byModelPath, serve: needed(rpc(h.getModel))},
		{method: http.MethodPatch, path: one, mark: core, verb: Write, scope: byModelPath, serve: needed(rpc(h.finalizeModel))},
		{method: http.MethodDelete, path: one, mark: common, verb: Delete, scope: byModelPath, serve: needed(h.deleteModel)},
		{method: http.MethodPatch, path: one + "/tags", mark: core, verb: Write, scope: byModelPath, serve: needed(rpc(h.setModelTags))},
		{method: http.MethodDelete, path: one + "/tags/{tag_key}", mark: common, verb: Write, scope: byModelPath, serve: needed(h.deleteModelTag)},
		{method: http.MethodPost, path: one + "/params", mark: common, verb: Write, scope: byModelPath, serve: needed(rpc(h.logModelParams))},
	}
}

// scopeOfNewModel is the experiment of the model, and that of the run that is
// said to have made it, which the caller must be able to read.
func scopeOfNewModel(c *call) ([]tracking.ExperimentID, error) {
	m, err := message[mlflowapi.CreateLoggedModel](c)
	if err != nil {
		return nil, err
	}
	if m.SourceRunID != "" {
		exp, err := c.h.experimentOfRun(c.Ctx(), tracking.RunID(m.SourceRunID))
		switch {
		case errors.Is(err, tracking.ErrNotFound):
		case err != nil:
			return nil, err
		default:
			if err := c.authorize(Read, exp); err != nil {
				return nil, mlflowhttp.Refused(err)
			}
		}
	}
	return []tracking.ExperimentID{tracking.ExperimentID(m.ExperimentID)}, nil
}

func (h *Handler) createModel(c *call, m *mlflowapi.CreateLoggedModel) (any, error) {
	exp, err := experimentID(m.ExperimentID)
	if err != nil {
		return nil, err
	}
	model := tracking.LoggedModel{
		ID: tracking.NewModelID(), Experiment: exp, Name: m.Name, Type: m.ModelType,
		SourceRun: tracking.RunID(m.SourceRunID), Status: tracking.ModelPending,
	}
	if model.Name == "" {
		model.Name = tracking.RandomName()
	}
	model.Params, model.Tags = cutAll(m.Params, maxParamValue), cutAll(m.Tags, maxTagValue)
	if err := model.Validate(); err != nil {
		return nil, err
	}
	stored, err := h.models.CreateModel(c.Ctx(), model)
	if errors.Is(err, tracking.ErrNotFound) {
		return nil, noExperiment(string(exp))
	}
	if err != nil {
		return nil, err
	}
	return &mlflowapi.LoggedModelResponse{Model: wireModel(&stored)}, nil
}

// cutAll is mapOf with values of at most limit characters.
func cutAll(pairs []mlflowapi.KeyValue, limit int) map[string]string {
	m := mapOf(pairs)
	for key, value := range m {
		m[key] = cut(value, limit)
	}
	return m
}

func (h *Handler) getModel(c *call, m *mlflowapi.GetLoggedModel) (any, error) {
	model, err := h.model(c.Ctx(), tracking.ModelID(c.Path("model_id")), m.AllowDeleted)
	if err != nil {
		return nil, err
	}
	return &mlflowapi.LoggedModelResponse{Model: wireModel(&model)}, nil
}

// changeModel applies an update to the model of the path.
func (h *Handler) changeModel(c *call, u tracking.ModelUpdate) (tracking.ModelID, error) {
	id := tracking.ModelID(c.Path("model_id"))
	if err := u.Validate(); err != nil {
		return id, err
	}
	err := h.models.UpdateModel(c.Ctx(), id, u)
	if errors.Is(err, tracking.ErrNotFound) && len(u.DeleteTags) == 0 {
		err = noModel(id)
	}
	return id, err
}

func (h *Handler) finalizeModel(c *call, m *mlflowapi.FinalizeLoggedModel) (any, error) {
	if m.ModelID != "" && m.ModelID != c.Path("model_id") {
		return nil, mlflowapi.InvalidValue("model_id", string(mlflowapi.AppendText(nil, m.ModelID)), "The path names another model.")
	}
	var u tracking.ModelUpdate
	switch m.Status {
	case mlflowapi.ModelReady:
		u.Status = tracking.ModelReady
	case mlflowapi.ModelFailed:
		u.Status = tracking.ModelFailed
	case mlflowapi.ModelPending:
		u.Status = tracking.ModelPending
	default:
		return nil, mlflowapi.InvalidValue("status", string(mlflowapi.AppendText(nil, string(m.Status))), "")
	}
	id, err := h.changeModel(c, u)
	if err != nil {
		return nil, err
	}
	model, err := h.model(c.Ctx(), id, false)
	if err != nil {
		return nil, err
	}
	return &mlflowapi.LoggedModelResponse{Model: wireModel(&model)}, nil
}

func (h *Handler) deleteModel(c *call) error {
	if _, err := h.changeModel(c, tracking.ModelUpdate{Deleted: new(true)}); err != nil {
		return err
	}
	return c.Send(http.StatusOK, []byte("{}"))
}

func (h *Handler) setModelTags(c *call, m *mlflowapi.SetLoggedModelTags) (any, error) {
	_, err := h.changeModel(c, tracking.ModelUpdate{SetTags: cutAll(m.Tags, maxTagValue)})
	return nil, err // the protocol's answer has the model, MLflow's server leaves it out
}

func (h *Handler) deleteModelTag(c *call) error {
	key := c.Path("tag_key")
	id, err := h.changeModel(c, tracking.ModelUpdate{DeleteTags: []string{key}})
	if errors.Is(err, tracking.ErrNotFound) {
		if _, err := h.model(c.Ctx(), id, false); err != nil {
			return err
		}
		return mlflowapi.Errorf(mlflowapi.CodeNotFound, "No tag with key '%s' found for model with ID '%s'.", mlflowhttp.Printable(key), id)
	}
	if err != nil {
		return err
	}
	return c.Send(http.StatusOK, []byte("{}"))
}

func (h *Handler) logModelParams(c *call, m *mlflowapi.LogLoggedModelParams) (any, error) {
	_, err := h.changeModel(c, tracking.ModelUpdate{SetParams: cutAll(m.Params, maxParamValue)})
	if errors.Is(err, tracking.ErrConflict) {
		err = mlflowapi.Errorf(mlflowapi.CodeInvalid, "Changing param values is not allowed: %s.", wireError(err).Message)
	}
	return nil, err
}

func (h *Handler) searchModels(c *call, m *mlflowapi.SearchLoggedModels) error {
	limit, err := pageMax(m.MaxResults, defaultModels, maxModels)
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
	if len(ids) == 0 {
		return c.Send(http.StatusOK, []byte("{}"))
	}
	q := tracking.ModelQuery{Experiments: ids, Filter: m.Filter}
	for _, d := range m.Datasets {
		if d.DatasetName == "" {
			return mlflowapi.Missing("datasets.dataset_name")
		}
		q.Datasets = append(q.Datasets, tracking.DatasetRef{Name: d.DatasetName, Digest: d.DatasetDigest})
	}
	for _, o := range m.OrderBy {
		if o.FieldName == "" {
			return mlflowapi.Missing("order_by.field_name")
		}
		q.OrderBy = append(q.OrderBy, tracking.ModelOrder{
			Field: o.FieldName, Desc: o.Ascending != nil && !*o.Ascending,
			Dataset: tracking.DatasetRef{Name: o.DatasetName, Digest: o.DatasetDigest},
		})
	}
	return mlflowhttp.Pages(mlflowhttp.NewStream(&c.Call, "models"), limit, m.PageToken, func(s *mlflowhttp.Stream, limit int, token string) (int, string, error) {
		q.Page = tracking.Page{Max: limit, Token: token}
		page, next, err := h.models.SearchModels(c.Ctx(), q)
		if err != nil {
			return 0, "", err
		}
		for i := range page {
			model := wireModel(&page[i])
			s.Add(&model)
		}
		return len(page), next, nil
	})
}
