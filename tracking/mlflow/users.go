package mlflow

import (
	"net/http"

	"github.com/millwright-ml/millwright/internal/mlflowapi"
	"github.com/millwright-ml/millwright/internal/mlflowhttp"
	"github.com/millwright-ml/millwright/tracking"
)

// maxUserBody holds every message about users with all its characters escaped.
const maxUserBody = 64 << 10

// userRoutes are the routes about users, for servers that know some.
func (h *Handler) userRoutes() []route {
	if h.opts.Auth == nil {
		return nil
	}
	oneself := ifOther(func(m *mlflowapi.GetUser) string { return m.Username })
	table := []route{
		{method: http.MethodPost, path: "2.0/mlflow/users/create", mark: common, verb: Administer, scope: wholeServer, serve: rpc(h.createUser)},
		{method: http.MethodGet, path: "2.0/mlflow/users/get", mark: common, verb: Administer, scope: oneself, serve: rpc(h.getUser)},
		{method: http.MethodGet, path: "2.0/mlflow/users/current", mark: common, verb: Connect, scope: wholeServer, serve: h.currentUser},
		{method: http.MethodGet, path: "2.0/mlflow/users/list", mark: common, verb: Administer, scope: wholeServer, serve: h.listUsers},
		{method: http.MethodPatch, path: "2.0/mlflow/users/update-password", mark: common, verb: Administer,
			scope: ifOther(func(m *mlflowapi.UpdateUserPassword) string { return m.Username }), serve: rpc(h.setPassword)},
		{method: http.MethodPatch, path: "2.0/mlflow/users/update-admin", mark: common, verb: Administer, scope: wholeServer, serve: rpc(h.setAdmin)},
		{method: http.MethodDelete, path: "2.0/mlflow/users/delete", mark: common, verb: Administer, scope: wholeServer, serve: rpc(h.deleteUser)},

		{method: http.MethodGet, path: "3.0/mlflow/users/current/permissions", mark: common, verb: Connect, scope: wholeServer, serve: h.currentGrants},
		{method: http.MethodGet, path: "3.0/mlflow/users/permissions/list", mark: common, verb: Administer, scope: oneself, serve: rpc(h.listGrants)},

		// There are no roles, which is no failure where the web UI looks for some.
		{method: http.MethodGet, path: "3.0/mlflow/users/roles/list", mark: niche, verb: Administer, scope: oneself, serve: rpc(h.userRoles)},
		{method: http.MethodGet, path: "3.0/mlflow/roles/list", mark: niche, verb: Administer, scope: wholeServer, serve: constant(`{"roles":[]}`)},
	}
	for i := range table {
		table[i].maxBody = maxUserBody
	}
	for _, path := range []string{"3.0/mlflow/roles", "3.0/mlflow/roles/{path...}"} {
		table = append(table, route{method: "*", path: path, mark: niche, verb: Connect, scope: wholeServer, serve: notImplemented})
	}
	return table
}

// ifOther is the scope of a route that everyone may use about themselves: it
// concerns the server when the message names someone else.
func ifOther[M any](name func(*M) string) scope {
	return func(c *call) ([]tracking.ExperimentID, error) {
		m, err := message[M](c)
		if err != nil {
			return nil, err
		}
		sender, err := c.sender()
		if err != nil {
			return nil, err
		}
		if sender.Name == name(m) {
			return nil, nil
		}
		return wholeServer(c)
	}
}

// sender returns who sent the request.
func (c *call) sender() (*authUser, error) {
	u, err := c.h.opts.Auth.sender(c.R)
	if err != nil {
		return nil, mlflowhttp.Refused(err)
	}
	return u, nil
}

func wireUser(u *AuthUser) mlflowapi.User {
	return mlflowapi.User{ID: u.ID, Username: u.Name, IsAdmin: u.Admin}
}

