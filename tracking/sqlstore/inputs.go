package sqlstore

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/millwright-ml/millwright/internal/sqldb"
	"github.com/millwright-ml/millwright/tracking"
)

// inputKey is what identifies an input within its run.
type inputKey struct{ name, version, digest, context string }

// inputs adds the inputs that the run does not have yet.
func (w *batchWriter) inputs(ctx context.Context, inputs []tracking.DatasetInput) error {
	if len(inputs) == 0 {
		return nil
	}
	known := map[inputKey]bool{}
	err := eachRow(ctx, w.tx, `
		SELECT d.name, d.version, d.digest, i.context FROM mw_input i JOIN mw_dataset d ON d.id = i.dataset WHERE i.run = ?`,
		[]any{w.run.id}, func(rows *sql.Rows) error {
			var k inputKey
			err := rows.Scan(&k.name, &k.version, &k.digest, &k.context)
			known[k] = true
			return err
		})
	if err != nil {
		return err
	}
	for i := range inputs {
		in := &inputs[i]
		key := inputKey{in.Name, in.Version, in.Digest, in.Context}
		if known[key] {
			continue
		}
		known[key] = true
		tags, err := encodeTags(in.Tags)
		if err != nil {
			return err
		}
		dataset, err := w.dataset(ctx, in)
		if err != nil {
			return err
		}
		w.run.inputs++
		w.run.inputBytes += int64(len(in.Source) + len(in.Schema) + len(in.Profile))
		_, err = w.tx.ExecContext(ctx, `INSERT INTO mw_input (run, seq, dataset, context, tags) VALUES (?, ?, ?, ?, ?)`,
			w.run.id, w.run.inputs, dataset, in.Context, tags)
		if err != nil {
			return err
		}
	}
	return nil
}

// dataset returns the row id of the input's description, which runs share.
func (w *batchWriter) dataset(ctx context.Context, in *tracking.DatasetInput) (int64, error) {
	texts := []string{in.Name, in.Version, in.Digest, in.SourceType, in.Source, in.Schema, in.Profile}
	h := sha256.New()
	var length [8]byte
	args := []any{nil}
	for _, text := range texts {
		binary.BigEndian.PutUint64(length[:], uint64(len(text)))
		h.Write(length[:])
		h.Write([]byte(text))
		args = append(args, text)
	}
	args[0] = h.Sum(nil)
	find := `SELECT id FROM mw_dataset WHERE hash = ?`
	if w.store.dialect == sqldb.Postgres {
		find += ` FOR KEY SHARE` // nobody purges it before we have referred to it
	}
	var id int64
	for range 3 {
		err := w.tx.QueryRowContext(ctx, find, args[0]).Scan(&id)
		if !errors.Is(err, sql.ErrNoRows) {
			return id, err
		}
		err = w.tx.QueryRowContext(ctx, `
			INSERT INTO mw_dataset (hash, name, version, digest, source_type, source, schema, profile)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (hash) DO NOTHING RETURNING id`, args...).Scan(&id)
		if !errors.Is(err, sql.ErrNoRows) {
			return id, err
		}
		// Another server has stored it in this moment.
	}
	return 0, fmt.Errorf("dataset %q is stored and purged by others again and again: %w", in.Name, tracking.ErrUnavailable)
}

// The kinds of rows in mw_run_model.
const (
	modelRead = 0
	modelMade = 1
)

// models adds the logged models that the run read and made, those it does not
// have yet.
func (w *batchWriter) models(ctx context.Context, read []tracking.ModelID, made []tracking.ModelOutput) error {
	if len(read)+len(made) == 0 {
		return nil
	}
	type modelKey struct {
		kind int
		tracking.ModelOutput
	}
	known := map[modelKey]bool{}
	err := eachRow(ctx, w.tx, `SELECT output, model, step FROM mw_run_model WHERE run = ?`, []any{w.run.id}, func(rows *sql.Rows) error {
		var k modelKey
		err := rows.Scan(&k.kind, &k.Model, &k.Step)
		known[k] = true
		return err
	})
	if err != nil {
		return err
	}
	var args []any
	add := func(k modelKey, seq *int) {
		if !known[k] {
			known[k] = true
			*seq++
			args = append(args, w.run.id, k.kind, *seq, string(k.Model), k.Step)
		}
	}
	for _, model := range read {
		add(modelKey{modelRead, tracking.ModelOutput{Model: model}}, &w.run.models)
	}
	for _, output := range made {
		add(modelKey{modelMade, output}, &w.run.outputs)
	}
	return insertRows(ctx, w.tx, `INSERT INTO mw_run_model (run, output, seq, model, step)`, ``, 5, args)
}

// SearchInputs implements tracking.InputSearcher. The answer is in the order
// of the experiments, names, digests and contexts.
func (s *Store) SearchInputs(ctx context.Context, experiments []tracking.ExperimentID, limit int) ([]tracking.InputSummary, error) {
	ids := make([]int64, len(experiments))
	for i, id := range experiments {
		ids[i] = parseExperimentID(id)
	}
	var found []tracking.InputSummary
	err := s.db.View(ctx, func(tx *sqldb.Tx) error {
		found = nil
		return eachRow(ctx, tx, `
			SELECT DISTINCT r.experiment_id, d.name, d.digest, i.context
			FROM mw_run r JOIN mw_input i ON i.run = r.id JOIN mw_dataset d ON d.id = i.dataset
			WHERE r.deleted_ms IS NULL AND `+s.dialect.In("r.experiment_id")+`
			ORDER BY r.experiment_id, d.name, d.digest, i.context LIMIT ?`,
			[]any{s.dialect.Ints(ids), max(limit, 0)}, func(rows *sql.Rows) error {
				var experiment int64
				var in tracking.InputSummary
				err := rows.Scan(&experiment, &in.Name, &in.Digest, &in.Context)
				in.Experiment = formatExperimentID(experiment)
				found = append(found, in)
				return err
			})
	})
	if err != nil {
		return nil, fmt.Errorf("tracking/sqlstore: search inputs: %w", err)
	}
	return found, nil
}
