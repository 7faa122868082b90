package dataset

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/millwright-ml/millwright/dataset/blob"
	"github.com/millwright-ml/millwright/dataset/internal/delta"
)

// logWalk follows one log from its beginning and looks at everything in its
// folder.
type logWalk struct {
	v     *verifier
	l     *logbook
	which int // 0 for main, 1 for the refs log.

	entries     map[int64]bool
	checkpoints map[int64][]int // Numbers of parts of the complete ones.
	first, last int64

	ids      map[int64]string // Of the commits.
	branches map[int64]string
	parents  []parentRef

	s *snapshot // The state so far; nil while it is not known.
}

type parentRef struct {
	parent
	entry string // That names it.
}

func (w *logWalk) run(ctx context.Context) error {
	w.ids, w.branches = map[int64]string{}, map[int64]string{}
	if err := w.list(ctx); err != nil {
		return err
	}
	if w.last < 0 {
		if w.which == 0 {
			w.v.damaged(Damage{Kind: DamagedEntry, Path: w.l.root + logFolder, Reason: "there is no Delta log", Needed: true})
		}
		return nil
	}
	const chunk = 4 * fetchers
	for from := int64(0); from <= w.last; from += chunk {
		n := int(min(chunk, w.last-from+1))
		read := make([]entryRead, n)
		err := parallel(ctx, n, func(ctx context.Context, i int) error {
			if !w.entries[from+int64(i)] {
				return nil
			}
			r := &read[i]
			r.e, r.fault, r.err = w.l.entry(ctx, from+int64(i))
			return unreadable(&r.fault, r.err)
		})
		if err != nil {
			return err
		}
		for i := range read {
			if err := w.step(ctx, from+int64(i), &read[i]); err != nil {
				return err
			}
		}
		w.v.progress("log", from+int64(n), w.last+1)
	}
	w.newest(ctx)
	return w.pointer(ctx)
}

// entryRead is a log entry, or why it is none; neither when it is not there.
type entryRead struct {
	e          *delta.Entry
	fault, err error
}

// unreadable makes damage of an error that the object itself is at fault for:
// it is gone, or too large. Others end the search.
func unreadable(fault *error, err error) error {
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrInvalid) {
		*fault = err
		return nil
	}
	return err
}

// list reads the names in the log folder.
func (w *logWalk) list(ctx context.Context) error {
	w.entries, w.checkpoints, w.first, w.last = map[int64]bool{}, map[int64][]int{}, -1, -1
	found := map[logCheckpoint]int{}
	for info, err := range w.l.store.List(ctx, w.l.root+logFolder) {
		if err != nil {
			return err
		}
		name := path.Base(info.Name())
		if n, ok := delta.ParseLogName(name); ok {
			if n > maxVerified {
				w.v.damaged(Damage{Kind: DamagedEntry, Path: info.Name(), Reason: "no log of this release is that long"})
				continue
			}
			w.entries[n] = true
			w.last = max(w.last, n)
			if w.first < 0 {
				w.first = n // Names are in order.
			}
		} else if n, _, parts, ok := delta.ParseCheckpointName(name); ok && n <= maxVerified {
			found[logCheckpoint{n, parts}]++
			w.last = max(w.last, n)
		}
	}
	for c, parts := range found {
		if parts == c.parts {
			w.checkpoints[c.version] = append(w.checkpoints[c.version], c.parts)
		}
	}
	return nil
}

// maxVerified bounds the numbers that file names may claim.
const maxVerified = 1 << 24

// step takes the log from n-1 to n.
func (w *logWalk) step(ctx context.Context, n int64, r *entryRead) error {
	key := w.l.key(delta.LogName(n))
	before := w.s
	w.s = nil
	squashed := false
	switch {
	case r.e == nil && r.fault == nil && n < w.first || r.e == nil && w.first < 0:
		w.v.report.Truncated++
	case r.e == nil:
		reason := "it is missing"
		if r.fault != nil && !errors.Is(r.fault, fs.ErrNotExist) {
			reason = r.fault.Error()
		}
		w.v.damaged(Damage{Kind: DamagedEntry, Path: key, Reason: reason, Versions: w.upTo(n)})
	default:
		w.v.report.Entries++
		c := commitOf(n, r.e)
		squashed = c.summary.Squashed
		w.note(c)
		if before != nil || n == 0 {
			w.follow(before, n, r.e, c)
		}
	}
	return w.checkpoint(ctx, n, squashed)
}

