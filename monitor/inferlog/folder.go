package inferlog

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// places is how many logs of one dataset and schema share a folder at most.
const places = 256

// folder is where a log keeps its segments: a place that it has locked, and
// those whose owners are gone.
type folder struct {
	path   string
	locks  []*os.File
	next   int
	create func(path string) (file, error)
}

// openFolder takes the first free place below dir for the dataset and schema,
// and all others that have segments and no owner. It returns the segments.
func openFolder(dir, name string, s Schema) (*folder, []string, error) {
	h := sha256.New()
	fmt.Fprintf(h, "%q", name)
	for i, f := range s.fields() {
		fmt.Fprintf(h, " %q %q", s.names()[i], f.Type)
	}
	base := filepath.Join(dir, hex.EncodeToString(h.Sum(nil)[:8]))
	f := &folder{create: createFile}
	var segments []string
	for place := range places {
		path := filepath.Join(base, fmt.Sprintf("%03d", place))
		if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) && f.path != "" {
			continue
		}
		lock, err := lockPlace(path)
		if err != nil {
			return nil, nil, errors.Join(err, f.close())
		}
		if lock == nil {
			continue // Another log has it.
		}
		f.locks = append(f.locks, lock)
		if f.path == "" {
			f.path = path
		}
		found, err := filepath.Glob(filepath.Join(escape(path), "*.segment"))
		if err != nil {
			return nil, nil, errors.Join(err, f.close())
		}
		segments = append(segments, found...)
	}
	if f.path == "" {
		return nil, nil, fmt.Errorf("%d logs use %s already: %w", places, base, ErrConflict)
	}
	return f, segments, nil
}

// escape makes a pattern that matches the path alone.
func escape(path string) string {
	return strings.NewReplacer(`[`, `[[]`, `*`, `[*]`, `?`, `[?]`).Replace(path)
}

func lockPlace(path string) (*os.File, error) {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, err
	}
	lock, err := os.OpenFile(filepath.Join(path, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	free, err := lockFile(lock)
	if err != nil || !free {
		return nil, errors.Join(err, lock.Close())
	}
	return lock, nil
}

// close gives the places back.
func (f *folder) close() error {
	var err error
	for _, lock := range f.locks {
		err = errors.Join(err, lock.Close())
	}
	f.locks = nil
	return err
}

// segment creates the next one. Names never come twice: see Log.app.
func (f *folder) segment(app string) (*segment, error) {
	f.next++
	return createSegment(filepath.Join(f.path, fmt.Sprintf("%s-%08d.segment", app, f.next)), f.create)
}

// replay takes over the segments that earlier logs have left, as sealed chunks
// whose rows are on disk. Open calls it, before anybody else has the log.
func (l *Log) replay(ctx context.Context, paths []string) error {
	slices.Sort(paths) // Those of one log in the order in which it made them.
	var found []*chunk
	for _, path := range paths {
		if err := ctx.Err(); err != nil {
			return err
		}
		c, err := l.adopt(path)
		if err != nil {
			return err
		}
		if c != nil {
			found = append(found, c)
		}
	}
	// The commits of one log are repeated in their order; which were never begun
	// become this log's own.
	slices.SortStableFunc(found, func(a, b *chunk) int {
		return cmp.Or(cmp.Compare(b.app, a.app), cmp.Compare(a.number, b.number))
	})
	for _, c := range found {
		l.enqueue(c)
		l.stats.Observed += uint64(c.rows)
		l.stats.Pending += uint64(c.rows)
		l.stats.Replayed += uint64(c.rows)
	}
	return nil
}

// adopt reads what a segment has, and removes one that has nothing.
func (l *Log) adopt(path string) (*chunk, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	held, err := readSegment(data, l.schema)
	if err != nil {
		// It stays for people to look at, and nothing else waits for it.
		l.opts.OnError(fmt.Errorf("inferlog: replay %s: %w", path, err))
		return nil, nil
	}
	if held.torn > 0 && held.app != "" {
		l.opts.OnError(fmt.Errorf("inferlog: replay %s: its last %d bytes are damaged", path, held.torn))
	}
	if held.rows == 0 {
		return nil, os.Remove(path)
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return nil, err
	}
	seg := &segment{path: path, file: f, size: int64(len(data) - held.torn), sealed: held.app != ""}
	if err := f.Truncate(seg.size); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	l.stats.SpilledBytes += seg.size
	return &chunk{
		key: held.batches[0].key, schema: l.schema, app: held.app, number: held.number, rows: held.rows, parked: true, path: path, segment: seg,
	}, nil
}

// load reads the rows of a parked chunk back.
func (c *chunk) load() (*chunk, error) {
	data, err := os.ReadFile(c.path)
	if err != nil {
		return nil, err
	}
	held, err := readSegment(data, c.schema)
	if err != nil {
		return nil, err
	}
	out := newChunk(c.schema, c.key, nil)
	out.app, out.number, out.seq = c.app, c.number, c.seq
	for i := range held.batches {
		out.add(&held.batches[i])
	}
	return out, nil
}
