package serve

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
)

// table is what the server serves. It never changes: a request sees one state.
type table struct {
	models map[string]*served
	closed bool
}

// served is one name in the table: its versions, in the order of their names,
// and the one that answers when none is named. It never changes.
type served struct {
	versions []*deployed
	def      *deployed
	router   Router
	limiter  *limiter // Nil without admission.
}

// find returns the version with the name, nil when there is none.
func (m *served) find(version string) *deployed {
	// A model has a handful of versions.
	for _, v := range m.versions {
		if v.version == version {
			return v
		}
	}
	return nil
}

// texts lists the versions for a message.
func (m *served) texts() string {
	list := make([]string, len(m.versions))
	for i, v := range m.versions {
		list[i] = fmt.Sprintf("%q", v.version)
	}
	if len(list) == 1 {
		return "version " + list[0] + " is"
	}
	return "versions " + strings.Join(list, ", ") + " are"
}

// numbers returns the names of the versions.
func (m *served) numbers() []string {
	list := make([]string, len(m.versions))
	for i, v := range m.versions {
		list[i] = v.version
	}
	return list
}

// Deploy checks the model against its recorded signature, warms it, has it
// reproduce its golden answers, then makes it a version of its name in one step: each
// request is answered by what was there before or by the new version, none
// fails. It takes the place of the default version, unless Deployment.Beside
// adds it beside that, and always the place of a version of the same name.
// Deploy does not wait for the requests that a replaced version is answering;
// its model is closed after the last of them, and is gone from the server with
// its version number at once.
//
// The server owns the model from a nil error on. Errors: ErrInvalid with all
// the faults of the deployment and its signature, ErrExists when the very same
// model value is being served, ErrClosed after Shutdown, ctx.Err() when ctx has
// ended before, what Warmer.Warm returned.
func (s *Server) Deploy(ctx context.Context, d Deployment) error {
	err := s.deploy(ctx, d)
	if err != nil {
		s.failedDeploys.Add(1)
	}
	return err
}

func (s *Server) deploy(ctx context.Context, d Deployment) error {
	subject := fmt.Sprintf("serve: deploy %q version %q", d.Name, d.Version)
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%s: %w", subject, err)
	}
	v, err := s.newDeployed(subject, d)
	if err != nil {
		return err
	}
	if err := s.free(subject, d.Model); err != nil {
		return err
	}
	if err := v.warm(ctx); err != nil {
		return fmt.Errorf("%s: %w", subject, err)
	}
	if err := s.reproduce(ctx, v, &d); err != nil {
		return fmt.Errorf("%s: %w", subject, err)
	}
	// It has its observers before it is seen.
	s.bind(v)
	old, err := s.change(subject, v.name, func(now *table, m *served) (*served, []*deployed, error) {
		// Again: another Deploy may have come in between.
		if err := unserved(subject, now, v.model); err != nil {
			return nil, nil, err
		}
		next := &served{def: v}
		var out []*deployed
		past := s.past[v.name]
		if past == nil {
			past = new(history)
			s.past[v.name] = past
		}
		if past.limiter == nil && s.opts.Admission.Max > 0 {
			past.limiter = newLimiter(*s.opts.Admission)
		}
		next.limiter = past.limiter
		if m != nil {
			next.router = m.router
			if d.Beside && m.def.version != v.version {
				next.def = m.def
			}
			for _, o := range m.versions {
				if o.version == v.version || o == m.def && !d.Beside {
					out = append(out, o)
				} else {
					next.versions = append(next.versions, o)
				}
			}
		}
		next.versions = append(next.versions, v)
		slices.SortFunc(next.versions, func(a, b *deployed) int { return compareVersions(a.version, b.version) })
		s.live[v] = struct{}{}
		if next.limiter != nil {
			next.limiter.reset(next.versions)
		}
		past.deployed.Add(1)
		return next, out, nil
	})
	if err != nil {
		s.unbind(v)
		return err
	}
	s.opts.Logger.Info("serve: deployed", "model", v.name, "version", v.version, "beside", d.Beside)
	s.retire(old)
	return nil
}

