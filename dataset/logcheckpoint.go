package dataset

import (
	"bytes"
	"context"
	"encoding/json"
	"maps"
	"slices"

	"github.com/millwright-ml/millwright/dataset/blob"
	"github.com/millwright-ml/millwright/dataset/internal/checkpoint"
	"github.com/millwright-ml/millwright/dataset/internal/delta"
)

// checkpoint writes the state of a version as a checkpoint and moves the pointer
// to it, unless that leads to a newer one.
func (l *logbook) checkpoint(ctx context.Context, s *snapshot) error {
	if s.bad != nil {
		return s.bad
	}
	state := &checkpoint.State{Protocol: s.protocol, MetaData: s.metaData, Adds: make([]delta.Add, len(s.files))}
	for _, app := range slices.Sorted(maps.Keys(s.txns)) {
		state.Txns = append(state.Txns, s.txns[app])
	}
	for i, f := range s.files {
		state.Adds[i] = f.add(l.root, false)
	}
	body, err := checkpoint.Write(state)
	if err != nil {
		return err
	}
	if err := l.store.Put(ctx, l.key(delta.CheckpointName(s.version)), bytes.NewReader(body), int64(len(body))); err != nil {
		return err
	}
	if data, err := blob.ReadAll(ctx, l.store, l.key(delta.LastCheckpoint), 1<<20); err == nil {
		if p, err := delta.ParsePointer(data); err == nil && p.Version > s.version {
			return nil
		}
	}
	pointer, err := json.Marshal(delta.Pointer{
		Version: s.version, Size: int64(2 + len(state.Txns) + len(state.Adds)), Bytes: int64(len(body)), Adds: int64(len(state.Adds)),
	})
	if err != nil {
		return err
	}
	return l.store.Put(ctx, l.key(delta.LastCheckpoint), bytes.NewReader(pointer), int64(len(pointer)))
}
