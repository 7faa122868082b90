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

// fence moves the count of a log on by one entry without any other effect. It
// returns the number of the entry; of the one before when the count is there
// already.
func (l *logbook) fence(ctx context.Context, producer, id string, up bool) (int64, error) {
	for attempt := 1; ; attempt++ {
		head, err := l.latest(ctx)
		if err != nil {
			return 0, err
		}
		if err := errors.Join(head.bad, head.writable); err != nil {
			return 0, err
		}
		if (head.erases()%2 == 1) == up {
			return head.version, nil
		}
		before, err := l.commitAt(ctx, head.version)
		if err != nil {
			return 0, err
		}
		at := time.Now().UTC().Truncate(time.Millisecond)
		if !at.After(before.time) {
			at = before.time.Add(time.Millisecond)
		}
		commit := newID()
		own := summary{Format: 1, Commit: commit, Digest: head.digest(), Rows: head.rows}
		if l.root == "" {
			own.Parent, own.Parents = head.digest(), []parent{{Commit: before.id(l.name), Version: head.version}}
			if len(before.summary.Includes) > 0 {
				own.Includes = maps.Clone(before.summary.Includes)
				own.Includes[mainLog] = head.version + 1
			}
		}
		mine, err := json.Marshal(own)
		if err != nil {
			return 0, err
		}
		operation := "ERASE BEGIN"
		if !up {
			operation = "ERASE END"
		}
		e := &delta.Entry{
			CommitInfo: &delta.CommitInfo{
				Timestamp: at.UnixMilli(), Operation: operation, Parameters: json.RawMessage(fmt.Sprintf(`{"id":%q}`, id)),
				EngineInfo: producer, TxnID: commit, Millwright: mine,
			},
			Txns: []delta.Txn{{AppID: eraseTxn, Version: head.erases() + 1, LastUpdated: at.UnixMilli()}},
		}
		result, _, err := l.publish(ctx, head.version+1, e)
		switch {
		case err != nil:
			return 0, err
		case result == won:
			l.forget()
			return head.version + 1, nil
		}
		if err := pause(ctx, min(attempt, 10)); err != nil {
			return 0, err
		}
	}
}
