package sqldb

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/millwright-ml/millwright/internal/errs"
)

// Tx runs fn in one write transaction (BEGIN IMMEDIATE), commits when fn
// returns nil and rolls back otherwise. fn runs at most once; a lock held by
// another process is waited for before fn starts. When Tx returns nil the
// write survives a kill of the process. Errors of the engine are explained
// (see Explain).
func (d *DB) Tx(ctx context.Context, fn func(tx *sql.Tx) error) error {
	if d.closed.Load() {
		return d.closedError()
	}
	var tx *sql.Tx
	err := retryBusy(ctx, d.busy, func() (err error) {
		tx, err = d.write.BeginTx(ctx, nil)
		return err
	})
	if err != nil {
		return d.explain(ctx, err)
	}
	return d.finish(ctx, tx, fn)
}

// View runs fn in one read transaction: all its statements see the same
// state, and no writer waits for it. It must be short, because a snapshot held
// open keeps the write-ahead log from shrinking.
func (d *DB) View(ctx context.Context, fn func(tx *sql.Tx) error) error {
	if d.closed.Load() {
		return d.closedError()
	}
	tx, err := d.read.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return d.explain(ctx, err)
	}
	return d.finish(ctx, tx, fn)
}

func (d *DB) finish(ctx context.Context, tx *sql.Tx, fn func(tx *sql.Tx) error) error {
	done := false
	defer func() {
		if !done { // fn failed or panicked; the rollback has nothing to add to its error
			_ = tx.Rollback()
		}
	}()
	if err := fn(tx); err != nil {
		return d.explain(ctx, err)
	}
	done = true // Commit rolls back by itself when it fails.
	if err := tx.Commit(); err != nil {
		return d.explain(ctx, err)
	}
	return nil
}

// Read returns the pool of read-only connections, for single statements and
// for preparing them.
func (d *DB) Read() *sql.DB { return d.read }

// Prepare prepares a statement on the writing connection, for Tx to run by
// tx.StmtContext. It is closed with the database.
func (d *DB) Prepare(ctx context.Context, query string) (*sql.Stmt, error) {
	if d.closed.Load() {
		return nil, d.closedError()
	}
	var stmt *sql.Stmt
	err := retryBusy(ctx, d.busy, func() (err error) {
		stmt, err = d.write.PrepareContext(ctx, query)
		return err
	})
	if err != nil {
		return nil, d.explain(ctx, err)
	}
	return stmt, nil
}

func (d *DB) closedError() error {
	return fmt.Errorf("database %q: %w", d.path, errs.ErrClosed)
}

// explain also recognises the pool's own error after Close, which has no
// exported value.
func (d *DB) explain(ctx context.Context, err error) error {
	err = explain(ctx, err)
	if d.closed.Load() && err != nil {
		return fmt.Errorf("database %q (%w): %w", d.path, err, errs.ErrClosed)
	}
	return err
}
