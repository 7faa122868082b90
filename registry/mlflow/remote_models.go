package mlflow

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/millwright-ml/millwright/internal/errs"
	"github.com/millwright-ml/millwright/internal/mlflowapi"
	"github.com/millwright-ml/millwright/internal/mlflowclient"
	"github.com/millwright-ml/millwright/registry"
)

// CreateModel implements registry.Store; Created is the server's.
func (c *Conn) CreateModel(ctx context.Context, m registry.Model) (registry.Model, error) {
	r := remote("create model", m.Name, http.MethodPost, "registered-models/create",
		&mlflowapi.CreateRegisteredModel{Name: m.Name, Description: m.Description, Tags: pairsOf(m.Tags)})
	r.Rule = mlflowclient.Refused
	answer, err := do[mlflowapi.RegisteredModelResponse](ctx, c, r)
	if err != nil {
		return registry.Model{}, err
	}
	return remoteModel(&answer.RegisteredModel, false)
}

// getModel returns one model.
func (c *Conn) getModel(ctx context.Context, name string) (registry.Model, error) {
	return c.readModel(ctx, name, false)
}

func (c *Conn) readModel(ctx context.Context, name string, latest bool) (registry.Model, error) {
	r := remote("get model", name, http.MethodGet, "registered-models/get", nil)
	r.Query = url.Values{"name": {name}}
	answer, err := do[mlflowapi.RegisteredModelResponse](ctx, c, r)
	if err != nil {
		return registry.Model{}, err
	}
	return remoteModel(&answer.RegisteredModel, latest)
}

// UpdateModel implements registry.Store, with a request for each change. By
// and Reason are not kept.
func (c *Conn) UpdateModel(ctx context.Context, name string, u registry.ModelUpdate) error {
	const dir = "registered-models/"
	if u.Deleted != nil && !*u.Deleted {
		return fmt.Errorf("mlflow: update model %q: MLflow deletes models for good and cannot restore them: %w", mlflowclient.Shown(name), errs.ErrUnsupported)
	}
	var requests []mlflowclient.Call
	add := func(method, path string, message any) {
		requests = append(requests, remote("update model", name, method, dir+path, message))
	}
	if len(u.DeleteTags) > 0 || len(u.SetTags) == 0 && u.Description == nil && u.Rename == "" && u.Deleted == nil {
		// Servers take the deletion of a tag that is not there for done.
		m, err := c.getModel(ctx, name)
		if err != nil {
			return err
		}
		if err := needTags("model", name, m.Tags, u.SetTags, u.DeleteTags); err != nil {
			return err
		}
	}
	if u.Rename != "" && u.Rename != name {
		if _, err := c.getModel(ctx, u.Rename); err == nil {
			return fmt.Errorf("mlflow: rename model %q: there is a model %q: %w", mlflowclient.Shown(name), mlflowclient.Shown(u.Rename), errs.ErrExists)
		} else if !errors.Is(err, errs.ErrNotFound) {
			return err
		}
	}
	if u.Description != nil {
		add(http.MethodPatch, "update", &mlflowapi.UpdateRegisteredModel{Name: name, Description: *u.Description})
	}
	for _, key := range slices.Sorted(maps.Keys(u.SetTags)) {
		add(http.MethodPost, "set-tag", &mlflowapi.SetRegisteredModelTag{Name: name, Key: key, Value: u.SetTags[key]})
	}
	for _, key := range u.DeleteTags {
		add(http.MethodDelete, "delete-tag", &mlflowapi.DeleteRegisteredModelTag{Name: name, Key: key})
	}
	if u.Rename != "" && u.Rename != name {
		add(http.MethodPost, "rename", &mlflowapi.RenameRegisteredModel{Name: name, NewName: u.Rename})
		requests[len(requests)-1].Rule = mlflowclient.Refused
		name = u.Rename
	}
	if u.Deleted != nil {
		add(http.MethodDelete, "delete", &mlflowapi.RegisteredModelName{Name: name})
		requests[len(requests)-1].GoneIsDone = true
	}
	for _, r := range requests {
		if err := c.client.Do(ctx, r, nil); err != nil {
			return err
		}
	}
	return nil
}

// needTags reports the first tag that is to be deleted and is not there.
func needTags(what, name string, have, set map[string]string, gone []string) error {
	for _, key := range gone {
		_, ok := have[key]
		if _, made := set[key]; !ok && !made {
			return fmt.Errorf("mlflow: update %s %q: it has no tag %q: %w", what, mlflowclient.Shown(name), mlflowclient.Shown(key), errs.ErrNotFound)
		}
	}
	return nil
}

// SearchModels implements registry.Store.
func (c *Conn) SearchModels(ctx context.Context, q registry.ModelQuery) ([]registry.Model, string, error) {
	s := search{op: "search models", path: "registered-models/search", name: q.Name, filter: q.Filter, orderBy: q.OrderBy, size: min(q.Page.Max, maxModels)}
	if err := s.open(q.Page.Token); err != nil || q.View == registry.DeletedOnly {
		return nil, "", err
	}
	if q.Name != "" && strings.TrimSpace(q.Filter) == "" && len(q.OrderBy) == 0 {
		m, err := c.readModel(ctx, q.Name, q.Latest)
		switch {
		case s.token != "" || errors.Is(err, errs.ErrNotFound):
			return nil, "", nil
		case err != nil:
			return nil, "", err
		}
		return []registry.Model{m}, "", nil
	}
	return searchFor(ctx, c, &s, func(answer *mlflowapi.SearchRegisteredModelsResponse) (page []registry.Model, next string, err error) {
		for i := range answer.RegisteredModels {
			m, err := remoteModel(&answer.RegisteredModels[i], q.Latest)
			if err != nil {
				return nil, "", err
			}
			page = append(page, m)
		}
		return page, answer.NextPageToken, nil
	})
}
