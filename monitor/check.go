package monitor

import (
	"fmt"

	"github.com/millwright-ml/millwright/dataset/profile"
	"github.com/millwright-ml/millwright/internal/errs"
)

// cloneReference checks a reference and copies it, counts included.
func cloneReference(ref *profile.Reference) (*profile.Reference, error) {
	if err := checkReference(ref); err != nil {
		return nil, err
	}
	return ref.Clone(), nil
}

func checkReference(ref *profile.Reference) error {
	var f errs.Faults
	if ref == nil {
		f.Addf("it is nil")
		return f.Err("monitor: reference")
	}
	f.Check(len(ref.Features) > 0, "it has no features")
	f.Check(ref.Rows > 0, "it has no rows: observe held-out rows before handing it over")
	names := make(map[string]bool, len(ref.Features))
	for i, feature := range ref.Features {
		if feature.Name == "" {
			f.Addf("feature %d has no name", i)
		}
		if names[feature.Name] {
			f.Addf("feature %q is there twice", feature.Name)
		}
		names[feature.Name] = true
		if fault := faultOf(feature.Bins, ref.Rows); fault != "" {
			f.Addf("feature %q %s", feature.Name, fault)
		}
	}
	if s := ref.Summary; s != nil {
		if fault := s.Fault(); fault != "" {
			f.Addf("%s", fault)
		} else {
			for _, feature := range s.Counts.Features {
				f.Check(!names[feature.Name], "feature %q is of the summary, too", feature.Name)
			}
			f.Check(s.Counts.Rows > 0, "its summary has no rows")
		}
	}
	if ref.Score != nil {
		if fault := faultOf(ref.Score, ref.Rows); fault != "" {
			f.Addf("score %s", fault)
		}
	}
	return f.Err("monitor: reference")
}

// faultOf says what is wrong with the bins of a reference, "" for nothing. It
// formats nothing when all is well: Compare goes through here.
func faultOf(b *profile.Bins, rows uint64) string {
	if b == nil {
		return "has no bins"
	}
	cells := len(b.Edges) + 1
	switch b.Kind {
	case profile.Categorical:
		cells = len(b.Categories) + 1
	case profile.Numeric:
	default:
		return fmt.Sprintf("is of kind %q", b.Kind)
	}
	if len(b.Counts) != cells {
		return fmt.Sprintf("has %d counts, want %d", len(b.Counts), cells)
	}
	for i := 1; i < len(b.Edges); i++ {
		if !(b.Edges[i-1] < b.Edges[i]) {
			return fmt.Sprintf("has edges that are not ascending at %v", b.Edges[i])
		}
	}
	return rowFault(b, rows)
}

func rowFault(b *profile.Bins, rows uint64) string {
	if n := b.Rows(); n != rows {
		return fmt.Sprintf("has counted %d rows of %d", n, rows)
	}
	return ""
}

// checkPair records why a window does not belong to a sound reference.
func checkPair(f *errs.Faults, ref, cur *profile.Reference) {
	switch {
	case cur == nil:
		f.Addf("the current window is nil")
		return
	case len(cur.Features) != len(ref.Features):
		f.Addf("the current window has %d features, the reference %d", len(cur.Features), len(ref.Features))
		return
	case cur.Rows == 0:
		f.Addf("the current window has no rows")
	}
	for i, feature := range ref.Features {
		c := cur.Features[i]
		if c.Name != feature.Name {
			f.Addf("feature %d is %q, in the reference %q", i, c.Name, feature.Name)
		}
		if fault := pairFault(feature.Bins, c.Bins, cur.Rows); fault != "" {
			f.Addf("feature %q %s", feature.Name, fault)
		}
	}
	switch {
	case ref.Score == nil:
	case cur.Score == nil:
		f.Addf("the current window has no score, the reference has")
	default:
		if fault := pairFault(ref.Score, cur.Score, cur.Rows); fault != "" {
			f.Addf("score %s", fault)
		}
	}
}

// pairFault says why a window's bins do not belong to a reference's.
func pairFault(ref, cur *profile.Bins, rows uint64) string {
	if cur == nil || !ref.SameLayout(cur) || len(ref.Counts) != len(cur.Counts) {
		return "has other bins than in the reference"
	}
	return rowFault(cur, rows)
}
