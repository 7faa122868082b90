package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/millwright-ml/millwright/internal/errs"
)

// PromoteOptions says what a promotion must pass, and who asks for it.
type PromoteOptions struct {
	// Gates all have to pass; each is tried, so that a refusal names every one
	// that failed. None is a promotion without conditions.
	Gates []Gate
	// By is the person or program that promotes, at most 255 bytes; required.
	By string
	// Reason is free text, at most 8,000 bytes.
	Reason string
}

// Candidate is what gates judge.
type Candidate struct {
	// Registry opens the files of either version.
	Registry *Registry
	// Version asks for the alias, Champion has it now: nil when no version has.
	Version, Champion *Version
	// Alias is the one in question.
	Alias string
}

// Gate is one condition of a promotion. The gates of this package are made by
// MetricAtLeast, MetricAtMost, MetricBeats, SignatureCompatible, GoldenReproduced,
// ProfilePresent, SignedBy and Approved; any other is a func of the program's.
type Gate struct {
	// Name stands in the evidence, at most 255 bytes.
	Name string
	// Check judges the candidate. An error means that it could not: the
	// promotion then ends with that error and no decision is recorded.
	Check func(ctx context.Context, c Candidate) (Verdict, error)
}

// Verdict is what a gate found.
type Verdict struct {
	// Pass lets the candidate through.
	Pass bool `json:"pass"`
	// Detail says why in words, with the numbers.
	Detail string `json:"detail"`
	// Numbers are the figures behind it, by name; finite.
	Numbers map[string]float64 `json:"numbers,omitempty"`
}

// GateResult is the verdict of a named gate.
type GateResult struct {
	Gate string `json:"gate"`
	Verdict
}

// Decision is the outcome of a promotion. It is the Evidence of the Entry that
// records it.
type Decision struct {
	// Name is the model, Alias what was to be moved; From is the version that
	// had it, 0 for none, To the candidate.
	Name  string `json:"name"`
	Alias string `json:"alias"`
	From  int    `json:"from"`
	To    int    `json:"to"`
	// Digest identifies the candidate's files.
	Digest string `json:"digest"`
	// Gates are the verdicts, in the order of the options.
	Gates []GateResult `json:"gates"`
	// Entry is the line of the audit log that records the decision; its Seq is
	// 0 when the alias was at To already.
	Entry Entry `json:"-"`
}

// Passed reports whether every gate did.
func (d *Decision) Passed() bool {
	return !slices.ContainsFunc(d.Gates, func(g GateResult) bool { return !g.Pass })
}

// RefusedError reports a promotion that a gate refused. It is an ErrConflict;
// the alias was not moved, and the refusal stands in the audit log.
type RefusedError struct{ Decision Decision }

// Error names the gates that failed, with their numbers.
func (e *RefusedError) Error() string {
	var failed []string
	for _, g := range e.Decision.Gates {
		if !g.Pass {
			failed = append(failed, g.Gate+": "+g.Detail)
		}
	}
	d := &e.Decision
	return fmt.Sprintf("registry: promote %q v%d to %q: refused by %d of %d gates: %s",
		d.Name, d.To, d.Alias, len(failed), len(d.Gates), strings.Join(failed, "; "))
}

// Is reports that the error is an ErrConflict.
func (e *RefusedError) Is(target error) bool { return target == ErrConflict }

// Promote moves the alias of a model to version to, if every gate passes. The
// decision with its evidence goes into the audit log in the transaction that
// moves the alias; so does a refusal, which moves nothing.
//
// The gates compare with the version that has the alias when Promote begins,
// and the alias moves only if that version still has it: of concurrent
// promotions one wins, and the others get a *ConflictError that names where the
// alias is now. A version that has the alias is not judged again, so that a
// promotion may be repeated when its answer was lost.
//
// Errors: *RefusedError, *ConflictError, ErrNotFound when the version does not
// exist, ErrInvalid, the error of a gate that could not judge.
func (r *Registry) Promote(ctx context.Context, name, alias string, to int, opts *PromoteOptions) (*Decision, error) {
	op := fmt.Sprintf("promote %q v%d to %q", cut(name), to, cut(alias))
	var o PromoteOptions
	if opts != nil {
		o = *opts
	}
	var faults errs.Faults
	checkName(&faults, name)
	checkAlias(&faults, alias)
	faults.Check(to > 0, "version %d, want a number from 1 up", to)
	faults.Check(o.By != "", "By is empty: say who promotes")
	checkText(&faults, "By", o.By, maxName)
	checkText(&faults, "Reason", o.Reason, maxReason)
	for i, g := range o.Gates {
		faults.Check(g.Name != "" && g.Check != nil, "gate %d has no Name or no Check", i+1)
		checkText(&faults, "name of a gate", g.Name, maxName)
	}
	if err := faults.Err("registry: " + op); err != nil {
		return nil, err
	}
	c := Candidate{Registry: r, Alias: alias}
	var err error
	if c.Version, err = r.version(ctx, op, name, to); err != nil {
		return nil, err
	}
	if c.Version.Deleted || c.Version.Status != Ready {
		return nil, fmt.Errorf("registry: %s: the version is deleted or not ready (%s): %w", op, c.Version.Status, ErrInvalid)
	}
	switch at, err := r.alias(ctx, op, name, alias); {
	case errors.Is(err, ErrNotFound):
	case err != nil:
		return nil, err
	default:
		if c.Champion, err = r.version(ctx, op, name, at); err != nil {
			return nil, err
		}
	}
	if c.Champion != nil && c.Champion.Number == to {
		return &Decision{Name: name, Alias: alias, From: to, To: to, Digest: c.Version.Digest, Gates: []GateResult{}}, nil
	}
	d, err := c.decide(ctx, op, o.Gates)
	if err != nil {
		return nil, err
	}
	evidence, err := json.Marshal(d)
	if err != nil {
		return nil, fmt.Errorf("registry: %s: the evidence: %w: %w", op, err, ErrInvalid)
	}
	if len(evidence) > maxJSON {
		return nil, fmt.Errorf("registry: %s: the evidence has %d bytes, want at most %d: %w", op, len(evidence), maxJSON, ErrInvalid)
	}
	e := Entry{Kind: KindPromotion, Time: now(), Name: name, Alias: alias, From: d.From, To: to, By: o.By, Reason: o.Reason, Evidence: evidence}
	if !d.Passed() {
		e.Kind = KindRefusal
		if d.Entry, err = r.store.Record(ctx, e, -1); err != nil {
			return nil, fmt.Errorf("registry: %s: %w", op, err)
		}
		return d, &RefusedError{Decision: *d}
	}
	if d.Entry, err = r.record(ctx, op, e, d.From); err != nil {
		return nil, err
	}
	return d, nil
}

