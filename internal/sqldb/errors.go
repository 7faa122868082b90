package sqldb

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"syscall"

	"github.com/jackc/pgx/v5/pgconn"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/millwright-ml/millwright/internal/errs"
)

// Explain adds the likely cause and the error kind to an engine error:
//
//   - locked by another connection, or the disk or quota is full, or an I/O
//     error, or no right to write; a server that cannot be reached, is
//     starting or stopping, or has no connection or memory left; a transaction
//     that lost against others again and again: errs.ErrUnavailable
//   - not a database file, or a damaged one; a server that refuses the user; a
//     text that PostgreSQL cannot store: errs.ErrInvalid
//   - no such PostgreSQL database: errs.ErrNotFound
//
// Every other error, nil too, comes back as it is. Tx and View have done this
// already; only users of Read call it.
func Explain(err error) error {
	if lite, ok := errors.AsType[*sqlite.Error](err); ok {
		return explainSQLite(err, lite.Code())
	}
	if answer, ok := errors.AsType[*pgconn.PgError](err); ok {
		return explainPostgres(err, answer.Code)
	}
	if isDisconnect(err) && !errors.Is(err, errs.ErrUnavailable) {
		return fmt.Errorf("%w: the PostgreSQL server cannot be reached, or went away: %w", err, errs.ErrUnavailable)
	}
	return err
}

func explainSQLite(err error, code int) error {
	switch code & 0xff {
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

// explainPostgres goes by the class, which is the first half of the code.
func explainPostgres(err error, code string) error {
	switch {
	case code == "3D000":
		return fmt.Errorf("%w: create the database first: %w", err, errs.ErrNotFound)
	case strings.HasPrefix(code, "28"):
		return fmt.Errorf("%w: the server refuses this user or password: %w", err, errs.ErrInvalid)
	case strings.HasPrefix(code, "22"):
		return fmt.Errorf("%w: PostgreSQL cannot store a value (NUL, invalid UTF-8, or out of range): %w", err, errs.ErrInvalid)
	case code == "42501" || code == "25006":
		return fmt.Errorf("%w: the user may not write here, or the server is a standby: %w", err, errs.ErrUnavailable)
	case strings.HasPrefix(code, "40"):
		return fmt.Errorf("%w: other transactions won each time: %w", err, errs.ErrUnavailable)
	case strings.HasPrefix(code, "53"):
		return fmt.Errorf("%w: the server has no connection, memory or disk space left: %w", err, errs.ErrUnavailable)
	case strings.HasPrefix(code, "08"), strings.HasPrefix(code, "57P"), strings.HasPrefix(code, "55P03"):
		return fmt.Errorf("%w: the server is starting or stopping: %w", err, errs.ErrUnavailable)
	}
	return err
}

// IsUnique reports whether err comes from a violated UNIQUE or PRIMARY KEY
// constraint.
func IsUnique(err error) bool {
	if lite, ok := errors.AsType[*sqlite.Error](err); ok {
		return lite.Code() == sqlite3.SQLITE_CONSTRAINT_UNIQUE || lite.Code() == sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY
	}
	return hasCode(err, "23505")
}

// IsForeignKey reports whether err comes from a reference to a row that does
// not exist, or from the removal of one that is referred to.
func IsForeignKey(err error) bool {
	if lite, ok := errors.AsType[*sqlite.Error](err); ok {
		return lite.Code() == sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY
	}
	return hasCode(err, "23503")
}

func hasCode(err error, codes ...string) bool {
	answer, ok := errors.AsType[*pgconn.PgError](err)
	return ok && slices.Contains(codes, answer.Code)
}

func isBusy(err error) bool {
	var lite *sqlite.Error
	return errors.As(err, &lite) && lite.Code()&0xff == sqlite3.SQLITE_BUSY
}

// isConflict reports a transaction that PostgreSQL gave up in favour of
// others: serialization failure, deadlock, lock timeout.
func isConflict(err error) bool { return hasCode(err, "40001", "40P01", "55P03") }

// errLost marks errors of our own that a later try may not meet.
var errLost = errors.New("connection lost")

// isDisconnect reports that the connection to PostgreSQL could not be made or
// was lost, so that without an answer to a commit nothing is stored.
func isDisconnect(err error) bool {
	if answer, ok := errors.AsType[*pgconn.PgError](err); ok {
		// Shut down by an administrator, by a crash, starting up; connection
		// failures of proxies; too many connections.
		return hasCode(err, "57P01", "57P02", "57P03", "53300") || strings.HasPrefix(answer.Code, "08")
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return false
	}
	var network *net.OpError
	var refused *pgconn.ConnectError
	return pgconn.SafeToRetry(err) || errors.As(err, &network) || errors.As(err, &refused) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) ||
		errors.Is(err, driver.ErrBadConn) || errors.Is(err, sql.ErrConnDone) || errors.Is(err, errLost) ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

// explain is Explain for an operation under ctx: a statement that the engine
// broke off because ctx ended answers with the context's error.
func explain(ctx context.Context, err error) error {
	if ctx.Err() == nil {
		return Explain(err)
	}
	var lite *sqlite.Error
	if errors.As(err, &lite) && lite.Code()&0xff == sqlite3.SQLITE_INTERRUPT || isDisconnect(err) || hasCode(err, "57014") {
		return context.Cause(ctx)
	}
	return Explain(err)
}
