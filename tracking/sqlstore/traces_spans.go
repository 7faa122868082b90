package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/millwright-ml/millwright/internal/sqldb"
	"github.com/millwright-ml/millwright/tracking"
)

// spanBytesAtOnce bounds the content of spans that one statement carries.
const spanBytesAtOnce = 1 << 20

// PutSpans implements tracking.TraceStore.
func (s *Store) PutSpans(ctx context.Context, exp tracking.ExperimentID, spans []tracking.Span) error {
	if err := s.putSpans(ctx, exp, spans); err != nil {
		return fmt.Errorf("tracking/sqlstore: put spans in experiment %q: %w", exp, err)
	}
	return nil
}

func (s *Store) putSpans(ctx context.Context, exp tracking.ExperimentID, spans []tracking.Span) error {
	// Of spans with one id the last one counts.
	type spanKey struct {
		trace tracking.TraceID
		id    string
	}
	last := map[spanKey]int{}
	for i := range spans {
		last[spanKey{spans[i].Trace, spans[i].ID}] = i
	}
	byTrace := map[tracking.TraceID][]*tracking.Span{}
	var order []tracking.TraceID
	for i := range spans {
		span := &spans[i]
		if len(span.Content) > tracking.MaxSpanBytes || !utf8.Valid(span.Content) {
			return fmt.Errorf("the content of span %q is not UTF-8 or has more than %d bytes: %w", span.ID, tracking.MaxSpanBytes, tracking.ErrInvalid)
		}
		if last[spanKey{span.Trace, span.ID}] != i {
			continue
		}
		if byTrace[span.Trace] == nil {
			order = append(order, span.Trace)
		}
		byTrace[span.Trace] = append(byTrace[span.Trace], span)
	}
	return s.db.Tx(ctx, func(tx *sqldb.Tx) error {
		experiment, _, err := activeExperiment(ctx, tx, exp)
		if err != nil {
			return err
		}
		for _, id := range sortedTraces(order) {
			if err := s.addSpans(ctx, tx, experiment, id, byTrace[id]); err != nil {
				return err
			}
		}
		return nil
	})
}

// sortedTraces is the one order in which everybody locks, against deadlocks.
func sortedTraces(ids []tracking.TraceID) []tracking.TraceID {
	set := make(map[string]bool, len(ids))
	for _, id := range ids {
		set[string(id)] = true
	}
	out := make([]tracking.TraceID, 0, len(ids))
	for _, id := range sortedKeys(set) {
		out = append(out, tracking.TraceID(id))
	}
	return out
}

