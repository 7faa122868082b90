package sqldb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"

	"github.com/millwright-ml/millwright/internal/errs"
)

// Tx is a transaction, or the part of one that belongs to one caller of DB.Tx.
// Its methods are those of sql.Tx; the parameters are written ?, or ?1, ?2, ….
// Statements given to ExecContext, QueryContext and QueryRowContext are kept
// prepared, so their texts are constants or one of few; a text that is built
// for one call goes to QueryBuilt, which keeps some of those that came last.
//
// It may not be used after its func returned, nor by two goroutines at once.
type Tx struct {
	db      *DB
	session *session // SQLite
	pg      querier  // PostgreSQL
	write   bool
}

// querier is what a statement runs on.
type querier interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// Dialect is that of the database.
func (t *Tx) Dialect() Dialect { return t.db.dialect }

// statement resolves the context that a statement runs under and, on SQLite,
// its prepared form.
//
// A write on SQLite cannot be broken off: an interrupted statement takes the
// whole transaction with it, which others may share. Writes are short.
func (t *Tx) statement(ctx context.Context, query string) (context.Context, *sql.Stmt, error) {
	if t.session == nil {
		return ctx, nil, nil
	}
	if t.write {
		if ctx.Err() != nil {
			return ctx, nil, context.Cause(ctx)
		}
		ctx = context.WithoutCancel(ctx)
	}
	stmt, err := t.session.prepared(ctx, query)
	return ctx, stmt, err
}

// ExecContext runs a statement that returns no rows.
func (t *Tx) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	ctx, stmt, err := t.statement(ctx, query) //nolint:sqlclosecheck // the session keeps it
	switch {
	case err != nil:
		return nil, err
	case stmt != nil:
		return stmt.ExecContext(ctx, args...)
	}
	return t.unprepared().ExecContext(ctx, t.db.text(query), args...)
}

// QueryContext runs a statement that returns rows.
func (t *Tx) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	ctx, stmt, err := t.statement(ctx, query) //nolint:sqlclosecheck // the session keeps it
	switch {
	case err != nil:
		return nil, err
	case stmt != nil:
		return stmt.QueryContext(ctx, args...)
	}
	return t.unprepared().QueryContext(ctx, t.db.text(query), args...)
}

// QueryRowContext runs a statement that returns at most one row.
func (t *Tx) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	running, stmt, err := t.statement(ctx, query) //nolint:sqlclosecheck // the session keeps it
	switch {
	case err == nil && stmt != nil:
		return stmt.QueryRowContext(running, args...)
	case err == nil:
		ctx = running
	}
	// After an error of statement the same error comes from here, in a Row.
	return t.unprepared().QueryRowContext(ctx, t.db.text(query), args...)
}

// QueryBuilt is QueryContext for a text that was built for this one call.
func (t *Tx) QueryBuilt(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	if t.session != nil && t.write {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		ctx = context.WithoutCancel(ctx)
	}
	if t.session != nil {
		stmt, err := t.session.preparedBuilt(ctx, query) //nolint:sqlclosecheck // the session keeps it
		if err != nil {
			return nil, err
		}
		if stmt != nil {
			return stmt.QueryContext(ctx, args...)
		}
	}
	if t.db.dialect == Postgres {
		query = rebind(query)
	}
	return t.unprepared().QueryContext(ctx, query, args...)
}

func (t *Tx) unprepared() querier {
	if t.session != nil {
		return t.session.conn
	}
	return t.pg
}

// texts remembers rebound statements.
type texts struct {
	mu sync.RWMutex
	m  map[string]string
}

// text writes a constant statement in the words of the database.
func (d *DB) text(query string) string {
	if d.dialect != Postgres {
		return query
	}
	d.texts.mu.RLock()
	out, ok := d.texts.m[query]
	d.texts.mu.RUnlock()
	if ok {
		return out
	}
	out = rebind(query)
	d.texts.mu.Lock()
	defer d.texts.mu.Unlock()
	if d.texts.m == nil {
		d.texts.m = map[string]string{}
	}
	if len(d.texts.m) < maxStatements {
		d.texts.m[query] = out
	}
	return out
}

