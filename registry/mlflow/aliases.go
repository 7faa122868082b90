package mlflow

import (
	"errors"
	"net/http"
	"regexp"
	"strings"

	"github.com/millwright-ml/millwright/internal/mlflowapi"
	"github.com/millwright-ml/millwright/internal/mlflowhttp"
	"github.com/millwright-ml/millwright/registry"
)

func (h *Handler) aliasRoutes() []route {
	const path = "registered-models/alias"
	name := func(m *mlflowapi.RegisteredModelAliasName) string { return m.Name }
	return []route{
		on(http.MethodPost, path, Write, func(m *mlflowapi.SetRegisteredModelAlias) string { return m.Name }, h.setAlias),
		on(http.MethodGet, path, Read, name, h.getAlias),
		on(http.MethodDelete, path, Write, name, h.deleteAlias),
	}
}

var (
	aliasForm     = regexp.MustCompile(`^[\w-]+$`)
	aliasReserved = regexp.MustCompile(`^[vV]\d+$`)
)

const latestAlias = "latest"

// checkAlias refuses an alias in MLflow's words.
func checkAlias(alias string) error {
	if !aliasForm.MatchString(alias) {
		return mlflowapi.Errorf(mlflowapi.CodeInvalid, "Invalid alias name: '%s'. Names may only contain alphanumerics, underscores (_), and dashes (-).", mlflowhttp.Printable(alias))
	}
	return nil
}

func (h *Handler) setAlias(c *call, m *mlflowapi.SetRegisteredModelAlias) (any, error) {
	if err := checkAlias(m.Alias); err != nil {
		return nil, err
	}
	switch {
	case strings.EqualFold(m.Alias, latestAlias):
		return nil, mlflowapi.Errorf(mlflowapi.CodeInvalid, "'latest' alias name (case insensitive) is reserved.")
	case aliasReserved.MatchString(m.Alias):
		return nil, mlflowapi.Errorf(mlflowapi.CodeInvalid, "Version alias name '%s' is reserved.", m.Alias)
	}
	if err := checkName(m.Name); err != nil {
		return nil, err
	}
	n, err := versionNumber(m.Version)
	if err != nil {
		return nil, err
	}
	if n <= 0 {
		return nil, noVersion(m.Name, m.Version)
	}
	err = h.reg.SetAlias(c.Ctx(), m.Name, m.Alias, n, &registry.AliasOptions{Expect: -1, By: c.user()})
	if errors.Is(err, registry.ErrNotFound) {
		err = noVersion(m.Name, m.Version)
	}
	return nil, err
}

func (h *Handler) getAlias(c *call, m *mlflowapi.RegisteredModelAliasName) (any, error) {
	v, err := c.aliased(m.Name, m.Alias)
	if err != nil {
		return nil, err
	}
	h.resume(v)
	return versionAnswer(v), nil
}

// aliased returns the version that an alias is at; "latest" is the one with the
// highest number.
func (c *call) aliased(name, alias string) (*registry.Version, error) {
	if err := checkName(name); err != nil {
		return nil, err
	}
	if err := checkAlias(alias); err != nil {
		return nil, err
	}
	if strings.EqualFold(alias, latestAlias) {
		return c.latest(name)
	}
	v, err := c.h.reg.Resolve(c.Ctx(), registry.Ref{Name: name, Alias: alias}.String())
	if errors.Is(err, registry.ErrNotFound) {
		if _, err := c.model(name); err != nil {
			return nil, err
		}
		return nil, mlflowapi.Errorf(mlflowapi.CodeInvalid, "Registered model alias %s not found.", mlflowhttp.Printable(alias))
	}
	return v, err
}

// latest returns the version with the highest number.
func (c *call) latest(name string) (*registry.Version, error) {
	if _, err := c.model(name); err != nil {
		return nil, err
	}
	for v, err := range c.h.reg.Versions(c.Ctx(), name) {
		return v, err
	}
	return nil, mlflowapi.Errorf(mlflowapi.CodeNotFound, "Latest version not found for model %s.", mlflowhttp.Printable(name))
}

func (h *Handler) deleteAlias(c *call, m *mlflowapi.RegisteredModelAliasName) (any, error) {
	if err := checkName(m.Name); err != nil {
		return nil, err
	}
	if err := checkAlias(m.Alias); err != nil {
		return nil, err
	}
	err := h.reg.DeleteAlias(c.Ctx(), m.Name, m.Alias, &registry.AliasOptions{Expect: -1, By: c.user()})
	if errors.Is(err, registry.ErrNotFound) { // MLflow deletes an alias that is not there
		_, err = c.model(m.Name)
	}
	return nil, err
}
