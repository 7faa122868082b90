package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/millwright-ml/millwright/internal/sqldb"
	"github.com/millwright-ml/millwright/tracking"
)

// Limits of one call, beyond those of package tracking.
const (
	maxTracesRead   = 500
	maxTraceBytes   = 256 << 20 // of the spans that Traces returns
	maxTracesDelete = 10_000
)

var _ tracking.TraceStore = (*Store)(nil)

// PutTrace implements tracking.TraceStore.
func (s *Store) PutTrace(ctx context.Context, t tracking.Trace) (tracking.Trace, error) {
	out, err := s.putTrace(ctx, t)
	if err != nil {
		return tracking.Trace{}, fmt.Errorf("tracking/sqlstore: put trace %q: %w", t.ID, err)
	}
	return out, nil
}

func (s *Store) putTrace(ctx context.Context, t tracking.Trace) (out tracking.Trace, err error) {
	keys, err := s.pairIDs(ctx, append(sortedKeys(t.Tags), sortedKeys(t.Metadata)...))
	if err != nil {
		return out, err
	}
	err = s.db.Tx(ctx, func(tx *sqldb.Tx) error {
		experiment, _, err := activeExperiment(ctx, tx, t.Experiment)
		if err != nil {
			return err
		}
		row, err := s.lockTrace(ctx, tx, t.ID, experiment)
		if err != nil {
			return err
		}
		row.experiment, row.put = experiment, true
		row.set(&t)
		if err := row.store(ctx, tx); err != nil {
			return err
		}
		if err := s.setTracePairs(ctx, tx, row.id, t.Tags, t.Metadata, keys); err != nil {
			return err
		}
		for _, a := range t.Assessments {
			if _, err := s.storeAssessment(ctx, tx, row.id, t.ID, a); err != nil {
				return err
			}
		}
		found, err := s.foundTraces(ctx, tx, []int64{row.id}, false)
		if err == nil {
			out = *found[row.id]
		}
		return err
	})
	return out, err
}

// traceRow is a row of mw_trace.
type traceRow struct {
	id, experiment    int64
	isNew, put        bool
	clientID, state   string
	startMS           int64
	duration          sql.NullInt64
	request, response string
}

// lockTrace returns the row of a trace and makes it when it is not there. The
// trace is locked until the transaction ends.
func (s *Store) lockTrace(ctx context.Context, tx *sqldb.Tx, id tracking.TraceID, experiment int64) (traceRow, error) {
	var made sql.NullInt64
	err := tx.QueryRowContext(ctx, `
		INSERT INTO mw_trace (trace_id, experiment_id, client_request_id, state, start_ms, request_preview, response_preview, put)
		VALUES (?, ?, '', '', 0, '', '', 0) ON CONFLICT (trace_id) DO NOTHING RETURNING id`, string(id), experiment).Scan(&made)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return traceRow{}, err
	}
	row, err := s.findTrace(ctx, tx, id)
	row.isNew = made.Valid
	return row, err
}

// findTrace returns the row of a trace and locks it.
func (s *Store) findTrace(ctx context.Context, tx *sqldb.Tx, id tracking.TraceID) (traceRow, error) {
	var r traceRow
	var put int
	err := tx.QueryRowContext(ctx, `
		SELECT id, experiment_id, client_request_id, state, start_ms, duration_ms, request_preview, response_preview, put
		FROM mw_trace WHERE trace_id = ?`+s.dialect.Lock(), string(id)).Scan(
		&r.id, &r.experiment, &r.clientID, &r.state, &r.startMS, &r.duration, &r.request, &r.response, &put)
	if errors.Is(err, sql.ErrNoRows) {
		return r, fmt.Errorf("there is no trace %q in this database: %w", id, tracking.ErrNotFound)
	}
	r.put = put != 0
	return r, err
}

// durationMS is a duration as it is stored: all negative ones say that it is
// not known.
func durationMS(d time.Duration) sql.NullInt64 {
	return sql.NullInt64{Int64: d.Milliseconds(), Valid: d >= 0}
}

