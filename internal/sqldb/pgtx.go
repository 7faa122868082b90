package sqldb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/millwright-ml/millwright/internal/errs"
)

// maxConflicts bounds how often a transaction that lost to another one is
// tried again.
const maxConflicts = 50

// pgRetry calls once until it succeeds, fails for good, or has been tried for
// long enough. once reports whether its outcome is unknown, in which case it
// is not repeated.
func (d *DB) pgRetry(ctx context.Context, once func() (unknown bool, err error)) error {
	deadline := time.Now().Add(d.wait)
	for attempt := 0; ; attempt++ {
		unknown, err := once()
		switch {
		case err == nil || unknown || ctx.Err() != nil:
			return err
		case isConflict(err):
			if attempt >= maxConflicts {
				return err
			}
		case isDisconnect(err):
			if time.Now().After(deadline) {
				return err
			}
		default:
			return err
		}
		// Apart from each other, or they meet again; and a server that comes
		// back is not met by all at once.
		pause := time.Duration(1+rand.IntN(10)) * time.Millisecond << min(attempt, 5)
		if err := sleep(ctx, pause); err != nil {
			return err
		}
	}
}

func (d *DB) pgTx(ctx context.Context, fn func(*Tx) error) error {
	return d.pgRetry(ctx, func() (bool, error) { return d.pgOnce(ctx, fn) })
}

// pgOnce runs one transaction. A commit without an answer is looked up: then
// the error is nil, or one that says that nothing was stored.
func (d *DB) pgOnce(ctx context.Context, fn func(*Tx) error) (unknown bool, err error) {
	tx, err := d.pool.BeginTx(ctx, nil)
	if err != nil {
		return false, err
	}
	committing := false
	defer func() {
		if !committing { // fn failed or panicked; the rollback has nothing to add
			_ = tx.Rollback()
		}
	}()
	var id string
	if err := tx.QueryRowContext(ctx, `SELECT CAST(pg_current_xact_id() AS text)`).Scan(&id); err != nil {
		return false, err
	}
	if err := fn(&Tx{db: d, pg: tx, write: true}); err != nil {
		return false, err
	}
	committing = true
	err = tx.Commit()
	var answer *pgconn.PgError
	if err == nil || errors.As(err, &answer) || ctx.Err() != nil || !isDisconnect(err) {
		return false, err
	}
	committed, lookup := d.outcome(ctx, id)
	switch {
	case lookup != nil:
		return true, fmt.Errorf("the connection was lost during the commit (%w) and its outcome cannot be looked up (%w), it may have been stored: %w", err, lookup, errs.ErrUnavailable)
	case committed:
		return false, nil
	}
	return false, err
}

// outcome asks what became of a transaction whose commit got no answer.
func (d *DB) outcome(ctx context.Context, id string) (committed bool, err error) {
	var status sql.NullString
	err = d.pgRetry(ctx, func() (bool, error) {
		err := d.pool.QueryRowContext(ctx, `SELECT pg_xact_status(CAST(CAST($1 AS text) AS xid8))`, id).Scan(&status)
		if err == nil && status.String == "in progress" {
			// The server has not noticed yet that its client is gone.
			err = errInProgress
		}
		return false, err
	})
	if err == nil && !status.Valid {
		err = errors.New("the server has forgotten it")
	}
	return status.String == "committed", err
}

var errInProgress = fmt.Errorf("the transaction is still in progress: %w", errLost)

func (d *DB) pgView(ctx context.Context, fn func(*Tx) error) error {
	return d.pgRetry(ctx, func() (bool, error) {
		tx, err := d.pool.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true})
		if err != nil {
			return false, err
		}
		done := false
		defer func() {
			if !done {
				_ = tx.Rollback()
			}
		}()
		if err := fn(&Tx{db: d, pg: tx}); err != nil {
			return false, err
		}
		done = true
		return false, tx.Commit()
	})
}