// upTo says which versions a lost entry takes along: those up to the next
// checkpoint.
func (w *logWalk) upTo(n int64) string {
	end := w.last + 1
	for c := range w.checkpoints {
		if c >= n {
			end = min(end, c)
		}
	}
	if end <= n {
		return ""
	}
	return span(w.tableName(), n, end-1)
}

func (w *logWalk) tableName() string {
	if w.which == 0 {
		return mainLog
	}
	return refsTable
}

func span(table string, from, to int64) string {
	if from == to {
		return fmt.Sprintf("%s %d", table, from)
	}
	return fmt.Sprintf("%s %d to %d", table, from, to)
}

// note keeps what a commit says about itself.
func (w *logWalk) note(c *commit) {
	if c.fault != nil {
		return // follow reports it.
	}
	w.ids[c.number] = c.id(w.l.name)
	if c.summary.Branch != "" {
		w.branches[c.number] = c.summary.Branch
	}
	for _, p := range c.summary.Parents {
		w.parents = append(w.parents, parentRef{p, delta.LogName(c.number)})
	}
	if c.summary.Record != "" && !c.summary.Squashed {
		w.v.records = append(w.v.records, recordRef{c.summary.Record, span(w.tableName(), c.number, c.number)})
	}
}

// follow applies an entry and compares what comes out with what it says.
func (w *logWalk) follow(before *snapshot, n int64, e *delta.Entry, c *commit) {
	if c.summary.Squashed {
		return // An erase left only its checkpoint, if it kept the version.
	}
	s := w.l.apply(before, n, e, nil)
	if s.bad != nil {
		w.v.damaged(Damage{Kind: DamagedEntry, Path: w.l.key(delta.LogName(n)), Reason: s.bad.Error(), Versions: w.upTo(n)})
		return
	}
	w.s = s
	for i := range e.Removes {
		w.v.gone(w.l.root+e.Removes[i].Path, w.which, n)
	}
	for i := range e.Adds {
		w.v.seen(fileOf(w.l.root, &e.Adds[i]), w.which, n)
	}
	if !w.v.opts.Quick || n == w.last || len(w.checkpoints[n]) > 0 {
		w.digest(s, c)
	}
}

func (w *logWalk) digest(s *snapshot, c *commit) {
	key := w.l.key(delta.LogName(s.version))
	if said := c.summary.Digest; said != "" && said != s.digest() {
		w.v.damaged(Damage{
			Kind: DamagedVersion, Path: key, Versions: span(w.tableName(), s.version, s.version),
			Reason: fmt.Sprintf("its content has digest %s and its commit says %s", s.digest(), said),
		})
	}
	if c.ours() && c.summary.Commit != "" && c.summary.Rows != s.rows {
		w.v.damaged(Damage{
			Kind: DamagedVersion, Path: key, Versions: span(w.tableName(), s.version, s.version),
			Reason: fmt.Sprintf("its files have %d rows and its commit says %d", s.rows, c.summary.Rows),
		})
	}
}

