package sqlstore

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/millwright-ml/millwright/internal/errs"
	"github.com/millwright-ml/millwright/internal/sqldb"
	"github.com/millwright-ml/millwright/registry"
)

// The kinds of error that Open and New return, beside those of the operating
// system.
var (
	// ErrInvalid: the URL is malformed, the file is no SQLite database, or New
	// was called before Migrate.
	ErrInvalid = errs.ErrInvalid
	// ErrNotFound: the folder of the file, or the PostgreSQL database, does not
	// exist.
	ErrNotFound = errs.ErrNotFound
	// ErrUnavailable: other connections hold the file for too long, it cannot
	// be read or written, or the server cannot be reached.
	ErrUnavailable = errs.ErrUnavailable
	// ErrUnsupported: a newer version of this package wrote the schema.
	ErrUnsupported = errs.ErrUnsupported
	// ErrClosed: the store was used after Close.
	ErrClosed = errs.ErrClosed
)

//go:embed migrations
var migrations embed.FS

// line is the name of this schema among those that share a database.
const line = "registry"

// Options of Open and New. The zero value is ready, and so is a nil pointer.
type Options struct {
	// BusyTimeout is how long a call waits for other processes, or for a
	// PostgreSQL server that restarts, before it fails with ErrUnavailable.
	// Default 30 s.
	BusyTimeout time.Duration

	// Connections is the greatest number of connections to PostgreSQL, beside
	// one that is open while somebody waits for news. Default 16.
	Connections int
}

func (o *Options) sqldb() *sqldb.Options {
	out := sqldb.Options{FullSync: true, Connections: 16}
	if o != nil {
		out.BusyTimeout = o.BusyTimeout
		if o.Connections != 0 {
			out.Connections = o.Connections
		}
	}
	if out.Connections > 0 {
		out.Connections++ // for LISTEN
	}
	return &out
}

// Dialect names the kind of database behind connections that New or Migrate
// are given.
type Dialect string

// The dialects.
const (
	SQLite   Dialect = "sqlite"   // driver modernc.org/sqlite
	Postgres Dialect = "postgres" // driver github.com/jackc/pgx/v5/stdlib
)

// Store is a registry.Store in an SQL database, for any number of goroutines.
// Close ends it.
type Store struct {
	db      *sqldb.DB
	dialect sqldb.Dialect
	texts   texts
	lists   lists
	news    news
	queued  bell // rung when something is queued for a webhook
}

var (
	_ registry.Store     = (*Store)(nil)
	_ registry.Purger    = (*Store)(nil)
	_ registry.Collector = (*Store)(nil)
	_ registry.Notifier  = (*Store)(nil)
)

// Open opens the database that url names, and brings its schema up to date:
//
//   - "sqlite:///absolute/path.db" or "sqlite:" and any path, with '%', '?' and
//     '#' percent-encoded: a file, created when absent in a folder that exists
//   - "postgres://user:password@host:port/database?parameters", also with the
//     scheme postgresql or postgresql+psycopg2: an existing PostgreSQL database,
//     version 13 or newer, encoding UTF8
func Open(ctx context.Context, url string, opts *Options) (*Store, error) {
	db, err := sqldb.Open(ctx, url, opts.sqldb())
	if err != nil {
		return nil, fmt.Errorf("registry/sqlstore: %w", err)
	}
	if err := migrate(ctx, db); err != nil {
		return nil, errors.Join(fmt.Errorf("registry/sqlstore: open %q: %w", db.Name(), err), db.Close())
	}
	return newStore(db), nil
}

// New keeps its tables in a database that the application has open. The
// connections are used as they are set up, and Close leaves them open; SQLite
// should be in WAL mode with a busy timeout. New changes no schema: when that is
// missing or older it answers ErrInvalid, and Migrate is to be called, which a
// deployment may do apart from its servers. One of the connections to PostgreSQL
// is held while somebody waits for news, unless there are two or fewer.
func New(ctx context.Context, pool *sql.DB, dialect Dialect, opts *Options) (*Store, error) {
	db, err := sqldb.New(ctx, pool, sqldb.Dialect(dialect), opts.sqldb())
	if err == nil {
		var files fs.FS
		if files, err = fs.Sub(migrations, "migrations"); err == nil {
			err = sqldb.Validate(ctx, db, line, files)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("registry/sqlstore: %w", err)
	}
	return newStore(db), nil
}

// Migrate brings the schema in a database of the application up to date, in
// one transaction. Any number of processes may call it at once. A schema from
// a newer version is ErrUnsupported.
func Migrate(ctx context.Context, pool *sql.DB, dialect Dialect) error {
	db, err := sqldb.New(ctx, pool, sqldb.Dialect(dialect), nil)
	if err == nil {
		err = migrate(ctx, db)
	}
	if err != nil {
		return fmt.Errorf("registry/sqlstore: %w", err)
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

func newStore(db *sqldb.DB) *Store {
	s := &Store{db: db, dialect: db.Dialect(), texts: newTexts(db.Dialect()), lists: newLists(db.Dialect())}
	s.news.start(s)
	return s
}

// Close ends those who wait for news, and the connections that Open made.
// Calls that come later, and those that it interrupts, fail with ErrClosed.
// Closing twice is no error.
func (s *Store) Close() error {
	s.news.close()
	defer s.queued.close()
	if err := s.db.Close(); err != nil {
		return fmt.Errorf("registry/sqlstore: close: %w", err)
	}
	return nil
}

// read runs one statement that reads.
func (s *Store) read(ctx context.Context, fn func(tx *sqldb.Tx) error) error {
	if s.dialect == sqldb.Postgres {
		return s.db.Single(ctx, fn) // without the messages around a transaction
	}
	return s.db.View(ctx, fn)
}

// texts are the statements that are put together once.
type texts struct {
	version, versions, versionByKey string
}

func newTexts(d sqldb.Dialect) texts {
	tags := func(table, owner, id string) string {
		what := "json_group_object(t.key, t.value)"
		if d == sqldb.Postgres {
			what = "CAST(json_object_agg(t.key, t.value) AS text)"
		}
		return "(SELECT " + what + " FROM " + table + " t WHERE t." + owner + " = " + id + ")"
	}
	aliases := "group_concat(a.alias)" // which hold no comma
	if d == sqldb.Postgres {
		aliases = "string_agg(a.alias, ',')"
	}
	columns := `SELECT v.id, v.name, v.number, v.created_us, v.updated_us, v.deleted_us, v.run, v.stage, v.status, COALESCE(v.idem_key, ''),
		v.digest, v.framework, v.flavor, v.license, v.golden, v.logged_model, v.user_name, v.source, v.status_message, v.description,
		v.code, v.datasets, v.metrics, v.signed, v.signature, v.manifest,
		` + tags("mw_reg_version_tags", "version_id", "v.id") + `,
		(SELECT ` + aliases + ` FROM mw_reg_aliases a WHERE a.model_id = v.model_id AND a.number = v.number)
		FROM mw_reg_versions v `
	return texts{
		version:      columns + `JOIN mw_reg_models m ON m.id = v.model_id WHERE m.name = ? AND m.deleted_us IS NULL AND v.number = ?`,
		versions:     columns + `WHERE ` + d.In("v.id"),
		versionByKey: columns + `WHERE v.model_id = ? AND v.idem_key = ?`,
	}
}
