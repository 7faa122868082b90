package mlflow

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"

	"github.com/millwright-ml/millwright/internal/mlflowhttp"
	"github.com/millwright-ml/millwright/tracking"
)

// grantKind is how a grant is set.
type grantKind int

const (
	setGrant    grantKind = iota // whether there is one or not
	newGrant                     // ErrExists where there is one
	changeGrant                  // ErrNotFound where there is none
	endGrant                     // likewise
)

// setIn sets the grant for key in one of a user's maps.
func setIn[K comparable](grants map[K]Permission, key K, p Permission, kind grantKind) error {
	old, granted := grants[key]
	switch {
	case granted && kind == newGrant:
		return tracking.ErrExists
	case !granted && (kind == changeGrant || kind == endGrant):
		return tracking.ErrNotFound
	case kind == endGrant:
		delete(grants, key)
		return nil
	case granted && old == p:
		return errUnchanged
	}
	grants[key] = p
	return nil
}

// grant changes a permission of one user. The errors of setIn come back as they
// are, for the caller to put in words; that the user is unknown comes back as a
// whole error.
func (a *Auth) grant(name string, set func(u *authUser) error) (id int64, err error) {
	err = a.change(func(s *authState) error {
		u, err := s.edit(name)
		if err != nil {
			return err
		}
		id = u.ID
		return set(u)
	})
	return id, err
}

func checkGrant(user string, p Permission) error {
	if !p.valid() {
		return fmt.Errorf("mlflow: grant to %q: permission %q is none: %w", mlflowhttp.Printable(user), mlflowhttp.Printable(string(p)), tracking.ErrInvalid)
	}
	return nil
}

// Grant sets what a user may do with an experiment. ErrNotFound when there is
// no such user.
func (a *Auth) Grant(user string, id tracking.ExperimentID, p Permission) error {
	if err := checkGrant(user, p); err != nil {
		return err
	}
	_, err := a.grant(user, func(u *authUser) error { return setIn(u.Experiments, id, p, setGrant) })
	return err
}

// GrantModel sets what a user may do with a registered model.
func (a *Auth) GrantModel(user, model string, p Permission) error {
	if err := checkGrant(user, p); err != nil {
		return err
	}
	if !validModelName(model) {
		return fmt.Errorf("mlflow: grant to %q: no model can have the name %q: %w", mlflowhttp.Printable(user), mlflowhttp.Printable(model), tracking.ErrInvalid)
	}
	_, err := a.grant(user, func(u *authUser) error { return setIn(u.Models, model, p, setGrant) })
	return err
}

// Created is for Options.Created: who made an experiment manages it.
func (a *Auth) Created(r *http.Request, id tracking.ExperimentID) error {
	name, err := a.User(r)
	if err != nil {
		return err
	}
	return a.Grant(name, id, FullPermission)
}

// ModelChanged follows the name of a registered model, for the handler of the
// model registry: the maker of a new one (was is empty) manages it, grants move
// with a new name, and end when the model is deleted (now is empty). Grants that
// an earlier model left under the new name end.
//
// As models are known by their names, no other change of names may come between
// the registry's and this one.
func (a *Auth) ModelChanged(r *http.Request, was, now string) error {
	if was == now {
		return nil
	}
	maker := ""
	if was == "" {
		var err error
		if maker, err = a.User(r); err != nil {
			return err
		}
	}
	return a.change(func(s *authState) error {
		changed := false
		for _, name := range slices.Collect(maps.Keys(s.users)) {
			models := s.users[name].Models
			p, moves := models[was]
			_, stale := models[now]
			if was == "" {
				p, moves = FullPermission, name == maker
			}
			if !moves && !stale {
				continue
			}
			u, err := s.edit(name)
			if err != nil {
				return err
			}
			delete(u.Models, was)
			delete(u.Models, now)
			if moves && now != "" {
				u.Models[now] = p
			}
			changed = true
		}
		if !changed {
			return errUnchanged
		}
		return nil
	})
}

// Sweep ends the grants for experiments that the store has no more: those that
// were removed for good. Grants for a deleted experiment stay, as it can be
// restored.
func (a *Auth) Sweep(ctx context.Context, store tracking.Store) error {
	gone := map[tracking.ExperimentID]bool{}
	for _, u := range a.state.Load().users {
		for id := range u.Experiments {
			if _, known := gone[id]; known {
				continue
			}
			page, _, err := store.SearchExperiments(ctx, tracking.ExperimentQuery{ID: id, View: tracking.All, Page: tracking.Page{Max: 1}})
			if err != nil && !errors.Is(err, tracking.ErrInvalid) { // an ID that none can have
				return fmt.Errorf("mlflow: sweep grants: %w", err)
			}
			gone[id] = len(page) == 0
		}
	}
	return a.change(func(s *authState) error {
		changed := false
		for _, name := range slices.Collect(maps.Keys(s.users)) {
			left := maps.Clone(s.users[name].Experiments)
			maps.DeleteFunc(left, func(id tracking.ExperimentID, _ Permission) bool { return gone[id] })
			if len(left) == len(s.users[name].Experiments) {
				continue
			}
			u, err := s.edit(name)
			if err != nil {
				return err
			}
			u.Experiments, changed = left, true
		}
		if !changed {
			return errUnchanged
		}
		return nil
	})
}
