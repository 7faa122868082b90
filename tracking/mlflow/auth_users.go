package mlflow

import (
	"context"
	"fmt"

	"github.com/millwright-ml/millwright/internal/mlflowapi"
	"github.com/millwright-ml/millwright/internal/mlflowhttp"
	"github.com/millwright-ml/millwright/tracking"
)

// CreateUser adds a user. ErrExists when the name is taken, ErrInvalid when the
// name or the password cannot be.
func (a *Auth) CreateUser(ctx context.Context, name, password string, admin bool) (AuthUser, error) {
	if !validUserName(name) {
		return AuthUser{}, fmt.Errorf("mlflow: username %q: want 1 to %d bytes without colon and control characters: %w",
			mlflowhttp.Printable(name), maxUserName, tracking.ErrInvalid)
	}
	text, hash, err := a.hash(ctx, password)
	if err != nil {
		return AuthUser{}, err
	}
	var made AuthUser
	err = a.change(func(s *authState) error {
		if s.users[name] != nil {
			return fmt.Errorf("mlflow: User (username=%s) already exists: %w", name, tracking.ErrExists)
		}
		u := &authUser{AuthUser: AuthUser{ID: s.nextID, Name: name, Password: text, Admin: admin}, password: hash}
		s.users[name] = u
		s.nextID++
		made = u.AuthUser
		return nil
	})
	return made, err
}

// hash is HashPassword, a few at a time.
func (a *Auth) hash(ctx context.Context, password string) (string, *passwordHash, error) {
	if err := validPassword(password); err != nil {
		return "", nil, err
	}
	free, err := a.slot(ctx)
	if err != nil {
		return "", nil, err
	}
	defer free()
	text, err := hashPassword(password, a.rounds)
	if err != nil {
		return "", nil, err
	}
	p, err := parsePasswordHash(text)
	return text, &p, err
}

// SetPassword gives a user another password. What was the password before is
// refused from now on.
func (a *Auth) SetPassword(ctx context.Context, name, password string) error {
	if _, err := a.state.Load().user(name); err != nil {
		return err
	}
	text, hash, err := a.hash(ctx, password)
	if err != nil {
		return err
	}
	return a.change(func(s *authState) error {
		u, err := s.edit(name)
		if err != nil {
			return err
		}
		u.Password, u.password = text, hash
		return nil
	})
}

// SetAdmin makes a user an admin, or an admin a user like others. The last
// admin remains one.
func (a *Auth) SetAdmin(name string, admin bool) error {
	return a.change(func(s *authState) error {
		u, err := s.edit(name)
		if err != nil {
			return err
		}
		if u.Admin == admin {
			return errUnchanged
		}
		u.Admin = admin
		return s.mustHaveAdmin()
	})
}

// DeleteUser removes a user with all permissions and tokens. The last admin
// remains.
func (a *Auth) DeleteUser(name string) error {
	return a.change(func(s *authState) error {
		u, err := s.user(name)
		if err != nil {
			return err
		}
		delete(s.users, name)
		for _, token := range u.Tokens {
			delete(s.tokens, token)
		}
		if !u.Admin {
			return nil
		}
		return s.mustHaveAdmin()
	})
}

func (s *authState) mustHaveAdmin() error {
	for _, u := range s.users {
		if u.Admin {
			return nil
		}
	}
	return mlflowapi.Errorf(mlflowapi.CodeBadRequest, "This is the only admin: make another one first.")
}
