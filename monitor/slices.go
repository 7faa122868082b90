package monitor

import (
	"cmp"
	"slices"

	"github.com/millwright-ml/millwright/dataset/profile"
	"github.com/millwright-ml/millwright/internal/errs"
)

// Bounds of what is looked at by itself.
const (
	maxSliceBy  = 4
	sliceValues = 16
)

// sliceBy is one way in which the rows of an epoch are split.
type sliceBy struct {
	feature int
	name    string
	values  []string
}

// newSlices finds the features to slice by.
func newSlices(ref *profile.Reference, names []string) ([]sliceBy, error) {
	var f errs.Faults
	var out []sliceBy
	for _, name := range names {
		at := slices.IndexFunc(ref.Features, func(f profile.Feature) bool { return f.Name == name })
		if at < 0 || ref.Features[at].Bins.Kind != profile.Categorical {
			f.Addf("SliceBy names %q, which is no categorical feature of the reference", name)
			continue
		}
		values := ref.Features[at].Bins.Categories
		out = append(out, sliceBy{at, name, values[:min(len(values), sliceValues)]})
	}
	return out, f.Err("monitor: options")
}

func newParts(e *epoch) [][]*profile.Reference {
	parts := make([][]*profile.Reference, len(e.slices))
	for i, s := range e.slices {
		parts[i] = make([]*profile.Reference, len(s.values))
	}
	return parts
}

// foldSlices counts rows of a block in the slices that they belong to. The
// caller holds foldMu.
func (m *Monitor) foldSlices(which int, b *block, from, to int) {
	w := m.win
	s, parts := &w.epoch.slices[which], w.parts[which]
	var rows [blockRows]uint8
	for value := range parts {
		n := 0
		for i := from; i < to; i++ {
			if b.rows[i*b.width+s.feature] == float64(value) {
				rows[n] = uint8(i)
				n++
			}
		}
		if n == 0 {
			continue
		}
		if parts[value] == nil {
			parts[value] = w.epoch.bare.Empty()
		}
		part := parts[value]
		col := m.scratch[:n]
		for j := range part.Features {
			for k, i := range rows[:n] {
				col[k] = b.rows[int(i)*b.width+j]
			}
			part.Features[j].Bins.AddFloats(col)
		}
		if part.Score != nil {
			for k, i := range rows[:n] {
				col[k] = b.scores[i]
			}
			part.Score.AddFloats(col)
		}
		part.Rows += uint64(n)
	}
}

// compareSlices says which part of the traffic has moved.
func (m *Monitor) compareSlices(w *window, p *Policy, alpha float64) []SliceReport {
	var out []SliceReport
	ref := w.epoch.ref
	for i, s := range w.epoch.slices {
		bins := ref.Features[s.feature].Bins
		for code, value := range s.values {
			r := SliceReport{By: s.name, Value: value, Verdict: Insufficient}
			if ref.Rows > 0 {
				r.Reference = float64(bins.Counts[code]) / float64(ref.Rows)
			}
			cur := w.parts[i][code]
			if cur != nil {
				r.Rows, r.Share = cur.Rows, float64(cur.Rows)/float64(w.cur.Rows)
				r.compare(ref.Slice(s.name, value), cur, p, alpha, s.name)
			}
			out = append(out, r)
		}
	}
	slices.SortStableFunc(out, func(a, b SliceReport) int {
		return cmp.Or(cmp.Compare(b.Severity, a.Severity), cmp.Compare(b.Rows, a.Rows))
	})
	return out
}

// compare compares a slice with the same one of the reference, if that has it.
func (r *SliceReport) compare(ref, cur *profile.Reference, p *Policy, alpha float64, by string) {
	if ref == nil || ref.Rows == 0 {
		return
	}
	whole := compare(ref, cur, p, alpha, (*design)(nil).effects(ref, p, alpha))
	r.Verdict = whole.Verdict
	for _, f := range whole.Features {
		if f.Name == by {
			continue // It has but one value here.
		}
		if f.Alarm() || len(r.Features) == 0 {
			r.Features = append(r.Features, f)
		}
	}
	if len(r.Features) > 0 && r.Verdict != Insufficient {
		r.Severity = r.Features[0].Severity
	}
}