// checkpoint reads the checkpoints of version n, and goes on from one where the
// state was lost.
func (w *logWalk) checkpoint(ctx context.Context, n int64, squashed bool) error {
	slices.Sort(w.checkpoints[n])
	for _, parts := range w.checkpoints[n] {
		key := w.l.key(delta.CheckpointName(n))
		if parts > 1 {
			key = w.l.key(delta.CheckpointPart(n, 1, parts))
		}
		var fault error
		s, err := w.l.fromCheckpoint(ctx, n, parts)
		if err != nil {
			// What the bytes are at fault for says so; the rest is the store's.
			for _, kind := range []error{ErrInvalid, ErrUnsupported} {
				if errors.Is(err, kind) {
					fault = err
				}
			}
			if fault == nil {
				if err := unreadable(&fault, err); err != nil {
					return err
				}
			}
		}
		w.v.report.Checkpoints++
		switch {
		case fault != nil:
			versions := ""
			if w.s == nil {
				versions = w.upTo(n + 1)
			}
			w.v.damaged(Damage{Kind: DamagedCheckpoint, Path: key, Reason: fault.Error(), Versions: versions, Needed: w.s == nil && n == w.last})
		case w.s == nil:
			w.s = s
			for _, f := range s.files {
				w.v.seen(f, w.which, n)
			}
		default:
			if why := differ(w.s, s); why != "" {
				w.v.damaged(Damage{Kind: DamagedCheckpoint, Path: key, Reason: "it differs from the log: " + why, Versions: span(w.tableName(), n, n)})
			}
		}
	}
	if w.s == nil && !squashed && n == w.last {
		w.v.damaged(Damage{Kind: DamagedVersion, Path: w.l.key(delta.LogName(n)), Reason: "the newest state of the log cannot be told", Needed: true})
	}
	return nil
}

// differ compares the state that the log makes with that of a checkpoint.
func differ(log, check *snapshot) string {
	have := make(map[string]*dataFile, len(check.files))
	for _, f := range check.files {
		have[f.Path] = f
	}
	for _, f := range log.files {
		c := have[f.Path]
		switch {
		case c == nil:
			return "it lacks file " + f.Path
		case c.Rows != f.Rows || c.Size != f.Size:
			return fmt.Sprintf("file %s has %d rows in %d bytes, want %d in %d", f.Path, c.Rows, c.Size, f.Rows, f.Size)
		}
		delete(have, f.Path)
	}
	for _, p := range slices.Sorted(maps.Keys(have)) {
		return "it has file " + p + " too"
	}
	if log.schemaString != check.schemaString {
		return "it has another schema"
	}
	for app, t := range log.txns {
		if check.txns[app].Version != t.Version {
			return fmt.Sprintf("application %q is at %d, want %d", app, check.txns[app].Version, t.Version)
		}
	}
	return ""
}

// newest notes what the newest versions need, and that the heads of the branches
// are theirs.
func (w *logWalk) newest(ctx context.Context) {
	if w.s == nil {
		return
	}
	if w.which == 0 {
		w.v.need(w.s)
		return
	}
	for app, t := range w.s.txns {
		name, ok := strings.CutPrefix(app, headTxn(""))
		if !ok || t.Version < 0 {
			continue
		}
		w.v.report.Branches++
		s, err := w.l.at(ctx, t.Version)
		if err == nil {
			err = s.bad
		}
		of, known := w.branches[t.Version]
		switch {
		case err != nil:
			w.v.damaged(Damage{Kind: DamagedBranch, Path: headKey(name), Reason: fmt.Sprintf("its newest version %d cannot be read: %s", t.Version, err), Needed: true})
		case known && of != name:
			w.v.damaged(Damage{Kind: DamagedBranch, Path: headKey(name), Reason: fmt.Sprintf("the refs log says that its newest version is %d, which is of branch %q", t.Version, of), Needed: true})
		default:
			w.v.need(s)
		}
	}
}

// pointer checks _last_checkpoint. A wrong one costs readers time, no data.
func (w *logWalk) pointer(ctx context.Context) error {
	key := w.l.key(delta.LastCheckpoint)
	data, err := blob.ReadAll(ctx, w.l.store, key, 1<<20)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	var fault error
	if err := unreadable(&fault, err); err != nil {
		return err
	}
	if fault == nil {
		p, err := delta.ParsePointer(data)
		if fault = err; err == nil && !slices.Contains(w.checkpoints[p.Version], max(p.Parts, 1)) {
			fault = fmt.Errorf("it names the checkpoint of version %d, which is not there", p.Version)
		}
	}
	if fault != nil {
		w.v.damaged(Damage{Kind: DamagedPointer, Path: key, Reason: fault.Error()})
	}
	return nil
}
