package registry

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"

	"github.com/millwright-ml/millwright/internal/errs"
)

// Page lengths. A version may carry thousands of files and a move a megabyte
// of evidence, so their pages are short.
const (
	versionPage = 32
	movePage    = 32
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

// Versions walks the versions of a model, highest number first. An unknown
// model is one ErrNotFound. A version registered while it runs may be missed.
func (r *Registry) Versions(ctx context.Context, name string) iter.Seq2[*Version, error] {
	return walkPages(fmt.Sprintf("versions of %q", cut(name)), versionPage,
		func(faults *errs.Faults) { checkName(faults, name) },
		func(last *Version) ([]*Version, error) {
			if last != nil {
				return r.store.Versions(ctx, name, last.Number, versionPage)
			}
			page, err := r.store.Versions(ctx, name, 0, versionPage)
			if err == nil && len(page) == 0 {
				err = errNoModel(name)
			}
			return page, err
		})
}

// Models walks the registered models in byte order of their names.
func (r *Registry) Models(ctx context.Context) iter.Seq2[Model, error] {
	return walkPages("models", recordPage, func(*errs.Faults) {},
		func(last Model) ([]Model, error) { return r.store.Models(ctx, last.Name, recordPage) })
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
	newest, err := r.store.Versions(ctx, name, 0, 1)
	switch {
	case err != nil:
		return fmt.Errorf("registry: %s: %w", op, err)
	case len(newest) == 0:
		return fmt.Errorf("registry: %s: %w", op, errNoModel(name))
	}
	return fmt.Errorf("registry: %s: model %q has no version %d, its newest is %d: %w", op, name, n, newest[0].Number, ErrNotFound)
}

// noAlias explains why the model has no such alias.
func (r *Registry) noAlias(ctx context.Context, op, name, alias string) error {
	const most = 20
	list, err := r.store.Aliases(ctx, name, "", most+1)
	if err != nil {
		return fmt.Errorf("registry: %s: %w", op, err)
	}
	if len(list) == 0 {
		newest, err := r.store.Versions(ctx, name, 0, 1)
		if err != nil {
			return fmt.Errorf("registry: %s: %w", op, err)
		}
		if len(newest) == 0 {
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
