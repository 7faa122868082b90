package mlflow

import (
	"errors"
	"net/http"
	"strings"
	"unicode/utf8"

	"github.com/millwright-ml/millwright/internal/mlflowapi"
	"github.com/millwright-ml/millwright/internal/mlflowhttp"
	"github.com/millwright-ml/millwright/registry"
)

func (h *Handler) versionRoutes() []route {
	const dir = "model-versions/"
	name := func(m *mlflowapi.ModelVersionName) string { return m.Name }
	return []route{
		on(http.MethodPost, dir+"create", Write, func(m *mlflowapi.CreateModelVersion) string { return m.Name }, h.createVersion),
		on(http.MethodGet, dir+"get", Read, name, h.getVersion),
		on(http.MethodPatch, dir+"update", Write, func(m *mlflowapi.UpdateModelVersion) string { return m.Name }, h.updateVersion),
		on(http.MethodDelete, dir+"delete", Delete, name, h.deleteVersion),
		on(http.MethodPost, dir+"set-tag", Write, func(m *mlflowapi.SetModelVersionTag) string { return m.Name }, h.setVersionTag),
		on(http.MethodDelete, dir+"delete-tag", Write, func(m *mlflowapi.DeleteModelVersionTag) string { return m.Name }, h.deleteVersionTag),
		{method: http.MethodGet, path: "2.0/mlflow/" + dir + "search", verb: Read, scope: filtered, serve: h.searchVersions},
	}
}

// versionAnswer is the answer of the routes that return a version.
func versionAnswer(v *registry.Version) *mlflowapi.ModelVersionResponse {
	return &mlflowapi.ModelVersionResponse{ModelVersion: wireVersion(v)}
}

func (h *Handler) getVersion(c *call, m *mlflowapi.ModelVersionName) (any, error) {
	v, err := c.version(m.Name, m.Version)
	if err != nil {
		return nil, err
	}
	h.resume(v)
	return versionAnswer(v), nil
}

// changeVersion applies an update to a version.
func (c *call) changeVersion(name, version string, u registry.VersionUpdate) error {
	if err := checkName(name); err != nil {
		return err
	}
	n, err := versionNumber(version)
	if err != nil {
		return err
	}
	if n <= 0 {
		return noVersion(name, version)
	}
	u.By = c.user()
	err = c.h.reg.UpdateVersion(c.Ctx(), name, n, u)
	if errors.Is(err, registry.ErrNotFound) {
		if len(u.DeleteTags) > 0 { // MLflow deletes a tag that is not there
			_, err = c.version(name, version)
			return err
		}
		return noVersion(name, version)
	}
	return err
}

func (h *Handler) updateVersion(c *call, m *mlflowapi.UpdateModelVersion) (any, error) {
	if err := c.changeVersion(m.Name, m.Version, registry.VersionUpdate{Description: &m.Description}); err != nil {
		return nil, err
	}
	return h.getVersion(c, &mlflowapi.ModelVersionName{Name: m.Name, Version: m.Version})
}

func (h *Handler) deleteVersion(c *call, m *mlflowapi.ModelVersionName) (any, error) {
	return nil, c.changeVersion(m.Name, m.Version, registry.VersionUpdate{Deleted: new(true)})
}

func (h *Handler) setVersionTag(c *call, m *mlflowapi.SetModelVersionTag) (any, error) {
	if err := checkTags(mlflowapi.KeyValue{Key: m.Key}); err != nil {
		return nil, err
	}
	return nil, c.changeVersion(m.Name, m.Version, registry.VersionUpdate{SetTags: map[string]string{m.Key: m.Value}})
}

func (h *Handler) deleteVersionTag(c *call, m *mlflowapi.DeleteModelVersionTag) (any, error) {
	return nil, c.changeVersion(m.Name, m.Version, registry.VersionUpdate{DeleteTags: []string{m.Key}})
}

// searchVersions streams the versions that a search finds.
func (h *Handler) searchVersions(c *call) error {
	m, err := message[mlflowapi.SearchRegistry](c)
	if err != nil {
		return err
	}
	limit, err := pageMax(m.MaxResults, maxVersions, maxVersions)
	if err != nil {
		return err
	}
	q := registry.VersionQuery{Filter: m.Filter, OrderBy: m.OrderBy, Brief: true}
	return mlflowhttp.Pages(mlflowhttp.NewStream(&c.Call, "model_versions"), limit, m.PageToken, func(s *mlflowhttp.Stream, limit int, token string) (int, string, error) {
		q.Page = registry.Page{Max: min(limit, found), Token: token}
		page, next, err := h.reg.VersionPage(c.Ctx(), q)
		if err != nil {
			return 0, "", err
		}
		n := 0
		for _, v := range page {
			ok, err := c.mayRead(v.Name)
			if err != nil {
				return 0, "", err
			}
			if ok {
				n++
				version := wireVersion(v)
				s.Add(&version)
			}
		}
		return n, next, nil
	})
}

// cutBytes shortens s to at most n bytes of whole characters.
func cutBytes(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return strings.Clone(s[:n])
}
