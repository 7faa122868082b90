package dataset

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/millwright-ml/millwright/dataset/internal/delta"
)

// change is what a commit does to a branch.
type change struct {
	operation  string         // In Delta's words: WRITE, DELETE, MERGE, …
	parameters map[string]any // Of the operation, for people and other engines.
	dataChange bool           // False when the rows stay the same.
	blind      bool           // It does not depend on what the table holds.

	removes  []*dataFile     // Live files of the tip.
	adds     []draft         // New files, and files of other versions.
	metaData *delta.MetaData // nil leaves it as it is.

	// What is particular to branches: see summary. The first parent is always the
	// tip; a branch that begins has parents only.
	parents  []parent
	commit   string // Id; "" makes a new one.
	begins   bool   // The branch is made by this commit.
	deleted  bool   // The branch is ended by this commit.
	includes map[string]int64

	record *record // What is too large for the log; nil when there is nothing.
}

// planFunc says what to do to the newest state of the branch. It is asked again
// when another writer was faster, so it must be quick and repeatable. tip is nil
// when there is no such branch yet.
type planFunc func(ctx context.Context, tip *snapshot) (*change, error)

// fixed is the plan of a change that was computed before: it stands as long as
// the files it removes are live and the schema is the one it was made for.
func (b *Branch) fixed(base *snapshot, ch *change) planFunc {
	return func(_ context.Context, tip *snapshot) (*change, error) {
		if tip == base {
			return ch, nil
		}
		if gone := tip.gone(ch.removes); len(gone) > 0 {
			return nil, b.conflict(ch, tip, "files that it was to replace were replaced or removed meanwhile", gone)
		}
		if tip.schemaString != base.schemaString && (ch.metaData != nil || len(ch.removes) > 0) {
			return nil, b.conflict(ch, tip, "the schema was changed meanwhile", nil)
		}
		if ch.metaData != nil && tip.metaData != base.metaData {
			return nil, b.conflict(ch, tip, "the table's metadata was changed meanwhile", nil)
		}
		return ch, nil
	}
}

func (b *Branch) conflict(ch *change, tip *snapshot, why string, files []string) error {
	return &ConflictError{Dataset: b.dataset.name, Branch: b.name, Operation: ch.operation, Version: tip.version, Reason: why, Files: files}
}

// gone lists the paths of files that are not live any more.
func (s *snapshot) gone(files []*dataFile) []string {
	if len(files) == 0 {
		return nil
	}
	left := make(map[string]bool, len(files))
	for _, f := range files {
		left[f.Path] = true
	}
	for _, f := range s.files {
		delete(left, f.Path)
	}
	return slices.Sorted(maps.Keys(left))
}

// committer carries one commit through its attempts.
type committer struct {
	b      *Branch
	opts   *CommitOptions
	txnID  string
	stored bool // The record is in the store.
}

// commit makes a version of what plan says. When another writer took the number
// it asks plan again, behind that writer.
func (b *Branch) commit(ctx context.Context, opts *CommitOptions, plan planFunc) (*Version, error) {
	if opts == nil {
		opts = &CommitOptions{}
	}
	leave, err := b.log.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	w := &committer{b: b, opts: opts, txnID: newID()}
	head := b.log.known()
	var began time.Time
	for attempt := 0; ; attempt++ {
		if attempt > 0 {
			// The longer an attempt takes, the longer is the queue before this store.
			if err := wait(ctx, min(attempt, 10), time.Since(began)); err != nil {
				return nil, err
			}
		}
		began = time.Now()
		if head == nil || attempt > 0 {
			if head, err = b.log.latest(ctx); err != nil && (b.isMain() || !notThere(err)) {
				return nil, err
			}
		}
		v, err := w.try(ctx, head, plan)
		if v != nil || err != nil {
			return v, err
		}
	}
}

