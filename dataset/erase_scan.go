package dataset

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/apache/arrow/go/v15/arrow"

	"github.com/millwright-ml/millwright/dataset/filter"
)

// history calls f with the state of every version of a log, oldest first.
func (e *eraser) history(ctx context.Context, l *logbook, f func(s *snapshot) error) error {
	head, err := l.latest(ctx)
	if l == e.d.refs && notThere(err) {
		return nil
	}
	if err != nil {
		return err
	}
	for n := range head.version + 1 {
		if err := ctx.Err(); err != nil {
			return err
		}
		s, err := l.at(ctx, n)
		if err != nil {
			return err
		}
		if s.bad != nil {
			// Nobody knows which files it has: rows could stay.
			return fmt.Errorf("version %d of %s cannot be read: %w", n, l.name, s.bad)
		}
		if err := f(s); err != nil {
			return err
		}
	}
	return nil
}

// oldFile is a file of the history, as the first version with it shows it.
type oldFile struct {
	*dataFile
	of     *Version
	orphan bool // No version has it: a writer broke off, or is about to commit it.
}

// scan finds the files with matching rows, writes those that take their place,
// and notes the versions that change.
func (e *eraser) scan(ctx context.Context) error {
	e.j.Planned, e.j.Versions, e.j.Rows = nil, nil, 0
	var files []oldFile
	seen := map[string]bool{}
	columns := map[string]arrow.Field{}
	for _, l := range e.logs() {
		var last *snapshot
		err := e.history(ctx, l, func(s *snapshot) error {
			if last == nil || last.schemaString != s.schemaString {
				for _, f := range s.schema.Fields() {
					columns[f.Name] = f
				}
			}
			last = s
			for _, f := range s.files {
				if !seen[f.Path] {
					seen[f.Path] = true
					files = append(files, oldFile{dataFile: f, of: e.view(l, s)})
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	var all []arrow.Field
	for _, name := range slices.Sorted(maps.Keys(columns)) {
		all = append(all, columns[name])
	}
	if _, err := e.where.Bind(arrow.NewSchema(all, nil)); err != nil {
		return err
	}
	orphans, err := e.orphans(ctx, seen)
	if err != nil {
		return err
	}
	files = append(files, orphans...)
	for i, f := range files {
		p, err := e.rewrite(ctx, f, columns, seen)
		if err != nil {
			return fmt.Errorf("file %s: %w", f.Path, err)
		}
		if p != nil {
			e.j.Planned = append(e.j.Planned, *p)
			e.j.Rows += p.Rows
		}
		e.progress("scan", i+1, len(files))
	}
	e.index()
	return e.changed(ctx)
}

// view is a version to read files with.
func (e *eraser) view(l *logbook, s *snapshot) *Version {
	return &Version{Dataset: e.d.name, Branch: mainLog, Number: s.version, dataset: e.d, log: l, snap: s, schema: s.schema}
}

// orphans are the data files that no version has.
func (e *eraser) orphans(ctx context.Context, seen map[string]bool) ([]oldFile, error) {
	head, err := e.d.log.latest(ctx)
	if err != nil {
		return nil, err
	}
	var files []oldFile
	for info, err := range e.d.store.List(ctx, dataFolder) {
		if err != nil {
			return nil, err
		}
		m := ownFile.FindStringSubmatch(info.Name())
		if m == nil || seen[info.Name()] {
			continue
		}
		f := &dataFile{File: File{Path: info.Name(), SHA256: m[1], Size: info.Size()}}
		if f.Rows, err = e.d.countRows(ctx, f.Path, f.Size); err != nil {
			return nil, fmt.Errorf("file %s, which no version has, cannot be read: Collect or delete it: %w", f.Path, err)
		}
		files = append(files, oldFile{dataFile: f, of: e.view(e.d.log, head), orphan: true})
	}
	return files, nil
}

// changed notes the versions that change.
func (e *eraser) changed(ctx context.Context) error {
	for _, l := range e.logs() {
		err := e.history(ctx, l, func(s *snapshot) error {
			after, rows := e.replaced(s)
			if after.digest() != s.digest() || rows > 0 {
				v := ErasedVersion{Number: s.version, Before: s.digest(), After: after.digest(), Rows: rows}
				if l.root != "" {
					v.Table = refsTable
				}
				e.j.Versions = append(e.j.Versions, v)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// replaced is the state with the new files in the place of the old; s itself
// when it has none of them.
func (e *eraser) replaced(s *snapshot) (after *snapshot, rows int64) {
	if !slices.ContainsFunc(s.files, func(f *dataFile) bool { return e.plan[f.Path] != nil }) {
		return s, 0
	}
	after = &snapshot{version: s.version, protocol: s.protocol, metaData: s.metaData, txns: s.txns, schema: s.schema, schemaString: s.schemaString, commit: s.commit, writable: s.writable}
	for _, f := range s.files {
		p := e.plan[f.Path]
		if p == nil {
			after.files = append(after.files, f)
			continue
		}
		rows += p.Rows
		for i, n := range p.New {
			tags := newTags(f.tags, n.Tags, f.order+int64(i))
			after.files = append(after.files, &dataFile{File: n.File, stats: n.Stats, tags: tags, order: f.order + int64(i), modified: f.modified})
		}
	}
	after.count()
	return after, rows
}

// newTags are the tags of a file that takes the place of another.
func newTags(old, fresh map[string]string, order int64) map[string]string {
	tags := maps.Clone(old)
	if tags == nil {
		tags = map[string]string{}
	}
	delete(tags, tagGroups)
	delete(tags, tagTail)
	maps.Copy(tags, fresh)
	if order > 0 {
		tags[tagOrder] = fmt.Sprint(order)
	}
	return tags
}

// rewrite writes a file without the matching rows; nil when it has none.
func (e *eraser) rewrite(ctx context.Context, f oldFile, columns map[string]arrow.Field, taken map[string]bool) (*erasedPlan, error) {
	own := f.of.schema
	wide := slices.Clone(own.Fields())
	for _, name := range e.where.Columns() {
		if len(own.FieldIndices(name)) == 0 {
			column := columns[name] // Of a later schema: null in this file.
			column.Nullable = true
			wide = append(wide, column)
		}
	}
	view := *f.of
	view.schema = arrow.NewSchema(wide, nil)
	part := view.subset([]*dataFile{f.dataFile})
	bound, err := e.where.Bind(view.schema)
	if err != nil {
		return nil, err
	}
	p := &erasedPlan{Path: f.Path}
	switch verdict := bound.PruneJSON(f.stats, f.own()); {
	case verdict == filter.None && f.fault == nil:
		return nil, nil
	case verdict == filter.All && f.fault == nil:
		p.Rows = f.Rows
		return p, nil
	}
	if f.fault != nil {
		return nil, f.fault
	}
	err = part.eachOf(ctx, &ReadOptions{Columns: bound.Columns(), Where: e.where}, func(rec arrow.Record) error {
		p.Rows += rec.NumRows()
		return nil
	})
	if gone := (*CorruptError)(nil); errors.As(err, &gone) && gone.Have == "" {
		// It was collected: no row of it is left, and its statistics go too.
		stats := fmt.Sprintf(`{"numRecords":%d}`, f.Rows)
		p.Rows, p.New = 0, []erasedFile{{f.File, stats, maps.Clone(f.tags)}}
		return p, nil
	}
	if err != nil || p.Rows == 0 {
		return nil, err
	}
	if p.Rows == f.Rows || f.orphan {
		return p, nil
	}
	return p, e.rest(ctx, p, part, own, taken)
}

// rest writes the rows that stay, as one file.
func (e *eraser) rest(ctx context.Context, p *erasedPlan, part *Version, own *arrow.Schema, taken map[string]bool) error {
	w, err := newAppender(ctx, e.d, own, nil)
	if err != nil {
		return err
	}
	defer w.close()
	w.layout.fileBytes = math.MaxInt64
	names, order := make([]string, len(own.Fields())), make([]int, len(own.Fields()))
	for i, field := range own.Fields() {
		names[i], order[i] = field.Name, i
	}
	err = part.eachOf(ctx, &ReadOptions{Columns: names, Where: e.where, except: true}, func(rec arrow.Record) error { return w.add(rec, order) })
	if err == nil {
		err = w.finish()
	}
	if err != nil {
		return err
	}
	for _, a := range w.files {
		// Every old file gets a new one of its own, also of equal content: they can
		// be in one version.
		origin := a.Path
		view, err := e.d.condemned(ctx)
		if err != nil {
			return err
		}
		for nth := 1; taken[a.Path] || view.Has(a.Path); nth++ {
			a.Path = dataPath(a.SHA256, nth)
		}
		if a.Path != origin {
			if err := e.d.copyFile(ctx, origin, a.File); err != nil {
				return err
			}
		}
		taken[a.Path] = true
		p.New = append(p.New, erasedFile{a.File, a.stats, a.tags})
	}
	return nil
}