// decide asks every gate.
func (c Candidate) decide(ctx context.Context, op string, gates []Gate) (*Decision, error) {
	d := &Decision{Name: c.Version.Name, Alias: c.Alias, To: c.Version.Number, Digest: c.Version.Digest, Gates: []GateResult{}}
	if c.Champion != nil {
		d.From = c.Champion.Number
	}
	for _, g := range gates {
		verdict, err := g.Check(ctx, c)
		if err != nil {
			return nil, fmt.Errorf("registry: %s: gate %q could not judge: %w", op, g.Name, err)
		}
		d.Gates = append(d.Gates, GateResult{Gate: g.Name, Verdict: verdict})
	}
	return d, nil
}

// RollbackOptions says who rolls back, and why.
type RollbackOptions struct {
	By, Reason string // as those of PromoteOptions
	// Expect is the version that is to be left, so that a rollback whose answer
	// was lost may be repeated: it goes back one step only. Default 0: the one
	// that has the alias.
	Expect int
}

// Rollback moves the alias of a model back to the version that it was at before
// it came to where it is now, without gates, and records that. Rolling back
// twice goes back two steps. It returns the entry, whose To is the version.
//
// Errors: ErrNotFound when there is no such alias or nothing before it,
// *ConflictError when the alias moved meanwhile, ErrInvalid.
func (r *Registry) Rollback(ctx context.Context, name, alias string, opts *RollbackOptions) (Entry, error) {
	op := fmt.Sprintf("roll back %q of %q", cut(alias), cut(name))
	var o RollbackOptions
	if opts != nil {
		o = *opts
	}
	var faults errs.Faults
	checkName(&faults, name)
	checkAlias(&faults, alias)
	faults.Check(o.By != "", "By is empty: say who rolls back")
	checkText(&faults, "By", o.By, maxName)
	checkText(&faults, "Reason", o.Reason, maxReason)
	faults.Check(o.Expect >= 0, "Expect is %d, want a version or 0", o.Expect)
	if err := faults.Err("registry: " + op); err != nil {
		return Entry{}, err
	}
	at, err := r.alias(ctx, op, name, alias)
	if err != nil {
		return Entry{}, err
	}
	if o.Expect > 0 && at != o.Expect {
		return Entry{}, &ConflictError{Name: name, Alias: alias, Want: o.Expect, Have: at, rollback: true}
	}
	before, err := r.before(ctx, op, name, alias)
	if err != nil {
		return Entry{}, err
	}
	if before == 0 {
		return Entry{}, fmt.Errorf("registry: %s: it has been at v%d from the beginning: %w", op, at, ErrNotFound)
	}
	e, err := r.record(ctx, op, Entry{
		Kind: KindRollback, Time: now(), Name: name, Alias: alias, To: before, By: o.By, Reason: o.Reason,
	}, at)
	if errors.Is(err, ErrNotFound) {
		return Entry{}, fmt.Errorf("registry: %s: v%d, where it was before, is deleted: restore it first: %w", op, before, err)
	}
	return e, err
}

// before replays the moves of an alias and returns the version before the
// present one, 0 for none. A rollback takes the last step off the path that
// promotions and SetAlias lay.
func (r *Registry) before(ctx context.Context, op, name, alias string) (int, error) {
	const most = 1000 // steps that can be rolled back
	// The path of each model that had the name, one after the other.
	paths, ids := map[int][]int{}, identities{}
	for q := (AuditQuery{Name: name, Limit: recordPage}); ; {
		page, err := r.store.Audit(ctx, q)
		if err != nil {
			return 0, fmt.Errorf("registry: %s: %w", op, err)
		}
		for _, e := range page {
			id := ids.of(e)
			path := paths[id]
			switch {
			case e.Alias != alias || !e.Kind.Moves():
			case e.To == 0:
				path = nil
			case e.Kind == KindRollback && len(path) > 1:
				path = path[:len(path)-1]
			default:
				path = append(path, e.To)
			}
			paths[id] = path[max(0, len(path)-most):]
		}
		if len(page) < q.Limit {
			break
		}
		q.From = page[len(page)-1].Seq + 1
	}
	path := paths[ids.live[name]]
	if len(path) < 2 {
		return 0, nil
	}
	return path[len(path)-2], nil
}
