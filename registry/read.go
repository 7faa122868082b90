package registry

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"

	"github.com/millwright-ml/millwright/internal/errs"
)

// Page lengths. A version may carry thousands of files and an entry a megabyte
// of evidence, so their pages are short.
const (
	versionPage = 32
	entryPage   = 32
	recordPage  = 256
)

// Version returns version n of the model name. ErrNotFound tells a model that
// is not registered from a version that it does not have.
func (r *Registry) Version(ctx context.Context, name string, n int) (*Version, error) {
	op := fmt.Sprintf("version %d of %q", n, cut(name))
	var faults errs.Faults
	checkName(&faults, name)
	faults.Check(n > 0, "version %d, want a number from 1 up", n)
	if err := faults.Err("registry: " + op); err != nil {
		return nil, err
	}
	return r.version(ctx, op, name, n)
}

func (r *Registry) version(ctx context.Context, op, name string, n int) (*Version, error) {
	v, err := r.store.Version(ctx, name, n)
	if errors.Is(err, ErrNotFound) {
		return nil, r.noVersion(ctx, op, name, n)
	}
	if err != nil {
		return nil, fmt.Errorf("registry: %s: %w", op, err)
	}
	return v, nil
}

// Resolve returns the version that a reference names, "fraud/3" by number or
// "fraud@champion" by alias. ErrNotFound says what is missing, and which
// aliases exist; ErrInvalid is a text that is no reference.
func (r *Registry) Resolve(ctx context.Context, ref string) (*Version, error) {
	parsed, err := ParseRef(ref)
	if err != nil {
		return nil, err
	}
	op := fmt.Sprintf("resolve %q", ref)
	if parsed.Alias == "" {
		return r.version(ctx, op, parsed.Name, parsed.Number)
	}
	n, err := r.alias(ctx, op, parsed.Name, parsed.Alias)
	if err != nil {
		return nil, err
	}
	return r.version(ctx, op, parsed.Name, n)
}

// Versions walks the active versions of a model, highest number first. An
// unknown model is one ErrNotFound. A version registered while it runs may be
// missed.
func (r *Registry) Versions(ctx context.Context, name string) iter.Seq2[*Version, error] {
	return func(yield func(*Version, error) bool) {
		if _, err := r.model(ctx, fmt.Sprintf("versions of %q", cut(name)), name); err != nil {
			yield(nil, err)
			return
		}
		r.SearchVersions(ctx, VersionQuery{Name: name, OrderBy: []string{"version_number DESC"}})(yield)
	}
}

// SearchVersions walks the versions that q selects, page by page: q.Page.Max is
// the size of a page, default 32.
func (r *Registry) SearchVersions(ctx context.Context, q VersionQuery) iter.Seq2[*Version, error] {
	if q.Page.Max <= 0 {
		q.Page.Max = versionPage
	}
	return walkTokens("search versions", q.Page.Token, func(token string) ([]*Version, string, error) {
		q.Page.Token = token
		return r.store.SearchVersions(ctx, q)
	})
}

// Models walks the active models in byte order of their names.
func (r *Registry) Models(ctx context.Context) iter.Seq2[Model, error] {
	return r.SearchModels(ctx, ModelQuery{})
}

// SearchModels walks the models that q selects, page by page: q.Page.Max is the
// size of a page, default 256.
func (r *Registry) SearchModels(ctx context.Context, q ModelQuery) iter.Seq2[Model, error] {
	if q.Page.Max <= 0 {
		q.Page.Max = recordPage
	}
	return walkTokens("search models", q.Page.Token, func(token string) ([]Model, string, error) {
		q.Page.Token = token
		return r.store.SearchModels(ctx, q)
	})
}

// Model returns the active model of the name; ErrNotFound when there is none.
func (r *Registry) Model(ctx context.Context, name string) (Model, error) {
	return r.model(ctx, fmt.Sprintf("model %q", cut(name)), name)
}

func (r *Registry) model(ctx context.Context, op, name string) (Model, error) {
	var faults errs.Faults
	checkName(&faults, name)
	if err := faults.Err("registry: " + op); err != nil {
		return Model{}, err
	}
	page, _, err := r.store.SearchModels(ctx, ModelQuery{Name: name, Page: Page{Max: 1}})
	switch {
	case err != nil:
		return Model{}, fmt.Errorf("registry: %s: %w", op, err)
	case len(page) == 0:
		return Model{}, fmt.Errorf("registry: %s: %w", op, errNoModel(name))
	}
	return page[0], nil
}

// walkTokens yields page after page until there is no next token.
func walkTokens[T any](op, token string, fetch func(token string) ([]T, string, error)) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var zero T
		for token := token; ; {
			page, next, err := fetch(token)
			if err == nil && next != "" && next == token { // a faulty store must not become an endless loop
				err = fmt.Errorf("the store answered the same page token twice: %w", ErrInvalid)
			}
			if err != nil {
				yield(zero, fmt.Errorf("registry: %s: %w", op, err))
				return
			}
			for _, item := range page {
				if !yield(item, nil) {
					return
				}
			}
			if token = next; token == "" {
				return
			}
		}
	}
}

// walkPages yields page after page of up to limit items, each fetched by the
// last item before it, the zero value at first.
func walkPages[T any](op string, limit int, check func(*errs.Faults), fetch func(last T) ([]T, error)) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var last, zero T
		var faults errs.Faults
		check(&faults)
		if err := faults.Err("registry: " + op); err != nil {
			yield(zero, err)
			return
		}
		for {
			page, err := fetch(last)
			if err != nil {
				yield(zero, fmt.Errorf("registry: %s: %w", op, err))
				return
			}
			for _, item := range page {
				if !yield(item, nil) {
					return
				}
				last = item
			}
			if len(page) < limit {
				return
			}
		}
	}
}

func errNoModel(name string) error {
	return fmt.Errorf("no model %q is registered: %w", name, ErrNotFound)
}

// noVersion explains why the model has no version n.
func (r *Registry) noVersion(ctx context.Context, op, name string, n int) error {
	m, err := r.Model(ctx, name)
	switch {
	case errors.Is(err, ErrNotFound):
		return fmt.Errorf("registry: %s: %w", op, errNoModel(name))
	case err != nil:
		return fmt.Errorf("registry: %s: %w", op, err)
	}
	return fmt.Errorf("registry: %s: model %q has no version %d, its newest is %d: %w", op, name, n, m.Latest, ErrNotFound)
}

// noAlias explains why the model has no such alias.
func (r *Registry) noAlias(ctx context.Context, op, name, alias string) error {
	const most = 20
	list, err := r.store.Aliases(ctx, name, "", "", most+1)
	if err != nil {
		return fmt.Errorf("registry: %s: %w", op, err)
	}
	if len(list) == 0 {
		if _, err := r.Model(ctx, name); err != nil {
			return fmt.Errorf("registry: %s: %w", op, errNoModel(name))
		}
		return fmt.Errorf("registry: %s: model %q has no alias %q, nor any other: %w", op, name, alias, ErrNotFound)
	}
	have := make([]string, 0, most+1)
	for _, a := range list[:min(len(list), most)] {
		have = append(have, a.Alias)
	}
	if len(list) > most {
		have = append(have, "…")
	}
	return fmt.Errorf("registry: %s: model %q has no alias %q, it has %s: %w", op, name, alias, strings.Join(have, ", "), ErrNotFound)
}
