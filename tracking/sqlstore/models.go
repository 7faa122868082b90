package sqlstore

import (
	"cmp"
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"math"
	"time"

	"github.com/millwright-ml/millwright/internal/sqldb"
	"github.com/millwright-ml/millwright/internal/sqlsearch"
	"github.com/millwright-ml/millwright/tracking"
)

// Limits of one logged model, so that reading it is bounded.
const (
	maxModelParams  = 5000
	maxModelTags    = 5000
	maxModelMetrics = 20_000
)

var _ tracking.ModelStore = (*Store)(nil)

func errNoModel() error {
	return fmt.Errorf("there is no such logged model in this database: %w", tracking.ErrNotFound)
}

// newID returns prefix and 128 random bits in hexadecimal.
func newID(prefix string) string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails: crypto/rand ends the program instead
	return prefix + hex.EncodeToString(b[:])
}

// CreateModel implements tracking.ModelStore.
func (s *Store) CreateModel(ctx context.Context, m tracking.LoggedModel) (tracking.LoggedModel, error) {
	out, err := s.createModel(ctx, m)
	if err != nil {
		return tracking.LoggedModel{}, fmt.Errorf("tracking/sqlstore: create logged model %q: %w", m.Name, err)
	}
	return out, nil
}

func (s *Store) createModel(ctx context.Context, m tracking.LoggedModel) (tracking.LoggedModel, error) {
	keys, err := s.pairIDs(ctx, append(sortedKeys(m.Params), sortedKeys(m.Tags)...))
	if err != nil {
		return m, err
	}
	m.ID = cmp.Or(m.ID, tracking.ModelID(newID("m-")))
	m.Status = cmp.Or(m.Status, tracking.ModelPending)
	if m.Created.IsZero() {
		m.Created = time.Now()
	}
	if m.Updated.IsZero() {
		m.Updated = m.Created
	}
	m.Created, m.Updated = fromMS(m.Created.UnixMilli()), fromMS(m.Updated.UnixMilli())
	m.Deleted, m.DeletedAt, m.Metrics = false, time.Time{}, nil
	m.Params, m.Tags = copyMap(m.Params), copyMap(m.Tags)
	if err := modelLimits(len(m.Params), len(m.Tags)); err != nil {
		return m, err
	}
	given := m.ArtifactURI
	err = s.db.Tx(ctx, func(tx *sqldb.Tx) error {
		experiment, location, err := activeExperiment(ctx, tx, m.Experiment)
		if err != nil {
			return err
		}
		m.ArtifactURI = cmp.Or(given, location+"/models/"+string(m.ID)+"/artifacts")
		var row int64
		err = tx.QueryRowContext(ctx, `
			INSERT INTO mw_model (model_id, experiment_id, name, type, source_run, status, status_message, artifact_uri, created_ms, updated_ms, n_params, n_tags)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (model_id) DO NOTHING RETURNING id`,
			string(m.ID), experiment, m.Name, m.Type, string(m.SourceRun), string(m.Status), m.StatusMessage, m.ArtifactURI,
			m.Created.UnixMilli(), m.Updated.UnixMilli(), len(m.Params), len(m.Tags)).Scan(&row)
		if errors.Is(err, sql.ErrNoRows) {
			return fmt.Errorf("the ID %q is taken: %w", m.ID, tracking.ErrExists)
		}
		if err != nil {
			return err
		}
		if err := insertPairs(ctx, tx, "mw_model_param", "model", row, m.Params, keys); err != nil {
			return err
		}
		return insertPairs(ctx, tx, "mw_model_tag", "model", row, m.Tags, keys)
	})
	return m, err
}

func copyMap(m map[string]string) map[string]string {
	out := make(map[string]string, len(m))
	maps.Copy(out, m)
	return out
}

func modelLimits(params, tags int) error {
	if params > maxModelParams || tags > maxModelTags {
		return fmt.Errorf("the model would have %d params and %d tags, the limits are %d and %d: %w", params, tags, maxModelParams, maxModelTags, tracking.ErrInvalid)
	}
	return nil
}

// insertPairs adds or replaces the values of one entry. The statement is one
// of few texts.
func insertPairs(ctx context.Context, tx *sqldb.Tx, table, owner string, row int64, values map[string]string, keys map[string]int64) error {
	var args []any
	for _, key := range sortedKeys(values) {
		args = append(args, row, keys[key], values[key])
	}
	return insertRows(ctx, tx, `INSERT INTO `+table+` (`+owner+`, key, value)`,
		`ON CONFLICT (`+owner+`, key) DO UPDATE SET value = excluded.value`, 3, args)
}