// set takes over what t says; what it does not say stays as it is.
func (r *traceRow) set(t *tracking.Trace) {
	if r.isNew {
		r.state = string(tracking.TraceUnspecified)
	}
	if r.isNew || !t.Start.IsZero() {
		r.startMS = t.Start.UnixMilli()
	}
	if r.isNew || t.Duration != 0 {
		r.duration = durationMS(t.Duration)
	}
	for _, text := range []struct {
		field *string
		value string
	}{{&r.clientID, t.ClientRequestID}, {&r.state, string(t.State)}, {&r.request, t.RequestPreview}, {&r.response, t.ResponsePreview}} {
		if text.value != "" {
			*text.field = text.value
		}
	}
}

func (r *traceRow) store(ctx context.Context, tx *sqldb.Tx) error {
	put := 0
	if r.put {
		put = 1
	}
	_, err := tx.ExecContext(ctx, `
		UPDATE mw_trace SET experiment_id = ?, client_request_id = ?, state = ?, start_ms = ?, duration_ms = ?,
			request_preview = ?, response_preview = ?, put = ?
		WHERE id = ?`, r.experiment, r.clientID, r.state, r.startMS, r.duration, r.request, r.response, put, r.id)
	return err
}

// setTracePairs adds or replaces tags and metadata and checks the limits.
func (s *Store) setTracePairs(ctx context.Context, tx *sqldb.Tx, row int64, tags, metadata map[string]string, keys map[string]int64) error {
	for _, set := range []struct {
		what, table string
		pairs       map[string]string
	}{{"tags", "mw_trace_tag", tags}, {"entries of metadata", "mw_trace_metadata", metadata}} {
		if len(set.pairs) == 0 {
			continue
		}
		if err := insertPairs(ctx, tx, set.table, "trace", row, set.pairs, keys); err != nil {
			return err
		}
		n := 0
		if err := tx.QueryRowContext(ctx, `SELECT COUNT(*) FROM `+set.table+` WHERE trace = ?`, row).Scan(&n); err != nil {
			return err
		}
		if n > tracking.MaxTraceTags {
			return fmt.Errorf("the trace would have %d %s, the limit is %d: %w", n, set.what, tracking.MaxTraceTags, tracking.ErrInvalid)
		}
	}
	return nil
}

// UpdateTrace implements tracking.TraceStore.
func (s *Store) UpdateTrace(ctx context.Context, id tracking.TraceID, u tracking.TraceUpdate) error {
	keys, err := s.pairIDs(ctx, append(sortedKeys(u.SetTags), sortedKeys(u.SetMetadata)...))
	if err == nil {
		err = s.db.Tx(ctx, func(tx *sqldb.Tx) error { return s.updateTrace(ctx, tx, id, u, keys) })
	}
	if err != nil {
		return fmt.Errorf("tracking/sqlstore: update trace %q: %w", id, err)
	}
	return nil
}

func (s *Store) updateTrace(ctx context.Context, tx *sqldb.Tx, id tracking.TraceID, u tracking.TraceUpdate, keys map[string]int64) error {
	row, err := s.findTrace(ctx, tx, id)
	if err != nil {
		return err
	}
	if err := s.setTracePairs(ctx, tx, row.id, u.SetTags, u.SetMetadata, keys); err != nil {
		return err
	}
	for _, key := range u.DeleteTags {
		result, err := tx.ExecContext(ctx, `DELETE FROM mw_trace_tag WHERE trace = ? AND key = (SELECT id FROM mw_key WHERE key = ?)`, row.id, key)
		if err := oneRow(result, err, fmt.Sprintf("it has no tag %q", key)); err != nil {
			return err
		}
	}
	if u.State != "" {
		row.state = string(u.State)
	}
	if u.Duration != nil {
		row.duration = durationMS(*u.Duration)
	}
	if u.RequestPreview != nil {
		row.request = *u.RequestPreview
	}
	if u.ResponsePreview != nil {
		row.response = *u.ResponsePreview
	}
	return row.store(ctx, tx)
}