// try makes one attempt behind head, which is nil when there is no log yet. It
// returns nil and nil when another writer took the number.
func (w *committer) try(ctx context.Context, head *snapshot, plan planFunc) (*Version, error) {
	b := w.b
	var tip *snapshot
	if err := b.fenced(ctx, head); err != nil {
		return nil, err
	}
	if head != nil {
		if err := errors.Join(head.bad, head.writable); err != nil {
			return nil, err
		}
		var err error
		if tip, err = b.tip(ctx, head); err != nil && !errors.Is(err, ErrNotFound) {
			return nil, err
		}
	}
	if tip != nil {
		if tip.bad != nil {
			return nil, tip.bad
		}
		if v, err := b.repeated(ctx, tip, w.opts); v != nil || err != nil {
			return v, err
		}
	}
	ch, err := plan(ctx, tip)
	if err != nil {
		return nil, err
	}
	if tip == nil && !ch.begins {
		return nil, fmt.Errorf("there is no branch %q: %w", b.name, ErrNotFound)
	}
	next, err := w.next(ctx, head, tip, ch)
	if err != nil {
		return nil, err
	}
	entry, err := w.entry(head, tip, next, ch)
	if err != nil {
		return nil, err
	}
	if err := w.store(ctx, ch); err != nil {
		return nil, err
	}
	result, winner, err := b.log.publish(ctx, next.version, entry)
	switch {
	case err != nil:
		return nil, err
	case result == lost:
		if winner != nil && head != nil {
			b.log.learn(b.log.apply(head, next.version, winner, nil))
		}
		return nil, nil
	}
	s := b.log.apply(head, next.version, entry, nil)
	b.log.learn(s)
	if s.version > 0 && s.version%checkpointEvery == 0 {
		// Best effort: nothing depends on a checkpoint but the speed of a reader.
		_ = b.log.checkpoint(ctx, s)
	}
	v, err := b.dataset.version(ctx, b.log, s)
	if err == nil && !b.isMain() && !ch.deleted {
		b.dataset.noteHead(ctx, v)
	}
	return v, err
}

// pending is the state that a commit is about to make.
type pending struct {
	version  int64
	time     time.Time
	state    snapshot    // Its files.
	fresh    []*dataFile // Those that the commit adds to the branch.
	schema   string
	metaData *delta.MetaData
	first    parent // The tip.
	line     int64  // As in summary, of the tip.
	includes map[string]int64
}

// next applies a change to the tip.
func (w *committer) next(ctx context.Context, head, tip *snapshot, ch *change) (*pending, error) {
	p := &pending{time: time.Now().UTC().Truncate(time.Millisecond), metaData: ch.metaData}
	if head != nil {
		p.version = head.version + 1
		before, err := w.b.log.time(ctx, head.version)
		if err != nil {
			return nil, err
		}
		// A clock that runs behind must not make a version older than its parent.
		if !p.time.After(before) {
			p.time = before.UTC().Truncate(time.Millisecond).Add(time.Millisecond)
		}
	}
	if tip != nil {
		c, err := w.b.log.commitAt(ctx, tip.version)
		if err != nil {
			return nil, err
		}
		p.first, p.line, p.includes = parent{Commit: c.id(w.b.log.name), Version: tip.version}, c.summary.Line, c.summary.Includes
		if !c.ours() {
			// Another writer's commit does not carry on what was merged before it.
			if l, err := w.b.dataset.lineageOf(ctx, w.b.log, tip.version); err == nil {
				p.includes = l
			}
		}
		if !w.b.isMain() {
			p.first.Log = refsLog
		}
		p.state = snapshot{files: tip.files, hashes: tip.hashes, rows: tip.rows, foreign: tip.foreign}
		if p.schema = tip.schemaString; p.metaData == nil {
			p.metaData = tip.metaData
		}
	}
	if ch.metaData != nil {
		probe := &snapshot{}
		if err := probe.setMetaData(ch.metaData); err != nil {
			return nil, err
		}
		p.schema = probe.schemaString
	}
	if len(ch.removes) > 0 {
		gone := make(map[string]bool, len(ch.removes))
		for _, f := range ch.removes {
			gone[f.Path] = true
		}
		p.state.take(gone, nil, false)
	}
	placed, err := w.b.dataset.placeFiles(ctx, &p.state, ch.adds)
	if err != nil {
		return nil, err
	}
	last := int64(0)
	if n := len(p.state.files); n > 0 {
		last = p.state.files[n-1].order
	}
	recorded := map[string]bool{}
	if ch.record != nil {
		for _, f := range ch.record.Files {
			recorded[f.SHA256] = true
		}
	}
	for _, a := range placed {
		f := &dataFile{File: a.File, stats: a.stats, tags: maps.Clone(a.tags), order: a.order, modified: p.time.UnixMilli()}
		if f.tags == nil {
			f.tags = map[string]string{}
		}
		if f.order == 0 {
			f.order = nextOrder(last)
		}
		last = max(last, f.order)
		f.tags[tagOrder] = fmt.Sprint(f.order)
		if recorded[f.SHA256] && f.tags[tagRecord] == "" {
			f.tags[tagRecord] = w.recordID(ch)
		}
		p.fresh = append(p.fresh, f)
	}
	p.state.take(nil, p.fresh, true)
	return p, nil
}

