package mlflow

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/millwright-ml/millwright/internal/mlflowapi"
	"github.com/millwright-ml/millwright/internal/mlflowhttp"
	"github.com/millwright-ml/millwright/registry"
)

const (
	defaultModels = 100
	maxModels     = 1000
	maxVersions   = 200_000 // also the default: the protocol's
	// found is how many records of a search are asked for at a time.
	found = 100
)

func (h *Handler) modelRoutes() []route {
	const dir = "registered-models/"
	name := func(m *mlflowapi.RegisteredModelName) string { return m.Name }
	return []route{
		on(http.MethodPost, dir+"create", Create, func(m *mlflowapi.CreateRegisteredModel) string { return m.Name }, h.createModel),
		on(http.MethodGet, dir+"get", Read, name, h.getModel),
		on(http.MethodPatch, dir+"update", Write, func(m *mlflowapi.UpdateRegisteredModel) string { return m.Name }, h.updateModel),
		on(http.MethodPost, dir+"rename", Delete, func(m *mlflowapi.RenameRegisteredModel) string { return m.Name }, h.renameModel),
		on(http.MethodDelete, dir+"delete", Delete, name, h.deleteModel),
		on(http.MethodPost, dir+"set-tag", Write, func(m *mlflowapi.SetRegisteredModelTag) string { return m.Name }, h.setModelTag),
		on(http.MethodDelete, dir+"delete-tag", Write, func(m *mlflowapi.DeleteRegisteredModelTag) string { return m.Name }, h.deleteModelTag),
		{method: http.MethodGet, path: "2.0/mlflow/" + dir + "search", verb: Read, scope: filtered, serve: h.searchModels},
	}
}

func (h *Handler) createModel(c *call, m *mlflowapi.CreateRegisteredModel) (any, error) {
	if err := checkName(m.Name); err != nil {
		return nil, err
	}
	if err := checkTags(m.Tags...); err != nil {
		return nil, err
	}
	var model registry.Model
	err := c.rename("", m.Name, func() (err error) {
		model, err = h.reg.CreateModel(c.Ctx(), registry.Model{Name: m.Name, Description: m.Description, Tags: mapOf(m.Tags)})
		return err
	})
	if errors.Is(err, registry.ErrExists) {
		return nil, h.taken(c.Ctx(), m.Name, isPrompt(mapOf(m.Tags)))
	}
	if err != nil {
		return nil, err
	}
	return &mlflowapi.RegisteredModelResponse{RegisteredModel: wireModel(&model)}, nil
}

// taken is the error of a name that is in use. Prompts are models with a tag,
// which the client does not expect to be told of as such.
func (h *Handler) taken(ctx context.Context, name string, prompt bool) error {
	wanted, taken := kind(prompt), kind(prompt)
	if m, err := h.reg.Model(ctx, name); err == nil {
		taken = kind(isPrompt(m.Tags))
	}
	if wanted != taken {
		return mlflowapi.Errorf(mlflowapi.CodeExists, "Tried to create a %s with name '%s', but the name is already taken by a %s. "+
			"MLflow does not allow creating a model and a prompt with the same name.", wanted, mlflowhttp.Printable(name), taken)
	}
	if prompt {
		return mlflowapi.Errorf(mlflowapi.CodeExists, "Prompt (name=%s) already exists.", mlflowhttp.Printable(name))
	}
	return mlflowapi.Errorf(mlflowapi.CodeExists, "Registered Model (name=%s) already exists.", mlflowhttp.Printable(name))
}

func kind(prompt bool) string {
	if prompt {
		return "prompt"
	}
	return "registered model"
}

// modelAnswer is the answer of the routes that return a model.
func (c *call) modelAnswer(name string) (any, error) {
	if err := checkName(name); err != nil {
		return nil, err
	}
	page, _, err := c.h.reg.ModelPage(c.Ctx(), registry.ModelQuery{Name: name, Latest: true, Page: registry.Page{Max: 1}})
	if err == nil && len(page) == 0 {
		err = noModel(name)
	}
	if err != nil {
		return nil, err
	}
	return &mlflowapi.RegisteredModelResponse{RegisteredModel: wireModel(&page[0])}, nil
}

func (h *Handler) getModel(c *call, m *mlflowapi.RegisteredModelName) (any, error) {
	return c.modelAnswer(m.Name)
}

