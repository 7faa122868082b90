package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"

	"github.com/millwright-ml/millwright/internal/errs"
)

// AliasOptions says under which condition an alias is moved, and why; nil is
// the zero value.
type AliasOptions struct {
	// Expect is where the alias must be for the move to happen: a version
	// number; 0, the default, when it must not exist yet; -1 for anywhere.
	Expect int
	// By is the person or program that moves it, at most 255 bytes.
	By string
	// Reason is free text, at most 8000 bytes.
	Reason string
	// Evidence is what the decision rests on, as JSON of at most 1 MiB, such
	// as the report of a comparison; kept compacted.
	Evidence json.RawMessage
}

// SetAlias moves the alias of a model to version to by compare-and-swap: of
// callers that expect the same state, one succeeds. The move is appended to
// the alias's history in the same transaction. An alias that is where it
// should go already, and is expected there, is left alone and no move is
// recorded.
//
// Errors: *ConflictError when the alias is not where opts.Expect says (a Have
// equal to To tells that the move was made before, perhaps by this caller
// before a crash), ErrNotFound when the version does not exist, ErrInvalid. An alias consists
// of letters, digits, _ and -, at most 255; it is not "latest" and not "v"
// with a number.
func (r *Registry) SetAlias(ctx context.Context, name, alias string, to int, opts *AliasOptions) error {
	op := fmt.Sprintf("set alias %q of %q to v%d", cut(alias), cut(name), to)
	var faults errs.Faults
	faults.Check(to > 0, "version %d, want a number from 1 up", to)
	_, err := r.move(ctx, &faults, op, name, alias, to, opts)
	if errors.Is(err, ErrNotFound) {
		return r.noVersion(ctx, op, name, to)
	}
	return err
}

// DeleteAlias removes the alias of a model by compare-and-swap; its history
// stays. opts.Expect must name the version that the alias is at, or be -1 for
// any.
//
// Errors: *ConflictError when the alias is not where opts.Expect says,
// ErrNotFound when any was allowed and there is none, ErrInvalid.
func (r *Registry) DeleteAlias(ctx context.Context, name, alias string, opts *AliasOptions) error {
	op := fmt.Sprintf("delete alias %q of %q", cut(alias), cut(name))
	var faults errs.Faults
	faults.Check(opts != nil && opts.Expect != 0, "Expect is 0, want the version that the alias is at, or -1 for any")
	moved, err := r.move(ctx, &faults, op, name, alias, 0, opts)
	if err == nil && moved.Seq == 0 {
		return r.noAlias(ctx, op, name, alias)
	}
	return err
}

// move checks the arguments and hands them to the store.
func (r *Registry) move(ctx context.Context, faults *errs.Faults, op, name, alias string, to int, opts *AliasOptions) (Entry, error) {
	var o AliasOptions
	if opts != nil {
		o = *opts
	}
	checkName(faults, name)
	checkAlias(faults, alias)
	faults.Check(o.Expect >= -1, "Expect is %d, want a version, 0 for none or -1 for any", o.Expect)
	checkText(faults, "By", o.By, maxName)
	checkText(faults, "Reason", o.Reason, maxReason)
	checkJSON(faults, "Evidence", o.Evidence, maxJSON)
	if err := faults.Err("registry: " + op); err != nil {
		return Entry{}, err
	}
	evidence, err := compact(o.Evidence)
	if err != nil {
		return Entry{}, fmt.Errorf("registry: %s: Evidence: %w", op, err)
	}
	return r.record(ctx, op, Entry{
		Kind: KindAlias, Name: name, Alias: alias, Time: now(), To: to, By: o.By, Reason: o.Reason, Evidence: evidence,
	}, o.Expect)
}

// record appends an entry that moves an alias.
func (r *Registry) record(ctx context.Context, op string, e Entry, expect int) (Entry, error) {
	moved, err := r.store.Record(ctx, e, expect)
	switch {
	case errors.Is(err, ErrConflict):
		return Entry{}, &ConflictError{Name: e.Name, Alias: e.Alias, To: e.To, Want: expect, Have: moved.From}
	case err != nil:
		return Entry{}, fmt.Errorf("registry: %s: %w", op, err)
	}
	return moved, nil
}

// Alias returns the version number that the alias is at. ErrNotFound lists the
// aliases that the model has.
func (r *Registry) Alias(ctx context.Context, name, alias string) (int, error) {
	op := fmt.Sprintf("alias %q of %q", cut(alias), cut(name))
	var faults errs.Faults
	checkName(&faults, name)
	checkAlias(&faults, alias)
	if err := faults.Err("registry: " + op); err != nil {
		return 0, err
	}
	return r.alias(ctx, op, name, alias)
}

func (r *Registry) alias(ctx context.Context, op, name, alias string) (int, error) {
	list, err := r.store.Aliases(ctx, name, alias, "", 1)
	switch {
	case err != nil:
		return 0, fmt.Errorf("registry: %s: %w", op, err)
	case len(list) == 0:
		return 0, r.noAlias(ctx, op, name, alias)
	}
	return list[0].Number, nil
}

// Aliases walks the aliases of a model in byte order; an unknown model has
// none.
func (r *Registry) Aliases(ctx context.Context, name string) iter.Seq2[Alias, error] {
	return walkPages(fmt.Sprintf("aliases of %q", cut(name)), recordPage,
		func(faults *errs.Faults) { checkName(faults, name) },
		func(last Alias) ([]Alias, error) { return r.store.Aliases(ctx, name, "", last.Alias, recordPage) })
}

// History walks the audit log of a model's alias, or of the whole model when
// alias is "", latest first. Entries of deleted aliases and those from before a
// rename stay, the latter under the old name; an unknown alias or model has
// none.
func (r *Registry) History(ctx context.Context, name, alias string) iter.Seq2[Entry, error] {
	return walkPages(fmt.Sprintf("history of alias %q of %q", cut(alias), cut(name)), entryPage,
		func(faults *errs.Faults) {
			checkName(faults, name)
			if alias != "" {
				checkAlias(faults, alias)
			}
		},
		func(last Entry) ([]Entry, error) {
			q := AuditQuery{Name: name, Alias: alias, Backward: true, Limit: entryPage}
			if last.Seq == 1 {
				return nil, nil
			}
			if last.Seq > 0 {
				q.From = last.Seq - 1
			}
			return r.store.Audit(ctx, q)
		})
}
