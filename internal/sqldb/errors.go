package sqldb

import (
	"context"
	"errors"
	"fmt"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/millwright-ml/millwright/internal/errs"
)

// Explain adds the likely cause and the error kind to an engine error:
//
//   - locked by another connection, or the disk or quota is full, or an I/O
//     error, or no right to write: errs.ErrUnavailable
//   - not a database file, or a damaged one: errs.ErrInvalid
//
// Every other error, nil too, comes back as it is. Tx and View have done this
// already; only users of Read call it.
func Explain(err error) error {
	var engine *sqlite.Error
	if !errors.As(err, &engine) {
		return err
	}
	switch engine.Code() & 0xff {
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
		return fmt.Errorf("%w: another connection holds the database lock: %w", err, errs.ErrUnavailable)
	case sqlite3.SQLITE_FULL:
		return fmt.Errorf("%w: the disk, the quota or the database is full: %w", err, errs.ErrUnavailable)
	case sqlite3.SQLITE_IOERR:
		return fmt.Errorf("%w: the file system refused to read or write: %w", err, errs.ErrUnavailable)
	case sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM:
		return fmt.Errorf("%w: the file or its folder cannot be written by this user: %w", err, errs.ErrUnavailable)
	case sqlite3.SQLITE_NOTADB:
		return fmt.Errorf("%w: the file is not an SQLite database: %w", err, errs.ErrInvalid)
	case sqlite3.SQLITE_CORRUPT:
		return fmt.Errorf("%w: the database file is damaged, restore it from a backup: %w", err, errs.ErrInvalid)
	}
	return err
}

// IsUnique reports whether err comes from a violated UNIQUE or PRIMARY KEY
// constraint.
func IsUnique(err error) bool {
	var engine *sqlite.Error
	if !errors.As(err, &engine) {
		return false
	}
	return engine.Code() == sqlite3.SQLITE_CONSTRAINT_UNIQUE || engine.Code() == sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY
}

// IsForeignKey reports whether err comes from a reference to a row that does
// not exist.
func IsForeignKey(err error) bool {
	var engine *sqlite.Error
	return errors.As(err, &engine) && engine.Code() == sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY
}

func isBusy(err error) bool {
	var engine *sqlite.Error
	return errors.As(err, &engine) && engine.Code()&0xff == sqlite3.SQLITE_BUSY
}

// explain is Explain for an operation under ctx: a statement that the engine
// broke off because ctx ended answers with the context's error.
func explain(ctx context.Context, err error) error {
	var engine *sqlite.Error
	if errors.As(err, &engine) && engine.Code()&0xff == sqlite3.SQLITE_INTERRUPT && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return Explain(err)
}
