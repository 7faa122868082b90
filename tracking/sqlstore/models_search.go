package sqlstore

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strconv"

	"github.com/millwright-ml/millwright/internal/sqldb"
	"github.com/millwright-ml/millwright/internal/sqlsearch"
	"github.com/millwright-ml/millwright/tracking"
	"github.com/millwright-ml/millwright/tracking/search"
)

// searchedModels describes logged models. The clauses about metrics look at
// points on the datasets only, unless there are none.
func searchedModels(datasets []tracking.DatasetRef, keys map[string]int64) *sqlsearch.Schema {
	return &sqlsearch.Schema{
		From: "mw_model e",
		Attrs: map[string]sqlsearch.Column{
			"name":                   {Expr: "e.name"},
			"model_id":               {Expr: "e.model_id"},
			"model_type":             {Expr: "NULLIF(e.type, '')", Nullable: true},
			"status":                 {Expr: "e.status"},
			"source_run_id":          {Expr: "NULLIF(e.source_run, '')", Nullable: true},
			"experiment_id":          {Expr: "e.experiment_id", Number: true}, // in an order; see modelCondition
			"creation_timestamp":     {Expr: "e.created_ms", Number: true},
			"last_updated_timestamp": {Expr: "e.updated_ms", Number: true},
		},
		Pairs: map[search.Entity]sqlsearch.Pairs{
			search.Metric: {Table: "mw_model_metric", Owner: "model", Interned: true, Metric: true, Many: true},
			search.Param:  {Table: "mw_model_param", Owner: "model", Interned: true, Head: true},
			search.Tag:    {Table: "mw_model_tag", Owner: "model", Interned: true, Head: true},
		},
		Special: func(d sqldb.Dialect, c *search.Clause, id string) (sqlsearch.Fragment, bool) {
			switch {
			case c.Entity == search.Attribute && c.Key == "experiment_id":
				return sqlsearch.TextCondition(d, "CAST(e.experiment_id AS text)", c, false), true
			case c.Entity == search.Metric && len(datasets) > 0:
				key, known := keys[c.Key]
				if !known {
					return sqlsearch.Frag("1 = 0"), true
				}
				value := sqlsearch.NumberCondition("p.value", "p.is_nan", c)
				var s sqlsearch.Statement
				s.Write("EXISTS (SELECT 1 FROM mw_model_metric p WHERE p.model = "+id+" AND p.key = ? AND ", key).Add(value)
				s.Write(" AND ").Add(onDatasets("p", datasets)).Write(")")
				return s.Fragment(), true
			}
			return sqlsearch.Fragment{}, false
		},
		Ties: []sqlsearch.OrderColumn{{Expr: "e.created_ms", Desc: true, Kind: sqlsearch.IntValue}, {Expr: "e.model_id", Kind: sqlsearch.TextValue}},
	}
}

// onDatasets holds for the points on one of the datasets.
func onDatasets(as string, datasets []tracking.DatasetRef) sqlsearch.Fragment {
	var s sqlsearch.Statement
	s.Write("(")
	for i, ref := range datasets {
		if i > 0 {
			s.Write(" OR ")
		}
		s.Write("("+as+".dataset = ?", ref.Name)
		if ref.Digest != "" {
			s.Write(" AND "+as+".digest = ?", ref.Digest)
		}
		s.Write(")")
	}
	s.Write(")")
	return s.Fragment()
}

// maxDatasets bounds the datasets of one query, and thereby its text.
const maxDatasets = 100

// SearchModels implements tracking.ModelStore.
func (s *Store) SearchModels(ctx context.Context, q tracking.ModelQuery) ([]tracking.LoggedModel, string, error) {
	page, next, err := s.searchModels(ctx, q)
	if err != nil {
		return nil, "", fmt.Errorf("tracking/sqlstore: search logged models: %w", err)
	}
	return page, next, nil
}

