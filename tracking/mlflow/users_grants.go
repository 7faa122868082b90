package mlflow

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/millwright-ml/millwright/internal/mlflowapi"
	"github.com/millwright-ml/millwright/internal/mlflowhttp"
	"github.com/millwright-ml/millwright/tracking"
)

// The kinds of things that permissions are on, as MLflow calls them.
const (
	onExperiment = "experiment"
	onModel      = "registered_model"
	onPrompt     = "prompt" // a registered model by another name
)

// grantRoutes are the routes about permissions: those of MLflow up to 3.11, one
// set for each kind of thing, and those since, one for all.
func (h *Handler) grantRoutes() []route {
	if h.opts.Auth == nil {
		return nil
	}
	ofExperiment := byExperiment(func(m *mlflowapi.ExperimentGrant) string { return m.ExperimentID })
	ofModel := byManagedModel(func(m *mlflowapi.ModelGrant) string { return m.Name })
	const experiments, models, users = "2.0/mlflow/experiments/permissions/", "2.0/mlflow/registered-models/permissions/", "3.0/mlflow/users/permissions/"
	row := func(method, path string, scope scope, serve func(*call) error) route {
		return route{method: method, path: path, mark: common, verb: Manage, scope: scope, maxBody: maxUserBody, serve: serve}
	}
	return []route{
		row(http.MethodPost, experiments+"create", ofExperiment, rpc(h.createExperimentGrant)),
		row(http.MethodGet, experiments+"get", ofExperiment, rpc(h.getExperimentGrant)),
		row(http.MethodPatch, experiments+"update", ofExperiment, rpc(h.updateExperimentGrant)),
		row(http.MethodDelete, experiments+"delete", ofExperiment, rpc(h.deleteExperimentGrant)),
		row(http.MethodPost, models+"create", ofModel, rpc(h.createModelGrant)),
		row(http.MethodGet, models+"get", ofModel, rpc(h.getModelGrant)),
		row(http.MethodPatch, models+"update", ofModel, rpc(h.updateModelGrant)),
		row(http.MethodDelete, models+"delete", ofModel, rpc(h.deleteModelGrant)),
		row(http.MethodPost, users+"grant", byManagedThing, rpc(h.grant)),
		row(http.MethodPost, users+"revoke", byManagedThing, rpc(h.revoke)),
		{method: http.MethodGet, path: users + "get", mark: common, verb: Administer,
			scope: ifOther(func(m *mlflowapi.UserGrant) string { return m.Username }), serve: rpc(h.effective)},
	}
}

// byManagedModel is the scope of a route whose message names a registered model
// that the sender must manage. It asks itself, as a model is no experiment.
func byManagedModel[M any](name func(*M) string) scope {
	return func(c *call) ([]tracking.ExperimentID, error) {
		m, err := message[M](c)
		if err != nil {
			return nil, err
		}
		return nil, c.manageModel(name(m))
	}
}

func (c *call) manageModel(name string) error {
	if err := c.h.opts.Auth.AuthorizeModel(c.R, Manage, name); err != nil {
		return mlflowhttp.Refused(err)
	}
	return nil
}

// byManagedThing is the scope of a route whose message names a thing of any kind
// that the sender must manage.
func byManagedThing(c *call) ([]tracking.ExperimentID, error) {
	m, err := message[mlflowapi.UserGrant](c)
	if err != nil {
		return nil, err
	}
	if err := knownThing(m); err != nil {
		return nil, err
	}
	if m.ResourceID == "*" {
		return wholeServer(c)
	}
	if m.ResourceType == onExperiment {
		return []tracking.ExperimentID{tracking.ExperimentID(m.ResourceID)}, nil
	}
	return nil, c.manageModel(m.ResourceID)
}

// knownThing refuses what this server has no permissions for.
func knownThing(m *mlflowapi.UserGrant) error {
	switch m.ResourceType {
	case onExperiment, onModel, onPrompt:
	default:
		return mlflowapi.Errorf(mlflowapi.CodeInvalid, "Invalid resource type '%s'. This server has permissions on: ('%s', '%s', '%s')",
			mlflowhttp.Printable(m.ResourceType), onExperiment, onModel, onPrompt)
	}
	return nil
}

// single refuses what speaks of all things of a kind.
func single(m *mlflowapi.UserGrant) error {
	if m.ResourceID == "*" {
		return mlflowapi.Errorf(mlflowapi.CodeNotImplemented, "This server has no permissions on all of '%s' at once.", m.ResourceType)
	}
	return nil
}

// What a permission can be: in the routes of before 3.12, and in those since.
var (
	oldPermissions = []Permission{ReadPermission, UsePermission, EditPermission, FullPermission, NoPermissions}
	newPermissions = []Permission{DenyPermission, EditPermission, FullPermission, ReadPermission, UsePermission}
)

