package mlflow

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/millwright-ml/millwright/internal/errs"
	"github.com/millwright-ml/millwright/tracking"
)

// Permission is what a user may do with the contents of an experiment. Each
// one includes those before it.
type Permission string

// The permissions, by MLflow's names.
const (
	NoPermissions  Permission = "NO_PERMISSIONS"
	ReadPermission Permission = "READ"
	EditPermission Permission = "EDIT"   // also write
	FullPermission Permission = "MANAGE" // also delete and restore
)

func (p Permission) valid() bool { return p == NoPermissions || p.rank() > 0 }

// rank orders the permissions; what is none of them allows nothing.
func (p Permission) rank() int {
	switch p {
	case ReadPermission:
		return 1
	case EditPermission:
		return 2
	case FullPermission:
		return 3
	}
	return 0
}

// AuthConfig lists who may do what. It has no secrets in clear: passwords and
// tokens are hashed by HashPassword and HashToken.
type AuthConfig struct {
	Users []AuthUser `json:"users"`
	// Default is what every user may do with an experiment that the user has
	// no grant for. Empty is NO_PERMISSIONS; MLflow's own default is READ.
	Default Permission `json:"default_permission,omitempty"`
}

// AuthUser is one user.
type AuthUser struct {
	Name     string `json:"name"`               // without colon, at most 255 bytes
	Password string `json:"password,omitempty"` // what HashPassword returned; empty: tokens only
	// Tokens are what HashToken returned for the tokens that stand for the
	// user in "Authorization: Bearer" headers.
	Tokens []string `json:"tokens,omitempty"`
	Admin  bool     `json:"admin,omitempty"` // may do everything
	// Experiments are the user's grants.
	Experiments map[tracking.ExperimentID]Permission `json:"experiments,omitempty"`
	// Server is what the user may do with what belongs to no experiment: the
	// model registry, and artifacts outside of experiments. Empty is
	// NO_PERMISSIONS.
	Server Permission `json:"server_permission,omitempty"`
}

// maxAuthConfig bounds what ParseAuthConfig reads.
const maxAuthConfig = 16 << 20

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
	f.Check(c.Default == "" || c.Default.valid(), "default_permission %q: want NO_PERMISSIONS, READ, EDIT or MANAGE", c.Default)
	names, tokens := map[string]bool{}, map[string]string{}
	for i, u := range c.Users {
		who := fmt.Sprintf("user %d, %q", i, printable(u.Name))
		f.Check(u.Name != "" && len(u.Name) <= 255 && !strings.ContainsFunc(u.Name, func(r rune) bool { return r == ':' || isControl(r) }),
			"%s: want a name of 1 to 255 bytes without colon", who)
		f.Check(!names[u.Name], "%s: the name is there twice", who)
		names[u.Name] = true
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
	}
	return f.Err("mlflow: users")
}