func wireUserWithGrants(u *AuthUser) *mlflowapi.UserResponse {
	out := mlflowapi.UserWithGrants{ID: u.ID, Username: u.Name, IsAdmin: u.Admin}
	for _, g := range grantsOf(u) {
		switch g.ResourceType {
		case onExperiment:
			out.ExperimentPermissions = append(out.ExperimentPermissions, mlflowapi.ExperimentPermission{ExperimentID: g.ResourcePattern, UserID: u.ID, Permission: g.Permission})
		case onModel:
			out.RegisteredModelPermissions = append(out.RegisteredModelPermissions, mlflowapi.RegisteredModelPermission{Name: g.ResourcePattern, UserID: u.ID, Permission: g.Permission})
		}
	}
	return &mlflowapi.UserResponse{User: out}
}

func (h *Handler) createUser(c *call, m *mlflowapi.CreateUser) (any, error) {
	u, err := h.opts.Auth.CreateUser(c.Ctx(), m.Username, m.Password, false)
	if err != nil {
		return nil, err
	}
	return wireUserWithGrants(&u), nil
}

func (h *Handler) getUser(_ *call, m *mlflowapi.GetUser) (any, error) {
	u, err := h.opts.Auth.state.Load().user(m.Username)
	if err != nil {
		return nil, err
	}
	return wireUserWithGrants(&u.AuthUser), nil
}

// currentUser tells the web UI whom the browser speaks for, and whether it can
// ask for another password.
func (h *Handler) currentUser(c *call) error {
	u, err := c.sender()
	if err != nil {
		return err
	}
	_, _, basic := c.R.BasicAuth()
	return c.JSON(&mlflowapi.CurrentUserResponse{User: wireUser(&u.AuthUser), IsBasicAuth: basic})
}

func (h *Handler) listUsers(c *call) error {
	out := &mlflowapi.ListUsersResponse{}
	for _, u := range h.opts.Auth.state.Load().ordered() {
		out.Users = append(out.Users, mlflowapi.ListedUser{ID: u.ID, Username: u.Name, IsAdmin: u.Admin})
	}
	return c.JSON(out)
}

// setPassword asks who changes their own password for the present one: a
// browser left open must not be enough.
func (h *Handler) setPassword(c *call, m *mlflowapi.UpdateUserPassword) (any, error) {
	auth := h.opts.Auth
	sender, err := c.sender()
	if err != nil {
		return nil, err
	}
	if sender.Name == m.Username {
		if m.CurrentPassword == "" {
			return nil, mlflowapi.Errorf(mlflowapi.CodeInvalid, "Current password is required when changing your own password.")
		}
		same, err := auth.checkPassword(c.Ctx(), sender.Name, m.CurrentPassword, sender)
		if err != nil {
			return nil, err
		}
		if !same {
			return nil, mlflowapi.Errorf(mlflowapi.CodeInvalid, "Current password does not match.")
		}
		if m.Password == m.CurrentPassword {
			return nil, mlflowapi.Errorf(mlflowapi.CodeInvalid, "New password must differ from the current password.")
		}
	}
	return nil, auth.SetPassword(c.Ctx(), m.Username, m.Password)
}

func (h *Handler) setAdmin(_ *call, m *mlflowapi.UpdateUserAdmin) (any, error) {
	return nil, h.opts.Auth.SetAdmin(m.Username, *m.IsAdmin)
}

func (h *Handler) deleteUser(c *call, m *mlflowapi.GetUser) (any, error) {
	sender, err := c.sender()
	if err != nil {
		return nil, err
	}
	if sender.Name == m.Username {
		return nil, mlflowapi.Errorf(mlflowapi.CodeBadRequest, "Users cannot delete their own account. Ask another admin to do it.")
	}
	return nil, h.opts.Auth.DeleteUser(m.Username)
}

func (h *Handler) userRoles(_ *call, m *mlflowapi.GetUser) (any, error) {
	if _, err := h.opts.Auth.state.Load().user(m.Username); err != nil {
		return nil, err
	}
	return &mlflowapi.RolesResponse{}, nil
}