func permission(text string, valid []Permission) (Permission, error) {
	p := Permission(text)
	switch {
	case text == "":
		return "", mlflowapi.Missing("permission")
	case slices.Contains(valid, p):
		return p, nil
	}
	list := make([]string, len(valid))
	for i, v := range valid {
		list[i] = "'" + string(v) + "'"
	}
	return "", mlflowapi.Errorf(mlflowapi.CodeInvalid, "Invalid permission '%s'. Valid permissions are: (%s)", mlflowhttp.Printable(text), strings.Join(list, ", "))
}

// setOnExperiment changes a grant for an experiment and returns the user's id.
func (h *Handler) setOnExperiment(c *call, user, experiment string, p Permission, kind grantKind, what string) (int64, error) {
	id, err := experimentID(experiment)
	if err != nil {
		return 0, err
	}
	if kind != endGrant {
		if _, err := h.experiment(c.Ctx(), id); err != nil {
			return 0, err
		}
	}
	return h.setGrant(user, what, func(u *authUser) error { return setIn(u.Experiments, id, p, kind) })
}

// setOnModel changes a grant for a registered model likewise. Whether there is
// such a model is not known here: a grant for none ends when one is made.
func (h *Handler) setOnModel(user, model string, p Permission, kind grantKind, what string) (int64, error) {
	if !validModelName(model) {
		return 0, mlflowapi.Errorf(mlflowapi.CodeInvalid, "Invalid name of a registered model: '%s'.", mlflowhttp.Printable(model))
	}
	return h.setGrant(user, what, func(u *authUser) error { return setIn(u.Models, model, p, kind) })
}

func (h *Handler) setGrant(user, what string, set func(*authUser) error) (int64, error) {
	id, err := h.opts.Auth.grant(user, set)
	return id, grantError(err, what)
}

// grantError puts the errors of setIn in words.
func grantError(err error, what string) error {
	switch {
	case errors.Is(err, tracking.ErrExists):
		return mlflowapi.Errorf(mlflowapi.CodeExists, "%s already exists.", what)
	case err == tracking.ErrNotFound: //nolint:errorlint // An unknown user is another ErrNotFound, with a text of its own.
		return mlflowapi.Errorf(mlflowapi.CodeNotFound, "%s not found", what)
	}
	return err
}

func experimentGrant(m *mlflowapi.ExperimentGrant) string {
	return fmt.Sprintf("Experiment permission with experiment_id=%s and username=%s", mlflowhttp.Printable(m.ExperimentID), mlflowhttp.Printable(m.Username))
}

func (h *Handler) createExperimentGrant(c *call, m *mlflowapi.ExperimentGrant) (any, error) {
	p, err := permission(m.Permission, oldPermissions)
	if err != nil {
		return nil, err
	}
	id, err := h.setOnExperiment(c, m.Username, m.ExperimentID, p, newGrant, experimentGrant(m))
	if err != nil {
		return nil, err
	}
	return &mlflowapi.ExperimentPermissionResponse{ExperimentPermission: mlflowapi.ExperimentPermission{
		ExperimentID: m.ExperimentID, UserID: id, Permission: string(p),
	}}, nil
}

func (h *Handler) getExperimentGrant(_ *call, m *mlflowapi.ExperimentGrant) (any, error) {
	u, err := h.opts.Auth.state.Load().user(m.Username)
	if err != nil {
		return nil, err
	}
	p, granted := u.Experiments[tracking.ExperimentID(m.ExperimentID)]
	if !granted {
		return nil, grantError(tracking.ErrNotFound, experimentGrant(m))
	}
	return &mlflowapi.ExperimentPermissionResponse{ExperimentPermission: mlflowapi.ExperimentPermission{
		ExperimentID: m.ExperimentID, UserID: u.ID, Permission: string(p),
	}}, nil
}

func (h *Handler) updateExperimentGrant(c *call, m *mlflowapi.ExperimentGrant) (any, error) {
	p, err := permission(m.Permission, oldPermissions)
	if err != nil {
		return nil, err
	}
	_, err = h.setOnExperiment(c, m.Username, m.ExperimentID, p, changeGrant, experimentGrant(m))
	return nil, err
}

func (h *Handler) deleteExperimentGrant(c *call, m *mlflowapi.ExperimentGrant) (any, error) {
	_, err := h.setOnExperiment(c, m.Username, m.ExperimentID, "", endGrant, experimentGrant(m))
	return nil, err
}

func modelGrant(m *mlflowapi.ModelGrant) string {
	return fmt.Sprintf("Registered model permission with name=%s and username=%s", mlflowhttp.Printable(m.Name), mlflowhttp.Printable(m.Username))
}

func (h *Handler) createModelGrant(_ *call, m *mlflowapi.ModelGrant) (any, error) {
	p, err := permission(m.Permission, oldPermissions)
	if err != nil {
		return nil, err
	}
	id, err := h.setOnModel(m.Username, m.Name, p, newGrant, modelGrant(m))
	if err != nil {
		return nil, err
	}
	return &mlflowapi.RegisteredModelPermissionResponse{RegisteredModelPermission: mlflowapi.RegisteredModelPermission{
		Name: m.Name, UserID: id, Permission: string(p),
	}}, nil
}

