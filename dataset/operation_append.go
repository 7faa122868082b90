package dataset

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"

	"github.com/millwright-ml/millwright/dataset/internal/arrowcross"
)

// Append adds the records of rr as one new version and returns it. The commit is
// one write that either happens or does not; when Append returns, it is durable.
// Appends race safely with each other, in one process or many: each gets a
// version of its own.
//
// The columns of rr are matched by name and may come in any order. Records that
// do not fit give a *SchemaError that lists every violation. Rows are streamed:
// at most about 200 MB are held, however many there are. Zero rows make a
// version too. Append does not release rr.
//
// When the store fails while it commits, Append reads back what happened before
// it answers. If even that fails the error is ErrUnavailable and the commit may
// have landed: set App and AppVersion to make a repeat safe.
func (b *Branch) Append(ctx context.Context, rr array.RecordReader, opts *CommitOptions) (*Version, error) {
	return b.operate(ctx, "append to", opts, func(opts *CommitOptions) (*Version, error) {
		if rr == nil {
			return nil, fmt.Errorf("the record reader is nil: %w", ErrInvalid)
		}
		return b.append(ctx, rr, opts)
	})
}

// operate runs one operation with checked options and names it in its error.
func (b *Branch) operate(ctx context.Context, what string, opts *CommitOptions, run func(opts *CommitOptions) (*Version, error)) (*Version, error) {
	if opts == nil {
		opts = &CommitOptions{}
	}
	subject := b.subject(what)
	if !opts.Where.IsZero() && what != overwriting {
		return nil, fmt.Errorf("%s: only an overwrite takes Where: %w", subject, ErrInvalid)
	}
	if err := opts.validate(subject); err != nil {
		return nil, err
	}
	v, err := run(opts)
	if err == nil {
		return v, nil
	}
	var mismatch *SchemaError
	var conflict *ConflictError
	if errors.As(err, &mismatch) || errors.As(err, &conflict) || strings.HasPrefix(err.Error(), subject) {
		return nil, err // These name the operation themselves.
	}
	return nil, fmt.Errorf("%s: %w", subject, err)
}

func (b *Branch) append(ctx context.Context, rr array.RecordReader, opts *CommitOptions) (*Version, error) {
	tip, v, err := b.ready(ctx, opts)
	if v != nil || err != nil {
		return v, err
	}
	g, err := b.gate(ctx, tip, func() (*Version, error) { return b.dataset.version(ctx, b.log, tip) }, opts)
	if err != nil {
		return nil, err
	}
	adds, rec, err := b.write(ctx, tip, rr, g, opts)
	if err != nil {
		return nil, err
	}
	ch := &change{
		operation: "WRITE", parameters: map[string]any{"mode": "Append"}, dataChange: true, blind: true, adds: adds, record: rec,
	}
	return b.commit(ctx, opts, g.guard(ch, b.fixed(tip, ch)))
}

// ready is the state that an operation starts from, or the version that an
// idempotent producer made before. Files of other writers are adopted first.
func (b *Branch) ready(ctx context.Context, opts *CommitOptions) (*snapshot, *Version, error) {
	tip, err := b.current(ctx)
	if err != nil {
		return nil, nil, err
	}
	if err := errors.Join(tip.bad, tip.writable); err != nil {
		return nil, nil, err
	}
	if v, err := b.repeated(ctx, tip, opts); v != nil || err != nil {
		return nil, v, err
	}
	tip, err = b.adopt(ctx, tip)
	return tip, nil, err
}