// recordID names the record: after the commit, or after the attempt when the
// commit is older than it.
func (w *committer) recordID(ch *change) string {
	if ch.commit != "" {
		return ch.commit
	}
	return w.txnID
}

// entry writes the log entry that leads from head to next.
func (w *committer) entry(head, tip *snapshot, next *pending, ch *change) (*delta.Entry, error) {
	b, opts := w.b, w.opts
	e := &delta.Entry{}
	now := next.time.UnixMilli()
	remove := func(f *dataFile) {
		e.Removes = append(e.Removes, delta.Remove{Path: f.Path[len(b.log.root):], DeletionTimestamp: now, DataChange: ch.dataChange})
	}
	if head != nil && head == tip {
		back := make(map[string]bool, len(next.fresh))
		for _, f := range next.fresh {
			e.Adds = append(e.Adds, f.add(b.log.root, ch.dataChange))
			back[f.Path] = true
		}
		for _, f := range ch.removes {
			if !back[f.Path] { // An add replaces what the path named.
				remove(f)
			}
		}
	} else {
		// Another branch had the log before: the difference to its files is what
		// makes the log show this branch.
		var before []*dataFile
		if head != nil {
			before = head.files
		}
		removed, added := differences(before, next.state.files)
		for _, f := range removed {
			remove(f)
		}
		for _, f := range added {
			e.Adds = append(e.Adds, f.add(b.log.root, ch.dataChange))
		}
	}
	if head == nil {
		e.Protocol = &delta.Protocol{MinReader: delta.ReaderVersion, MinWriter: delta.WriterVersion}
		if !b.isMain() {
			e.Protocol.MinWriter, e.Protocol.WriterFeatures = delta.FeatureWriterVersion, refsFeatures()
		}
	}
	if head == nil || !sameMetaData(head.metaData, next.metaData) {
		e.MetaData = next.metaData
	}
	if opts.App != "" {
		e.Txns = append(e.Txns, delta.Txn{AppID: b.appTxn(opts.App), Version: opts.AppVersion, LastUpdated: now})
	}
	if !b.isMain() {
		at := next.version
		if ch.deleted {
			at = -1
		}
		e.Txns = append(e.Txns, delta.Txn{AppID: headTxn(b.name), Version: at, LastUpdated: now})
	}
	return e, w.info(e, tip, next, ch)
}