// Tx runs fn in a write transaction, commits when fn returns nil and rolls
// back otherwise. When Tx returns nil the write survives a kill of the process
// (of the server, on PostgreSQL); when it returns an error nothing of it is
// stored. Errors of the engine are explained (see Explain).
//
// fn may run more than once, so what it leaves outside is set, not added to:
//
//   - On SQLite calls that come at the same time share one transaction, each
//     behind a savepoint, since the cost of a write is the commit. When the
//     shared transaction fails each is tried alone. A lock held by another
//     process is waited for before fn starts, up to Options.BusyTimeout.
//   - On PostgreSQL a serialization failure, a deadlock and a lost connection
//     are tried again, the latter up to Options.BusyTimeout. When the
//     connection is lost during the commit the outcome is looked up.
//
// After an error from a statement fn returns: on PostgreSQL every later
// statement of the transaction fails. Where a conflict is expected the
// statement says ON CONFLICT.
func (d *DB) Tx(ctx context.Context, fn func(tx *Tx) error) error {
	return d.run(ctx, fn, false)
}

// TxAlone is Tx for long work, which nobody else's write should wait for
// beyond what it must: it shares its transaction with no other call.
func (d *DB) TxAlone(ctx context.Context, fn func(tx *Tx) error) error {
	return d.run(ctx, fn, true)
}

func (d *DB) run(ctx context.Context, fn func(tx *Tx) error, alone bool) error {
	if d.closed.Load() {
		return d.closedError()
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if d.dialect == Postgres {
		return d.explain(ctx, d.pgTx(ctx, fn))
	}
	return d.explain(ctx, d.group.run(ctx, fn, alone))
}

// Single is Tx for one statement that is harmless to repeat. On PostgreSQL it
// runs without the messages around a transaction.
func (d *DB) Single(ctx context.Context, fn func(tx *Tx) error) error {
	if d.dialect != Postgres {
		return d.Tx(ctx, fn)
	}
	if d.closed.Load() {
		return d.closedError()
	}
	return d.explain(ctx, d.pgRetry(ctx, func() (bool, error) {
		return false, fn(&Tx{db: d, pg: d.pool, write: true})
	}))
}

// View runs fn in one read transaction: all its statements see the same
// state, and no writer waits for it. It must be short, because a snapshot held
// open keeps the write-ahead log from shrinking. On PostgreSQL fn may run more
// than once, when the connection is lost.
func (d *DB) View(ctx context.Context, fn func(tx *Tx) error) error {
	if d.closed.Load() {
		return d.closedError()
	}
	if d.dialect == Postgres {
		return d.explain(ctx, d.pgView(ctx, fn))
	}
	return d.explain(ctx, d.sqliteView(ctx, fn))
}

func (d *DB) sqliteView(ctx context.Context, fn func(tx *Tx) error) error {
	s, err := d.readers.acquire(ctx)
	if err != nil {
		return err
	}
	broken := true
	// An interrupted connection is not used again.
	defer func() { d.readers.release(s, broken || ctx.Err() != nil) }()
	if err := s.exec(ctx, "BEGIN"); err != nil {
		return err
	}
	err = fn(&Tx{db: d, session: s})
	if end := s.exec(context.WithoutCancel(ctx), "COMMIT"); end != nil {
		return errors.Join(err, end)
	}
	broken = false
	return err
}

// Read returns a pool of connections for single statements that read, and for
// preparing them; on SQLite they are read-only. Its callers use Explain.
func (d *DB) Read() *sql.DB { return d.pool }

func (d *DB) closedError() error {
	return fmt.Errorf("database %q: %w", d.name, errs.ErrClosed)
}

// explain also recognises the pool's own error after Close, which has no
// exported value.
func (d *DB) explain(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	err = explain(ctx, err)
	if d.closed.Load() {
		return fmt.Errorf("database %q (%w): %w", d.name, err, errs.ErrClosed)
	}
	return err
}
