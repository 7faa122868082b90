package pgstore

import (
	"context"
	"crypto/rand"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"time"

	"github.com/millwright-ml/millwright/internal/errs"
	"github.com/millwright-ml/millwright/internal/sqldb"
	"github.com/millwright-ml/millwright/serve/llm"
)

// The kinds of error that this package returns; test with errors.Is.
var (
	// ErrInvalid: the URL or the options cannot be, or New was called before
	// Migrate.
	ErrInvalid = errs.ErrInvalid
	// ErrNotFound: there is no such database.
	ErrNotFound = errs.ErrNotFound
	// ErrUnavailable: the database cannot be reached.
	ErrUnavailable = errs.ErrUnavailable
	// ErrUnsupported: a newer version of this package wrote the schema, or the
	// server is too old.
	ErrUnsupported = errs.ErrUnsupported
	// ErrClosed: the store was used after Shutdown.
	ErrClosed = errs.ErrClosed
)

//go:embed migrations
var migrations embed.FS

// line is the name of this schema among those that share a database.
const line = "llm"

// Options of Open and New. The zero value is ready, and so is a nil pointer.
type Options struct {
	// Ahead is for how long a replica takes amounts ahead of requests, by what
	// the tenant used lately. Default 1 s; -1 takes none, and then a request that
	// others did not bring something for costs one round trip.
	Ahead time.Duration
	// Refresh is how often a replica tells what was used, and gives back what it
	// holds for nobody. Default 1 s.
	Refresh time.Duration
	// Lease is how long after its last word a replica is taken for dead. Default
	// 1 minute, at least four times Refresh.
	Lease time.Duration
	// KeepLost counts what a dead replica held as spent, since its requests may
	// have cost that much. Default false: it is given back.
	KeepLost bool
	// FailOpen lets requests through that need the database when it is away, and
	// counts them when it is there again. Default false: they are refused.
	FailOpen bool
	// Timeout is how long a round trip may take. Default 5 s.
	Timeout time.Duration
	// Connections is the greatest number of connections. A replica needs one for
	// limits and one for costs. Default 4.
	Connections int
	// OnError learns of what went wrong in the background. Default nil: nobody
	// does. It must not block.
	OnError func(error)
}

func (o *Options) withDefaults() (Options, error) {
	var out Options
	if o != nil {
		out = *o
	}
	var f errs.Faults
	f.Check(out.Ahead >= -1, "Ahead is %v, want -1 or more", out.Ahead)
	f.Check(out.Refresh >= 0 && out.Lease >= 0 && out.Timeout >= 0, "Refresh, Lease or Timeout is below 0")
	f.Check(out.Connections >= 0, "Connections is %d, want 0 or more", out.Connections)
	def := func(to *time.Duration, v time.Duration) {
		if *to == 0 {
			*to = v
		}
	}
	def(&out.Ahead, time.Second)
	def(&out.Refresh, time.Second)
	def(&out.Lease, max(time.Minute, 4*out.Refresh))
	def(&out.Timeout, 5*time.Second)
	f.Check(out.Lease >= 4*out.Refresh, "Lease is %v, want at least four times Refresh, which is %v", out.Lease, out.Refresh)
	out.Ahead = max(out.Ahead, 0)
	if out.Connections == 0 {
		out.Connections = 4
	}
	if out.OnError == nil {
		out.OnError = func(error) {}
	}
	return out, f.Err("llm/pgstore: options")
}

// Store is an llm.Store in PostgreSQL, for all replicas of a program. It has a
// goroutine from the first Take on; end it with Shutdown, behind the gateway's.
type Store struct {
	db      *sqldb.DB
	o       Options
	replica string

	mu       sync.Mutex
	accounts map[string]*account
	serial   int64 // Of exchanges and accounts.
	waiting  []*waiter
	busy     bool          // An exchange is under way.
	idle     chan struct{} // Closed when it is not, while somebody waits for that.
	away     error         // Why the last exchange failed.
	started  bool
	closed   bool
	ended    bool
	stop     chan struct{}
	stopped  chan struct{}
	swept    time.Time
}

var _ llm.Store = (*Store)(nil)

// Open connects to the database that url names and brings its schema up to date:
// "postgres://user:password@host:port/database?parameters", version 13 or newer,
// encoding UTF8.
func Open(ctx context.Context, url string, opts *Options) (*Store, error) {
	o, err := opts.withDefaults()
	if err != nil {
		return nil, err
	}
	if !sqldb.IsPostgresURL(url) {
		return nil, fmt.Errorf("llm/pgstore: open: the URL is not one of PostgreSQL: %w", ErrInvalid)
	}
	db, err := sqldb.Open(ctx, url, o.sqldb())
	if err != nil {
		return nil, fmt.Errorf("llm/pgstore: %w", err)
	}
	if err := migrate(ctx, db); err != nil {
		return nil, errors.Join(fmt.Errorf("llm/pgstore: open %q: %w", db.Name(), err), db.Close())
	}
	return newStore(db, o), nil
}

// New uses connections of the program's own, of pgx's driver for database/sql,
// which stay open after Shutdown. It changes no schema: Migrate does.
func New(ctx context.Context, pool *sql.DB, opts *Options) (*Store, error) {
	o, err := opts.withDefaults()
	if err != nil {
		return nil, err
	}
	db, err := sqldb.New(ctx, pool, sqldb.Postgres, o.sqldb())
	if err == nil {
		var files fs.FS
		if files, err = fs.Sub(migrations, "migrations"); err == nil {
			err = sqldb.Validate(ctx, db, line, files)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("llm/pgstore: %w", err)
	}
	return newStore(db, o), nil
}

// Migrate brings the schema in a database of the program up to date, in one
// transaction. Any number of processes may call it at once.
func Migrate(ctx context.Context, pool *sql.DB) error {
	db, err := sqldb.New(ctx, pool, sqldb.Postgres, nil)
	if err == nil {
		err = migrate(ctx, db)
	}
	if err != nil {
		return fmt.Errorf("llm/pgstore: %w", err)
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

func (o *Options) sqldb() *sqldb.Options {
	return &sqldb.Options{BusyTimeout: o.Timeout, Connections: o.Connections}
}

func newStore(db *sqldb.DB, o Options) *Store {
	return &Store{
		db: db, o: o, replica: rand.Text(), accounts: make(map[string]*account),
		stop: make(chan struct{}), stopped: make(chan struct{}),
	}
}
