package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"time"

	"github.com/millwright-ml/millwright/internal/sqldb"
	"github.com/millwright-ml/millwright/tracking"
)

// Limits of a transaction that folds, since others wait for it.
const (
	foldRows = 256 // log rows of one run at a time
	foldRuns = 32  // runs of one transaction
	foldTime = 20 * time.Millisecond
)

// foldBefore brings the tables of a run up to date with its log, before they
// are read, and returns its row id.
func (s *Store) foldBefore(ctx context.Context, id tracking.RunID) (row int64, err error) {
	waiting := false
	err = s.db.View(ctx, func(tx *sqldb.Tx) error {
		err := tx.QueryRowContext(ctx, `
			SELECT r.id, EXISTS (SELECT 1 FROM mw_metric_log l WHERE l.run = r.id) FROM mw_run r WHERE r.run_id = ?`,
			string(id)).Scan(&row, &waiting)
		if errors.Is(err, sql.ErrNoRows) {
			return errNoRun()
		}
		return err
	})
	if err != nil || !waiting {
		return row, err
	}
	return row, s.foldAll(ctx, []int64{row})
}

// foldExperiments does the same for all runs of the experiments, by their row
// ids: a search calls it before the transaction in which it reads mw_latest,
// or the n_metrics of mw_run.
func (s *Store) foldExperiments(ctx context.Context, experiments []int64) error {
	rows, err := s.waiting(ctx, `
		SELECT DISTINCT l.run FROM mw_metric_log l CROSS JOIN mw_run r WHERE r.id = l.run AND `+s.dialect.In("r.experiment_id"),
		s.dialect.Ints(experiments))
	if err != nil {
		return err
	}
	return s.foldAll(ctx, rows)
}

// waiting returns row ids of runs that have rows in the log.
func (s *Store) waiting(ctx context.Context, query string, args ...any) (rows []int64, err error) {
	err = s.db.View(ctx, func(tx *sqldb.Tx) error {
		rows = nil
		return eachRow(ctx, tx, query, args, func(r *sql.Rows) error {
			var row int64
			err := r.Scan(&row)
			rows = append(rows, row)
			return err
		})
	})
	return rows, err
}

