package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/millwright-ml/millwright/internal/sqldb"
	"github.com/millwright-ml/millwright/tracking"
)

// errNoRun is the likely cause in every answer about a run that is not there.
func errNoRun() error {
	return fmt.Errorf("there is no such run in this database: %w", tracking.ErrNotFound)
}

// CreateRun implements tracking.Store.
func (s *Store) CreateRun(ctx context.Context, r tracking.RunInfo) (tracking.RunInfo, error) {
	var out tracking.RunInfo
	pending := s.keys.begin()
	err := s.db.Tx(ctx, func(tx *sql.Tx) error {
		var row int64
		err := tx.QueryRowContext(ctx, `INSERT INTO mw_run (run_id, experiment_id, name, status, start_ms, end_ms) VALUES (?, ?, ?, ?, ?, ?) RETURNING id`,
			string(r.ID), parseExperimentID(r.Experiment), r.Name, string(r.Status), r.Start.UnixMilli(), endMS(r)).Scan(&row)
		switch {
		case sqldb.IsUnique(err):
			return fmt.Errorf("the id is taken: %w", tracking.ErrExists)
		case sqldb.IsForeignKey(err):
			return fmt.Errorf("there is no experiment %q: %w", r.Experiment, tracking.ErrNotFound)
		case err != nil:
			return err
		}
		w := batchWriter{store: s, tx: tx, keys: pending, id: r.ID, run: runRow{id: row}}
		if err := w.tags(ctx, r.Tags); err != nil {
			return err
		}
		if err := w.count(ctx); err != nil {
			return err
		}
		out, err = readRun(ctx, tx, r.ID)
		return err
	})
	if err != nil {
		return tracking.RunInfo{}, fmt.Errorf("tracking/sqlstore: create run %q: %w", r.ID, err)
	}
	s.keys.commit(pending)
	return out, nil
}

// endMS is what the end column takes: NULL while there is no end.
func endMS(r tracking.RunInfo) any {
	if r.End.IsZero() {
		return nil
	}
	return r.End.UnixMilli()
}

// UpdateRun implements tracking.Store.
func (s *Store) UpdateRun(ctx context.Context, id tracking.RunID, u tracking.RunUpdate) error {
	end := endMS(tracking.RunInfo{End: u.End})
	err := s.db.Tx(ctx, func(tx *sql.Tx) error {
		result, err := tx.ExecContext(ctx, `
			UPDATE mw_run SET
				name   = COALESCE(NULLIF(?, ''), name),
				status = COALESCE(NULLIF(?, ''), status),
				end_ms = COALESCE(?, end_ms)
			WHERE run_id = ?`, u.Name, string(u.Status), end, string(id))
		if err != nil {
			return err
		}
		if n, err := result.RowsAffected(); err != nil || n == 1 {
			return err
		}
		return errNoRun()
	})
	if err != nil {
		return fmt.Errorf("tracking/sqlstore: update run %q: %w", id, err)
	}
	return nil
}

// Run implements tracking.Store.
func (s *Store) Run(ctx context.Context, id tracking.RunID) (tracking.RunInfo, error) {
	var info tracking.RunInfo
	err := s.db.View(ctx, func(tx *sql.Tx) (err error) {
		info, err = readRun(ctx, tx, id)
		return err
	})
	if err != nil {
		return tracking.RunInfo{}, fmt.Errorf("tracking/sqlstore: get run %q: %w", id, err)
	}
	return info, nil
}

// runColumns is what scanRun takes.
const runColumns = `id, run_id, experiment_id, name, status, start_ms, end_ms, n_params + n_tags + n_metrics`

// foundRun is a run on its way out: its row id and how many entries it holds.
type foundRun struct {
	row     int64
	entries int
	info    tracking.RunInfo
}

func scanRun(scan func(...any) error) (foundRun, error) {
	var f foundRun
	var experiment, start int64
	var end sql.NullInt64
	err := scan(&f.row, &f.info.ID, &experiment, &f.info.Name, &f.info.Status, &start, &end, &f.entries)
	if err != nil {
		return f, err
	}
	f.info.Experiment, f.info.Start = formatExperimentID(experiment), fromMS(start)
	if end.Valid {
		f.info.End = fromMS(end.Int64)
	}
	f.info.Params, f.info.Tags, f.info.Metrics = map[string]string{}, map[string]string{}, map[string]tracking.Metric{}
	return f, nil
}

func readRun(ctx context.Context, tx *sql.Tx, id tracking.RunID) (tracking.RunInfo, error) {
	f, err := scanRun(tx.QueryRowContext(ctx, `SELECT `+runColumns+` FROM mw_run WHERE run_id = ?`, string(id)).Scan)
	if errors.Is(err, sql.ErrNoRows) {
		return tracking.RunInfo{}, errNoRun()
	}
	if err != nil {
		return tracking.RunInfo{}, err
	}
	found := []foundRun{f}
	if err := readContents(ctx, tx, found, true); err != nil {
		return tracking.RunInfo{}, err
	}
	return found[0].info, nil
}

