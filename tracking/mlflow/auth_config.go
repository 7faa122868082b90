package mlflow

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/millwright-ml/millwright/internal/errs"
	"github.com/millwright-ml/millwright/internal/mlflowhttp"
	"github.com/millwright-ml/millwright/tracking"
)

// Permission is what a user may do with an experiment and its contents, or with
// a registered model and its versions. Each one includes those before it.
type Permission string

// The permissions, by MLflow's names.
const (
	NoPermissions  Permission = "NO_PERMISSIONS"
	DenyPermission Permission = "DENY" // the same, by the name that MLflow gives it since 3.17
	ReadPermission Permission = "READ"
	UsePermission  Permission = "USE"    // for MLflow's gateway; here the same as READ
	EditPermission Permission = "EDIT"   // also write
	FullPermission Permission = "MANAGE" // also delete, restore, and give permissions to others
)

func (p Permission) valid() bool { return p == NoPermissions || p == DenyPermission || p.rank() > 0 }

// rank orders the permissions; what is none of them allows nothing.
func (p Permission) rank() int {
	switch p {
	case ReadPermission:
		return 1
	case UsePermission:
		return 2
	case EditPermission:
		return 3
	case FullPermission:
		return 4
	}
	return 0
}

// allows reports whether the permission is enough for the verb. Verbs that are
// not known are for admins.
func (p Permission) allows(verb Verb) bool {
	switch verb {
	case Connect, Create:
		return true
	case Read:
		return p.rank() >= ReadPermission.rank()
	case Write:
		return p.rank() >= EditPermission.rank()
	case Delete, Manage:
		return p.rank() >= FullPermission.rank()
	}
	return false
}

// AuthConfig lists who may do what. It has no secrets in clear: passwords and
// tokens are hashed by HashPassword and HashToken.
type AuthConfig struct {
	Users []AuthUser `json:"users"`
	// Default is what every user may do with an experiment or a registered
	// model that the user has no grant for. Empty is NO_PERMISSIONS; MLflow's
	// own default is READ.
	Default Permission `json:"default_permission,omitempty"`
}

// AuthUser is one user.
type AuthUser struct {
	// ID is the user's number in MLflow's API. NewAuth gives one to users
	// without.
	ID       int64  `json:"id,omitempty"`
	Name     string `json:"name"`               // without colon, at most 255 bytes
	Password string `json:"password,omitempty"` // what HashPassword returned; empty: tokens only
	// Tokens are what HashToken returned for the tokens that stand for the
	// user in "Authorization: Bearer" headers.
	Tokens []string `json:"tokens,omitempty"`
	Admin  bool     `json:"admin,omitempty"` // may do everything
	// Experiments are the user's grants for experiments.
	Experiments map[tracking.ExperimentID]Permission `json:"experiments,omitempty"`
	// Models are the user's grants for registered models, by their names.
	Models map[string]Permission `json:"models,omitempty"`
	// Server is what the user may do with what belongs to no experiment and no
	// registered model, like artifacts outside of experiments and webhooks, and
	// with registered models that the user has no grant for. Empty is
	// NO_PERMISSIONS.
	Server Permission `json:"server_permission,omitempty"`
}

func (u *AuthUser) clone() AuthUser {
	c := *u
	c.Tokens, c.Experiments, c.Models = slices.Clone(u.Tokens), cloneGrants(u.Experiments), cloneGrants(u.Models)
	return c
}

// cloneGrants returns nil for no grants, as a file does that leaves them out.
func cloneGrants[K comparable](grants map[K]Permission) map[K]Permission {
	if len(grants) == 0 {
		return nil
	}
	return maps.Clone(grants)
}

const (
	// maxAuthConfig bounds what ParseAuthConfig reads.
	maxAuthConfig = 64 << 20
	maxUserName   = 255
	maxUserID     = 1 << 53 // what JavaScript can count to
	maxModelName  = 500
)

