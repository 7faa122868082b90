package dataset

import (
	"context"

	"github.com/apache/arrow/go/v15/arrow"
)

// gate prepares what our side, and the call, expect of the rows that the merge
// brings; of one that brings none only what is expected of the whole version. It is
// nil when nothing is expected.
func (m *merger) gate(ctx context.Context, ch *change, brings bool) (*gate, error) {
	list, err := m.ours.snap.expectations()
	if err != nil {
		return nil, err
	}
	list = append(list, m.o.Commit.Expect...)
	if !brings {
		list = ofWhole(list)
	}
	return m.b.gateOf(ctx, m.ours.snap, m.ours.schema, list, func() (*Version, error) {
		gone := make(map[*dataFile]bool, len(ch.removes))
		for _, f := range ch.removes {
			gone[f] = true
		}
		var stay []*dataFile
		for _, f := range m.ours.snap.files {
			if !gone[f] {
				stay = append(stay, f)
			}
		}
		return m.ours.subset(stay), nil
	})
}

// gateColumns are the places of our columns in records of the schema.
func (m *merger) gateColumns(schema *arrow.Schema) []int {
	columns := make([]int, len(m.ours.schema.Fields()))
	for i, f := range m.ours.schema.Fields() {
		if at := schema.FieldIndices(f.Name); len(at) == 1 {
			columns[i] = at[0]
		}
	}
	return columns
}

// audit reads the files that come in whole, if something is expected of their
// rows. Those that are written anew are checked on their way.
func (m *merger) audit(ctx context.Context, ch *change, incoming []*dataFile, merged *arrow.Schema) error {
	g, err := m.gate(ctx, ch, len(incoming) > 0)
	if g == nil || err != nil {
		return err
	}
	part := m.theirs.subset(incoming)
	if part.schema, _ = unionSchema(merged, m.ours.schema); len(incoming) > 0 {
		var needs []string
		for _, i := range g.checker.Needs() {
			needs = append(needs, m.ours.schema.Field(i).Name)
		}
		if len(needs) > 0 {
			columns := m.gateColumns(only(part.schema, needs))
			err = part.each(ctx, names(only(part.schema, needs)), func(rec arrow.Record) error {
				g.add(rec, columns)
				return nil
			})
		}
		if err != nil {
			return err
		}
	}
	t, err := part.profile(ctx)
	if err != nil {
		return err
	}
	ch.record = &record{}
	return g.finish(t, ch.record)
}

func names(s *arrow.Schema) []string {
	var out []string
	for _, f := range s.Fields() {
		out = append(out, f.Name)
	}
	return out
}

// newTo are the files that a state does not have.
func newTo(s *snapshot, files []*dataFile) []*dataFile {
	have := make(map[string]bool, len(s.files))
	for _, f := range s.files {
		have[f.Path] = true
	}
	var out []*dataFile
	for _, f := range files {
		if !have[f.Path] {
			out = append(out, f)
		}
	}
	return out
}
