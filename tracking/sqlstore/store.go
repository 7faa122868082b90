package sqlstore

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/millwright-ml/millwright/internal/sqldb"
	"github.com/millwright-ml/millwright/tracking"
)

//go:embed migrations/*.sql
var migrations embed.FS

// Options of Open. The zero value is ready, and so is a nil pointer.
type Options struct {
	// FullSync makes every acknowledged write survive a power cut, at about
	// 1.3 times the cost of a batch and 10 times that of a single point.
	// Without it writes survive a crash or kill of the process, and a power
	// cut may take the last ones. Default false.
	FullSync bool

	// BusyTimeout is how long a write waits for other processes before it
	// fails with tracking.ErrUnavailable. Default 30 s.
	BusyTimeout time.Duration
}

// Store is a tracking.Store in an SQLite file. It is safe for concurrent use
// and ends with Close.
type Store struct {
	db   *sqldb.DB
	stmt statements
	keys keyCache
}

var _ tracking.Store = (*Store)(nil)

// Open opens the database that url names, "sqlite:///absolute/path.db" or
// "sqlite:" and any path, with '%', '?' and '#' percent-encoded. It creates the
// file when it is absent (its folder must exist) and brings its schema up to
// date. A PostgreSQL URL is tracking.ErrUnsupported in this version, a missing
// folder tracking.ErrNotFound, a file that is no database tracking.ErrInvalid,
// a folder that cannot be written tracking.ErrUnavailable, a schema from a
// newer version tracking.ErrUnsupported.
func Open(ctx context.Context, url string, opts *Options) (*Store, error) {
	var o Options
	if opts != nil {
		o = *opts
	}
	db, err := sqldb.Open(ctx, url, &sqldb.Options{FullSync: o.FullSync, BusyTimeout: o.BusyTimeout})
	if err != nil {
		return nil, fmt.Errorf("tracking/sqlstore: %w", err)
	}
	s := &Store{db: db}
	files, err := fs.Sub(migrations, "migrations")
	if err == nil {
		err = sqldb.Migrate(ctx, db, "tracking", files)
	}
	if err == nil {
		err = s.stmt.prepare(ctx, db)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("tracking/sqlstore: open %q: %w", db.Path(), err), db.Close())
	}
	return s, nil
}

// Close closes the database. It is idempotent; afterwards every method answers
// tracking.ErrClosed.
func (s *Store) Close() error {
	if err := s.db.Close(); err != nil {
		return fmt.Errorf("tracking/sqlstore: close: %w", err)
	}
	return nil
}

// statements are those of the writing connection that run often.
type statements struct {
	findRun, countRun                         *sql.Stmt
	findKeys, addKeys                         *sql.Stmt
	points, point                             *sql.Stmt
	latest, setLatestMany, setLatest          *sql.Stmt
	params, addParams, tags, setTags          *sql.Stmt
	inputs, addInput, findDataset, addDataset *sql.Stmt
}

func (s *statements) prepare(ctx context.Context, db *sqldb.DB) error {
	for _, p := range []struct {
		stmt **sql.Stmt
		text string
	}{
		{&s.findRun, `SELECT id, n_params, n_tags, n_metrics, n_inputs, input_bytes FROM mw_run WHERE run_id = ?`},
		{&s.countRun, `UPDATE mw_run SET n_params = ?, n_tags = ?, n_metrics = ?, n_inputs = ?, input_bytes = ? WHERE id = ?`},
		{&s.findKeys, `SELECT key, id FROM mw_key WHERE key IN (SELECT value FROM json_each(?))`},
		{&s.addKeys, `INSERT INTO mw_key (key) SELECT value FROM json_each(?) RETURNING key, id`},
		{&s.points, `INSERT OR IGNORE INTO mw_metric (run, key, ts_ms, step, value, is_nan) VALUES ` + tuples(chunk)},
		{&s.point, `INSERT OR IGNORE INTO mw_metric (run, key, ts_ms, step, value, is_nan) VALUES ` + tuples(1)},
		{&s.latest, `SELECT key, ts_ms, step, value, is_nan FROM mw_latest WHERE run = ? AND key IN (SELECT value FROM json_each(?))`},
		{&s.setLatestMany, `INSERT OR REPLACE INTO mw_latest (run, key, ts_ms, step, value, is_nan) VALUES ` + tuples(chunk)},
		{&s.setLatest, `INSERT OR REPLACE INTO mw_latest (run, key, ts_ms, step, value, is_nan) VALUES ` + tuples(1)},
		{&s.params, `SELECT key, value FROM mw_param WHERE run = ? AND key IN (SELECT value FROM json_each(?))`},
		{&s.addParams, `INSERT INTO mw_param (run, key, value) SELECT ?, key, value FROM json_each(?)`},
		{&s.tags, `SELECT key, value FROM mw_tag WHERE run = ? AND key IN (SELECT value FROM json_each(?))`},
		{&s.setTags, `INSERT OR REPLACE INTO mw_tag (run, key, value) SELECT ?, key, value FROM json_each(?)`},
		{&s.inputs, `SELECT d.name, d.version, d.digest, i.context FROM mw_input i JOIN mw_dataset d ON d.id = i.dataset WHERE i.run = ?`},
		{&s.findDataset, `SELECT id FROM mw_dataset WHERE hash = ?`},
		{&s.addDataset, `INSERT INTO mw_dataset (hash, name, version, digest, source_type, source, schema, profile) VALUES (?, ?, ?, ?, ?, ?, ?, ?) RETURNING id`},
		{&s.addInput, `INSERT INTO mw_input (run, seq, dataset, context) VALUES (?, ?, ?, ?)`},
	} {
		stmt, err := db.Prepare(ctx, p.text)
		if err != nil {
			return err
		}
		*p.stmt = stmt // closed with its database
	}
	return nil
}