// Model implements tracking.ModelStore.
func (s *Store) Model(ctx context.Context, id tracking.ModelID) (tracking.LoggedModel, error) {
	var out tracking.LoggedModel
	err := s.db.View(ctx, func(tx *sqldb.Tx) error {
		var row int64
		err := tx.QueryRowContext(ctx, `SELECT id FROM mw_model WHERE model_id = ?`, string(id)).Scan(&row)
		if errors.Is(err, sql.ErrNoRows) {
			return errNoModel()
		}
		if err != nil {
			return err
		}
		found, err := s.foundModels(ctx, tx, []sqlsearch.Entry{{ID: row}})
		if err == nil {
			out = found[0]
		}
		return err
	})
	if err != nil {
		return tracking.LoggedModel{}, fmt.Errorf("tracking/sqlstore: get logged model %q: %w", id, err)
	}
	return out, nil
}

// UpdateModel implements tracking.ModelStore.
func (s *Store) UpdateModel(ctx context.Context, id tracking.ModelID, u tracking.ModelUpdate) error {
	keys, err := s.pairIDs(ctx, append(sortedKeys(u.SetParams), sortedKeys(u.SetTags)...))
	if err == nil {
		err = s.db.Tx(ctx, func(tx *sqldb.Tx) error { return s.updateModel(ctx, tx, id, u, keys) })
	}
	if err != nil {
		return fmt.Errorf("tracking/sqlstore: update logged model %q: %w", id, err)
	}
	return nil
}

func (s *Store) updateModel(ctx context.Context, tx *sqldb.Tx, id tracking.ModelID, u tracking.ModelUpdate, keys map[string]int64) error {
	var row int64
	var deleted sql.NullInt64
	err := tx.QueryRowContext(ctx, `SELECT id, deleted_ms FROM mw_model WHERE model_id = ?`+s.dialect.Lock(), string(id)).Scan(&row, &deleted)
	if errors.Is(err, sql.ErrNoRows) {
		return errNoModel()
	}
	if err != nil {
		return err
	}
	remove, restore := u.Deleted != nil && *u.Deleted, u.Deleted != nil && !*u.Deleted
	if deleted.Valid && remove && u.Status == "" && u.StatusMessage == "" && len(u.SetTags)+len(u.DeleteTags)+len(u.SetParams) == 0 {
		return nil // deleting again does nothing
	}
	if deleted.Valid && !restore {
		return fmt.Errorf("the model is deleted and must be in the 'active' state: %w", tracking.ErrNotFound)
	}
	if err := s.setModelParams(ctx, tx, row, u.SetParams, keys); err != nil {
		return err
	}
	if err := insertPairs(ctx, tx, "mw_model_tag", "model", row, u.SetTags, keys); err != nil {
		return err
	}
	for _, key := range u.DeleteTags {
		result, err := tx.ExecContext(ctx, `DELETE FROM mw_model_tag WHERE model = ? AND key = (SELECT id FROM mw_key WHERE key = ?)`, row, key)
		if err := oneRow(result, err, fmt.Sprintf("it has no tag %q", key)); err != nil {
			return err
		}
	}
	now := time.Now().UnixMilli()
	switch {
	case restore:
		deleted = sql.NullInt64{}
	case remove && !deleted.Valid:
		deleted = sql.NullInt64{Int64: now, Valid: true}
	}
	var params, tags int
	err = tx.QueryRowContext(ctx, `
		UPDATE mw_model SET
			status         = COALESCE(NULLIF(CAST(? AS text), ''), status),
			status_message = COALESCE(NULLIF(CAST(? AS text), ''), status_message),
			updated_ms = ?, deleted_ms = ?,
			n_params = (SELECT COUNT(*) FROM mw_model_param p WHERE p.model = mw_model.id),
			n_tags   = (SELECT COUNT(*) FROM mw_model_tag t WHERE t.model = mw_model.id)
		WHERE id = ? RETURNING n_params, n_tags`,
		string(u.Status), u.StatusMessage, now, deleted, row).Scan(&params, &tags)
	if err != nil {
		return err
	}
	return modelLimits(params, tags)
}

// setModelParams adds params and refuses to change one.
func (s *Store) setModelParams(ctx context.Context, tx *sqldb.Tx, row int64, params map[string]string, keys map[string]int64) error {
	if len(params) == 0 {
		return nil
	}
	ids := make([]int64, 0, len(params))
	for key := range params {
		ids = append(ids, keys[key])
	}
	stored := map[int64]string{}
	err := eachRow(ctx, tx, `SELECT key, value FROM mw_model_param WHERE model = ? AND `+s.dialect.In("key"), []any{row, s.dialect.Ints(ids)}, func(rows *sql.Rows) error {
		var key int64
		var value string
		err := rows.Scan(&key, &value)
		stored[key] = value
		return err
	})
	if err != nil {
		return err
	}
	fresh := map[string]string{}
	for _, key := range sortedKeys(params) { // the first conflict is the same each time
		old, exists := stored[keys[key]]
		if exists && old != params[key] {
			return fmt.Errorf("param %q is %.100q already, params are written once: %w", key, old, tracking.ErrConflict)
		}
		if !exists {
			fresh[key] = params[key]
		}
	}
	return insertPairs(ctx, tx, "mw_model_param", "model", row, fresh, keys)
}

