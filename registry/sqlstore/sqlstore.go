package sqlstore

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"sync/atomic"
	"time"

	"github.com/millwright-ml/millwright/internal/errs"
	"github.com/millwright-ml/millwright/internal/sqldb"
	"github.com/millwright-ml/millwright/registry"
)

// The kinds of error that Open returns, beside those of the operating system.
var (
	// ErrInvalid: the URL is malformed, or the file is no SQLite database.
	ErrInvalid = errs.ErrInvalid
	// ErrNotFound: the folder of the file does not exist.
	ErrNotFound = errs.ErrNotFound
	// ErrUnavailable: other connections hold the file for too long, or it
	// cannot be read or written.
	ErrUnavailable = errs.ErrUnavailable
	// ErrUnsupported: the URL names an engine that there is no store for, or
	// the file was written by a newer version of this package.
	ErrUnsupported = errs.ErrUnsupported
	// ErrClosed: the store was used after Close.
	ErrClosed = errs.ErrClosed
)

//go:embed migrations
var migrations embed.FS

// Options configures a Store; nil takes every default.
type Options struct {
	// BusyTimeout is how long a write waits for other connections and
	// processes before it fails with ErrUnavailable. Default 30 s.
	BusyTimeout time.Duration
	// Readers is the number of connections that read at once. Default 4.
	Readers int
}

// Store is a registry.Store in an SQLite file, for any number of goroutines.
// Close ends it; it has no background work.
type Store struct {
	db     *sqldb.DB
	closed atomic.Bool

	// The two reads behind Resolve are prepared: parsing them takes three
	// times as long as running them.
	version, alias *sql.Stmt
}

var _ registry.Store = (*Store)(nil)

// Open opens the database that url names and brings its schema up to date.
func Open(ctx context.Context, url string, opts *Options) (*Store, error) {
	var o Options
	if opts != nil {
		o = *opts
	}
	if sqldb.IsPostgresURL(url) {
		return nil, fmt.Errorf("registry/sqlstore: PostgreSQL is not supported in this version, use sqlite:///absolute/path.db: %w", ErrUnsupported)
	}
	db, err := sqldb.Open(ctx, url, &sqldb.Options{FullSync: true, BusyTimeout: o.BusyTimeout, Readers: o.Readers})
	if err != nil {
		return nil, fmt.Errorf("registry/sqlstore: %w", err)
	}
	steps, err := fs.Sub(migrations, "migrations")
	if err == nil {
		err = sqldb.Migrate(ctx, db, "registry", steps)
	}
	s := &Store{db: db}
	if err == nil {
		s.version, err = db.Read().PrepareContext(ctx, selectVersion+`WHERE m.name = ? AND v.number = ?`)
	}
	if err == nil {
		s.alias, err = db.Read().PrepareContext(ctx, selectAlias)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("registry/sqlstore: %w", sqldb.Explain(err)), s.Close())
	}
	return s, nil
}

// Close ends the connections. Calls that come later, and those that it
// interrupts, fail with ErrClosed. Closing twice is no error.
func (s *Store) Close() error {
	if s.closed.Swap(true) {
		return nil
	}
	var errList []error
	for _, stmt := range []*sql.Stmt{s.version, s.alias} {
		if stmt != nil {
			errList = append(errList, stmt.Close())
		}
	}
	return errors.Join(append(errList, s.db.Close())...)
}

// explain gives an error of a single read its kind, as Tx does for writes.
func (s *Store) explain(ctx context.Context, err error) error {
	switch {
	case err == nil:
		return nil
	case s.closed.Load():
		return fmt.Errorf("database %q: %w", s.db.Name(), ErrClosed)
	case ctx.Err() != nil:
		// The engine calls it an interrupted statement.
		return context.Cause(ctx)
	}
	return sqldb.Explain(err)
}

// page runs a query and scans at most as many rows as it returns; the query
// carries the limit. The rows are in memory, and the read ended, before the
// caller sees them.
func page[T any](ctx context.Context, s *Store, scan func(*sql.Rows) (T, error), query string, args ...any) ([]T, error) {
	rows, err := s.db.Read().QueryContext(ctx, query, args...)
	if err != nil {
		return nil, s.explain(ctx, err)
	}
	defer rows.Close()
	var out []T
	for rows.Next() {
		item, err := scan(rows)
		if err != nil {
			return nil, s.explain(ctx, err)
		}
		out = append(out, item)
	}
	return out, s.explain(ctx, rows.Err())
}

func micros(t time.Time) int64 { return t.UnixMicro() }

func fromMicros(us int64) time.Time { return time.UnixMicro(us).UTC() }
