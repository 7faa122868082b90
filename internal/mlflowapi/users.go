package mlflowapi

// User is a user of the server.
type User struct {
	ID       int64  `json:"id"`
	Username string `json:"username"`
	IsAdmin  bool   `json:"is_admin"`
}

// UserWithGrants is a user as clients before MLflow 3.12 want it; later ones
// leave the permissions aside.
type UserWithGrants struct {
	ID                         int64                       `json:"id"`
	Username                   string                      `json:"username"`
	IsAdmin                    bool                        `json:"is_admin"`
	ExperimentPermissions      []ExperimentPermission      `json:"experiment_permissions"`
	RegisteredModelPermissions []RegisteredModelPermission `json:"registered_model_permissions"`
	ScorerPermissions          []Empty                     `json:"scorer_permissions"`
}

// ListedUser is a user in the answer of users/list.
type ListedUser struct {
	ID       int64  `json:"id"`
	Username string `json:"username"`
	IsAdmin  bool   `json:"is_admin"`
	Roles    []Role `json:"roles"`
}

// Role is a named set of permissions; no answer has one.
type Role struct {
	ID   int64  `json:"id"`
	Name string `json:"name"`
}

// CreateUser is the request of POST users/create.
type CreateUser struct {
	Username string `json:"username" api:"required"`
	Password string `json:"password" api:"required"`
}

// UserResponse answers users/create and users/get.
type UserResponse struct {
	User UserWithGrants `json:"user"`
}

// GetUser is the request of GET users/get, of DELETE users/delete, and of GET
// users/permissions/list and users/roles/list.
type GetUser struct {
	Username string `json:"username" api:"required"`
}

// CurrentUserResponse answers GET users/current.
type CurrentUserResponse struct {
	User        User `json:"user"`
	IsBasicAuth bool `json:"is_basic_auth"`
}

// ListUsersResponse answers GET users/list.
type ListUsersResponse struct {
	Users []ListedUser `json:"users"`
}

// RolesResponse answers GET users/roles/list and roles/list.
type RolesResponse struct {
	Roles []Role `json:"roles"`
}

// UpdateUserPassword is the request of PATCH users/update-password.
type UpdateUserPassword struct {
	Username        string `json:"username" api:"required"`
	Password        string `json:"password" api:"required"`
	CurrentPassword string `json:"current_password,omitempty"`
}

// UpdateUserAdmin is the request of PATCH users/update-admin.
type UpdateUserAdmin struct {
	Username string `json:"username" api:"required"`
	IsAdmin  *bool  `json:"is_admin" api:"required"`
}

// ExperimentGrant is the request of experiments/permissions/{create,update},
// and without a permission of {get,delete}.
type ExperimentGrant struct {
	ExperimentID string `json:"experiment_id" api:"required"`
	Username     string `json:"username" api:"required"`
	Permission   string `json:"permission,omitempty"`
}

// ExperimentPermission is what a user may do with an experiment.
type ExperimentPermission struct {
	ExperimentID string `json:"experiment_id"`
	UserID       int64  `json:"user_id"`
	Permission   string `json:"permission"`
}

// ExperimentPermissionResponse answers experiments/permissions/{create,get}.
type ExperimentPermissionResponse struct {
	ExperimentPermission ExperimentPermission `json:"experiment_permission"`
}

// ModelGrant is the request of registered-models/permissions/{create,update},
// and without a permission of {get,delete}.
type ModelGrant struct {
	Name       string `json:"name" api:"required"`
	Username   string `json:"username" api:"required"`
	Permission string `json:"permission,omitempty"`
}

// RegisteredModelPermission is what a user may do with a registered model.
type RegisteredModelPermission struct {
	Name       string `json:"name"`
	UserID     int64  `json:"user_id"`
	Permission string `json:"permission"`
}

// RegisteredModelPermissionResponse answers
// registered-models/permissions/{create,get}.
type RegisteredModelPermissionResponse struct {
	RegisteredModelPermission RegisteredModelPermission `json:"registered_model_permission"`
}

// UserGrant is the request of users/permissions/grant, and without a permission
// of {get,revoke}.
type UserGrant struct {
	Username     string `json:"username" api:"required"`
	ResourceType string `json:"resource_type" api:"required"`
	ResourceID   string `json:"resource_id" api:"required"`
	Permission   string `json:"permission,omitempty"`
}

// UserPermissionResponse answers GET users/permissions/get.
type UserPermissionResponse struct {
	Allowed    bool   `json:"allowed"`
	Permission string `json:"permission"`
}

// UserPermission is one permission of a user.
type UserPermission struct {
	RoleID          int64  `json:"role_id"`
	RoleName        string `json:"role_name"`
	Workspace       string `json:"workspace"`
	ResourceType    string `json:"resource_type"`
	ResourcePattern string `json:"resource_pattern"`
	Permission      string `json:"permission"`
}

// UserPermissionsResponse answers GET users/permissions/list and
// users/current/permissions.
type UserPermissionsResponse struct {
	IsAdmin     bool             `json:"is_admin"`
	Permissions []UserPermission `json:"permissions"`
}