// modelMetrics adds the points of a batch that are linked to logged models to
// the metrics of those that exist.
func (w *batchWriter) modelMetrics(ctx context.Context, metrics []tracking.Metric) error {
	latest := map[modelMetricKey]point{}
	names := map[string]bool{}
	for i := range metrics {
		m := &metrics[i]
		if m.Link == nil {
			continue
		}
		k := modelMetricKey{model: string(m.Link.Model), key: m.Key, dataset: m.Link.DatasetName, digest: m.Link.DatasetDigest}
		p := newPoint(m)
		if old, seen := latest[k]; !seen || p.newerThan(old) {
			latest[k] = p
		}
		names[string(m.Link.Model)] = true
	}
	rows, err := w.lockModels(ctx, sortedKeys(names))
	if err != nil || len(rows) == 0 {
		return err
	}
	keys, err := w.metricKeys(ctx, latest)
	if err != nil {
		return err
	}
	for k, p := range latest { // the models are locked: no order is needed
		row, exists := rows[k.model]
		if !exists {
			continue
		}
		// Of two equal points the one that came first stays.
		_, err := w.tx.ExecContext(ctx, `
			INSERT INTO mw_model_metric (model, key, dataset, digest, step, ts_ms, value, is_nan, run)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
			ON CONFLICT (model, key, dataset, digest) DO UPDATE SET
				step = excluded.step, ts_ms = excluded.ts_ms, value = excluded.value, is_nan = excluded.is_nan, run = excluded.run
			WHERE (excluded.step, excluded.ts_ms, excluded.value, excluded.is_nan)
				> (mw_model_metric.step, mw_model_metric.ts_ms, mw_model_metric.value, mw_model_metric.is_nan)`,
			row, keys[k.key], k.dataset, k.digest, p.step, p.tsMS, p.value, p.isNaN, string(w.id))
		if err != nil {
			return err
		}
	}
	for _, model := range sortedKeys(rows) {
		n := 0
		err := w.tx.QueryRowContext(ctx, `
			UPDATE mw_model SET n_metrics = (SELECT COUNT(*) FROM mw_model_metric m WHERE m.model = mw_model.id)
			WHERE id = ? RETURNING n_metrics`, rows[model]).Scan(&n)
		if err != nil {
			return err
		}
		if n > maxModelMetrics {
			return fmt.Errorf("logged model %q would have %d metrics on datasets, the limit is %d: %w", model, n, maxModelMetrics, tracking.ErrInvalid)
		}
	}
	return nil
}

// modelMetricKey names what a logged model has one metric value of.
type modelMetricKey struct {
	model, key, dataset, digest string
}

// lockModels returns the row ids of those of the models that exist. All lock
// in one order, against deadlocks.
func (w *batchWriter) lockModels(ctx context.Context, ids []string) (map[string]int64, error) {
	rows := map[string]int64{}
	d := w.store.dialect
	err := eachRow(ctx, w.tx, `SELECT id, model_id FROM mw_model WHERE `+d.In("model_id")+` ORDER BY id`+d.Lock(), []any{d.Texts(ids)}, func(r *sql.Rows) error {
		var row int64
		var id string
		err := r.Scan(&row, &id)
		rows[id] = row
		return err
	})
	return rows, err
}

// metricKeys returns the ids of the keys, which were given out before.
func (w *batchWriter) metricKeys(ctx context.Context, latest map[modelMetricKey]point) (map[string]int64, error) {
	var keys []string
	for k := range latest {
		keys = append(keys, k.key)
	}
	ids := make(map[string]int64, len(keys))
	d := w.store.dialect
	err := eachRow(ctx, w.tx, `SELECT id, key FROM mw_key WHERE `+d.In("key"), []any{d.Texts(keys)}, func(r *sql.Rows) error {
		var id int64
		var key string
		err := r.Scan(&id, &key)
		ids[key] = id
		return err
	})
	return ids, err
}

// metricValue is a stored value as the caller knows it.
func metricValue(value float64, isNaN int64) float64 {
	if isNaN != 0 {
		return math.NaN()
	}
	return value
}