// size is not less than the length of the configuration as indented JSON, in
// which a byte of a name may take six.
func (c AuthConfig) size() int {
	const escaped, user, grant, token = 6, 512, 64, 128
	n := user
	for i := range c.Users {
		u := &c.Users[i]
		n += user + escaped*len(u.Name) + len(u.Password) + token*len(u.Tokens) + grant*(len(u.Experiments)+len(u.Models))
		for id := range u.Experiments {
			n += escaped * len(id)
		}
		for name := range u.Models {
			n += escaped * len(name)
		}
	}
	return n
}

// ParseAuthConfig reads an AuthConfig from JSON. Unknown fields are an error:
// a misspelt one must not widen what someone may do.
func ParseAuthConfig(r io.Reader) (AuthConfig, error) {
	var config AuthConfig
	body, err := io.ReadAll(io.LimitReader(r, maxAuthConfig+1))
	if err != nil {
		return config, fmt.Errorf("mlflow: read users: %w", err)
	}
	if len(body) > maxAuthConfig {
		return config, fmt.Errorf("mlflow: read users: more than %d bytes: %w", maxAuthConfig, tracking.ErrInvalid)
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(&config); err != nil {
		return config, fmt.Errorf("mlflow: read users: %v: %w", err, tracking.ErrInvalid)
	}
	if d.More() {
		return config, fmt.Errorf("mlflow: read users: there is something after the object: %w", tracking.ErrInvalid)
	}
	return config, config.Validate()
}

// Validate reports every fault in one ErrInvalid.
func (c AuthConfig) Validate() error {
	var f errs.Faults
	f.Check(c.Default == "" || c.Default.valid(), "default_permission %q: want NO_PERMISSIONS, READ, USE, EDIT or MANAGE", c.Default)
	names, tokens, ids := map[string]bool{}, map[string]string{}, map[int64]string{}
	for i, u := range c.Users {
		who := fmt.Sprintf("user %d, %q", i, mlflowhttp.Printable(u.Name))
		f.Check(validUserName(u.Name), "%s: want a name of 1 to %d bytes without colon", who, maxUserName)
		f.Check(!names[u.Name], "%s: the name is there twice", who)
		names[u.Name] = true
		f.Check(u.ID >= 0 && u.ID <= maxUserID, "%s: its id %d is none", who, u.ID)
		f.Check(u.ID == 0 || ids[u.ID] == "", "%s: has the id of user %q", who, ids[u.ID])
		ids[u.ID] = u.Name
		f.Check(u.Password != "" || len(u.Tokens) > 0, "%s: has neither password nor token", who)
		if u.Password != "" {
			_, err := parsePasswordHash(u.Password)
			f.Check(err == nil, "%s: its password: %v", who, err)
		}
		for _, token := range u.Tokens {
			f.Check(validTokenHash(token), "%s: a token is not what HashToken returns", who)
			f.Check(tokens[token] == "", "%s: has a token of user %q", who, tokens[token])
			tokens[token] = u.Name
		}
		f.Check(u.Server == "" || u.Server.valid(), "%s: server_permission %q is none", who, u.Server)
		for _, id := range slices.Sorted(maps.Keys(u.Experiments)) {
			f.Check(u.Experiments[id].valid(), "%s: permission %q for experiment %q is none", who, u.Experiments[id], id)
		}
		for _, name := range slices.Sorted(maps.Keys(u.Models)) {
			f.Check(u.Models[name].valid(), "%s: permission %q for model %q is none", who, u.Models[name], mlflowhttp.Printable(name))
			f.Check(validModelName(name), "%s: no model can have the name %q", who, mlflowhttp.Printable(name))
		}
	}
	return f.Err("mlflow: users")
}

func validUserName(name string) bool {
	return name != "" && len(name) <= maxUserName && utf8.ValidString(name) &&
		!strings.ContainsFunc(name, func(r rune) bool { return r == ':' || mlflowhttp.IsControl(r) })
}

func validModelName(name string) bool {
	return name != "" && len(name) <= maxModelName && utf8.ValidString(name) && !strings.ContainsFunc(name, mlflowhttp.IsControl)
}