// compareVersions orders 2 before 10.
func compareVersions(a, b string) int {
	if digits(a) && digits(b) && len(a) != len(b) {
		return len(a) - len(b)
	}
	return strings.Compare(a, b)
}

func digits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != "" && s[0] != '0'
}

// SetDefault makes a deployed version the one that answers for its name, in one
// step. The one before stays deployed beside it, so that the way back is as
// short. An ErrNotFound when the version is not deployed.
func (s *Server) SetDefault(name, version string) error {
	subject := fmt.Sprintf("serve: set default %q version %q", name, version)
	_, err := s.change(subject, name, func(_ *table, m *served) (*served, []*deployed, error) {
		if m == nil {
			return nil, nil, fmt.Errorf("%s: no such model is deployed: %w", subject, ErrNotFound)
		}
		v := m.find(version)
		if v == nil {
			return nil, nil, fmt.Errorf("%s: it is not deployed, %s: %w", subject, m.texts(), ErrNotFound)
		}
		next := *m
		next.def = v
		return &next, nil, nil
	})
	if err == nil {
		s.opts.Logger.Info("serve: default", "model", name, "version", version)
	}
	return err
}

// SetRouter makes r choose the version for the requests to the model that name
// none, nil makes it the default version again. The router goes with the model
// when it is undeployed. An ErrNotFound when the model is not deployed.
func (s *Server) SetRouter(name string, r Router) error {
	subject := fmt.Sprintf("serve: set router of %q", name)
	_, err := s.change(subject, name, func(_ *table, m *served) (*served, []*deployed, error) {
		if m == nil {
			return nil, nil, fmt.Errorf("%s: no such model is deployed: %w", subject, ErrNotFound)
		}
		next := *m
		next.router = r
		return &next, nil, nil
	})
	return err
}

// Remove takes one version out of the server at once, then waits until its
// requests have ended and it was closed. It returns the model's error from
// Close; an ErrNotFound when the version is not deployed; an ErrConflict when it
// is the default and others are deployed, of which one has to become the default
// first; ctx.Err() when ctx ends first, with the model closed later. The removal
// of a model's last version is its Undeploy.
func (s *Server) Remove(ctx context.Context, name, version string) error {
	subject := fmt.Sprintf("serve: remove %q version %q", name, version)
	old, err := s.change(subject, name, func(_ *table, m *served) (*served, []*deployed, error) {
		if m == nil {
			return nil, nil, fmt.Errorf("%s: no such model is deployed: %w", subject, ErrNotFound)
		}
		v := m.find(version)
		switch {
		case v == nil:
			return nil, nil, fmt.Errorf("%s: it is not deployed, %s: %w", subject, m.texts(), ErrNotFound)
		case len(m.versions) == 1:
			return nil, []*deployed{v}, nil
		case v == m.def:
			return nil, nil, fmt.Errorf("%s: it is the default version, make another one the default first: %w", subject, ErrConflict)
		}
		next := *m
		next.versions = slices.DeleteFunc(slices.Clone(m.versions), func(o *deployed) bool { return o == v })
		return &next, []*deployed{v}, nil
	})
	if err != nil {
		return err
	}
	return s.retireAndWait(ctx, subject, old)
}

// Undeploy takes the model with all its versions out of the server at once, then
// waits until its requests have ended and it was closed. It returns the model's
// error from Close; an ErrNotFound when there is no such model; ctx.Err() when
// ctx ends first, with the model closed later.
func (s *Server) Undeploy(ctx context.Context, name string) error {
	subject := fmt.Sprintf("serve: undeploy %q", name)
	old, err := s.change(subject, name, func(_ *table, m *served) (*served, []*deployed, error) {
		if m == nil {
			return nil, nil, fmt.Errorf("%s: no such model is deployed: %w", subject, ErrNotFound)
		}
		return nil, m.versions, nil
	})
	if err != nil {
		return err
	}
	return s.retireAndWait(ctx, subject, old)
}