// changeModel applies an update to a model.
func (c *call) changeModel(name string, u registry.ModelUpdate) error {
	if err := checkName(name); err != nil {
		return err
	}
	u.By = c.user()
	err := c.h.reg.UpdateModel(c.Ctx(), name, u)
	if errors.Is(err, registry.ErrNotFound) {
		if len(u.DeleteTags) > 0 { // MLflow deletes a tag that is not there
			_, err = c.model(name)
			return err
		}
		return noModel(name)
	}
	return err
}

func (h *Handler) updateModel(c *call, m *mlflowapi.UpdateRegisteredModel) (any, error) {
	if err := c.changeModel(m.Name, registry.ModelUpdate{Description: &m.Description}); err != nil {
		return nil, err
	}
	return c.modelAnswer(m.Name)
}

func (h *Handler) renameModel(c *call, m *mlflowapi.RenameRegisteredModel) (any, error) {
	if err := checkName(m.NewName); err != nil {
		return nil, err
	}
	if err := c.authorize(Create, m.NewName); err != nil {
		return nil, mlflowhttp.Refused(err)
	}
	err := c.rename(m.Name, m.NewName, func() error {
		return c.changeModel(m.Name, registry.ModelUpdate{Rename: m.NewName})
	})
	if errors.Is(err, registry.ErrExists) {
		return nil, mlflowapi.Errorf(mlflowapi.CodeExists, "Registered Model (name=%s) already exists.", mlflowhttp.Printable(m.NewName))
	}
	if err != nil {
		return nil, err
	}
	return c.modelAnswer(m.NewName)
}

// deleteModel puts a model away under another name, since clients take the old
// one again. Under that name it can be restored, until it is purged.
func (h *Handler) deleteModel(c *call, m *mlflowapi.RegisteredModelName) (any, error) {
	at := time.Now().UTC().Truncate(time.Microsecond)
	u := registry.ModelUpdate{Deleted: new(true), Rename: deletedName(m.Name, at), Time: at}
	return nil, c.rename(m.Name, "", func() error { return c.changeModel(m.Name, u) })
}

// deletedName is the name of a model that was deleted at a time.
func deletedName(name string, at time.Time) string {
	const most = 255
	suffix := "~deleted-" + at.Format("20060102T150405.000000Z")
	return cutBytes(name, most-len(suffix)) + suffix
}

func (h *Handler) setModelTag(c *call, m *mlflowapi.SetRegisteredModelTag) (any, error) {
	if err := checkTags(mlflowapi.KeyValue{Key: m.Key}); err != nil {
		return nil, err
	}
	return nil, c.changeModel(m.Name, registry.ModelUpdate{SetTags: map[string]string{m.Key: m.Value}})
}

func (h *Handler) deleteModelTag(c *call, m *mlflowapi.DeleteRegisteredModelTag) (any, error) {
	return nil, c.changeModel(m.Name, registry.ModelUpdate{DeleteTags: []string{m.Key}})
}

// searchModels streams the models that a search finds.
func (h *Handler) searchModels(c *call) error {
	m, err := message[mlflowapi.SearchRegistry](c)
	if err != nil {
		return err
	}
	limit, err := pageMax(m.MaxResults, defaultModels, maxModels)
	if err != nil {
		return err
	}
	q := registry.ModelQuery{Filter: m.Filter, OrderBy: m.OrderBy, Latest: true}
	return mlflowhttp.Pages(mlflowhttp.NewStream(&c.Call, "registered_models"), limit, m.PageToken, func(s *mlflowhttp.Stream, limit int, token string) (int, string, error) {
		q.Page = registry.Page{Max: min(limit, found), Token: token}
		page, next, err := h.reg.ModelPage(c.Ctx(), q)
		if err != nil {
			return 0, "", err
		}
		n := 0
		for i := range page {
			ok, err := c.mayRead(page[i].Name)
			if err != nil {
				return 0, "", err
			}
			if ok {
				n++
				model := wireModel(&page[i])
				s.Add(&model)
			}
		}
		return n, next, nil
	})
}

// pageMax is how many results a search gives.
func pageMax(asked *int64, byDefault, most int) (int, error) {
	switch {
	case asked == nil:
		return byDefault, nil
	case *asked < 1:
		return 0, mlflowapi.Errorf(mlflowapi.CodeInvalid, "Invalid value for max_results. It must be a positive integer, but got %d", *asked)
	case *asked > int64(most):
		return 0, mlflowapi.Errorf(mlflowapi.CodeInvalid, "Invalid value \"%d\" for parameter 'max_results' supplied: it must be at most %d.", *asked, most)
	}
	return int(*asked), nil
}
