package sqlstore

import (
	"context"
	"database/sql"

	"github.com/millwright-ml/millwright/internal/sqldb"
	"github.com/millwright-ml/millwright/tracking"
)

// readContents fills in what the runs hold. The caller has folded their
// metrics before the transaction. The long texts of inputs are read only when
// asked for.
func (s *Store) readContents(ctx context.Context, tx *sqldb.Tx, found []foundRun, long bool) error {
	if len(found) == 0 {
		return nil
	}
	r := contentReader{tx: tx, byRow: make(map[int64]*tracking.RunInfo, len(found))}
	rows := make([]int64, len(found))
	for i := range found {
		r.byRow[found[i].row], rows[i] = &found[i].info, found[i].row
	}
	r.args = []any{s.dialect.Ints(rows)}
	r.where = ` WHERE ` + s.dialect.In("x.run")
	for _, read := range []func(context.Context) error{r.params, r.tags, r.metrics, r.models} {
		if err := read(ctx); err != nil {
			return err
		}
	}
	return r.inputs(ctx, long)
}

// contentReader reads what several runs hold, one statement a table.
type contentReader struct {
	tx    *sqldb.Tx
	byRow map[int64]*tracking.RunInfo
	where string
	args  []any
}

func (r *contentReader) pairs(ctx context.Context, table string, of func(*tracking.RunInfo) map[string]string) error {
	return eachRow(ctx, r.tx, `SELECT x.run, k.key, x.value FROM `+table+` x JOIN mw_key k ON k.id = x.key`+r.where, r.args, func(rows *sql.Rows) error {
		var row int64
		var key, value string
		err := rows.Scan(&row, &key, &value)
		if err == nil {
			of(r.byRow[row])[key] = value
		}
		return err
	})
}

func (r *contentReader) params(ctx context.Context) error {
	return r.pairs(ctx, "mw_param", func(info *tracking.RunInfo) map[string]string { return info.Params })
}

func (r *contentReader) tags(ctx context.Context) error {
	return r.pairs(ctx, "mw_tag", func(info *tracking.RunInfo) map[string]string { return info.Tags })
}

func (r *contentReader) metrics(ctx context.Context) error {
	query := `SELECT x.run, k.key, x.ts_ms, x.step, x.value, x.is_nan FROM mw_latest x JOIN mw_key k ON k.id = x.key`
	return eachRow(ctx, r.tx, query+r.where, r.args, func(rows *sql.Rows) error {
		var row int64
		var key string
		var p point
		err := rows.Scan(&row, &key, &p.tsMS, &p.step, &p.value, &p.isNaN)
		if err == nil {
			r.byRow[row].Metrics[key] = p.metric(key)
		}
		return err
	})
}

func (r *contentReader) models(ctx context.Context) error {
	query := `SELECT x.run, x.output, x.model, x.step FROM mw_run_model x`
	return eachRow(ctx, r.tx, query+r.where+` ORDER BY x.run, x.output, x.seq`, r.args, func(rows *sql.Rows) error {
		var row int64
		var kind int
		var m tracking.ModelOutput
		if err := rows.Scan(&row, &kind, &m.Model, &m.Step); err != nil {
			return err
		}
		if info := r.byRow[row]; kind == modelMade {
			info.Outputs = append(info.Outputs, m)
		} else {
			info.ModelInputs = append(info.ModelInputs, m.Model)
		}
		return nil
	})
}

func (r *contentReader) inputs(ctx context.Context, long bool) error {
	texts := `'', ''`
	if long {
		texts = `d.schema, d.profile`
	}
	query := `SELECT x.run, d.name, d.version, d.digest, x.context, x.tags, d.source_type, d.source, ` + texts + `
		FROM mw_input x JOIN mw_dataset d ON d.id = x.dataset`
	return eachRow(ctx, r.tx, query+r.where+` ORDER BY x.run, x.seq`, r.args, func(rows *sql.Rows) error {
		var row int64
		var in tracking.DatasetInput
		var tags string
		err := rows.Scan(&row, &in.Name, &in.Version, &in.Digest, &in.Context, &tags, &in.SourceType, &in.Source, &in.Schema, &in.Profile)
		if err != nil {
			return err
		}
		if in.Tags, err = decodeTags(tags); err != nil {
			return err
		}
		r.byRow[row].Inputs = append(r.byRow[row].Inputs, in)
		return nil
	})
}
