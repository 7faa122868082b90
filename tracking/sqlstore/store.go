package sqlstore

import (
	"cmp"
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"github.com/millwright-ml/millwright/internal/sqldb"
	"github.com/millwright-ml/millwright/tracking"
)

//go:embed migrations
var migrations embed.FS

// line is the name of this schema among those that share a database.
const line = "tracking"

// Options of Open and New. The zero value is ready, and so is a nil pointer.
type Options struct {
	// ArtifactRoot is the URI below which experiments without a location of
	// their own keep their files: "<root>/<experiment>". Default
	// "mlflow-artifacts:".
	ArtifactRoot string

	// FullSync makes every acknowledged write to an SQLite file survive a
	// power cut, at about 1.3 times the cost of a batch and 10 times that of a
	// single point. Without it writes survive a crash or kill of the process,
	// and a power cut may take the last ones. Default false.
	FullSync bool

	// BusyTimeout is how long a call waits for other processes, or for a
	// PostgreSQL server that restarts, before it fails with
	// tracking.ErrUnavailable. Default 30 s.
	BusyTimeout time.Duration

	// Connections is the greatest number of connections to PostgreSQL.
	// Default 16.
	Connections int
}

func (o *Options) withDefaults() Options {
	var out Options
	if o != nil {
		out = *o
	}
	out.ArtifactRoot = strings.TrimRight(cmp.Or(out.ArtifactRoot, "mlflow-artifacts:"), "/")
	return out
}

func (o Options) sqldb() *sqldb.Options {
	return &sqldb.Options{FullSync: o.FullSync, BusyTimeout: o.BusyTimeout, Connections: o.Connections}
}

// Dialect names the kind of database behind connections that New or Migrate
// are given.
type Dialect string

// The dialects.
const (
	SQLite   Dialect = "sqlite"   // driver modernc.org/sqlite
	Postgres Dialect = "postgres" // driver github.com/jackc/pgx/v5/stdlib
)

// Store is a tracking.Store in an SQL database. It is safe for concurrent use
// and ends with Close.
type Store struct {
	db      *sqldb.DB
	dialect sqldb.Dialect
	root    string // of artifacts
	keys    keyCache
	folder  folder
}

var (
	_ tracking.Store         = (*Store)(nil)
	_ tracking.Sampler       = (*Store)(nil)
	_ tracking.InputSearcher = (*Store)(nil)
)

// Open opens the database that url names, and brings its schema up to date:
//
//   - "sqlite:///absolute/path.db" or "sqlite:" and any path, with '%', '?' and
//     '#' percent-encoded: a file, created when absent in a folder that exists
//   - "postgres://user:password@host:port/database?parameters", also with the
//     scheme postgresql or postgresql+psycopg2: an existing PostgreSQL database,
//     version 13 or newer, encoding UTF8
//
// A URL that cannot be used and a file that is no database are
// tracking.ErrInvalid; a missing folder or PostgreSQL database
// tracking.ErrNotFound; a folder that cannot be written and a server that
// cannot be reached tracking.ErrUnavailable; a schema from a newer version
// tracking.ErrUnsupported.
func Open(ctx context.Context, url string, opts *Options) (*Store, error) {
	o := opts.withDefaults()
	db, err := sqldb.Open(ctx, url, o.sqldb())
	if err != nil {
		return nil, fmt.Errorf("tracking/sqlstore: %w", err)
	}
	if err := migrate(ctx, db); err != nil {
		return nil, errors.Join(fmt.Errorf("tracking/sqlstore: open %q: %w", db.Name(), err), db.Close())
	}
	return newStore(db, o), nil
}

// New keeps its tables in a database that the application has open. The
// connections are used as they are set up, and Close leaves them open; SQLite
// should be in WAL mode with a busy timeout. New changes no schema: when that
// is missing or older it answers tracking.ErrInvalid, and Migrate is to be
// called, which a deployment may do apart from its servers.
func New(ctx context.Context, pool *sql.DB, dialect Dialect, opts *Options) (*Store, error) {
	o := opts.withDefaults()
	db, err := sqldb.New(ctx, pool, sqldb.Dialect(dialect), o.sqldb())
	if err == nil {
		var files fs.FS
		if files, err = fs.Sub(migrations, "migrations"); err == nil {
			err = sqldb.Validate(ctx, db, line, files)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("tracking/sqlstore: %w", err)
	}
	return newStore(db, o), nil
}

// Migrate brings the schema in a database of the application up to date, in
// one transaction. Any number of processes may call it at once. A schema from
// a newer version is tracking.ErrUnsupported.
func Migrate(ctx context.Context, pool *sql.DB, dialect Dialect) error {
	db, err := sqldb.New(ctx, pool, sqldb.Dialect(dialect), nil)
	if err == nil {
		err = migrate(ctx, db)
	}
	if err != nil {
		return fmt.Errorf("tracking/sqlstore: %w", err)
	}
	return nil
}

func migrate(ctx context.Context, db *sqldb.DB) error {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	return sqldb.Migrate(ctx, db, line, files)
}

func newStore(db *sqldb.DB, o Options) *Store {
	s := &Store{db: db, dialect: db.Dialect(), root: o.ArtifactRoot}
	s.folder.store = s
	return s
}

// Close ends the background work and closes the database that Open opened. It
// is idempotent; afterwards every method answers tracking.ErrClosed.
func (s *Store) Close() error {
	s.folder.close()
	if err := s.db.Close(); err != nil {
		return fmt.Errorf("tracking/sqlstore: close: %w", err)
	}
	return nil
}
