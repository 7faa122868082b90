package sqldb

import (
	"context"
	"database/sql"
	"errors"
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

// Migrate brings the schema of one line ("tracking", "registry") to the newest
// step in fsys. The steps are the files 0001_….sql, 0002_….sql, … at the top
// of fsys, without gaps; lines are independent of each other and share the
// file.
//
// All missing steps and their version rows (table mw_migrations) go into one
// BEGIN IMMEDIATE transaction, so that any number of processes may start on
// one new file: one of them migrates, the others find the work done. A schema
// newer than fsys is refused with errs.ErrUnsupported and not touched.
func Migrate(ctx context.Context, db *DB, line string, fsys fs.FS) error {
	steps, err := readSteps(fsys)
	if err != nil {
		return fmt.Errorf("migrate line %q: %w", line, err)
	}
	// The usual start finds the schema up to date and takes no write lock.
	have := 0
	err = db.View(ctx, func(tx *sql.Tx) (err error) {
		have, err = schemaVersion(ctx, tx, line)
		return err
	})
	if err == nil && have < len(steps) {
		err = db.Tx(ctx, func(tx *sql.Tx) error {
			// Somebody may have migrated between the two transactions.
			have, err = schemaVersion(ctx, tx, line)
			if err != nil {
				return err
			}
			return apply(ctx, tx, line, have, steps)
		})
	}
	if err == nil && have > len(steps) {
		err = fmt.Errorf("the database %q has schema version %d and this program knows up to %d: a newer Millwright wrote it, upgrade the program: %w",
			db.path, have, len(steps), errs.ErrUnsupported)
	}
	if err != nil {
		return fmt.Errorf("migrate line %q: %w", line, err)
	}
	return nil
}

func readSteps(fsys fs.FS) ([]step, error) {
	entries, err := fs.ReadDir(fsys, ".")
	if err != nil {
		return nil, err
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

// schemaVersion returns 0 for a line, or a file, that was never migrated.
func schemaVersion(ctx context.Context, tx *sql.Tx, line string) (int, error) {
	var one int
	err := tx.QueryRowContext(ctx, `SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'mw_migrations'`).Scan(&one)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	var version int
	err = tx.QueryRowContext(ctx, `SELECT COALESCE(MAX(version), 0) FROM mw_migrations WHERE line = ?`, line).Scan(&version)
	return version, err
}

func apply(ctx context.Context, tx *sql.Tx, line string, have int, steps []step) error {
	_, err := tx.ExecContext(ctx, `
		CREATE TABLE IF NOT EXISTS mw_migrations (
			line       TEXT    NOT NULL,
			version    INTEGER NOT NULL,
			name       TEXT    NOT NULL,
			applied_ms INTEGER NOT NULL,
			PRIMARY KEY (line, version)
		) WITHOUT ROWID`)
	if err != nil {
		return err
	}
	for _, s := range steps[min(have, len(steps)):] {
		if _, err := tx.ExecContext(ctx, s.sql); err != nil {
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
