package sqlstore

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/millwright-ml/millwright/internal/sqldb"
	"github.com/millwright-ml/millwright/tracking"
)

func fromMS(ms int64) time.Time { return time.UnixMilli(ms).UTC() }

// nullMS is what a column takes that is NULL without a time.
func nullMS(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UnixMilli()
}

// fromNull is a time that may be missing.
func fromNull(ms sql.NullInt64) time.Time {
	if !ms.Valid {
		return time.Time{}
	}
	return fromMS(ms.Int64)
}

// errNotActive answers a write to something deleted.
func errNotActive(what string) error {
	return fmt.Errorf("%s is deleted and must be in the 'active' state: %w", what, tracking.ErrInvalid)
}

// eachRow runs a statement of constant text and hands every row to scan. The
// rows are few: all queries are bounded.
func eachRow(ctx context.Context, tx *sqldb.Tx, query string, args []any, scan func(*sql.Rows) error) error {
	rows, err := tx.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	return drainRows(rows, scan)
}

func drainRows(rows *sql.Rows, scan func(*sql.Rows) error) error {
	defer rows.Close()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// rowChunks are the numbers of rows of one multi-row INSERT, so that a few
// prepared statements take any number of rows: beyond about 50 an engine gains
// nothing.
var rowChunks = [...]int{50, 10, 1}

// insertRows writes rows of width columns each: head is "INSERT INTO t (…)",
// tail what follows the values.
func insertRows(ctx context.Context, tx *sqldb.Tx, head, tail string, width int, args []any) error {
	for len(args) > 0 {
		for _, n := range rowChunks {
			if n*width > len(args) {
				continue
			}
			if _, err := tx.ExecContext(ctx, head+valueRows(n, width)+tail, args[:n*width]...); err != nil {
				return err
			}
			args = args[n*width:]
			break
		}
	}
	return nil
}

// valueRows is " VALUES (?,?),(?,?) ". The parameters are anonymous because
// SQLite's driver looks up numbered ones by name, each time through all of
// them.
func valueRows(n, width int) string {
	row := "(" + strings.Repeat("?,", width-1) + "?)"
	return " VALUES " + strings.Repeat(row+",", n-1) + row + " "
}

// encodeTags writes a map as a JSON object, an empty one as nothing.
func encodeTags(tags map[string]string) (string, error) {
	if len(tags) == 0 {
		return "", nil
	}
	out, err := json.Marshal(tags)
	return string(out), err
}

func decodeTags(text string) (map[string]string, error) {
	tags := map[string]string{}
	if text == "" {
		return tags, nil
	}
	if err := json.Unmarshal([]byte(text), &tags); err != nil {
		return nil, fmt.Errorf("the stored tags %.50q are damaged: %w", text, tracking.ErrInvalid)
	}
	return tags, nil
}

// sortedKeys makes the order of statements, and the first conflict, the same
// each time.
func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }
