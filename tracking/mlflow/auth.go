package mlflow

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/millwright-ml/millwright/tracking"
)

// Auth is a ready-made Options.Authorize: HTTP Basic with hashed passwords and
// Bearer tokens, as MLflow's clients send them, and a permission for each user
// and experiment. It is safe for concurrent use.
//
//	auth, err := mlflow.NewAuth(config)
//	handler, err := mlflow.NewHandler(store, &mlflow.Options{Authorize: auth.Authorize, Created: auth.Created})
//
// Every user may create experiments and then manages them. Grants are kept in
// memory: Config returns them with the rest, for a program that writes them
// down.
type Auth struct {
	key   [sha256.Size]byte // of the cache's keys, of this process only
	decoy passwordHash      // what unknown users are checked against
	slots chan struct{}     // how many passwords are checked at a time

	mu      sync.RWMutex
	users   map[string]*authUser
	tokens  map[string]string // user by hash
	byDef   Permission
	checked map[[sha256.Size]byte]checkedPassword
}

type authUser struct {
	AuthUser
	password *passwordHash // nil: tokens only
}

// checkedPassword is the outcome of checking a user's password.
type checkedPassword struct {
	ok    bool
	until time.Time
}

const (
	checkedTime  = 5 * time.Minute
	refusedTime  = 10 * time.Second
	maxChecked   = 4096
	passwordJobs = 2
)

// NewAuth returns an Auth for the users of config.
func NewAuth(config AuthConfig) (*Auth, error) {
	if err := config.Validate(); err != nil {
		return nil, err
	}
	a := &Auth{
		slots:   make(chan struct{}, passwordJobs),
		users:   make(map[string]*authUser, len(config.Users)),
		tokens:  map[string]string{},
		byDef:   config.Default,
		checked: map[[sha256.Size]byte]checkedPassword{},
		decoy:   passwordHash{rounds: passwordRounds, salt: make([]byte, saltBytes), sum: make([]byte, sha256.Size)},
	}
	_, _ = rand.Read(a.key[:]) // see HashPassword
	for _, u := range config.Users {
		user := &authUser{AuthUser: u}
		user.Experiments = maps.Clone(u.Experiments)
		if u.Password != "" {
			p, err := parsePasswordHash(u.Password)
			if err != nil {
				return nil, fmt.Errorf("mlflow: users: %w", err)
			}
			user.password = &p
			a.decoy.rounds = p.rounds // so that unknown names take as long
		}
		for _, token := range u.Tokens {
			a.tokens[token] = u.Name
		}
		a.users[u.Name] = user
	}
	return a, nil
}

// Authorize is for Options.Authorize.
func (a *Auth) Authorize(r *http.Request, action Action) error {
	name, err := a.User(r)
	if err != nil {
		return err
	}
	a.mu.RLock()
	defer a.mu.RUnlock()
	u := a.users[name]
	if u == nil {
		return ErrUnauthenticated
	}
	if u.Admin || action.Verb == Connect || action.Verb == Create {
		return nil
	}
	have := u.Server
	if action.Experiment != "" {
		var granted bool
		if have, granted = u.Experiments[action.Experiment]; !granted {
			have = a.byDef
		}
	}
	want := FullPermission
	switch action.Verb {
	case Read:
		want = ReadPermission
	case Write:
		want = EditPermission
	}
	if have.rank() < want.rank() {
		return ErrDenied
	}
	return nil
}

// Created is for Options.Created: who made an experiment manages it.
func (a *Auth) Created(r *http.Request, id tracking.ExperimentID) {
	if name, err := a.User(r); err == nil {
		_ = a.Grant(name, id, FullPermission) // the user was there a moment ago, and nobody else may have it
	}
}

// Grant sets what a user may do with an experiment. ErrNotFound when there is
// no such user.
func (a *Auth) Grant(user string, id tracking.ExperimentID, p Permission) error {
	if !p.valid() {
		return fmt.Errorf("mlflow: grant to %q: permission %q is none: %w", user, p, tracking.ErrInvalid)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	u := a.users[user]
	if u == nil {
		return fmt.Errorf("mlflow: grant to %q: no such user: %w", printable(user), tracking.ErrNotFound)
	}
	if u.Experiments == nil {
		u.Experiments = map[tracking.ExperimentID]Permission{}
	}
	u.Experiments[id] = p
	return nil
}

// Config returns the users with their present grants, ordered by name.
func (a *Auth) Config() AuthConfig {
	a.mu.RLock()
	defer a.mu.RUnlock()
	config := AuthConfig{Default: a.byDef}
	for _, name := range slices.Sorted(maps.Keys(a.users)) {
		u := a.users[name].AuthUser
		u.Experiments, u.Tokens = maps.Clone(u.Experiments), slices.Clone(u.Tokens)
		config.Users = append(config.Users, u)
	}
	return config
}

// User returns who sent the request, or ErrUnauthenticated.
func (a *Auth) User(r *http.Request) (string, error) {
	header := r.Header.Get("Authorization")
	scheme, token, _ := strings.Cut(header, " ")
	if strings.EqualFold(scheme, "Bearer") {
		// The hash is a lookup by what the sender cannot choose freely, so its
		// timing tells nothing of other tokens.
		a.mu.RLock()
		defer a.mu.RUnlock()
		if name, ok := a.tokens[HashToken(strings.TrimSpace(token))]; ok {
			return name, nil
		}
		return "", ErrUnauthenticated
	}
	name, password, ok := r.BasicAuth()
	if !ok {
		return "", ErrUnauthenticated
	}
	ok, err := a.checkPassword(r.Context(), name, password)
	if err != nil {
		return "", err
	}
	if !ok {
		return "", ErrUnauthenticated
	}
	return name, nil
}

// checkPassword reports whether it is the user's password. The outcome is
// remembered for a while, under a key that only this process can compute, as
// clients send the password with every request.
func (a *Auth) checkPassword(ctx context.Context, name, password string) (bool, error) {
	key := a.cacheKey(name, password)
	a.mu.RLock()
	known, found := a.checked[key]
	u := a.users[name]
	a.mu.RUnlock()
	if found && time.Now().Before(known.until) {
		return known.ok, nil
	}
	select {
	case a.slots <- struct{}{}:
		defer func() { <-a.slots }()
	case <-ctx.Done():
		return false, ctx.Err()
	}
	against := &a.decoy
	if u != nil && u.password != nil {
		against = u.password
	}
	ok := against.matches(password) && against != &a.decoy
	result := checkedPassword{ok: ok, until: time.Now().Add(refusedTime)}
	if ok {
		result.until = time.Now().Add(checkedTime)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.checked) >= maxChecked {
		clear(a.checked)
	}
	a.checked[key] = result
	return ok, nil
}

func (a *Auth) cacheKey(name, password string) (key [sha256.Size]byte) {
	mac := hmac.New(sha256.New, a.key[:])
	mac.Write([]byte(name))
	mac.Write([]byte{':'}) // no name has one
	mac.Write([]byte(password))
	mac.Sum(key[:0])
	return key
}
