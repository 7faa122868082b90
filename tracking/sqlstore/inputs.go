package sqlstore

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/binary"
	"errors"

	"github.com/millwright-ml/millwright/tracking"
)

// inputKey is what identifies an input within its run.
type inputKey struct{ name, version, digest, context string }

// inputs adds the inputs that the run does not have yet.
func (w *batchWriter) inputs(ctx context.Context, inputs []tracking.DatasetInput) error {
	if len(inputs) == 0 {
		return nil
	}
	rows, err := w.tx.StmtContext(ctx, w.store.stmt.inputs).QueryContext(ctx, w.run.id)
	if err != nil {
		return err
	}
	known := map[inputKey]bool{}
	err = drainRows(rows, func(rows *sql.Rows) error {
		var k inputKey
		if err := rows.Scan(&k.name, &k.version, &k.digest, &k.context); err != nil {
			return err
		}
		known[k] = true
		return nil
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
		dataset, err := w.dataset(ctx, in)
		if err != nil {
			return err
		}
		w.run.inputs++
		w.run.inputBytes += int64(len(in.Source) + len(in.Schema) + len(in.Profile))
		_, err = w.tx.StmtContext(ctx, w.store.stmt.addInput).ExecContext(ctx, w.run.id, w.run.inputs, dataset, in.Context)
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
	for _, text := range texts {
		binary.BigEndian.PutUint64(length[:], uint64(len(text)))
		h.Write(length[:])
		h.Write([]byte(text))
	}
	sum := h.Sum(nil)
	var id int64
	err := w.tx.StmtContext(ctx, w.store.stmt.findDataset).QueryRowContext(ctx, sum).Scan(&id)
	if errors.Is(err, sql.ErrNoRows) {
		args := []any{sum}
		for _, text := range texts {
			args = append(args, text)
		}
		err = w.tx.StmtContext(ctx, w.store.stmt.addDataset).QueryRowContext(ctx, args...).Scan(&id)
	}
	return id, err
}