// DeleteTraces implements tracking.TraceStore.
func (s *Store) DeleteTraces(ctx context.Context, exp tracking.ExperimentID, ids []tracking.TraceID, before time.Time, limit int) (int, error) {
	n := 0
	err := s.db.TxAlone(ctx, func(tx *sqldb.Tx) error {
		query := `SELECT id FROM mw_trace WHERE experiment_id = ? AND start_ms <= ? ORDER BY start_ms, trace_id LIMIT ?`
		args := []any{parseExperimentID(exp), before.UnixMilli(), min(max(limit, 0), maxTracesDelete)}
		if len(ids) > 0 {
			query = `SELECT id FROM mw_trace WHERE experiment_id = ? AND ` + s.dialect.In("trace_id") + ` LIMIT ?`
			args = []any{parseExperimentID(exp), s.dialect.Texts(traceNames(ids)), maxTracesDelete}
		}
		rows, err := s.rowIDs(ctx, tx, query, args...)
		if err != nil {
			return err
		}
		n, err = s.removeTraces(ctx, tx, rows)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("tracking/sqlstore: delete traces of experiment %q: %w", exp, err)
	}
	return n, nil
}

func traceNames(ids []tracking.TraceID) []string {
	out := make([]string, len(ids))
	for i, id := range ids {
		out[i] = string(id)
	}
	return out
}

// rowIDs runs a statement that returns row ids.
func (s *Store) rowIDs(ctx context.Context, tx *sqldb.Tx, query string, args ...any) (out []int64, err error) {
	err = eachRow(ctx, tx, query, args, func(rows *sql.Rows) error {
		var id int64
		err := rows.Scan(&id)
		out = append(out, id)
		return err
	})
	return out, err
}

// removeTraces deletes the rows with all that refers to them and returns how
// many there were.
func (s *Store) removeTraces(ctx context.Context, tx *sqldb.Tx, rows []int64) (int, error) {
	if len(rows) == 0 {
		return 0, nil
	}
	// Nobody may add to them meanwhile, and all lock in one order.
	rows, err := s.rowIDs(ctx, tx, `SELECT id FROM mw_trace WHERE `+s.dialect.In("id")+` ORDER BY id`+s.wholeLock(), s.dialect.Ints(rows))
	if err != nil {
		return 0, err
	}
	for _, table := range []string{"mw_trace_tag", "mw_trace_metadata", "mw_trace_run", "mw_span", "mw_assessment"} {
		if _, err := tx.ExecContext(ctx, `DELETE FROM `+table+` WHERE `+s.dialect.In("trace"), s.dialect.Ints(rows)); err != nil {
			return 0, err
		}
	}
	_, err = tx.ExecContext(ctx, `DELETE FROM mw_trace WHERE `+s.dialect.In("id"), s.dialect.Ints(rows))
	return len(rows), err
}

// LinkTraces implements tracking.TraceStore. ErrNotFound when there is no such
// run or one of the traces is not there.
func (s *Store) LinkTraces(ctx context.Context, run tracking.RunID, ids []tracking.TraceID) error {
	err := s.db.Tx(ctx, func(tx *sqldb.Tx) error {
		var row int64
		err := tx.QueryRowContext(ctx, `SELECT id FROM mw_run WHERE run_id = ?`, string(run)).Scan(&row)
		if errors.Is(err, sql.ErrNoRows) {
			return errNoRun()
		}
		if err != nil {
			return err
		}
		rows := map[string]int64{}
		err = eachRow(ctx, tx, `SELECT trace_id, id FROM mw_trace WHERE `+s.dialect.In("trace_id"), []any{s.dialect.Texts(traceNames(ids))}, func(r *sql.Rows) error {
			var id string
			var row int64
			err := r.Scan(&id, &row)
			rows[id] = row
			return err
		})
		if err != nil {
			return err
		}
		var args []any
		for _, id := range ids {
			if rows[string(id)] == 0 {
				return fmt.Errorf("there is no trace %q in this database: %w", id, tracking.ErrNotFound)
			}
		}
		for _, id := range sortedKeys(rows) {
			args = append(args, rows[id], string(run))
		}
		return insertRows(ctx, tx, `INSERT INTO mw_trace_run (trace, run)`, `ON CONFLICT (trace, run) DO NOTHING`, 2, args)
	})
	if err != nil {
		return fmt.Errorf("tracking/sqlstore: link traces to run %q: %w", run, err)
	}
	return nil
}
