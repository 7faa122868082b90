package dataset

import (
	"context"
	"slices"

	"github.com/apache/arrow/go/v15/arrow"

	"github.com/millwright-ml/millwright/dataset/profile"
)

// untouched shows the rows of the files that a rewrite leaves alone.
func (b *Branch) untouched(ctx context.Context, tip *snapshot, kept *rewrite) (*Version, error) {
	v, err := b.dataset.version(ctx, b.log, tip)
	if err != nil {
		return nil, err
	}
	gone := make(map[*dataFile]bool, len(kept.removes))
	for _, f := range kept.removes {
		gone[f] = true
	}
	var files []*dataFile
	for _, f := range tip.files {
		if !gone[f] {
			files = append(files, f)
		}
	}
	return v.subset(files), nil
}

// ofWhole are the expectations that are not of the rows which come in.
func ofWhole(list []profile.Expectation) []profile.Expectation {
	return slices.DeleteFunc(slices.Clone(list), func(e profile.Expectation) bool { return !e.Whole })
}

// gateDelete holds what a delete leaves against what is expected of the whole
// version, and puts the report into the record. Rows were checked when they came,
// and are as unique without others.
func (b *Branch) gateDelete(ctx context.Context, tip *snapshot, kept *rewrite, ch *change, opts *CommitOptions) (*gate, error) {
	list, err := tip.expectations()
	if err != nil {
		return nil, err
	}
	list = slices.DeleteFunc(ofWhole(append(list, opts.Expect...)), func(e profile.Expectation) bool { return e.Check == profile.CheckUnique })
	g, err := b.gateOf(ctx, tip, tip.schema, list, func() (*Version, error) { return b.untouched(ctx, tip, kept) })
	if g == nil || err != nil {
		return nil, err
	}
	if ch.record == nil {
		ch.record = &record{}
	}
	return g, g.finish(&kept.counted, ch.record)
}

// gateRestore holds the rows that a restore brings back against what is expected
// now.
func (b *Branch) gateRestore(ctx context.Context, tip *snapshot, v *Version, ch *change, opts *CommitOptions) (*gate, error) {
	list, err := tip.expectations()
	list = append(list, opts.Expect...)
	if err != nil || len(list) == 0 {
		return nil, err
	}
	if v, err = v.Load(ctx); err != nil {
		return nil, err
	}
	incoming := newTo(tip, v.live)
	fresh := make(map[*dataFile]bool, len(incoming))
	for _, f := range incoming {
		fresh[f] = true
	}
	if len(incoming) == 0 {
		list = ofWhole(list)
	}
	g, err := b.gateOf(ctx, tip, v.schema, list, func() (*Version, error) {
		return v.subset(slices.DeleteFunc(slices.Clone(v.live), func(f *dataFile) bool { return fresh[f] })), nil
	})
	if g == nil || err != nil {
		return nil, err
	}
	part := v.subset(incoming)
	var columns []string
	at := make([]int, len(v.schema.Fields()))
	for _, i := range g.checker.Needs() {
		at[i] = len(columns)
		columns = append(columns, v.schema.Field(i).Name)
	}
	if len(incoming) > 0 && len(columns) > 0 {
		err := part.each(ctx, columns, func(rec arrow.Record) error {
			g.add(rec, at)
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	t, err := part.profile(ctx)
	if err != nil {
		return nil, err
	}
	ch.record = &record{}
	return g, g.finish(t, ch.record)
}
