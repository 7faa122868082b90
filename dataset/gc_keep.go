package dataset

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/millwright-ml/millwright/dataset/blob"
)

const (
	icebergFolder = "_iceberg/"
	maxExport     = 64 << 20
)

// keeper finds out which versions are kept and what they use.
type keeper struct {
	d    *Dataset
	opts *CollectOptions
	now  time.Time

	versions int64 // Of both logs.
	kept     map[*logbook]map[int64]bool
	named    map[*logbook]map[int64]bool // Of those: by tags, exports and the caller.
	walks    map[*logbook]*keepWalk
	used     map[string]bool // Keys of data files and commit records.
}

// age is what the policy wants to know of one version.
type age struct {
	number     int64
	superseded time.Time // Zero for the newest of an open branch.
	newest     int       // How many versions of an open branch are newer; -1 beside one.
}

// mark finds what is used. Everything it reads, it reads after it was called.
func (k *keeper) mark(ctx context.Context) error {
	k.kept, k.named = map[*logbook]map[int64]bool{}, map[*logbook]map[int64]bool{}
	k.walks, k.used = map[*logbook]*keepWalk{}, map[string]bool{}
	for _, l := range []*logbook{k.d.log, k.d.refs} {
		head, err := l.latest(ctx)
		if l == k.d.refs && notThere(err) {
			continue
		}
		if err != nil {
			return err
		}
		if head.bad != nil {
			return head.bad
		}
		if err := k.policy(ctx, l, head); err != nil {
			return err
		}
	}
	for t, err := range k.d.Tags(ctx) {
		if err != nil {
			return err
		}
		if err := k.hold(k.d.tableLog(t.Table), t.Number); err != nil {
			return fmt.Errorf("tag %q: %w", t.Name, err)
		}
	}
	for _, v := range k.opts.Keep {
		if err := k.hold(v.log, v.Number); err != nil {
			return err
		}
	}
	if err := k.exports(ctx); err != nil {
		return err
	}
	for l, numbers := range k.kept {
		if err := k.use(ctx, l, slices.Sorted(maps.Keys(numbers))); err != nil {
			return err
		}
	}
	return nil
}

// use notes what the kept versions of a log use.
func (k *keeper) use(ctx context.Context, l *logbook, kept []int64) error {
	w := k.walks[l]
	if !w.use(kept, k.used) {
		return nil
	}
	// From here on the entries alone do not say what a version has: a checkpoint may.
	for _, n := range kept {
		if n < w.bad {
			continue
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		s, err := l.at(ctx, n)
		if err != nil {
			return err
		}
		if s.bad != nil {
			// What cannot be read may use anything.
			return fmt.Errorf("version %d of %s is to be kept and cannot be read: %w", n, l.name, s.bad)
		}
		for _, f := range s.files {
			k.used[f.Path] = true
			if r := f.tags[tagRecord]; validRecord.MatchString(r) {
				k.used[recordKey(r)] = true
			}
		}
	}
	return nil
}

func (k *keeper) hold(l *logbook, n int64) error {
	if k.kept[l] == nil {
		return fmt.Errorf("its log is gone: %w", ErrNotFound)
	}
	k.kept[l][n], k.named[l][n] = true, true
	return nil
}

// tableLog is the log of a table, as tags name it.
func (d *Dataset) tableLog(table string) *logbook {
	if table == refsTable {
		return d.refs
	}
	return d.log
}

// policy decides for every version of a log. The records of all commits are
// kept with the log.
func (k *keeper) policy(ctx context.Context, l *logbook, head *snapshot) error {
	k.kept[l], k.named[l] = map[int64]bool{}, map[int64]bool{}
	w := &keepWalk{l: l, live: map[string]int{}}
	k.walks[l] = w
	if err := w.run(ctx, head.version); err != nil {
		return err
	}
	type line struct {
		branch string
		began  int64
	}
	type last struct {
		time  time.Time
		count int
	}
	after := map[line]last{} // The version after, while we walk back.
	for _, c := range slices.Backward(w.commits) {
		k.versions++
		if c.record != "" {
			k.used[recordKey(c.record)] = true
		}
		if k.opts.KeepLast == 0 {
			k.kept[l][c.number] = !c.squashed
			continue
		}
		of := line{c.branch, c.line}
		if l.root == "" {
			of = line{}
		} else if c.branch == "" {
			continue // A mark in the log, no version of a branch.
		}
		next, later := after[of]
		a := age{number: c.number, superseded: next.time, newest: next.count}
		if !later {
			if live, ok := head.headOf(c.branch); l.root != "" && (!ok || live != c.number) {
				a.superseded, a.newest = c.time, -1 // The branch ended here.
			}
		}
		if k.keeps(a) && !c.squashed {
			k.kept[l][c.number] = true
		}
		when := c.time
		if when.UnixMilli() <= 0 {
			when = k.now // Nobody knows: it may be new.
		}
		if a.newest >= 0 {
			a.newest++
		}
		after[of] = last{when, a.newest}
	}
	maps.DeleteFunc(k.kept[l], func(_ int64, keep bool) bool { return !keep })
	return nil
}

func (k *keeper) keeps(a age) bool {
	switch {
	case a.newest == 0:
		return true // The head of an open branch.
	case a.newest > 0 && a.newest < k.opts.KeepLast:
		return true
	}
	return k.opts.KeepFor > 0 && k.now.Sub(a.superseded) <= k.opts.KeepFor
}

// exports keeps the versions that were exported as Iceberg tables.
func (k *keeper) exports(ctx context.Context) error {
	return k.d.exports(ctx, func(key string, number int64, digest string) error {
		for l := range k.kept {
			s, err := l.at(ctx, number)
			if errors.Is(err, ErrNotFound) {
				continue
			}
			if err != nil {
				return err
			}
			if s.bad == nil && s.digest() == digest {
				return k.hold(l, number)
			}
		}
		return fmt.Errorf("the export %s is of version %d with digest %s, which is not there: delete the export: %w", key, number, digest, ErrConflict)
	})
}

// exports calls f with the metadata file of each Iceberg export, and what it is
// an export of.
func (d *Dataset) exports(ctx context.Context, f func(key string, number int64, digest string) error) error {
	for info, err := range d.store.List(ctx, icebergFolder) {
		if err != nil {
			return err
		}
		if !strings.HasSuffix(path.Base(info.Name()), ".metadata.json") {
			continue
		}
		data, err := blob.ReadAll(ctx, d.store, info.Name(), maxExport)
		if err != nil {
			return err
		}
		var m struct {
			Properties struct {
				Version int64  `json:"millwright.version,string"`
				Digest  string `json:"millwright.digest"`
			} `json:"properties"`
		}
		if err := json.Unmarshal(data, &m); err != nil || m.Properties.Digest == "" {
			return errors.Join(fmt.Errorf("the Iceberg table %s does not say which version it shows: delete it: %w", info.Name(), ErrUnsupported), err)
		}
		if err := f(info.Name(), m.Properties.Version, m.Properties.Digest); err != nil {
			return err
		}
	}
	return nil
}