func (s *Store) searchModels(ctx context.Context, q tracking.ModelQuery) (page []tracking.LoggedModel, next string, err error) {
	grammar := search.Models()
	clauses, err := grammar.Filter(q.Filter)
	if err != nil {
		return nil, "", err
	}
	if len(q.Datasets) > maxDatasets || len(q.OrderBy) > search.MaxOrderKeys {
		return nil, "", fmt.Errorf("the query names %d datasets and %d keys of an order, at most %d and %d are allowed: %w",
			len(q.Datasets), len(q.OrderBy), maxDatasets, search.MaxOrderKeys, tracking.ErrInvalid)
	}
	orders := make([]search.Order, len(q.OrderBy))
	parts := []string{sqlsearch.ListPart(q.Experiments), string(q.View), q.Filter}
	for i, o := range q.OrderBy {
		if orders[i], err = grammar.OrderField(o.Field, o.Desc); err != nil {
			return nil, "", err
		}
		parts = append(parts, "o", o.Field, strconv.FormatBool(o.Desc), o.Dataset.Name, o.Dataset.Digest)
	}
	for _, d := range q.Datasets {
		parts = append(parts, "d", d.Name, d.Digest)
	}
	rows := experimentRows(q.Experiments)
	sum := sqlsearch.QuerySum(modelSearch, parts...)
	err = s.db.View(ctx, func(tx *sqldb.Tx) error {
		page, next = nil, ""
		l, none, err := s.modelLookup(ctx, tx, q, clauses, orders)
		if err != nil {
			return err
		}
		l.Groups = inExperiments(s.dialect, rows)
		l.Base = append(l.Base, inView(q.View)...)
		from, err := sqlsearch.Open(modelSearch, sum, q.Page.Token, l.Fits)
		if err != nil || none || len(rows) == 0 {
			return err
		}
		size := foundSize(q.Page)
		entries, err := l.Page(ctx, from, size+1)
		if err != nil {
			return err
		}
		page, err = s.foundModels(ctx, tx, entries[:min(size, len(entries))])
		if len(page) < len(entries) && err == nil {
			next = sqlsearch.Seal(modelSearch, sum, entries[len(page)-1].At)
		}
		return err
	})
	return page, next, err
}

// modelLookup compiles a query. A metric in the order is that of one dataset,
// so it is joined by hand.
func (s *Store) modelLookup(ctx context.Context, tx *sqldb.Tx, q tracking.ModelQuery, clauses []search.Clause, orders []search.Order) (*sqlsearch.Lookup, bool, error) {
	keys, err := s.findKeys(ctx, tx, searchedModels(nil, nil).UsedKeys(clauses, orders))
	if err != nil {
		return nil, false, err
	}
	kind := searchedModels(q.Datasets, keys)
	l, none, err := s.newLookup(ctx, tx, kind, clauses, nil)
	if err != nil {
		return nil, false, err
	}
	for i, o := range orders {
		if o.Entity == search.Metric {
			l.Keys = append(l.Keys, modelMetricOrder(o, q.OrderBy[i].Dataset, keys[o.Key], "o"+strconv.Itoa(i)))
			continue
		}
		l.Keys = append(l.Keys, sqlsearch.AttributeOrder(kind.Attrs[o.Key], o.Desc))
	}
	if len(q.Datasets) > 0 && !slices.ContainsFunc(clauses, func(c search.Clause) bool { return c.Entity == search.Metric }) {
		// As in MLflow: the models that were measured on one of them at all.
		on := onDatasets("p", q.Datasets)
		l.Base = append(l.Base, sqlsearch.Frag("EXISTS (SELECT 1 FROM mw_model_metric p WHERE p.model = e.id AND "+on.Text+")", on.Args...))
	}
	return l, none, nil
}

// modelMetricOrder orders by the latest point of the metric on the dataset.
func modelMetricOrder(o search.Order, on tracking.DatasetRef, key int64, as string) sqlsearch.OrderKey {
	var s sqlsearch.Statement
	s.Write(" LEFT JOIN (SELECT p.model, p.value, p.is_nan, ROW_NUMBER() OVER"+
		" (PARTITION BY p.model ORDER BY p.step DESC, p.ts_ms DESC, p.value DESC, p.is_nan DESC) AS n FROM mw_model_metric p WHERE p.key = ?", key)
	if on != (tracking.DatasetRef{}) {
		s.Write(" AND ").Add(onDatasets("p", []tracking.DatasetRef{on}))
	}
	s.Write(") " + as + " ON " + as + ".model = e.id AND " + as + ".n = 1")
	return sqlsearch.OrderKey{
		Join: s.Fragment(),
		Cols: []sqlsearch.OrderColumn{
			{Expr: "CASE WHEN " + as + ".model IS NULL THEN 2 ELSE " + as + ".is_nan END"},
			{Expr: "COALESCE(" + as + ".value, 0)", Desc: o.Desc, Kind: sqlsearch.FloatValue},
		},
	}
}

