package metrics

import (
	"fmt"
	"strconv"

	"github.com/millwright-ml/millwright/dataset/profile"
	"github.com/millwright-ml/millwright/monitor/drift"
)

// groups is how many bins of a feature are shown, besides that of the missing
// values: what credit scoring counts on, and few enough to pay for.
const groups = 10

// Null and Other are the bins of the values that are missing or infinite, and
// of the categories beyond the most frequent ones.
const (
	Null  = "null"
	Other = "other"
)

// grouping says which of a feature's bins are shown as one.
type grouping struct {
	names []string // Of the groups.
	of    []int    // By bin, its group.
	null  int      // The group of missing values.
	last  int      // The group of bins beyond of.
}

// groupingOf lays out a feature. It depends on the reference alone, so that all
// replicas come to the same: neighbouring bins of numbers with about a tenth of
// the rows together, or the nine most frequent categories and the rest.
func groupingOf(ref *profile.Bins) *grouping {
	g := &grouping{of: make([]int, len(ref.Counts))}
	if ref.Kind == profile.Categorical {
		named := min(len(ref.Categories), groups-1)
		for i := range g.of {
			g.of[i] = min(i, named)
		}
		for i := range named {
			g.names = append(g.names, strconv.Itoa(i))
		}
		g.names = append(g.names, Other)
	} else {
		var total, before uint64
		for _, n := range ref.Counts {
			total += n
		}
		group, last := 0, -1
		for i, n := range ref.Counts {
			// The group of the middle of the bin's rows: a heavy bin does not
			// leave groups without any.
			if at := int((before + n/2) * groups / max(total, 1)); at != last {
				if last >= 0 {
					group++
				}
				last = at
			}
			g.of[i] = group
			before += n
		}
		for i := range group + 1 {
			g.names = append(g.names, strconv.Itoa(i))
		}
	}
	g.last = len(g.names) - 1
	g.null = len(g.names)
	g.names = append(g.names, Null)
	return g
}

// counts adds up what was counted, by group, into dst.
func (g *grouping) counts(dst []uint64, b *profile.Bins) []uint64 {
	dst = append(dst[:0], make([]uint64, len(g.names))...)
	for i, n := range b.Counts {
		if i < len(g.of) {
			dst[g.of[i]] += n
		} else {
			dst[g.last] += n
		}
	}
	dst[g.null] += b.Nulls + b.NonFinite
	return dst
}

// PSI returns the population stability index of each feature of observed, which
// has the layout of ref, over the bins that are shown, by drift.PSI: what a
// system that adds up feature_observations_total over replicas must come to
// (package monitor/grafana writes the rules). Merge the counts of the replicas
// first. A feature of which there is no row is not in it. It returns ErrInvalid
// when the two have different features.
func PSI(ref, observed *profile.Reference) (map[string]float64, error) {
	if ref == nil || observed == nil || len(ref.Features) != len(observed.Features) {
		return nil, fmt.Errorf("metrics: psi: the counts are not of this reference: %w", ErrInvalid)
	}
	out := map[string]float64{}
	for i, f := range ref.Features {
		o := observed.Features[i]
		if f.Bins == nil || o.Bins == nil || !f.Bins.SameLayout(o.Bins) {
			return nil, fmt.Errorf("metrics: psi: feature %q is counted in other bins: %w", f.Name, ErrInvalid)
		}
		g := groupingOf(f.Bins)
		if r, err := drift.PSI(g.counts(nil, f.Bins), g.counts(nil, o.Bins)); err == nil {
			out[f.Name] = r.Score
		}
	}
	return out, nil
}
