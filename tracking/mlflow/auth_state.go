package mlflow

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/millwright-ml/millwright/internal/mlflowhttp"
	"github.com/millwright-ml/millwright/tracking"
)

// authState is all users at one moment. Neither it nor its users are changed
// once it is Auth's.
type authState struct {
	users  map[string]*authUser
	tokens map[string]string // user by hash
	nextID int64
}

type authUser struct {
	AuthUser
	password *passwordHash // nil: tokens only
}

// newAuthState returns the state of a valid configuration.
func newAuthState(config AuthConfig) (*authState, error) {
	s := &authState{users: make(map[string]*authUser, len(config.Users)), tokens: map[string]string{}, nextID: 1}
	for i := range config.Users {
		u := &authUser{AuthUser: config.Users[i].clone()}
		if u.Password != "" {
			p, err := parsePasswordHash(u.Password)
			if err != nil {
				return nil, fmt.Errorf("mlflow: users: %w", err)
			}
			u.password = &p
		}
		for _, token := range u.Tokens {
			s.tokens[token] = u.Name
		}
		s.users[u.Name] = u
		s.nextID = max(s.nextID, u.ID+1)
	}
	for i := range config.Users {
		if u := s.users[config.Users[i].Name]; u.ID == 0 {
			u.ID = s.nextID
			s.nextID++
		}
	}
	return s, nil
}

func (s *authState) config(byDef Permission) AuthConfig {
	config := AuthConfig{Default: byDef}
	for _, name := range slices.Sorted(maps.Keys(s.users)) {
		config.Users = append(config.Users, s.users[name].clone())
	}
	return config
}

// ordered returns the users in the order they were made.
func (s *authState) ordered() []*authUser {
	return slices.SortedFunc(maps.Values(s.users), func(a, b *authUser) int { return cmp.Compare(a.ID, b.ID) })
}

func (s *authState) user(name string) (*authUser, error) {
	if u := s.users[name]; u != nil {
		return u, nil
	}
	return nil, fmt.Errorf("mlflow: User with username=%s not found: %w", mlflowhttp.Printable(name), tracking.ErrNotFound)
}

// edit returns a user to change, whose grants may be changed as well.
func (s *authState) edit(name string) (*authUser, error) {
	old, err := s.user(name)
	if err != nil {
		return nil, err
	}
	u := &authUser{AuthUser: old.clone(), password: old.password}
	if u.Experiments == nil {
		u.Experiments = map[tracking.ExperimentID]Permission{}
	}
	if u.Models == nil {
		u.Models = map[string]Permission{}
	}
	s.users[name] = u
	return u, nil
}

// errUnchanged ends a change that has nothing to do.
var errUnchanged = errors.New("unchanged")

// change lets edit make the next state out of the present one, and has it kept
// before anyone sees it.
func (a *Auth) change(edit func(next *authState) error) error {
	a.changing.Lock()
	defer a.changing.Unlock()
	now := a.state.Load()
	next := &authState{users: maps.Clone(now.users), tokens: maps.Clone(now.tokens), nextID: now.nextID}
	if err := edit(next); errors.Is(err, errUnchanged) {
		return nil
	} else if err != nil {
		return err
	}
	if a.Changed != nil {
		config := next.config(a.byDef)
		if config.size() > maxAuthConfig {
			return fmt.Errorf("mlflow: there are more users and permissions than the server can keep: %w", tracking.ErrInvalid)
		}
		if err := a.Changed(config); err != nil {
			// Not %w: of what kind it is says nothing about the request.
			return fmt.Errorf("mlflow: users: keep a change: %v", err)
		}
	}
	a.state.Store(next)
	return nil
}