// foundModels reads the models of a page, or fewer when they hold much.
func (s *Store) foundModels(ctx context.Context, tx *sqldb.Tx, entries []sqlsearch.Entry) ([]tracking.LoggedModel, error) {
	if len(entries) == 0 {
		return nil, nil
	}
	byID := make(map[int64]*tracking.LoggedModel, len(entries))
	held := make(map[int64]int, len(entries))
	query := `
		SELECT id, model_id, experiment_id, name, type, source_run, status, status_message, artifact_uri, created_ms, updated_ms, deleted_ms, n_params + n_tags + n_metrics
		FROM mw_model WHERE ` + s.dialect.In("id")
	err := eachRow(ctx, tx, query, []any{s.dialect.Ints(sqlsearch.IDs(entries))}, func(rows *sql.Rows) error {
		var row, experiment, created, updated int64
		var deleted sql.NullInt64
		var n int
		m := &tracking.LoggedModel{Params: map[string]string{}, Tags: map[string]string{}}
		err := rows.Scan(&row, &m.ID, &experiment, &m.Name, &m.Type, &m.SourceRun, &m.Status, &m.StatusMessage, &m.ArtifactURI,
			&created, &updated, &deleted, &n)
		if err != nil {
			return err
		}
		m.Experiment, m.Created, m.Updated = formatExperimentID(experiment), fromMS(created), fromMS(updated)
		m.Deleted, m.DeletedAt = deleted.Valid, fromNull(deleted)
		byID[row], held[row] = m, n
		return nil
	})
	if err != nil {
		return nil, err
	}
	total := 0
	for i, e := range entries {
		if total += held[e.ID]; total > maxEntriesOnPage && i > 0 {
			entries = entries[:i]
			break
		}
	}
	args := []any{s.dialect.Ints(sqlsearch.IDs(entries))}
	if err := s.readModelPairs(ctx, tx, "mw_model_param", args, func(row int64) map[string]string { return byID[row].Params }); err != nil {
		return nil, err
	}
	if err := s.readModelPairs(ctx, tx, "mw_model_tag", args, func(row int64) map[string]string { return byID[row].Tags }); err != nil {
		return nil, err
	}
	query = `SELECT x.model, k.key, x.dataset, x.digest, x.step, x.ts_ms, x.value, x.is_nan, x.run
		FROM mw_model_metric x JOIN mw_key k ON k.id = x.key WHERE ` + s.dialect.In("x.model") + ` ORDER BY x.model, k.key, x.dataset, x.digest`
	err = eachRow(ctx, tx, query, args, func(rows *sql.Rows) error {
		var row, ts, isNaN int64
		var m tracking.ModelMetric
		if err := rows.Scan(&row, &m.Key, &m.DatasetName, &m.DatasetDigest, &m.Step, &ts, &m.Value, &isNaN, &m.Run); err != nil {
			return err
		}
		m.Time, m.Value = fromMS(ts), metricValue(m.Value, isNaN)
		byID[row].Metrics = append(byID[row].Metrics, m)
		return nil
	})
	if err != nil {
		return nil, err
	}
	out := make([]tracking.LoggedModel, len(entries))
	for i, e := range entries {
		out[i] = *byID[e.ID]
	}
	return out, nil
}

func (s *Store) readModelPairs(ctx context.Context, tx *sqldb.Tx, table string, args []any, of func(row int64) map[string]string) error {
	query := `SELECT x.model, k.key, x.value FROM ` + table + ` x JOIN mw_key k ON k.id = x.key WHERE ` + s.dialect.In("x.model")
	return eachRow(ctx, tx, query, args, func(rows *sql.Rows) error {
		var row int64
		var key, value string
		err := rows.Scan(&row, &key, &value)
		if err == nil {
			of(row)[key] = value
		}
		return err
	})
}

// PurgeModels implements tracking.Purger. It takes some models at a time, so
// after an error part of them may be gone, which the number says.
func (s *Store) PurgeModels(ctx context.Context, ids []tracking.ModelID) (int, error) {
	purged := 0
	for part := range slices.Chunk(ids, purgeAtOnce) {
		n := 0
		err := s.db.TxAlone(ctx, func(tx *sqldb.Tx) (err error) {
			n, err = s.purgeModels(ctx, tx, part)
			return err
		})
		if err != nil {
			return purged, fmt.Errorf("tracking/sqlstore: purge logged models: %w", err)
		}
		purged += n
	}
	return purged, nil
}

func (s *Store) purgeModels(ctx context.Context, tx *sqldb.Tx, ids []tracking.ModelID) (int, error) {
	names := make([]string, len(ids))
	for i, id := range ids {
		names[i] = string(id)
	}
	query := `SELECT id FROM mw_model WHERE deleted_ms IS NOT NULL AND ` + s.dialect.In("model_id") + ` ORDER BY id` + s.wholeLock()
	rows, err := s.rowIDs(ctx, tx, query, s.dialect.Texts(names))
	if err != nil || len(rows) == 0 {
		return 0, err
	}
	for _, table := range []string{"mw_model_param", "mw_model_tag", "mw_model_metric"} {
		if _, err := tx.ExecContext(ctx, `DELETE FROM `+table+` WHERE `+s.dialect.In("model"), s.dialect.Ints(rows)); err != nil {
			return 0, err
		}
	}
	_, err = tx.ExecContext(ctx, `DELETE FROM mw_model WHERE `+s.dialect.In("id"), s.dialect.Ints(rows))
	return len(rows), err
}