// info is the account that the commit gives of itself.
func (w *committer) info(e *delta.Entry, tip *snapshot, next *pending, ch *change) error {
	opts := w.opts
	own := summary{
		Format: 1, Commit: ch.commit, Deleted: ch.deleted, Includes: ch.includes, Author: opts.Author, Code: opts.Code,
		Run: opts.Run, Tags: opts.Tags, App: opts.App, AppVersion: opts.AppVersion,
	}
	if own.Commit == "" {
		own.Commit = w.txnID
	}
	if ch.record != nil {
		own.Record = w.recordID(ch)
	}
	if !w.b.isMain() {
		own.Branch = w.b.name
	}
	if own.Rows = next.state.rows; next.state.foreign == 0 {
		own.Digest = digest(next.schema, next.state.hashes)
	}
	if own.Parents = ch.parents; tip != nil {
		own.Parent, own.Parents = tip.digest(), append([]parent{next.first}, ch.parents...)
	}
	if own.Line = next.line; !w.b.isMain() && tip == nil {
		own.Line = next.version
	}
	if own.Includes == nil && len(next.includes) > 0 {
		// A commit keeps what its parent had merged, and itself.
		own.Includes = maps.Clone(next.includes)
		own.Includes[w.b.lineKey(own.Line)] = next.version
	}
	mine, err := json.Marshal(own)
	if err != nil {
		return err
	}
	parameters := json.RawMessage(`{}`)
	if len(ch.parameters) > 0 {
		if parameters, err = json.Marshal(ch.parameters); err != nil {
			return err
		}
	}
	e.CommitInfo = &delta.CommitInfo{
		Timestamp: next.time.UnixMilli(), Operation: ch.operation, Parameters: parameters, EngineInfo: w.b.dataset.catalog.producer,
		IsBlindAppend: ch.blind, UserMetadata: opts.Message, TxnID: w.txnID, Millwright: mine,
	}
	return nil
}

// store writes the commit record, once. Nobody looks for it before the log names
// it, so a record without a commit is only clutter.
func (w *committer) store(ctx context.Context, ch *change) error {
	if ch.record == nil {
		return nil
	}
	if w.stored {
		view, err := w.b.dataset.condemned(ctx)
		if err == nil && view.Has(recordKey(w.recordID(ch))) {
			err = fmt.Errorf("the commit took so long that its record is being collected: repeat it: %w", ErrConflict)
		}
		return err
	}
	r, opts := ch.record, w.opts
	r.Format, r.ID, r.Dataset, r.Operation, r.Time = 1, w.recordID(ch), w.b.dataset.name, ch.operation, time.Now().UTC().Truncate(time.Millisecond)
	if r.Producer = w.b.dataset.catalog.producer; !w.b.isMain() {
		r.Branch = w.b.name
	}
	r.Author, r.Code, r.Message, r.Run, r.Tags, r.App, r.AppVersion = opts.Author, opts.Code, opts.Message, opts.Run, opts.Tags, opts.App, opts.AppVersion
	if r.Files == nil {
		r.Files = []File{}
	}
	body, err := json.Marshal(r)
	if err != nil {
		return err
	}
	if len(body) > maxRecordBytes {
		return fmt.Errorf("the commit record would be %d bytes, want at most %d: commit in parts: %w", len(body), maxRecordBytes, ErrInvalid)
	}
	if err := w.b.dataset.put(ctx, recordKey(r.ID), body); err != nil {
		return err
	}
	w.stored = true
	return nil
}

// differences are the files to take out of before and to bring in to get after.
// A file whose place or statistics differ is brought in again.
func differences(before, after []*dataFile) (removed, added []*dataFile) {
	had := make(map[string]*dataFile, len(before))
	for _, f := range before {
		had[f.Path] = f
	}
	for _, f := range after {
		if old := had[f.Path]; old == nil || old != f && (old.order != f.order || old.stats != f.stats) {
			added = append(added, f)
		}
		delete(had, f.Path)
	}
	for _, f := range before {
		if had[f.Path] != nil {
			removed = append(removed, f)
		}
	}
	return removed, added
}

func sameMetaData(a, b *delta.MetaData) bool {
	return a == b || a != nil && b != nil && a.SchemaString == b.SchemaString && a.Name == b.Name && a.Description == b.Description && maps.Equal(a.Configuration, b.Configuration)
}