// foldAll folds the logs of runs, some in each transaction.
func (s *Store) foldAll(ctx context.Context, rows []int64) error {
	slices.Sort(rows) // everybody in one order, against deadlocks
	for len(rows) > 0 {
		done := 0
		err := s.db.TxAlone(ctx, func(tx *sqldb.Tx) error {
			start := time.Now()
			for done = 0; done < min(foldRuns, len(rows)) && (done == 0 || time.Since(start) < foldTime); done++ {
				if err := s.foldRun(ctx, tx, rows[done]); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		rows = rows[done:]
	}
	return nil
}

// foldRun moves the log of one run into its blocks and latest points. The lock
// of the run's row keeps others out who fold the same; batches may go on
// coming, they are for the next time.
func (s *Store) foldRun(ctx context.Context, tx *sqldb.Tx, row int64) error {
	if s.dialect == sqldb.Postgres {
		var id int64
		err := tx.QueryRowContext(ctx, `SELECT id FROM mw_run WHERE id = ?`+s.dialect.Lock(), row).Scan(&id)
		if errors.Is(err, sql.ErrNoRows) {
			return nil // purged
		}
		if err != nil {
			return err
		}
	}
	for {
		points, n, err := takeLog(ctx, tx, row)
		if err != nil || n == 0 {
			return err
		}
		f := fold{store: s, tx: tx, row: row}
		if err := f.points(ctx, points); err != nil {
			return err
		}
		if n < foldRows {
			return nil
		}
	}
}

// takeLog removes the oldest rows of a run's log and returns their points.
func takeLog(ctx context.Context, tx *sqldb.Tx, row int64) (points []keyPoint, n int, err error) {
	var blobs [][]byte
	total := 0
	err = eachRow(ctx, tx, `
		DELETE FROM mw_metric_log WHERE id IN (SELECT id FROM mw_metric_log WHERE run = ? ORDER BY id LIMIT ?) RETURNING data`,
		[]any{row, foldRows}, func(rows *sql.Rows) error {
			var data []byte
			if err := rows.Scan(&data); err != nil {
				return err
			}
			blobs = append(blobs, data)
			total += sizeOfLog(data)
			return nil
		})
	if err != nil {
		return nil, 0, err
	}
	points = make([]keyPoint, 0, total)
	for _, data := range blobs {
		if points, err = decodeLog(points, data); err != nil {
			return nil, 0, err
		}
	}
	return points, len(blobs), nil
}

// keySeries are the new points of one key.
type keySeries struct {
	key    int64
	points []point // in the order of a history, no two equal
	latest point
}

// fold adds points to the blocks of one run.
type fold struct {
	store *Store
	tx    *sqldb.Tx
	row   int64

	blocks []any // arguments of rows for mw_metric_block
	latest []any // and for mw_latest
}

func (f *fold) points(ctx context.Context, points []keyPoint) error {
	all := split(points)
	tails, err := f.tails(ctx, all)
	if err != nil {
		return err
	}
	fresh := 0
	for i := range all {
		series := &all[i]
		tail, known := tails[series.key]
		if !known {
			fresh++
		}
		if known && series.points[0].compare(tail.first) < 0 {
			err = f.insert(ctx, series)
		} else {
			err = f.append(series, tail)
		}
		if err != nil {
			return err
		}
		p := series.latest
		f.latest = append(f.latest, f.row, series.key, p.step, p.tsMS, p.value, p.isNaN)
	}
	if err := f.write(ctx); err != nil {
		return err
	}
	if fresh == 0 {
		return nil
	}
	_, err = f.tx.ExecContext(ctx, `UPDATE mw_run SET n_metrics = n_metrics + ? WHERE id = ?`, fresh, f.row)
	return err
}

// split sorts the points by key and by the order of a history.
func split(points []keyPoint) []keySeries {
	index := map[int64]int{}
	var counts []int
	var all []keySeries
	last := -1
	places := make([]int32, len(points)) // of each point in all
	for i := range points {
		key := points[i].key
		if last < 0 || all[last].key != key {
			at, ok := index[key]
			if !ok {
				at = len(all)
				index[key] = at
				all = append(all, keySeries{key: key, latest: points[i].point})
				counts = append(counts, 0)
			}
			last = at
		}
		counts[last]++
		places[i] = int32(last)
	}
	room := make([]point, len(points))
	for i := range all {
		all[i].points, room = room[:0:counts[i]], room[counts[i]:]
	}
	for i := range points {
		s := &all[places[i]]
		if s.points = append(s.points, points[i].point); points[i].newerThan(s.latest) {
			s.latest = points[i].point
		}
	}
	for i := range all {
		s := &all[i]
		if !slices.IsSortedFunc(s.points, point.compare) {
			slices.SortFunc(s.points, point.compare)
		}
		s.points = slices.Compact(s.points)
	}
	return all
}

// write stores what was collected.
func (f *fold) write(ctx context.Context) error {
	err := insertRows(ctx, f.tx, `INSERT INTO mw_metric_block (run, key, ts_ms, step, value, is_nan, n, min_step, max_step, stride, data)`, `
		ON CONFLICT (run, key, ts_ms, step, value, is_nan) DO UPDATE SET n = excluded.n, min_step = excluded.min_step,
		max_step = excluded.max_step, stride = excluded.stride, data = excluded.data`, 11, f.blocks)
	if err != nil {
		return err
	}
	return insertRows(ctx, f.tx, `INSERT INTO mw_latest (run, key, step, ts_ms, value, is_nan)`, `
		ON CONFLICT (run, key) DO UPDATE SET step = excluded.step, ts_ms = excluded.ts_ms, value = excluded.value, is_nan = excluded.is_nan
		WHERE (excluded.step, excluded.ts_ms, excluded.value, excluded.is_nan) > (mw_latest.step, mw_latest.ts_ms, mw_latest.value, mw_latest.is_nan)`,
		6, f.latest)
}

// put collects a block of points.
func (f *fold) put(key int64, points []point) {
	p, steps := points[0], stepsOf(points)
	f.blocks = append(f.blocks, f.row, key, p.tsMS, p.step, p.value, p.isNaN,
		len(points), steps.first, steps.last, steps.stride, encodeBlock(points))
}
