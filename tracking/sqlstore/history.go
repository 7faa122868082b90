package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"

	"github.com/millwright-ml/millwright/internal/sqldb"
	"github.com/millwright-ml/millwright/tracking"
)

// Sizes of pages: what a caller gets who names none, and the most.
const defaultPoints, maxPoints = 1000, 25_000

// pageSize resolves Page.Max.
func pageSize(p tracking.Page, byDefault, limit int) int {
	if p.Max <= 0 {
		return byDefault
	}
	return min(p.Max, limit)
}

// History implements tracking.Store.
func (s *Store) History(ctx context.Context, id tracking.RunID, key string, p tracking.Page) ([]tracking.Metric, string, error) {
	points, next, err := s.history(ctx, id, key, p)
	if err != nil {
		return nil, "", fmt.Errorf("tracking/sqlstore: history of %q of run %q: %w", key, id, err)
	}
	return points, next, nil
}

func (s *Store) history(ctx context.Context, id tracking.RunID, key string, p tracking.Page) (page []tracking.Metric, next string, err error) {
	cursor, err := parseHistoryCursor(p.Token, string(id), key)
	if err != nil {
		return nil, "", err
	}
	row, err := s.foldBefore(ctx, id)
	if err != nil {
		return nil, "", err
	}
	r := historyReader{row: row, after: cursor, size: pageSize(p, defaultPoints, maxPoints)}
	err = s.db.View(ctx, func(tx *sqldb.Tx) error {
		r.points = nil
		return r.read(ctx, tx, key)
	})
	if err != nil {
		return nil, "", err
	}
	if len(r.points) > r.size {
		r.points = r.points[:r.size]
		next = historyCursor(r.points[r.size-1]).token(string(id), key)
	}
	if len(r.points) > 0 {
		page = make([]tracking.Metric, len(r.points))
		for i, p := range r.points {
			page[i] = p.metric(key)
		}
	}
	return page, next, nil
}

// historyReader reads one page, and one point more where there is one.
type historyReader struct {
	row, key int64
	after    historyCursor
	size     int
	points   []point
	block    []point
}

func (r *historyReader) read(ctx context.Context, tx *sqldb.Tx, key string) error {
	err := tx.QueryRowContext(ctx, `SELECT id FROM mw_key WHERE key = ?`, key).Scan(&r.key)
	if errors.Is(err, sql.ErrNoRows) {
		return nil // nobody ever logged it
	}
	if err != nil {
		return err
	}
	from := point(r.after)
	if first, ok, err := blockBefore(ctx, tx, r.row, r.key, from); err != nil {
		return err
	} else if ok {
		from = first
	}
	// So many blocks at a time as a page takes of full ones; short ones, of
	// which there are few, take another round.
	compare, limit := `>=`, r.size/maxBlock+2
	for {
		n, err := r.blocks(ctx, tx, compare, &from, limit)
		if err != nil || n < limit || len(r.points) > r.size {
			return err
		}
		compare = `>`
	}
}

// blocks reads the blocks behind from, which it moves on, until the page is
// full.
func (r *historyReader) blocks(ctx context.Context, tx *sqldb.Tx, compare string, from *point, limit int) (n int, err error) {
	at := *from
	err = eachRow(ctx, tx, `
		SELECT ts_ms, step, value, is_nan, data FROM mw_metric_block
		WHERE run = ? AND key = ? AND (ts_ms, step, value, is_nan) `+compare+` (?, ?, ?, ?)
		ORDER BY ts_ms, step, value, is_nan LIMIT ?`,
		[]any{r.row, r.key, at.tsMS, at.step, at.value, at.isNaN, limit}, func(rows *sql.Rows) error {
			var data sql.RawBytes
			if err := rows.Scan(&from.tsMS, &from.step, &from.value, &from.isNaN, &data); err != nil {
				return err
			}
			n++
			if len(r.points) > r.size {
				return nil
			}
			var err error
			if r.block, err = decodeBlock(r.block[:0], data); err != nil {
				return err
			}
			r.take()
			return nil
		})
	return n, err
}

// take appends the points of the block that are behind the page before.
func (r *historyReader) take() {
	block, after := r.block, point(r.after)
	if len(r.points) == 0 && r.after != firstHistoryCursor() {
		for len(block) > 0 && block[0].compare(after) <= 0 {
			block = block[1:]
		}
	}
	r.points = append(r.points, block[:min(len(block), r.size+1-len(r.points))]...)
}

// historyCursor is the last point seen.
type historyCursor point

// firstHistoryCursor is before all points. Times begin at 0.
func firstHistoryCursor() historyCursor {
	return historyCursor{tsMS: math.MinInt64, step: math.MinInt64, value: math.Inf(-1)}
}
