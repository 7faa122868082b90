package dataset

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
)

// VerifyOptions say how thoroughly to look.
type VerifyOptions struct {
	// Quick looks at the sizes of the data files and not at their bytes, and at
	// the digests of the newest versions and of the checkpoints only. The default
	// is to read everything.
	Quick bool
	// Limit is how many damages are listed; the rest is counted. The default is
	// 1000.
	Limit int
	// Progress, when set, is called while Verify works, by one goroutine at a
	// time. The default is none.
	Progress func(VerifyProgress)
}

// VerifyProgress is how far Verify has come.
type VerifyProgress struct {
	Phase string // "log", "files" or "records".
	Done  int64  // Entries, files or records.
	Total int64  // Of them in this phase.
	Bytes int64  // Of data files read so far.
}

// DamageKind says what is damaged.
type DamageKind string

// The kinds of damage.
const (
	DamagedEntry      DamageKind = "log entry"  // A log entry is missing or cannot be followed.
	DamagedCheckpoint DamageKind = "checkpoint" // A checkpoint cannot be read, or differs from the log.
	DamagedPointer    DamageKind = "pointer"    // _last_checkpoint leads nowhere; readers take the long way.
	DamagedVersion    DamageKind = "version"    // The content is not what its commit says.
	DamagedFile       DamageKind = "file"       // A data file is missing or has other bytes.
	DamagedRecord     DamageKind = "record"     // A commit record is missing or cannot be read.
	DamagedTag        DamageKind = "tag"        // A tag cannot be read, or its version is another.
	DamagedBranch     DamageKind = "branch"     // The refs log and a branch contradict each other.
	DamagedCollection DamageKind = "collection" // The record of what a collection took away cannot be read.
)

// Damage is one thing that is not as it was committed.
type Damage struct {
	Kind   DamageKind
	Path   string // Of the object, relative to the dataset's folder.
	Reason string
	// Versions says what is affected ("main 3 to 17, _refs 4"); "" when that is
	// the object itself.
	Versions string
	// Needed says that a tag, or the newest version of a branch, is affected.
	Needed bool
}

// String is one line for a log.
func (d Damage) String() string {
	s := fmt.Sprintf("%s %s: %s", d.Kind, d.Path, d.Reason)
	if d.Versions != "" {
		s += " (in " + d.Versions + ")"
	}
	return s
}

// VerifyReport is what Verify found.
type VerifyReport struct {
	Entries     int64 // Log entries read, of both logs.
	Truncated   int64 // Entries that a cleanup of the log took from its beginning; no damage.
	Checkpoints int64
	Files       int64 // Data files looked at.
	Bytes       int64 // Of them read.
	Expired     int64 // Data files that a collection took away, of versions that were not kept; no damage.
	Records     int64
	Tags        int64
	Branches    int64 // Besides main.
	// Damage is sorted by kind and path; More counts what the limit cut off.
	Damage []Damage
	More   int64
}

// OK reports that nothing is damaged.
func (r *VerifyReport) OK() bool { return len(r.Damage) == 0 }

// Verify looks for damage: in the entries and checkpoints of both logs, in the
// data files that any version names, in the commit records, the tags and the
// branches. It changes nothing, and goes on behind damage as far as it can. What
// it finds is in the report; an error means that it could not look, as the store
// failed or ctx ended.
//
// A file that a collection took away (see [Dataset.Collect]) is no damage: what
// collections delete they note down. One that is gone without a note was lost.
//
// Every data file is read and hashed, a few at a time, unless it is to be quick.
// Memory grows with the number of files that all versions name together, some
// hundred bytes each. Commits that are made meanwhile may be left out.
func (d *Dataset) Verify(ctx context.Context, opts *VerifyOptions) (*VerifyReport, error) {
	v := &verifier{d: d, files: map[string]*seenFile{}, needed: map[string]bool{}}
	if opts != nil {
		v.opts = *opts
	}
	if v.opts.Limit <= 0 {
		v.opts.Limit = 1000
	}
	if err := v.run(ctx); err != nil {
		return nil, fmt.Errorf("dataset: verify %q: %w", d.name, err)
	}
	slices.SortFunc(v.report.Damage, func(a, b Damage) int {
		if a.Kind != b.Kind {
			return strings.Compare(string(a.Kind), string(b.Kind))
		}
		return strings.Compare(a.Path, b.Path)
	})
	return &v.report, nil
}

// verifier is one run of Verify.
type verifier struct {
	d    *Dataset
	opts VerifyOptions

	logs    [2]*logWalk // Main's and the refs log's.
	files   map[string]*seenFile
	needed  map[string]bool     // Paths of files of tags and newest versions.
	swept   map[string][2]int64 // What collections took away: see sweeps.
	records []recordRef
	buffers sync.Pool // That files are hashed in.

	mu     sync.Mutex
	report VerifyReport
}

// recordRef is a commit record that a log entry names.
type recordRef struct{ name, version string }

func (v *verifier) run(ctx context.Context) error {
	for i, l := range []*logbook{v.d.log, v.d.refs} {
		w := &logWalk{v: v, l: l, which: i}
		v.logs[i] = w
		if err := w.run(ctx); err != nil {
			return err
		}
	}
	v.parents()
	if err := v.tags(ctx); err != nil {
		return err
	}
	if err := v.checkFiles(ctx); err != nil {
		return err
	}
	return v.checkRecords(ctx)
}

// damaged notes one damage.
func (v *verifier) damaged(d Damage) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.report.Damage) >= v.opts.Limit {
		v.report.More++
		return
	}
	v.report.Damage = append(v.report.Damage, d)
}

func (v *verifier) progress(phase string, done, total int64) {
	if v.opts.Progress == nil {
		return
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.opts.Progress(VerifyProgress{Phase: phase, Done: done, Total: total, Bytes: v.report.Bytes})
}

// need notes that a tag or a newest version shows the files of a state.
func (v *verifier) need(s *snapshot) {
	for _, f := range s.files {
		v.needed[f.Path] = true
	}
}

// parents checks that the commits that others build on are where they say.
func (v *verifier) parents() {
	for _, w := range v.logs {
		for _, p := range w.parents {
			at := v.logs[0]
			if p.Log == refsLog {
				at = v.logs[1]
			}
			if id, ok := at.ids[p.Version]; ok && id != p.Commit {
				v.damaged(Damage{Kind: DamagedVersion, Path: w.l.key(p.entry), Reason: fmt.Sprintf("it names %s %d as its parent %s, which is commit %s", at.l.name, p.Version, p.Commit, id)})
			}
		}
	}
}
