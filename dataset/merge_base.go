package dataset

import (
	"context"
	"fmt"
	"maps"
	"strings"
)

// lineage says which versions a version builds on: for main, and for each branch
// by the entry of the refs log that made it, all of its versions up to a number.
// The versions of a branch build on each other, so that this is all of them, and
// common ancestors are found without a walk through the history.
type lineage map[string]int64

// lineKeyOf names the line that a commit is on, as Branch.lineKey does.
func lineKeyOf(l *logbook, c *commit) string {
	b := &Branch{name: c.summary.Branch, log: l}
	return b.lineKey(c.summary.Line)
}

// lineLog is the log that a lineage's key belongs to.
func (d *Dataset) lineLog(key string) *logbook {
	if key == mainLog {
		return d.log
	}
	return d.refs
}

// lineageOf reads the lineage of version n of a log.
func (d *Dataset) lineageOf(ctx context.Context, l *logbook, n int64) (lineage, error) {
	for at := n; ; at-- {
		c, err := l.commitAt(ctx, at)
		if err != nil {
			return nil, err
		}
		if c.fault != nil {
			return nil, c.fault
		}
		if !c.ours() && l.name == mainLog && at > 0 {
			continue // Another writer's: it builds on the version before.
		}
		out := maps.Clone(lineage(c.summary.Includes))
		if out == nil {
			out = lineage{}
		}
		out[lineKeyOf(l, c)] = n
		return out, nil
	}
}

// join is the lineage of a version that builds on both. Branches that are gone
// are left out, so that it does not grow for ever: versions of theirs that came
// in twice are then merged from an older ancestor, where both sides made the
// same changes.
func (a lineage) join(b lineage, alive func(key string) bool) lineage {
	out := lineage{}
	for _, x := range []lineage{a, b} {
		for key, n := range x {
			if alive(key) {
				out[key] = max(out[key], n)
			}
		}
	}
	return out
}

// contains tells whether version n of a line is among the ancestors.
func (a lineage) contains(key string, n int64) bool {
	have, ok := a[key]
	return ok && have >= n
}

// mergeBase is the newest version that both versions build on. There may be
// several when lines were merged crosswise; one of them is taken.
func (d *Dataset) mergeBase(ctx context.Context, ours, theirs *Version) (*Version, error) {
	a, err := d.lineageOf(ctx, ours.log, ours.Number)
	if err != nil {
		return nil, err
	}
	b, err := d.lineageOf(ctx, theirs.log, theirs.Number)
	if err != nil {
		return nil, err
	}
	type candidate struct {
		key     string
		n       int64
		lineage lineage
	}
	var all []candidate
	for key, n := range a {
		m, ok := b[key]
		if !ok {
			continue
		}
		c := candidate{key: key, n: min(n, m)}
		if c.lineage, err = d.lineageOf(ctx, d.lineLog(key), c.n); err != nil {
			return nil, fmt.Errorf("common ancestor %s: %w", key, err)
		}
		all = append(all, c)
	}
	var best *candidate
	for i := range all {
		c := &all[i]
		older := false
		for j := range all {
			older = older || j != i && all[j].lineage.contains(c.key, c.n)
		}
		if older {
			continue
		}
		// Of several that do not build on each other, the choice must not
		// depend on the order of a map.
		if best == nil || strings.Compare(c.key, best.key) > 0 {
			best = c
		}
	}
	if best == nil {
		return nil, fmt.Errorf("%s and %s have no version in common: %w", refOf(ours), refOf(theirs), ErrInvalid)
	}
	return d.versionIn(ctx, d.lineLog(best.key), best.n)
}
