package dataset

import (
	"context"
	"fmt"
	"math"
	"slices"
	"time"
)

// keepWindow is how many entries a walk holds at once.
const keepWindow = 8 * fetchers

// keepWalk follows a log from its first entry to its last, once: it notes what
// each entry says of itself, and from which version to which each file is in the
// table. So the cost of finding what many versions use is that of the log, not
// that of all their files.
type keepWalk struct {
	l       *logbook
	commits []keepCommit
	stays   []stay
	live    map[string]int // Index of the stay of a live file.
	bad     int64          // The first version that the entries alone do not tell.
}

// keepCommit is what a policy wants to know of an entry.
type keepCommit struct {
	number   int64
	time     time.Time
	branch   string
	line     int64
	record   string
	squashed bool
}

// stay is a file being in the table, from one version to another.
type stay struct {
	path, record string
	from, to     int64
}

// keepEntry is one entry, reduced.
type keepEntry struct {
	keepCommit
	removes []string
	adds    []stay
	bad     bool
}

func (w *keepWalk) run(ctx context.Context, last int64) error {
	w.bad = math.MaxInt64
	w.commits = make([]keepCommit, 0, last+1)
	window := make([]keepEntry, keepWindow)
	for from := int64(0); from <= last; from += keepWindow {
		n := int(min(keepWindow, last-from+1))
		err := parallel(ctx, n, func(ctx context.Context, i int) error {
			var err error
			window[i], err = w.read(ctx, from+int64(i))
			return err
		})
		if err != nil {
			return err
		}
		for i := range n {
			w.follow(&window[i])
		}
	}
	for _, i := range w.live {
		w.stays[i].to = last
	}
	return nil
}

// last is the entry at which the walk ended.
func (w *keepWalk) last() int64 { return int64(len(w.commits)) - 1 }

// read reads one entry. Whatever makes no sense ends what the entries tell.
func (w *keepWalk) read(ctx context.Context, n int64) (keepEntry, error) {
	e, fault, err := w.l.entry(ctx, n)
	if err != nil {
		if notThere(err) {
			err = w.l.missing(n)
		}
		return keepEntry{}, err
	}
	if fault != nil {
		return keepEntry{}, fmt.Errorf("log entry %d of %s: %w", n, w.l.name, fault)
	}
	// An entry is followed alone, on a table without files: what is wrong with it
	// shows, whatever came before.
	var before *snapshot
	if n > 0 {
		before = &snapshot{}
	}
	s := w.l.apply(before, n, e, nil)
	c := s.commit
	if c.fault != nil {
		return keepEntry{}, fmt.Errorf("log entry %d of %s: %w", n, w.l.name, c.fault)
	}
	out := keepEntry{keepCommit: keepCommit{n, c.time, c.summary.Branch, c.summary.Line, c.summary.Record, c.summary.Squashed}, bad: s.bad != nil}
	for i := range e.Removes {
		out.removes = append(out.removes, w.l.root+e.Removes[i].Path)
	}
	for i := range e.Adds {
		a := &e.Adds[i]
		f := stay{path: w.l.root + a.Path, from: n}
		if r := a.Tags[tagRecord]; validRecord.MatchString(r) {
			f.record = r
		}
		out.adds = append(out.adds, f)
	}
	return out, nil
}

func (w *keepWalk) follow(e *keepEntry) {
	w.commits = append(w.commits, e.keepCommit)
	if e.bad {
		w.bad = min(w.bad, e.number)
	}
	for _, p := range e.removes {
		w.end(p, e.number)
	}
	for _, f := range e.adds {
		w.end(f.path, e.number)
		w.live[f.path] = len(w.stays)
		w.stays = append(w.stays, f)
	}
}

// end notes that version n does not have the file that was there before.
func (w *keepWalk) end(path string, n int64) {
	if i, ok := w.live[path]; ok {
		w.stays[i].to = n - 1
		delete(w.live, path)
	}
}

// use notes what the kept versions use, which are sorted. It returns whether there
// are some that it cannot tell about.
func (w *keepWalk) use(kept []int64, used map[string]bool) (more bool) {
	told, _ := slices.BinarySearch(kept, w.bad)
	for _, f := range w.stays {
		if i, _ := slices.BinarySearch(kept[:told], f.from); i < told && kept[i] <= f.to {
			used[f.path] = true
			if f.record != "" {
				used[recordKey(f.record)] = true
			}
		}
	}
	return told < len(kept)
}
