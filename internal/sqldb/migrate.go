package sqldb

import (
	"context"
	"fmt"
	"io/fs"
	"regexp"
	"strconv"
	"time"

	"github.com/millwright-ml/millwright/internal/errs"
)

// A step's file is named 0001_what_it_does.sql.
var stepName = regexp.MustCompile(`^([0-9]{4})_[a-z0-9_]+\.sql$`)

type step struct {
	version int
	name    string
	sql     string
}

// migrationLock is the key of the advisory lock that migrations take in
// PostgreSQL: any number that others do not use.
const migrationLock = 7_730_921_552_026

// Migrate brings the schema of one line ("tracking", "registry") to the newest
// step in fsys. The steps are the files sqlite/0001_….sql, sqlite/0002_….sql,
// … or postgres/0001_….sql, …, without gaps; lines are independent of each
// other and share the database.
//
// All missing steps and their version rows (table mw_migrations) go into one
// transaction under a lock, so that any number of processes may start on one
// new database: one of them migrates, the others find the work done. A schema
// newer than fsys is refused with errs.ErrUnsupported and not touched.
func Migrate(ctx context.Context, db *DB, line string, fsys fs.FS) error {
	steps, have, err := compare(ctx, db, line, fsys)
	if err == nil && have < len(steps) {
		err = db.TxAlone(ctx, func(tx *Tx) error {
			if tx.Dialect() == Postgres {
				if _, err := tx.ExecContext(ctx, `SELECT pg_advisory_xact_lock(?)`, int64(migrationLock)); err != nil {
					return err
				}
			}
			// Somebody may have migrated between the two transactions.
			have, err := schemaVersion(ctx, tx, line)
			if err != nil {
				return err
			}
			if err := tooNew(db, have, steps); err != nil {
				return err
			}
			return apply(ctx, tx, line, have, steps)
		})
	}
	if err != nil {
		return fmt.Errorf("migrate line %q: %w", line, err)
	}
	return nil
}

// Validate checks that the schema of one line has the newest step in fsys and
// changes nothing. An older or missing schema is errs.ErrInvalid, a newer one
// errs.ErrUnsupported.
func Validate(ctx context.Context, db *DB, line string, fsys fs.FS) error {
	steps, have, err := compare(ctx, db, line, fsys)
	if err == nil && have < len(steps) {
		err = fmt.Errorf("the database %q has schema version %d and this program needs %d: call Migrate first: %w", db.name, have, len(steps), errs.ErrInvalid)
	}
	if err != nil {
		return fmt.Errorf("validate line %q: %w", line, err)
	}
	return nil
}

// compare reads the steps and the version that the database has, which takes
// no write lock: the usual start finds it up to date.
func compare(ctx context.Context, db *DB, line string, fsys fs.FS) (steps []step, have int, err error) {
	own, err := fs.Sub(fsys, string(db.dialect))
	if err == nil {
		steps, err = readSteps(own)
	}
	if err != nil {
		return nil, 0, err
	}
	err = db.View(ctx, func(tx *Tx) (err error) {
		have, err = schemaVersion(ctx, tx, line)
		return err
	})
	if err == nil {
		err = tooNew(db, have, steps)
	}
	return steps, have, err
}

func tooNew(db *DB, have int, steps []step) error {
	if have <= len(steps) {
		return nil
	}
	return fmt.Errorf("the database %q has schema version %d and this program knows up to %d: a newer Millwright wrote it, upgrade the program: %w",
		db.name, have, len(steps), errs.ErrUnsupported)
}

func readSteps(fsys fs.FS) ([]step, error) {
	entries, err := fs.ReadDir(fsys, ".")
	if err != nil {
		return nil, fmt.Errorf("there are no steps for this kind of database (%w): %w", err, errs.ErrUnsupported)
	}
	var steps []step
	for _, entry := range entries { // sorted by name, thus by version
		match := stepName.FindStringSubmatch(entry.Name())
		if match == nil || !entry.Type().IsRegular() {
			return nil, fmt.Errorf("step file %q: want a name like 0001_what_it_does.sql: %w", entry.Name(), errs.ErrInvalid)
		}
		version, err := strconv.Atoi(match[1])
		if err != nil || version != len(steps)+1 {
			return nil, fmt.Errorf("step file %q: want version %04d next: %w", entry.Name(), len(steps)+1, errs.ErrInvalid)
		}
		text, err := fs.ReadFile(fsys, entry.Name())
		if err != nil {
			return nil, err
		}
		steps = append(steps, step{version: version, name: entry.Name(), sql: string(text)})
	}
	if len(steps) == 0 {
		return nil, fmt.Errorf("there are no step files: %w", errs.ErrInvalid)
	}
	return steps, nil
}

// schemaVersion returns 0 for a line, or a database, that was never migrated.
func schemaVersion(ctx context.Context, tx *Tx, line string) (int, error) {
	exists := `SELECT COUNT(*) FROM sqlite_master WHERE type = 'table' AND name = 'mw_migrations'`
	if tx.Dialect() == Postgres {
		// to_regclass would answer from a cache that does not notice what
		// another one did while this transaction waited for the lock.
		exists = `SELECT COUNT(*) FROM pg_catalog.pg_class WHERE relname = 'mw_migrations' AND pg_catalog.pg_table_is_visible(oid)`
	}
	var n int
	if err := tx.QueryRowContext(ctx, exists).Scan(&n); err != nil || n == 0 {
		return 0, err
	}
	var version int
	err := tx.QueryRowContext(ctx, `SELECT COALESCE(MAX(version), 0) FROM mw_migrations WHERE line = ?`, line).Scan(&version)
	return version, err
}

func apply(ctx context.Context, tx *Tx, line string, have int, steps []step) error {
	create := `
		CREATE TABLE IF NOT EXISTS mw_migrations (
			line       TEXT    NOT NULL,
			version    INTEGER NOT NULL,
			name       TEXT    NOT NULL,
			applied_ms INTEGER NOT NULL,
			PRIMARY KEY (line, version)
		) WITHOUT ROWID`
	if tx.Dialect() == Postgres {
		create = `
		CREATE TABLE IF NOT EXISTS mw_migrations (
			line       text   NOT NULL,
			version    bigint NOT NULL,
			name       text   NOT NULL,
			applied_ms bigint NOT NULL,
			PRIMARY KEY (line, version)
		)`
	}
	if _, err := tx.ExecContext(ctx, create); err != nil {
		return err
	}
	for _, s := range steps[min(have, len(steps)):] {
		if err := tx.script(ctx, s.sql); err != nil {
			return fmt.Errorf("step %s: %w", s.name, err)
		}
		_, err := tx.ExecContext(ctx, `INSERT INTO mw_migrations (line, version, name, applied_ms) VALUES (?, ?, ?, ?)`,
			line, s.version, s.name, time.Now().UnixMilli())
		if err != nil {
			return fmt.Errorf("record step %s: %w", s.name, err)
		}
	}
	return nil
}

// script runs statements that take no parameters.
func (t *Tx) script(ctx context.Context, text string) error {
	_, err := t.unprepared().ExecContext(ctx, text)
	return err
}