// addSpans adds the spans of one trace.
func (s *Store) addSpans(ctx context.Context, tx *sqldb.Tx, experiment int64, id tracking.TraceID, spans []*tracking.Span) error {
	row, err := s.lockTrace(ctx, tx, id, experiment)
	if err != nil {
		return err
	}
	var args []any
	size := 0
	flush := func() error {
		err := insertRows(ctx, tx, `INSERT INTO mw_span (trace, span_id, parent, name, type, status, start_ns, end_ns, content)`,
			`ON CONFLICT (trace, span_id) DO UPDATE SET parent = excluded.parent, name = excluded.name, type = excluded.type,
				status = excluded.status, start_ns = excluded.start_ns, end_ns = excluded.end_ns, content = excluded.content`, 9, args)
		args, size = args[:0], 0
		return err
	}
	for _, span := range spans {
		args = append(args, row.id, span.ID, span.Parent, span.Name, span.Type, string(span.Status), span.Start, span.End, string(span.Content))
		if size += len(span.Content); size > spanBytesAtOnce {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	if err := flush(); err != nil {
		return err
	}
	var n int
	var first, end int64
	err = tx.QueryRowContext(ctx, `SELECT COUNT(*), MIN(start_ns), MAX(end_ns) FROM mw_span WHERE trace = ?`, row.id).Scan(&n, &first, &end)
	if err != nil {
		return err
	}
	if n > tracking.MaxTraceSpans {
		return fmt.Errorf("trace %q would have %d spans, the limit is %d: %w", id, n, tracking.MaxTraceSpans, tracking.ErrInvalid)
	}
	if row.put {
		return nil
	}
	const perMS = int64(time.Millisecond)
	row.startMS = first / perMS
	row.duration = durationMS(time.Duration(end/perMS-first/perMS) * time.Millisecond)
	err = tx.QueryRowContext(ctx, `SELECT status FROM mw_span WHERE trace = ? AND parent = '' ORDER BY start_ns DESC, span_id DESC LIMIT 1`, row.id).Scan(&row.state)
	if errors.Is(err, sql.ErrNoRows) {
		row.state, err = string(tracking.TraceInProgress), nil
	}
	if err != nil {
		return err
	}
	return row.store(ctx, tx)
}

// Traces implements tracking.TraceStore.
func (s *Store) Traces(ctx context.Context, ids []tracking.TraceID, spans bool) ([]tracking.Trace, error) {
	out, err := s.traces(ctx, ids, spans)
	if err != nil {
		return nil, fmt.Errorf("tracking/sqlstore: get traces: %w", err)
	}
	return out, nil
}

func (s *Store) traces(ctx context.Context, ids []tracking.TraceID, spans bool) (out []tracking.Trace, err error) {
	if len(ids) > maxTracesRead {
		return nil, fmt.Errorf("%d traces are asked for, at most %d are allowed: %w", len(ids), maxTracesRead, tracking.ErrInvalid)
	}
	err = s.db.View(ctx, func(tx *sqldb.Tx) error {
		out = nil
		rows, err := s.rowIDs(ctx, tx, `SELECT id FROM mw_trace WHERE `+s.dialect.In("trace_id"), s.dialect.Texts(traceNames(ids)))
		if err != nil {
			return err
		}
		found, err := s.foundTraces(ctx, tx, rows, spans)
		if err != nil {
			return err
		}
		byID := make(map[tracking.TraceID]*tracking.Trace, len(found))
		for _, t := range found {
			byID[t.ID] = t
		}
		for _, id := range ids {
			if t := byID[id]; t != nil {
				out = append(out, *t)
				delete(byID, id)
			}
		}
		return nil
	})
	return out, err
}

// foundTraces reads traces by their row ids, in a fixed number of statements.
func (s *Store) foundTraces(ctx context.Context, tx *sqldb.Tx, rows []int64, spans bool) (map[int64]*tracking.Trace, error) {
	found := make(map[int64]*tracking.Trace, len(rows))
	if len(rows) == 0 {
		return found, nil
	}
	args := []any{s.dialect.Ints(rows)}
	query := `SELECT id, trace_id, experiment_id, client_request_id, state, start_ms, duration_ms, request_preview, response_preview
		FROM mw_trace WHERE ` + s.dialect.In("id")
	err := eachRow(ctx, tx, query, args, func(r *sql.Rows) error {
		var id, experiment, start int64
		var duration sql.NullInt64
		t := &tracking.Trace{Metadata: map[string]string{}, Tags: map[string]string{}}
		err := r.Scan(&id, &t.ID, &experiment, &t.ClientRequestID, &t.State, &start, &duration, &t.RequestPreview, &t.ResponsePreview)
		t.Experiment, t.Start, t.Duration = formatExperimentID(experiment), fromMS(start), -time.Millisecond
		if duration.Valid {
			t.Duration = time.Duration(duration.Int64) * time.Millisecond
		}
		found[id] = t
		return err
	})
	if err != nil {
		return nil, err
	}
	for _, part := range []struct {
		table string
		of    func(*tracking.Trace) map[string]string
	}{
		{"mw_trace_tag", func(t *tracking.Trace) map[string]string { return t.Tags }},
		{"mw_trace_metadata", func(t *tracking.Trace) map[string]string { return t.Metadata }},
	} {
		query := `SELECT x.trace, k.key, x.value FROM ` + part.table + ` x JOIN mw_key k ON k.id = x.key WHERE ` + s.dialect.In("x.trace")
		err := eachRow(ctx, tx, query, args, func(r *sql.Rows) error {
			var row int64
			var key, value string
			err := r.Scan(&row, &key, &value)
			if err == nil {
				part.of(found[row])[key] = value
			}
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	if err := s.readAssessments(ctx, tx, args, found); err != nil || !spans {
		return found, err
	}
	return found, s.readSpans(ctx, tx, args, found)
}

func (s *Store) readSpans(ctx context.Context, tx *sqldb.Tx, args []any, found map[int64]*tracking.Trace) error {
	var size int64
	err := tx.QueryRowContext(ctx, `SELECT CAST(COALESCE(SUM(LENGTH(content)), 0) AS bigint) FROM mw_span WHERE `+s.dialect.In("trace"), args...).Scan(&size)
	if err != nil {
		return err
	}
	if size > maxTraceBytes {
		return fmt.Errorf("the spans of these traces have %d characters, at most %d are read at once, ask for fewer traces: %w", size, maxTraceBytes, tracking.ErrInvalid)
	}
	query := `SELECT trace, span_id, parent, name, type, status, start_ns, end_ns, content FROM mw_span WHERE ` + s.dialect.In("trace") +
		` ORDER BY trace, start_ns, span_id`
	return eachRow(ctx, tx, query, args, func(r *sql.Rows) error {
		var row int64
		var span tracking.Span
		var content string
		if err := r.Scan(&row, &span.ID, &span.Parent, &span.Name, &span.Type, &span.Status, &span.Start, &span.End, &content); err != nil {
			return err
		}
		t := found[row]
		span.Trace, span.Content = t.ID, []byte(content)
		t.Spans = append(t.Spans, span)
		return nil
	})
}