// SearchRuns implements tracking.Store.
func (s *Store) SearchRuns(ctx context.Context, q tracking.RunQuery) ([]tracking.RunInfo, string, error) {
	page, next, err := s.searchRuns(ctx, q)
	if err != nil {
		return nil, "", fmt.Errorf("tracking/sqlstore: search runs: %w", err)
	}
	return page, next, nil
}

func (s *Store) searchRuns(ctx context.Context, q tracking.RunQuery) (page []tracking.RunInfo, next string, err error) {
	cursor, err := parseRunCursor(q.Page.Token, string(q.Experiment), string(q.Status))
	if err != nil {
		return nil, "", err
	}
	size := pageSize(q.Page, defaultRuns, maxRuns)
	where, args := `experiment_id = ?1`, []any{parseExperimentID(q.Experiment), cursor.startMS, string(cursor.id), size + 1}
	if q.Status != "" {
		where, args = where+` AND status = ?5`, append(args, string(q.Status))
	}
	query := `SELECT ` + runColumns + ` FROM mw_run WHERE ` + where + `
		AND start_ms <= ?2 AND (start_ms < ?2 OR run_id > ?3)
		ORDER BY start_ms DESC, run_id LIMIT ?4`
	var found []foundRun
	more := false
	err = s.db.View(ctx, func(tx *sql.Tx) error {
		entries := 0
		err := eachRow(ctx, tx, query, args, func(rows *sql.Rows) error {
			f, err := scanRun(rows.Scan)
			if err != nil {
				return err
			}
			entries += f.entries
			if len(found) == size || len(found) > 0 && entries > maxEntriesOnPage {
				more = true
			}
			if !more {
				found = append(found, f)
			}
			return nil
		})
		if err != nil {
			return err
		}
		return readContents(ctx, tx, found, false)
	})
	if err != nil {
		return nil, "", err
	}
	for _, f := range found {
		page = append(page, f.info)
	}
	if more {
		last := page[len(page)-1]
		next = runCursor{startMS: last.Start.UnixMilli(), id: last.ID}.token(string(q.Experiment), string(q.Status))
	}
	return page, next, nil
}

// readContents fills in what the runs hold. The long texts of inputs are read
// only when asked for.
func readContents(ctx context.Context, tx *sql.Tx, found []foundRun, long bool) error {
	if len(found) == 0 {
		return nil
	}
	byRow := make(map[int64]*tracking.RunInfo, len(found))
	rowIDs := make([]int64, len(found))
	for i := range found {
		byRow[found[i].row], rowIDs[i] = &found[i].info, found[i].row
	}
	args := []any{jsonInts(rowIDs)}
	const inPage = ` IN (SELECT value FROM json_each(?1))`

	for _, part := range []struct {
		table string
		pairs func(*tracking.RunInfo) map[string]string
	}{
		{"mw_param", func(r *tracking.RunInfo) map[string]string { return r.Params }},
		{"mw_tag", func(r *tracking.RunInfo) map[string]string { return r.Tags }},
	} {
		query := `SELECT p.run, k.key, p.value FROM ` + part.table + ` p JOIN mw_key k ON k.id = p.key WHERE p.run` + inPage
		err := eachRow(ctx, tx, query, args, func(rows *sql.Rows) error {
			var row int64
			var key, value string
			if err := rows.Scan(&row, &key, &value); err != nil {
				return err
			}
			part.pairs(byRow[row])[key] = value
			return nil
		})
		if err != nil {
			return err
		}
	}

	query := `SELECT l.run, k.key, l.ts_ms, l.step, l.value, l.is_nan FROM mw_latest l JOIN mw_key k ON k.id = l.key WHERE l.run` + inPage
	err := eachRow(ctx, tx, query, args, func(rows *sql.Rows) error {
		var row int64
		var key string
		var p pointRow
		if err := rows.Scan(&row, &key, &p.tsMS, &p.step, &p.value, &p.isNaN); err != nil {
			return err
		}
		byRow[row].Metrics[key] = p.metric(key)
		return nil
	})
	if err != nil {
		return err
	}

	texts := `'', ''`
	if long {
		texts = `d.schema, d.profile`
	}
	query = `SELECT i.run, d.name, d.version, d.digest, i.context, d.source_type, d.source, ` + texts + `
		FROM mw_input i JOIN mw_dataset d ON d.id = i.dataset WHERE i.run` + inPage + ` ORDER BY i.run, i.seq`
	return eachRow(ctx, tx, query, args, func(rows *sql.Rows) error {
		var row int64
		var in tracking.DatasetInput
		err := rows.Scan(&row, &in.Name, &in.Version, &in.Digest, &in.Context, &in.SourceType, &in.Source, &in.Schema, &in.Profile)
		if err != nil {
			return err
		}
		byRow[row].Inputs = append(byRow[row].Inputs, in)
		return nil
	})
}

// jsonInts writes ids as a JSON array for json_each, so that one prepared
// statement takes any number of them.
func jsonInts(ids []int64) string {
	var b strings.Builder
	b.Grow(8 * len(ids))
	b.WriteByte('[')
	var digits [20]byte
	for i, id := range ids {
		if i > 0 {
			b.WriteByte(',')
		}
		b.Write(strconv.AppendInt(digits[:0], id, 10))
	}
	b.WriteByte(']')
	return b.String()
}