func (s *Server) retireAndWait(ctx context.Context, subject string, old []*deployed) error {
	s.retire(old)
	for _, v := range old {
		s.opts.Logger.Info("serve: undeployed", "model", v.name, "version", v.version)
		if err := v.wait(ctx); err != nil {
			return fmt.Errorf("%s: requests are still being answered: %w", subject, err)
		}
	}
	for _, v := range old {
		if v.closeErr != nil {
			return fmt.Errorf("%s: %w", subject, v.closeErr)
		}
	}
	return nil
}

// change replaces one name of the table by what next makes of it, nil for none,
// and returns the versions that left the table, which the caller retires.
func (s *Server) change(subject, name string, next func(now *table, m *served) (*served, []*deployed, error)) ([]*deployed, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.table.Load()
	if now.closed {
		return nil, fmt.Errorf("%s: the server was shut down: %w", subject, ErrClosed)
	}
	m, old, err := next(now, now.models[name])
	if err != nil {
		return nil, err
	}
	if before := now.models[name]; m != nil && before != nil && before.def != m.def {
		s.past[name].swapped.Add(1)
	}
	models := maps.Clone(now.models)
	switch {
	case m == nil:
		delete(models, name)
	case models == nil:
		models = map[string]*served{name: m}
	default:
		models[name] = m
	}
	s.table.Store(&table{models: models})
	return old, nil
}

// free checks that a model can be deployed, before it is warmed.
func (s *Server) free(subject string, m Model) error {
	now := s.table.Load()
	if now.closed {
		return fmt.Errorf("%s: the server was shut down: %w", subject, ErrClosed)
	}
	return unserved(subject, now, m)
}

// unserved refuses a model that is being served: it would be closed while it
// serves.
func unserved(subject string, now *table, model Model) error {
	for _, m := range now.models {
		for _, v := range m.versions {
			if same(v.model, model) {
				return fmt.Errorf("%s: the same model value serves as %q version %q, load another: %w", subject, v.name, v.version, ErrExists)
			}
		}
	}
	return nil
}

// same reports whether two models are one pointer.
func same(a, b Model) bool {
	return reflect.TypeOf(a).Kind() == reflect.Pointer && a == b && reflect.TypeOf(a).Elem().Size() > 0
}

// lookup finds the version that answers for the name, without a router.
func (s *Server) lookup(name, version string) (*deployed, error) {
	m, err := s.model(s.table.Load(), name)
	if err != nil {
		return nil, err
	}
	return m.exact(name, version)
}

// find is lookup for a request: a model that is not there may be loaded.
func (s *Server) find(ctx context.Context, name, version string) (*deployed, error) {
	v, err := s.lookup(name, version)
	if err == nil || s.opts.OnDemand == nil || !errors.Is(err, ErrNotFound) {
		return v, err
	}
	if s.table.Load().models[name] != nil {
		return nil, err // Another version of it is there.
	}
	if bad := s.opts.OnDemand(ctx, name); bad != nil {
		return nil, fmt.Errorf("serve: load model %.100q: %w", name, bad)
	}
	return s.lookup(name, version)
}

// model finds a name in the table.
func (s *Server) model(now *table, name string) (*served, error) {
	m := now.models[name]
	switch {
	case now.closed:
		return nil, fmt.Errorf("serve: the server is shutting down: %w", ErrClosed)
	case m == nil:
		return nil, fmt.Errorf("serve: model %.100q is not deployed: %w", name, ErrNotFound)
	}
	return m, nil
}

// exact returns the version asked for, the default one for "".
func (m *served) exact(name, version string) (*deployed, error) {
	if version == "" {
		return m.def, nil
	}
	if v := m.find(version); v != nil {
		return v, nil
	}
	return nil, fmt.Errorf("serve: model %q: version %.100q is not deployed, %s: %w", name, version, m.texts(), ErrNotFound)
}
