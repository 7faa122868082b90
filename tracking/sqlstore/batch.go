package sqlstore

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/millwright-ml/millwright/tracking"
)

// chunk is the number of rows of one multi-row INSERT: beyond about 50 the
// engine gains nothing.
const chunk = 50

// tuples returns n times six parameters. They are anonymous because the driver
// looks up numbered ones by name, each time through all of them.
func tuples(n int) string {
	return strings.Repeat("(?,?,?,?,?,?),", n-1) + "(?,?,?,?,?,?)"
}

// LogBatch implements tracking.Store.
func (s *Store) LogBatch(ctx context.Context, id tracking.RunID, b tracking.Batch) error {
	pending := s.keys.begin()
	err := s.db.Tx(ctx, func(tx *sql.Tx) error {
		w := batchWriter{store: s, tx: tx, keys: pending, id: id}
		err := tx.StmtContext(ctx, s.stmt.findRun).QueryRowContext(ctx, string(id)).Scan(
			&w.run.id, &w.run.params, &w.run.tags, &w.run.metrics, &w.run.inputs, &w.run.inputBytes)
		if errors.Is(err, sql.ErrNoRows) {
			return errNoRun()
		}
		if err != nil {
			return err
		}
		before := w.run
		// Params first: the one thing that is refused for its content.
		if err := w.params(ctx, b.Params); err != nil {
			return err
		}
		if err := w.tags(ctx, b.Tags); err != nil {
			return err
		}
		if err := w.inputs(ctx, b.Inputs); err != nil {
			return err
		}
		if err := w.metrics(ctx, b.Metrics); err != nil {
			return err
		}
		if w.run == before {
			return nil
		}
		return w.count(ctx)
	})
	if err != nil {
		return fmt.Errorf("tracking/sqlstore: log batch to run %q: %w", id, err)
	}
	s.keys.commit(pending)
	return nil
}

// runRow is a run's row id and what it holds.
type runRow struct {
	id                            int64
	params, tags, metrics, inputs int
	inputBytes                    int64
}

// batchWriter adds to one run in one transaction.
type batchWriter struct {
	store *Store
	tx    *sql.Tx
	keys  *pendingKeys
	id    tracking.RunID
	run   runRow
}

// count checks the limits of the run and stores its counters.
func (w *batchWriter) count(ctx context.Context) error {
	for _, c := range []struct {
		what        string
		have, limit int
	}{
		{"params", w.run.params, tracking.MaxRunParams},
		{"tags", w.run.tags, tracking.MaxRunTags},
		{"metric keys", w.run.metrics, tracking.MaxRunMetricKeys},
		{"inputs", w.run.inputs, tracking.MaxRunInputs},
		{"bytes of input descriptions", int(w.run.inputBytes), tracking.MaxRunInputBytes},
	} {
		if c.have > c.limit {
			return fmt.Errorf("the run would have %d %s, the limit is %d: %w", c.have, c.what, c.limit, tracking.ErrInvalid)
		}
	}
	r := w.run
	_, err := w.tx.StmtContext(ctx, w.store.stmt.countRun).ExecContext(ctx, r.params, r.tags, r.metrics, r.inputs, r.inputBytes, r.id)
	return err
}

// params adds those that the run does not have and refuses to change others.
func (w *batchWriter) params(ctx context.Context, params map[string]string) error {
	values, err := w.stored(ctx, w.store.stmt.params, params)
	if err != nil {
		return err
	}
	add := map[int64]string{}
	for _, key := range slices.Sorted(maps.Keys(params)) { // the first conflict is the same each time
		id, value := w.keys.ids[key], params[key]
		old, exists := values[id]
		if exists && old != value {
			return &tracking.ParamConflictError{Run: w.id, Key: key, Old: old, New: value}
		}
		if !exists {
			add[id] = value
		}
	}
	w.run.params += len(add)
	return w.write(ctx, w.store.stmt.addParams, add)
}

func (w *batchWriter) tags(ctx context.Context, tags map[string]string) error {
	values, err := w.stored(ctx, w.store.stmt.tags, tags)
	if err != nil {
		return err
	}
	set := map[int64]string{}
	for key, value := range tags {
		id := w.keys.ids[key]
		old, exists := values[id]
		if !exists {
			w.run.tags++
		}
		if !exists || old != value {
			set[id] = value
		}
	}
	return w.write(ctx, w.store.stmt.setTags, set)
}

