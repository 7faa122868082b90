package dataset

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"time"

	"github.com/millwright-ml/millwright/dataset/internal/delta"
)

// eraseTxn counts in both logs: it is odd while an erase changes what lies
// before it, and even behind that. It is the fence of an erase: a writer reads
// the log up to its end before it can write, so it meets the fence, and a
// process that remembers older entries learns that they have changed.
const eraseTxn = "millwright.erase"

// EraseError reports that an erase of rows is under way, or was broken off and
// waits to be resumed, so that nothing can be written. Repeat the operation when
// it is over. It is an ErrConflict.
type EraseError struct {
	Dataset string
	ID      string // Of the erase; "" when only its fence was seen.
}

// Error names the erase.
func (e *EraseError) Error() string {
	id := e.ID
	if id != "" {
		id = " " + id
	}
	return fmt.Sprintf("dataset: an erase of rows%s of %q is under way, or was broken off: wait for it, or call Erase with Resume: conflict", id, e.Dataset)
}

// Is reports that an EraseError is an ErrConflict.
func (e *EraseError) Is(target error) bool { return target == ErrConflict }

// between tells whether an erase is about to change the version of a commit:
// some of its files may be new already, so that it has neither the digest from
// before nor the one from behind. The files still are what their names say.
func (l *logbook) between(c *commit) bool {
	return c.summary.Was != "" && l.known().erases()%2 == 1
}

// unfenced makes sure that no erase is under way in a log, and returns the count
// of the fence. It also makes the lists of names be newer than the last erase.
func (d *Dataset) unfenced(ctx context.Context, l *logbook) (int64, error) {
	head, err := l.latest(ctx)
	if err != nil {
		return 0, err
	}
	b := Branch{dataset: d, log: l}
	return head.erases(), b.fenced(ctx, head)
}

// renamed tells whether the digest is the one that the version of a commit had
// before rows were erased from it.
func (c *commit) renamed(digest string) bool {
	return c.summary.Was != "" && c.summary.Was == digest
}

// quiet makes sure that no erase is under way: its new files are not in a log
// yet.
func (d *Dataset) quiet(ctx context.Context) error {
	_, err := d.store.Stat(ctx, eraseActive)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = &EraseError{Dataset: d.name}
	}
	return err
}

// erases is the count of the fence.
func (s *snapshot) erases() int64 {
	if s == nil {
		return 0
	}
	return s.txns[eraseTxn].Version
}

// fenced refuses a commit behind head while an erase is under way, and makes
// sure that the lists of names are newer than the last one.
func (b *Branch) fenced(ctx context.Context, head *snapshot) error {
	d := b.dataset
	if head == nil && !b.isMain() {
		// The log of the branches is about to begin: main has the fence.
		main, err := d.log.latest(ctx)
		if err != nil {
			return err
		}
		head = main
	}
	if head.erases()%2 == 1 {
		return &EraseError{Dataset: d.name}
	}
	c := &d.seen
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.erases == nil {
		c.erases = map[string]int64{}
	}
	if n := head.erases(); c.erases[b.log.name] != n {
		c.erases[b.log.name], c.view = n, nil
	}
	return nil
}

// fence moves the count of a log on by one entry without any other effect. A log
// of the branches that is not there yet begins with the fence: otherwise a branch
// that is made in this very moment could begin it without meeting one.
func (e *eraser) fence(ctx context.Context, l *logbook, up bool) error {
	for attempt := 1; ; attempt++ {
		head, err := l.latest(ctx)
		if up && l == e.d.refs && notThere(err) {
			head, err = nil, nil
		}
		if err != nil {
			return err
		}
		if head != nil {
			if err := errors.Join(head.bad, head.writable); err != nil {
				return err
			}
			if (head.erases()%2 == 1) == up {
				return nil
			}
		}
		entry, n, err := e.mark(ctx, l, head, up)
		if err != nil {
			return err
		}
		result, _, err := l.publish(ctx, n, entry)
		switch {
		case err != nil:
			return err
		case result == won:
			l.forget()
			return nil
		}
		if err := pause(ctx, min(attempt, 10)); err != nil {
			return err
		}
	}
}

// mark is the entry that moves the count, and its number; head is nil when it is
// the first.
func (e *eraser) mark(ctx context.Context, l *logbook, head *snapshot, up bool) (*delta.Entry, int64, error) {
	at, n := time.Now().UTC().Truncate(time.Millisecond), int64(0)
	own := summary{Format: 1, Commit: newID()}
	out := &delta.Entry{}
	if head == nil {
		main, err := e.d.log.latest(ctx)
		if err != nil {
			return nil, 0, err
		}
		out.MetaData = main.metaData
		out.Protocol = &delta.Protocol{MinReader: delta.ReaderVersion, MinWriter: delta.FeatureWriterVersion, WriterFeatures: refsFeatures()}
		own.Digest = digest(main.schemaString, nil)
	} else {
		before, err := l.commitAt(ctx, head.version)
		if err != nil {
			return nil, 0, err
		}
		if !at.After(before.time) {
			at = before.time.Add(time.Millisecond)
		}
		n, own.Digest, own.Rows = head.version+1, head.digest(), head.rows
		if l.root == "" {
			own.Parent, own.Parents = head.digest(), []parent{{Commit: before.id(l.name), Version: head.version}}
			if len(before.summary.Includes) > 0 {
				own.Includes = maps.Clone(before.summary.Includes)
				own.Includes[mainLog] = n
			}
		}
	}
	mine, err := json.Marshal(own)
	if err != nil {
		return nil, 0, err
	}
	operation := "ERASE BEGIN"
	if !up {
		operation = "ERASE END"
	}
	out.CommitInfo = &delta.CommitInfo{
		Timestamp: at.UnixMilli(), Operation: operation, Parameters: json.RawMessage(fmt.Sprintf(`{"id":%q}`, e.j.ID)),
		EngineInfo: e.d.catalog.producer, TxnID: own.Commit, Millwright: mine,
	}
	out.Txns = []delta.Txn{{AppID: eraseTxn, Version: head.erases() + 1, LastUpdated: at.UnixMilli()}}
	return out, n, nil
}
