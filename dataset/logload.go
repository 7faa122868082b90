package dataset

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"

	"github.com/millwright-ml/millwright/dataset/blob"
	"github.com/millwright-ml/millwright/dataset/internal/checkpoint"
	"github.com/millwright-ml/millwright/dataset/internal/delta"
)

// load finds a state near the end of the log: that of the checkpoint to which
// the pointer leads, else what a listing of the log offers. fs.ErrNotExist when
// there is no log.
func (l *logbook) load(ctx context.Context) (*snapshot, error) {
	data, err := blob.ReadAll(ctx, l.store, l.key(delta.LastCheckpoint), 1<<20)
	switch {
	case err == nil:
		if p, err := delta.ParsePointer(data); err == nil {
			s, err := l.fromCheckpoint(ctx, p.Version, max(p.Parts, 1))
			if err == nil {
				return s, nil
			}
			if ctx.Err() != nil {
				return nil, err
			}
			// A pointer, or a checkpoint, that leads nowhere is only a lost shortcut:
			// the log itself says what there is.
		}
	case !errors.Is(err, fs.ErrNotExist):
		return nil, err
	}
	files, err := l.list(ctx)
	if err != nil {
		return nil, err
	}
	return l.fromFiles(ctx, files, files.last)
}

// logFiles is what a listing of the log folder shows.
type logFiles struct {
	last        int64 // Highest entry or checkpoint.
	checkpoints []logCheckpoint
}

type logCheckpoint struct {
	version int64
	parts   int
}

// list reads the names of the log folder. A folder that is listed while it is
// written may miss names, so the listing says only how far the log goes and
// which checkpoints may be tried.
func (l *logbook) list(ctx context.Context) (*logFiles, error) {
	files := &logFiles{last: -1}
	found := map[logCheckpoint]int{}
	for info, err := range l.store.List(ctx, l.root+logFolder) {
		if err != nil {
			return nil, err
		}
		name := path.Base(info.Name())
		if n, ok := delta.ParseLogName(name); ok {
			files.last = max(files.last, n)
		} else if n, _, parts, ok := delta.ParseCheckpointName(name); ok {
			found[logCheckpoint{n, parts}]++
			files.last = max(files.last, n)
		}
	}
	if files.last < 0 {
		return nil, fmt.Errorf("there is no Delta log: %w", fs.ErrNotExist)
	}
	for c, parts := range found {
		if parts == c.parts {
			files.checkpoints = append(files.checkpoints, c)
		}
	}
	slices.SortFunc(files.checkpoints, func(a, b logCheckpoint) int {
		return int(b.version - a.version) // Newest first.
	})
	return files, nil
}

// fromFiles builds the state of version n from the newest checkpoint that can be
// read, else from the beginning of the log. Checkpoints that cannot be read are
// part of the error when the log before them is gone.
func (l *logbook) fromFiles(ctx context.Context, files *logFiles, n int64) (*snapshot, error) {
	var base *snapshot
	var damage []error
	for _, c := range files.checkpoints {
		if c.version > n {
			continue
		}
		s, err := l.fromCheckpoint(ctx, c.version, c.parts)
		if err == nil {
			base = s
			break
		}
		if ctx.Err() != nil {
			return nil, err
		}
		damage = append(damage, err)
	}
	if base == nil && n > 1<<20 {
		return nil, errors.Join(fmt.Errorf("the log claims %d versions and has no checkpoint: %w", n, ErrUnsupported), errors.Join(damage...))
	}
	s, err := l.replay(ctx, base, n)
	if err == nil && s.bad != nil && len(damage) > 0 {
		s.bad = errors.Join(s.bad, errors.Join(damage...))
	}
	return s, err
}

// nearest is a state close before version n: that of the checkpoint which the
// writers make regularly, of the one before, of the one that a collection leaves,
// else the best of a listing, else base.
func (l *logbook) nearest(ctx context.Context, n int64, base *snapshot) (*snapshot, error) {
	after := int64(-1)
	if base != nil {
		after = base.version
	}
	regular := n - n%checkpointEvery
	last := n + 1
	for _, at := range []int64{regular, regular - checkpointEvery, n - n%sparseEvery} {
		if at >= last {
			continue // The hundred is one of the two.
		}
		if last = at; at <= after || at <= 0 {
			if n-max(at, after, 0) <= 3*checkpointEvery {
				return base, nil // The way from there is short.
			}
			break
		}
		s, err := l.fromCheckpoint(ctx, at, 1)
		if err == nil {
			return s, nil
		}
		if ctx.Err() != nil {
			return nil, err
		}
	}
	files, err := l.list(ctx)
	if err != nil {
		return nil, err
	}
	for _, c := range files.checkpoints {
		if c.version > n || c.version <= after {
			continue
		}
		if s, err := l.fromCheckpoint(ctx, c.version, c.parts); err == nil {
			return s, nil
		} else if ctx.Err() != nil {
			return nil, err
		}
	}
	return base, nil
}

// fromCheckpoint reads the state that a checkpoint holds.
func (l *logbook) fromCheckpoint(ctx context.Context, n int64, parts int) (*snapshot, error) {
	names := []string{delta.CheckpointName(n)}
	if parts > 1 {
		names = names[:0]
		for i := range parts {
			names = append(names, delta.CheckpointPart(n, i+1, parts))
		}
	}
	bodies := make([][]byte, len(names))
	err := parallel(ctx, len(names), func(ctx context.Context, i int) error {
		var err error
		bodies[i], err = blob.ReadAll(ctx, l.store, l.key(names[i]), maxCheckpointBytes)
		return err
	})
	if err != nil {
		return nil, err
	}
	state, err := checkpoint.Read(bodies...)
	if err != nil {
		return nil, fmt.Errorf("%s is damaged: %w: %w", l.key(names[0]), err, ErrInvalid)
	}
	s, err := l.restore(n, state)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", l.key(names[0]), err)
	}
	return s, nil
}

// restore makes a snapshot of a checkpoint.
func (l *logbook) restore(n int64, state *checkpoint.State) (*snapshot, error) {
	s := &snapshot{version: n}
	if err := s.setProtocol(state.Protocol, l); err != nil {
		return nil, err
	}
	if err := s.setMetaData(state.MetaData); err != nil {
		return nil, err
	}
	if len(state.Txns) > 0 {
		s.txns = make(map[string]delta.Txn, len(state.Txns))
		for _, t := range state.Txns {
			s.txns[t.AppID] = t
		}
	}
	s.files = make([]*dataFile, len(state.Adds))
	seen := make(map[string]bool, len(state.Adds))
	last, unordered := int64(0), false
	for i := range state.Adds {
		f := fileOf(l.root, &state.Adds[i])
		if seen[f.Path] {
			return nil, fmt.Errorf("file %s is there twice: %w", f.Path, ErrInvalid)
		}
		seen[f.Path] = true
		s.files[i] = f
		last = max(last, f.order)
		unordered = unordered || f.order == 0
	}
	slices.SortStableFunc(s.files, byOrder)
	if unordered {
		// Files of other writers, in a checkpoint of another engine, follow ours in
		// the order of their age.
		at := 0
		for at < len(s.files) && s.files[at].order == 0 {
			at++
		}
		strangers := slices.Clone(s.files[:at])
		slices.SortStableFunc(strangers, func(a, b *dataFile) int {
			if a.modified != b.modified {
				return int(a.modified/2 - b.modified/2)
			}
			return byOrder(a, b)
		})
		for _, f := range strangers {
			last = nextOrder(last)
			f.order = last
		}
		s.files = append(slices.Clone(s.files[at:]), strangers...)
	}
	s.count()
	return s, nil
}