func (h *Handler) getModelGrant(_ *call, m *mlflowapi.ModelGrant) (any, error) {
	u, err := h.opts.Auth.state.Load().user(m.Username)
	if err != nil {
		return nil, err
	}
	p, granted := u.Models[m.Name]
	if !granted {
		return nil, grantError(tracking.ErrNotFound, modelGrant(m))
	}
	return &mlflowapi.RegisteredModelPermissionResponse{RegisteredModelPermission: mlflowapi.RegisteredModelPermission{
		Name: m.Name, UserID: u.ID, Permission: string(p),
	}}, nil
}

func (h *Handler) updateModelGrant(_ *call, m *mlflowapi.ModelGrant) (any, error) {
	p, err := permission(m.Permission, oldPermissions)
	if err != nil {
		return nil, err
	}
	_, err = h.setOnModel(m.Username, m.Name, p, changeGrant, modelGrant(m))
	return nil, err
}

func (h *Handler) deleteModelGrant(_ *call, m *mlflowapi.ModelGrant) (any, error) {
	_, err := h.setOnModel(m.Username, m.Name, "", endGrant, modelGrant(m))
	return nil, err
}

func userGrant(m *mlflowapi.UserGrant) string {
	return fmt.Sprintf("Permission for user=%s on resource_type=%s, resource_id=%s", mlflowhttp.Printable(m.Username), m.ResourceType, mlflowhttp.Printable(m.ResourceID))
}

func (h *Handler) grant(c *call, m *mlflowapi.UserGrant) (any, error) {
	p, err := permission(m.Permission, newPermissions)
	if err != nil {
		return nil, err
	}
	return nil, h.setOnThing(c, m, p, newGrant)
}

func (h *Handler) revoke(c *call, m *mlflowapi.UserGrant) (any, error) {
	return nil, h.setOnThing(c, m, "", endGrant)
}

func (h *Handler) setOnThing(c *call, m *mlflowapi.UserGrant, p Permission, kind grantKind) (err error) {
	if err := single(m); err != nil {
		return err
	}
	if m.ResourceType == onExperiment {
		_, err = h.setOnExperiment(c, m.Username, m.ResourceID, p, kind, userGrant(m))
	} else {
		_, err = h.setOnModel(m.Username, m.ResourceID, p, kind, userGrant(m))
	}
	return err
}

// effective tells what a user may do with a thing, whatever that comes from.
func (h *Handler) effective(_ *call, m *mlflowapi.UserGrant) (any, error) {
	if err := errors.Join(knownThing(m), single(m)); err != nil {
		return nil, err
	}
	auth := h.opts.Auth
	u, err := auth.state.Load().user(m.Username)
	if err != nil {
		return nil, err
	}
	var p Permission
	switch {
	case u.Admin:
		p = FullPermission
	case m.ResourceType == onExperiment:
		p = auth.onExperiment(u, tracking.ExperimentID(m.ResourceID))
	default:
		p = auth.onModel(u, m.ResourceID)
	}
	if p == "" {
		p = NoPermissions
	}
	return &mlflowapi.UserPermissionResponse{Allowed: p.rank() >= UsePermission.rank(), Permission: string(p)}, nil
}

func (h *Handler) currentGrants(c *call) error {
	u, err := c.sender()
	if err != nil {
		return err
	}
	return c.JSON(&mlflowapi.UserPermissionsResponse{IsAdmin: u.Admin, Permissions: grantsOf(&u.AuthUser)})
}

func (h *Handler) listGrants(_ *call, m *mlflowapi.GetUser) (any, error) {
	u, err := h.opts.Auth.state.Load().user(m.Username)
	if err != nil {
		return nil, err
	}
	return &mlflowapi.UserPermissionsResponse{IsAdmin: u.Admin, Permissions: grantsOf(&u.AuthUser)}, nil
}

// grantsOf lists a user's permissions, as those of the role that MLflow makes
// for each user: by its name clients know them for the user's own.
func grantsOf(u *AuthUser) []mlflowapi.UserPermission {
	var list []mlflowapi.UserPermission
	add := func(kind, key string, p Permission) {
		list = append(list, mlflowapi.UserPermission{
			RoleID: u.ID, RoleName: fmt.Sprintf("__user_%d__", u.ID), Workspace: "default",
			ResourceType: kind, ResourcePattern: key, Permission: string(p),
		})
	}
	for _, id := range slices.Sorted(maps.Keys(u.Experiments)) {
		add(onExperiment, string(id), u.Experiments[id])
	}
	for _, name := range slices.Sorted(maps.Keys(u.Models)) {
		add(onModel, name, u.Models[name])
	}
	return list
}
