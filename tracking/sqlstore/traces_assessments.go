package sqlstore

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/millwright-ml/millwright/internal/sqldb"
	"github.com/millwright-ml/millwright/tracking"
	"github.com/millwright-ml/millwright/tracking/search"
)

// PutAssessment implements tracking.TraceStore.
func (s *Store) PutAssessment(ctx context.Context, a tracking.Assessment) (out tracking.Assessment, err error) {
	a.ID = cmp.Or(a.ID, newID("a-"))
	err = s.db.Tx(ctx, func(tx *sqldb.Tx) error {
		row, err := s.findTrace(ctx, tx, a.Trace)
		if err == nil {
			out, err = s.storeAssessment(ctx, tx, row.id, a.Trace, a)
		}
		return err
	})
	if err != nil {
		return tracking.Assessment{}, fmt.Errorf("tracking/sqlstore: put assessment %q: %w", a.Name, err)
	}
	return out, nil
}

// storeAssessment puts an assessment of a trace that is locked.
func (s *Store) storeAssessment(ctx context.Context, tx *sqldb.Tx, row int64, trace tracking.TraceID, a tracking.Assessment) (tracking.Assessment, error) {
	if !utf8.Valid(a.Value) {
		return a, fmt.Errorf("its value is not UTF-8: %w", tracking.ErrInvalid)
	}
	metadata, err := encodeTags(a.Metadata)
	if err != nil {
		return a, err
	}
	a.Trace, a.ID = trace, cmp.Or(a.ID, newID("a-"))
	if a.Created.IsZero() {
		a.Created = time.Now()
	}
	if a.Updated.IsZero() {
		a.Updated = a.Created
	}
	a.Created, a.Updated = fromMS(a.Created.UnixMilli()), fromMS(a.Updated.UnixMilli())
	a.Metadata, a.Value = copyMap(a.Metadata), json.RawMessage(strings.Clone(string(a.Value)))
	if len(a.Value) == 0 {
		a.Value = nil
	}
	if a.Overrides != "" {
		result, err := tx.ExecContext(ctx, `UPDATE mw_assessment SET valid = 0 WHERE trace = ? AND assessment_id = ?`, row, a.Overrides)
		if err := oneRow(result, err, fmt.Sprintf("the trace has no assessment %q to override", a.Overrides)); err != nil {
			return a, err
		}
	}
	valid := 0
	if a.Valid {
		valid = 1
	}
	var number sql.NullFloat64
	number.Float64, number.Valid = search.AssessmentNumber(a.Value)
	_, err = tx.ExecContext(ctx, `
		INSERT INTO mw_assessment (trace, assessment_id, span, name, kind, valid, value, value_text, value_number, rationale, source_type, source_id,
			error_code, error_message, error_stack, metadata, overrides, run, created_ms, updated_ms)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (trace, assessment_id) DO UPDATE SET span = excluded.span, name = excluded.name, kind = excluded.kind, valid = excluded.valid,
			value = excluded.value, value_text = excluded.value_text, value_number = excluded.value_number, rationale = excluded.rationale,
			source_type = excluded.source_type, source_id = excluded.source_id, error_code = excluded.error_code, error_message = excluded.error_message,
			error_stack = excluded.error_stack, metadata = excluded.metadata, overrides = excluded.overrides, run = excluded.run,
			created_ms = excluded.created_ms, updated_ms = excluded.updated_ms`,
		row, a.ID, a.Span, a.Name, string(a.Kind), valid, string(a.Value), assessmentText(a.Value), number, a.Rationale, a.SourceType, a.SourceID,
		a.ErrorCode, a.ErrorMessage, a.ErrorStack, metadata, a.Overrides, string(a.RunID), a.Created.UnixMilli(), a.Updated.UnixMilli())
	if err != nil {
		return a, err
	}
	n := 0
	if err := tx.QueryRowContext(ctx, `SELECT COUNT(*) FROM mw_assessment WHERE trace = ?`, row).Scan(&n); err != nil {
		return a, err
	}
	if n > tracking.MaxAssessments {
		return a, fmt.Errorf("the trace would have %d assessments, the limit is %d: %w", n, tracking.MaxAssessments, tracking.ErrInvalid)
	}
	return a, nil
}

// assessmentText is what filters compare. A string in JSON may hold NUL, which
// a text of PostgreSQL cannot, nor a filter.
func assessmentText(value json.RawMessage) any {
	if len(value) == 0 {
		return nil
	}
	return strings.ReplaceAll(strings.ToValidUTF8(search.AssessmentText(value), "\uFFFD"), "\x00", "\uFFFD")
}

// DeleteAssessment implements tracking.TraceStore.
func (s *Store) DeleteAssessment(ctx context.Context, trace tracking.TraceID, id string) error {
	err := s.db.Tx(ctx, func(tx *sqldb.Tx) error {
		row, err := s.findTrace(ctx, tx, trace)
		if err != nil {
			return err
		}
		var overrides string
		err = tx.QueryRowContext(ctx, `DELETE FROM mw_assessment WHERE trace = ? AND assessment_id = ? RETURNING overrides`, row.id, id).Scan(&overrides)
		if errors.Is(err, sql.ErrNoRows) {
			return fmt.Errorf("trace %q has none with this ID: %w", trace, tracking.ErrNotFound)
		}
		if err != nil || overrides == "" {
			return err
		}
		_, err = tx.ExecContext(ctx, `UPDATE mw_assessment SET valid = 1 WHERE trace = ? AND assessment_id = ?`, row.id, overrides)
		return err
	})
	if err != nil {
		return fmt.Errorf("tracking/sqlstore: delete assessment %q: %w", id, err)
	}
	return nil
}

func (s *Store) readAssessments(ctx context.Context, tx *sqldb.Tx, args []any, found map[int64]*tracking.Trace) error {
	query := `
		SELECT trace, assessment_id, span, name, kind, valid, value, rationale, source_type, source_id,
			error_code, error_message, error_stack, metadata, overrides, run, created_ms, updated_ms
		FROM mw_assessment WHERE ` + s.dialect.In("trace") + ` ORDER BY trace, created_ms, assessment_id`
	return eachRow(ctx, tx, query, args, func(r *sql.Rows) error {
		var row, created, updated int64
		var valid int
		var value, metadata string
		var a tracking.Assessment
		err := r.Scan(&row, &a.ID, &a.Span, &a.Name, &a.Kind, &valid, &value, &a.Rationale, &a.SourceType, &a.SourceID,
			&a.ErrorCode, &a.ErrorMessage, &a.ErrorStack, &metadata, &a.Overrides, &a.RunID, &created, &updated)
		if err != nil {
			return err
		}
		if value != "" {
			a.Value = json.RawMessage(value)
		}
		if a.Metadata, err = decodeTags(metadata); err != nil {
			return err
		}
		t := found[row]
		a.Trace, a.Valid, a.Created, a.Updated = t.ID, valid != 0, fromMS(created), fromMS(updated)
		t.Assessments = append(t.Assessments, a)
		return nil
	})
}
