package sqldb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/millwright-ml/millwright/internal/errs"
)

// Options of Open. The zero value is ready, and so is a nil pointer.
type Options struct {
	// FullSync makes every commit to an SQLite file survive a power cut
	// (PRAGMA synchronous = FULL). Without it a commit survives a crash or
	// kill of the process, and a power cut may take the last ones. It costs
	// about 20 % on batches and 10 times on single rows. On PostgreSQL the
	// server's settings hold. Default false.
	FullSync bool

	// BusyTimeout is how long a call waits for other connections and
	// processes, or for a PostgreSQL server that restarts, before it fails
	// with errs.ErrUnavailable. Default 30 s.
	BusyTimeout time.Duration

	// Readers is the number of connections that read an SQLite file beside
	// the writer. Default 4.
	Readers int

	// Connections is the greatest number of connections to PostgreSQL.
	// Default 16.
	Connections int
}

func (o *Options) withDefaults() (Options, error) {
	var out Options
	if o != nil {
		out = *o
	}
	var faults errs.Faults
	faults.Check(out.BusyTimeout >= 0, "BusyTimeout is %v, want 0 or more", out.BusyTimeout)
	faults.Check(out.Readers >= 0, "Readers is %d, want 0 or more", out.Readers)
	faults.Check(out.Connections >= 0, "Connections is %d, want 0 or more", out.Connections)
	if out.BusyTimeout == 0 {
		out.BusyTimeout = 30 * time.Second
	}
	if out.Readers == 0 {
		out.Readers = 4
	}
	if out.Connections == 0 {
		out.Connections = 16
	}
	return out, faults.Err("options")
}

// DB is one open database: an SQLite file, with one connection that writes and
// several that read, or a pool of connections to PostgreSQL. It is safe for
// concurrent use and ends with Close.
type DB struct {
	dialect Dialect
	name    string // what errors call it; no password
	wait    time.Duration
	pool    *sql.DB // SQLite: the readers'
	texts   texts   // PostgreSQL

	group   *group    // SQLite
	readers *sessions // SQLite

	own    []*sql.DB // closed with it
	closed atomic.Bool
}

// Open opens the database that rawURL names.
//
// "sqlite:///absolute/path.db" and "sqlite:relative/path.db" are files (see
// ParseURL), created when absent, in a folder that must exist. Open waits for
// other openers up to Options.BusyTimeout.
//
// "postgres://user:password@host:port/database?parameters", also with the
// scheme postgresql or postgresql+psycopg2, is a PostgreSQL database of
// version 13 or newer with the encoding UTF8, which exists. The parameters are
// those of libpq.
//
// A URL that cannot be used, and a file that is no database, is
// errs.ErrInvalid; a missing folder or PostgreSQL database errs.ErrNotFound; a
// server that cannot be reached, and a file that cannot be written,
// errs.ErrUnavailable; an engine or a version that is too old
// errs.ErrUnsupported. No error holds a password.
func Open(ctx context.Context, rawURL string, opts *Options) (*DB, error) {
	o, err := opts.withDefaults()
	if err != nil {
		return nil, err
	}
	if IsPostgresURL(rawURL) {
		return openPostgres(ctx, rawURL, o)
	}
	return openSQLite(ctx, rawURL, o)
}

// New wraps the application's own connections: of the driver
// modernc.org/sqlite, or of pgx's database/sql driver. They are used as they
// are set up and stay open after Close. On SQLite a connection of the pool
// must be free for the time of each call.
func New(ctx context.Context, pool *sql.DB, dialect Dialect, opts *Options) (*DB, error) {
	o, err := opts.withDefaults()
	if err != nil {
		return nil, err
	}
	db := &DB{dialect: dialect, name: "of the application", wait: o.BusyTimeout, pool: pool}
	switch dialect {
	case SQLite:
		db.group = &group{db: db, writer: newSessions(pool, 1, false)}
		db.readers = newSessions(pool, o.Readers, false)
		var version string
		err = db.View(ctx, func(tx *Tx) error {
			return tx.QueryRowContext(ctx, `SELECT sqlite_version()`).Scan(&version)
		})
	case Postgres:
		err = db.checkPostgres(ctx)
	default:
		return nil, fmt.Errorf("the dialect is %q, want %q or %q: %w", dialect, SQLite, Postgres, errs.ErrInvalid)
	}
	if err != nil {
		return nil, fmt.Errorf("use the application's %s connections: %w", dialect, err)
	}
	return db, nil
}

// Dialect is the SQL that the database speaks.
func (d *DB) Dialect() Dialect { return d.dialect }

// Name is what error texts call the database: the path of the file, or
// "host:port/database".
func (d *DB) Name() string { return d.name }

// Close ends all connections that Open made. It is idempotent; later calls of
// the other methods fail with errs.ErrClosed.
func (d *DB) Close() error {
	if d.closed.Swap(true) {
		return nil
	}
	if d.dialect == SQLite {
		d.readers.close()
		d.group.writer.close()
	}
	var list []error
	for _, pool := range d.own {
		list = append(list, pool.Close())
	}
	return errors.Join(list...)
}
