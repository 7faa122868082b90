package sqlstore

import (
	"context"
	"database/sql"
	"math"
	"slices"

	"github.com/millwright-ml/millwright/internal/sqldb"
)

// block is a row of mw_metric_block.
type block struct {
	first point // with run and key the row's primary key
	n     int
	data  []byte
}

// tails returns the last block of each key that has any.
func (f *fold) tails(ctx context.Context, all []keySeries) (map[int64]block, error) {
	ids := make([]int64, len(all))
	for i := range all {
		ids[i] = all[i].key
	}
	out := make(map[int64]block, len(all))
	scan := func(rows *sql.Rows) error {
		var key int64
		var b block
		err := rows.Scan(&key, &b.first.tsMS, &b.first.step, &b.first.value, &b.first.isNaN, &b.n, &b.data)
		out[key] = b
		return err
	}
	const columns = `key, ts_ms, step, value, is_nan, n, data`
	const newest = ` ORDER BY ts_ms DESC, step DESC, value DESC, is_nan DESC LIMIT 1`
	if f.store.dialect == sqldb.Postgres {
		return out, eachRow(ctx, f.tx, `
			SELECT b.* FROM unnest(CAST(? AS bigint[])) AS k(value) CROSS JOIN LATERAL (
				SELECT `+columns+` FROM mw_metric_block WHERE run = ? AND key = k.value`+newest+`) b`,
			[]any{f.store.dialect.Ints(ids), f.row}, scan)
	}
	for _, id := range ids {
		err := eachRow(ctx, f.tx, `SELECT `+columns+` FROM mw_metric_block WHERE run = ? AND key = ?`+newest, []any{f.row, id}, scan)
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

// smallBlock is the number of points up to which the last block of a metric is
// always packed anew with what comes. A longer one is when that is worth its
// cost, else the points begin another block.
const smallBlock = 128

// append adds points none of which is before the first of the last block, if
// there is one: the usual case.
func (f *fold) append(s *keySeries, tail block) error {
	points := s.points
	if len(tail.data) > 0 {
		old, err := decodeBlock(make([]point, 0, tail.n+len(points)), tail.data)
		if err != nil {
			return err
		}
		if tail.n < smallBlock || tail.n < min(maxBlock, 2*len(points)) || points[0].compare(old[len(old)-1]) <= 0 {
			if points = merge(old, points); len(points) == len(old) {
				return nil // all known
			}
		}
	}
	for part := range slices.Chunk(points, maxBlock) {
		f.put(s.key, part)
	}
	return nil
}

// insert adds points of which some belong before the last block. It reads no
// more blocks than get points.
func (f *fold) insert(ctx context.Context, s *keySeries) error {
	starts, err := f.starts(ctx, s)
	if err != nil {
		return err
	}
	points := s.points
	for i := 0; len(points) > 0; i++ {
		n := len(points) // those before the next block belong to this one
		if i+1 < len(starts) {
			n, _ = slices.BinarySearchFunc(points, starts[i+1], point.compare)
		}
		if n > 0 {
			if err := f.mix(ctx, s.key, starts[i], points[:n]); err != nil {
				return err
			}
		}
		points = points[n:]
	}
	return nil
}

// starts returns the first points of the blocks from the one into which the
// first point belongs.
func (f *fold) starts(ctx context.Context, s *keySeries) ([]point, error) {
	from, ok, err := blockBefore(ctx, f.tx, f.row, s.key, s.points[0])
	if err != nil {
		return nil, err
	}
	if !ok {
		from = point{tsMS: math.MinInt64, step: math.MinInt64, value: math.Inf(-1)}
	}
	var out []point
	err = eachRow(ctx, f.tx, `
		SELECT ts_ms, step, value, is_nan FROM mw_metric_block
		WHERE run = ? AND key = ? AND (ts_ms, step, value, is_nan) >= (?, ?, ?, ?)
		ORDER BY ts_ms, step, value, is_nan`,
		[]any{f.row, s.key, from.tsMS, from.step, from.value, from.isNaN}, func(rows *sql.Rows) error {
			var p point
			err := rows.Scan(&p.tsMS, &p.step, &p.value, &p.isNaN)
			out = append(out, p)
			return err
		})
	return out, err
}

// blockBefore returns the first point of the block in which p is, or would be;
// not ok when p is before all blocks.
func blockBefore(ctx context.Context, tx *sqldb.Tx, row, key int64, p point) (first point, ok bool, err error) {
	err = eachRow(ctx, tx, `
		SELECT ts_ms, step, value, is_nan FROM mw_metric_block
		WHERE run = ? AND key = ? AND (ts_ms, step, value, is_nan) <= (?, ?, ?, ?)
		ORDER BY ts_ms DESC, step DESC, value DESC, is_nan DESC LIMIT 1`,
		[]any{row, key, p.tsMS, p.step, p.value, p.isNaN}, func(rows *sql.Rows) error {
			ok = true
			return rows.Scan(&first.tsMS, &first.step, &first.value, &first.isNaN)
		})
	return first, ok, err
}

// mix adds points to the block that starts with first, and cuts it into equal
// parts when it becomes too long.
func (f *fold) mix(ctx context.Context, key int64, first point, points []point) error {
	where := []any{f.row, key, first.tsMS, first.step, first.value, first.isNaN}
	const isIt = ` FROM mw_metric_block WHERE run = ? AND key = ? AND ts_ms = ? AND step = ? AND value = ? AND is_nan = ?`
	var data []byte
	if err := f.tx.QueryRowContext(ctx, `SELECT data`+isIt, where...).Scan(&data); err != nil {
		return err
	}
	old, err := decodeBlock(nil, data)
	if err != nil {
		return err
	}
	all := merge(old, points)
	if len(all) == len(old) {
		return nil
	}
	if all[0] != first {
		if _, err := f.tx.ExecContext(ctx, `DELETE`+isIt, where...); err != nil {
			return err
		}
	}
	parts := (len(all) + maxBlock - 1) / maxBlock
	for part := range slices.Chunk(all, (len(all)+parts-1)/parts) {
		f.put(key, part)
	}
	return nil
}

// merge unites two sorted series; what is in both is there once.
func merge(a, b []point) []point {
	if len(a) == 0 || len(b) > 0 && a[len(a)-1].compare(b[0]) < 0 {
		return append(a, b...)
	}
	out := make([]point, 0, len(a)+len(b))
	for len(a) > 0 && len(b) > 0 {
		c := a[0].compare(b[0])
		if c <= 0 {
			out = append(out, a[0])
			a = a[1:]
		}
		if c == 0 {
			b = b[1:]
		} else if c > 0 {
			out = append(out, b[0])
			b = b[1:]
		}
	}
	return append(append(out, a...), b...)
}
