package sqlstore

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strconv"

	"github.com/millwright-ml/millwright/internal/sqldb"
	"github.com/millwright-ml/millwright/tracking"
	"github.com/millwright-ml/millwright/tracking/search"
)

// searchedModels describes logged models. The clauses about metrics look at
// points on the datasets only, unless there are none.
func searchedModels(datasets []tracking.DatasetRef, keys map[string]int64) *searched {
	return &searched{
		from: "mw_model e",
		attrs: map[string]column{
			"name":                   {expr: "e.name"},
			"model_id":               {expr: "e.model_id"},
			"model_type":             {expr: "NULLIF(e.type, '')", nullable: true},
			"status":                 {expr: "e.status"},
			"source_run_id":          {expr: "NULLIF(e.source_run, '')", nullable: true},
			"experiment_id":          {expr: "e.experiment_id", number: true}, // in an order; see modelCondition
			"creation_timestamp":     {expr: "e.created_ms", number: true},
			"last_updated_timestamp": {expr: "e.updated_ms", number: true},
		},
		pairs: map[search.Entity]pairs{
			search.Metric: {table: "mw_model_metric", owner: "model", interned: true, metric: true, many: true},
			search.Param:  {table: "mw_model_param", owner: "model", interned: true, head: true},
			search.Tag:    {table: "mw_model_tag", owner: "model", interned: true, head: true},
		},
		special: func(d sqldb.Dialect, c *search.Clause, id string) (fragment, bool) {
			switch {
			case c.Entity == search.Attribute && c.Key == "experiment_id":
				return textCondition(d, "CAST(e.experiment_id AS text)", c, false), true
			case c.Entity == search.Metric && len(datasets) > 0:
				key, known := keys[c.Key]
				if !known {
					return frag("1 = 0"), true
				}
				value := numberCondition("p.value", "p.is_nan", c)
				var s statement
				s.write("EXISTS (SELECT 1 FROM mw_model_metric p WHERE p.model = "+id+" AND p.key = ? AND ", key).add(value)
				s.write(" AND ").add(onDatasets("p", datasets)).write(")")
				return fragment{s.text.String(), s.args}, true
			}
			return fragment{}, false
		},
		ties: []orderColumn{{expr: "e.created_ms", desc: true, kind: intValue}, {expr: "e.model_id", kind: textValue}},
	}
}

// onDatasets holds for the points on one of the datasets.
func onDatasets(as string, datasets []tracking.DatasetRef) fragment {
	var s statement
	s.write("(")
	for i, ref := range datasets {
		if i > 0 {
			s.write(" OR ")
		}
		s.write("("+as+".dataset = ?", ref.Name)
		if ref.Digest != "" {
			s.write(" AND "+as+".digest = ?", ref.Digest)
		}
		s.write(")")
	}
	s.write(")")
	return fragment{s.text.String(), s.args}
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
	parts := []string{listPart(q.Experiments), string(q.View), q.Filter}
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
	sum := querySum(modelSearch, parts...)
	err = s.db.View(ctx, func(tx *sqldb.Tx) error {
		page, next = nil, ""
		l, none, err := s.modelLookup(ctx, tx, q, clauses, orders)
		if err != nil {
			return err
		}
		l.groups = inExperiments(s.dialect, rows)
		l.base = append(l.base, inView(q.View)...)
		from, err := openPlace(modelSearch, sum, q.Page.Token, l.fits)
		if err != nil || none || len(rows) == 0 {
			return err
		}
		size := foundSize(q.Page)
		entries, err := l.page(ctx, from, size+1)
		if err != nil {
			return err
		}
		page, err = s.foundModels(ctx, tx, entries[:min(size, len(entries))])
		if len(page) < len(entries) && err == nil {
			next = sealPlace(modelSearch, sum, entries[len(page)-1].at)
		}
		return err
	})
	return page, next, err
}

// modelLookup compiles a query. A metric in the order is that of one dataset,
// so it is joined by hand.
func (s *Store) modelLookup(ctx context.Context, tx *sqldb.Tx, q tracking.ModelQuery, clauses []search.Clause, orders []search.Order) (*lookup, bool, error) {
	keys, err := s.findKeys(ctx, tx, searchedModels(nil, nil).usedKeys(clauses, orders))
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
			l.keys = append(l.keys, modelMetricOrder(o, q.OrderBy[i].Dataset, keys[o.Key], "o"+strconv.Itoa(i)))
			continue
		}
		l.keys = append(l.keys, attributeOrder(kind.attrs[o.Key], o.Desc))
	}
	if len(q.Datasets) > 0 && !slices.ContainsFunc(clauses, func(c search.Clause) bool { return c.Entity == search.Metric }) {
		// As in MLflow: the models that were measured on one of them at all.
		on := onDatasets("p", q.Datasets)
		l.base = append(l.base, fragment{"EXISTS (SELECT 1 FROM mw_model_metric p WHERE p.model = e.id AND " + on.text + ")", on.args})
	}
	return l, none, nil
}

// modelMetricOrder orders by the latest point of the metric on the dataset.
func modelMetricOrder(o search.Order, on tracking.DatasetRef, key int64, as string) orderKey {
	var s statement
	s.write(" LEFT JOIN (SELECT p.model, p.value, p.is_nan, ROW_NUMBER() OVER"+
		" (PARTITION BY p.model ORDER BY p.step DESC, p.ts_ms DESC, p.value DESC, p.is_nan DESC) AS n FROM mw_model_metric p WHERE p.key = ?", key)
	if on != (tracking.DatasetRef{}) {
		s.write(" AND ").add(onDatasets("p", []tracking.DatasetRef{on}))
	}
	s.write(") " + as + " ON " + as + ".model = e.id AND " + as + ".n = 1")
	return orderKey{
		join: fragment{s.text.String(), s.args},
		cols: []orderColumn{
			{expr: "CASE WHEN " + as + ".model IS NULL THEN 2 ELSE " + as + ".is_nan END"},
			{expr: "COALESCE(" + as + ".value, 0)", desc: o.Desc, kind: floatValue},
		},
	}
}

// foundModels reads the models of a page, or fewer when they hold much.
func (s *Store) foundModels(ctx context.Context, tx *sqldb.Tx, entries []entry) ([]tracking.LoggedModel, error) {
	if len(entries) == 0 {
		return nil, nil
	}
	byID := make(map[int64]*tracking.LoggedModel, len(entries))
	held := make(map[int64]int, len(entries))
	query := `
		SELECT id, model_id, experiment_id, name, type, source_run, status, status_message, artifact_uri, created_ms, updated_ms, deleted_ms, n_params + n_tags + n_metrics
		FROM mw_model WHERE ` + s.dialect.In("id")
	err := eachRow(ctx, tx, query, []any{s.dialect.Ints(entryIDs(entries))}, func(rows *sql.Rows) error {
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
		if total += held[e.id]; total > maxEntriesOnPage && i > 0 {
			entries = entries[:i]
			break
		}
	}
	args := []any{s.dialect.Ints(entryIDs(entries))}
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
		out[i] = *byID[e.id]
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