// stored reads what the run has under the keys of a param or tag batch, by key
// id.
func (w *batchWriter) stored(ctx context.Context, read *sql.Stmt, pairs map[string]string) (map[int64]string, error) {
	if len(pairs) == 0 {
		return nil, nil
	}
	keys := slices.Sorted(maps.Keys(pairs))
	if err := w.keys.resolve(ctx, w.tx, &w.store.stmt, keys); err != nil {
		return nil, err
	}
	ids := make([]int64, len(keys))
	for i, key := range keys {
		ids[i] = w.keys.ids[key]
	}
	rows, err := w.tx.StmtContext(ctx, read).QueryContext(ctx, w.run.id, jsonInts(ids))
	if err != nil {
		return nil, err
	}
	values := make(map[int64]string, len(keys))
	err = drainRows(rows, func(rows *sql.Rows) error {
		var key int64
		var value string
		if err := rows.Scan(&key, &value); err != nil {
			return err
		}
		values[key] = value
		return nil
	})
	return values, err
}

// write hands all pairs to one statement, as a JSON object.
func (w *batchWriter) write(ctx context.Context, stmt *sql.Stmt, pairs map[int64]string) error {
	if len(pairs) == 0 {
		return nil
	}
	object, err := json.Marshal(pairs)
	if err != nil {
		return err
	}
	_, err = w.tx.StmtContext(ctx, stmt).ExecContext(ctx, w.run.id, string(object))
	return err
}

// metrics adds the points and moves the latest ones.
func (w *batchWriter) metrics(ctx context.Context, metrics []tracking.Metric) error {
	if len(metrics) == 0 {
		return nil
	}
	keys := make([]string, len(metrics))
	for i := range metrics {
		keys[i] = metrics[i].Key
	}
	if err := w.keys.resolve(ctx, w.tx, &w.store.stmt, keys); err != nil {
		return err
	}
	rows := make([]pointRow, len(metrics))
	for i := range metrics {
		rows[i] = newPointRow(w.keys.ids[metrics[i].Key], &metrics[i])
	}
	// In the order of the primary key the engine appends instead of searching,
	// and the points of a key lie together.
	slices.SortFunc(rows, func(a, b pointRow) int {
		return cmp.Or(cmp.Compare(a.key, b.key), cmp.Compare(a.tsMS, b.tsMS), cmp.Compare(a.step, b.step))
	})
	if err := w.insert(ctx, w.store.stmt.points, w.store.stmt.point, rows); err != nil {
		return err
	}
	return w.latest(ctx, rows)
}

// latest replaces the latest points that the batch, sorted by key, exceeds.
func (w *batchWriter) latest(ctx context.Context, rows []pointRow) error {
	var best []pointRow // the greatest of each key, in the order of the keys
	for _, row := range rows {
		switch last := len(best) - 1; {
		case last < 0 || best[last].key != row.key:
			best = append(best, row)
		case row.newerThan(best[last]):
			best[last] = row
		}
	}
	ids := make([]int64, len(best))
	for i := range best {
		ids[i] = best[i].key
	}
	stored, err := w.tx.StmtContext(ctx, w.store.stmt.latest).QueryContext(ctx, w.run.id, jsonInts(ids))
	if err != nil {
		return err
	}
	known := make(map[int64]pointRow, len(best))
	err = drainRows(stored, func(rows *sql.Rows) error {
		var p pointRow
		if err := rows.Scan(&p.key, &p.tsMS, &p.step, &p.value, &p.isNaN); err != nil {
			return err
		}
		known[p.key] = p
		return nil
	})
	if err != nil {
		return err
	}
	newer := best[:0]
	for _, row := range best {
		old, exists := known[row.key]
		if !exists {
			w.run.metrics++
		}
		if !exists || row.newerThan(old) {
			newer = append(newer, row)
		}
	}
	return w.insert(ctx, w.store.stmt.setLatestMany, w.store.stmt.setLatest, newer)
}

// newerThan is tracking.Metric.NewerThan on the columns.
func (p pointRow) newerThan(o pointRow) bool {
	return cmp.Or(
		cmp.Compare(p.step, o.step), cmp.Compare(p.tsMS, o.tsMS),
		cmp.Compare(p.value, o.value), cmp.Compare(p.isNaN, o.isNaN),
	) > 0
}

// insert writes rows by many at a time and the rest one by one.
func (w *batchWriter) insert(ctx context.Context, many, one *sql.Stmt, rows []pointRow) error {
	args := make([]any, 0, 6*chunk)
	var run any = w.run.id
	for len(rows) > 0 {
		stmt, n := one, 1
		if len(rows) >= chunk {
			stmt, n = many, chunk
		}
		args = args[:0]
		for _, p := range rows[:n] {
			args = append(args, run, p.key, p.tsMS, p.step, p.value, p.isNaN)
		}
		if _, err := w.tx.StmtContext(ctx, stmt).ExecContext(ctx, args...); err != nil {
			return err
		}
		rows = rows[n:]
	}
	return nil
}