// write stores the records of rr as files, unless g finds them not as
// expected.
func (b *Branch) write(ctx context.Context, tip *snapshot, rr array.RecordReader, g *gate, opts *CommitOptions) ([]draft, *record, error) {
	columns, violations := match(tip.schema, rr.Schema())
	if len(violations) > 0 {
		return nil, nil, &SchemaError{b.dataset.name, violations}
	}
	w, err := newAppender(ctx, b.dataset, tip.schema, opts.Progress)
	if err != nil {
		return nil, nil, err
	}
	defer w.close()
	w.bare = opts.NoProfile && g == nil
	if err := w.key(opts.Key); err != nil {
		return nil, nil, err
	}
	for rr.Next() {
		if err := ctx.Err(); err != nil {
			return nil, nil, err
		}
		g.add(rr.Record(), columns)
		if err := w.add(rr.Record(), columns); err != nil {
			return nil, nil, err
		}
	}
	if err := rr.Err(); err != nil {
		return nil, nil, fmt.Errorf("reading the records: %w", err)
	}
	if err := w.finish(); err != nil {
		return nil, nil, err
	}
	rec, err := recordOf(w)
	if err == nil {
		err = g.finish(w.summary(), rec)
	}
	return w.files, rec, err
}

// recordOf is the commit record of what an appender wrote.
func recordOf(w *appender) (*record, error) {
	r := &record{Rows: w.rows}
	if !w.bare {
		var err error
		if r.Profile, err = json.Marshal(w.summary()); err != nil {
			return nil, err
		}
	}
	for _, f := range w.files {
		r.Files = append(r.Files, f.File)
	}
	return r, nil
}

// repeated answers a commit that an idempotent producer made before.
func (b *Branch) repeated(ctx context.Context, tip *snapshot, opts *CommitOptions) (*Version, error) {
	if opts.App == "" {
		return nil, nil
	}
	at := tip
	if !b.isMain() {
		// The newest state of the log knows the producers of all branches.
		if at = b.log.known(); at == nil || at.version < tip.version {
			var err error
			if at, err = b.log.latest(ctx); err != nil {
				return nil, err
			}
		}
	}
	t, ok := at.txns[b.appTxn(opts.App)]
	if !ok || t.Version < opts.AppVersion {
		return nil, nil
	}
	// It is, or may be, an older write: which version has it only its own log
	// entry knows.
	for c, err := range b.log.history(ctx, at.version) {
		if err != nil {
			return nil, err
		}
		n, found, err := b.wrote(ctx, c, opts.App)
		if err != nil {
			return nil, err
		}
		if found && n == opts.AppVersion {
			return b.dataset.versionIn(ctx, b.log, c.number)
		}
		if found && n < opts.AppVersion {
			break
		}
	}
	return nil, fmt.Errorf("app %q is at %d already and never committed %d: %w", opts.App, t.Version, opts.AppVersion, ErrConflict)
}

// wrote tells which of its writes an application made with a commit.
func (b *Branch) wrote(ctx context.Context, c *commit, app string) (n int64, found bool, err error) {
	if c.ours() {
		mine := c.summary.App == app && (b.isMain() || c.summary.Branch == b.name)
		return c.summary.AppVersion, mine, nil
	}
	// Another writer's txn is only in the actions of its entry.
	e, fault, err := b.log.entry(ctx, c.number)
	if err != nil || fault != nil {
		return 0, false, err
	}
	for _, t := range e.Txns {
		if t.AppID == b.appTxn(app) {
			return t.Version, true, nil
		}
	}
	return 0, false, nil
}

// match finds the column of have for every field of want.
func match(want, have *arrow.Schema) (columns []int, violations []string) {
	if have == nil {
		return nil, []string{"the records have no schema"}
	}
	fail := func(format string, args ...any) { violations = append(violations, fmt.Sprintf(format, args...)) }
	at := make(map[string]int, len(have.Fields()))
	for i, f := range have.Fields() {
		if _, twice := at[f.Name]; twice {
			fail("column %q is there twice", f.Name)
		}
		at[f.Name] = i
	}
	for _, f := range want.Fields() {
		i, ok := at[f.Name]
		if !ok {
			fail("column %q (%s) is missing", f.Name, f.Type)
			continue
		}
		delete(at, f.Name)
		if got := have.Field(i).Type; !arrowcross.Same(f.Type, got) {
			fail("column %q is %s, want %s", f.Name, got, f.Type)
		}
		columns = append(columns, i)
	}
	for _, f := range have.Fields() {
		if _, left := at[f.Name]; left {
			fail("column %q (%s) is not in the table", f.Name, f.Type)
			delete(at, f.Name)
		}
	}
	return columns, violations
}
