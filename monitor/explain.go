package monitor

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/millwright-ml/millwright/dataset/profile"
)

// How much of an explanation is given.
const (
	shownMoves  = 3
	shownCauses = 5
)

// explain adds to the features with an alarm which of their values moved, and
// to the report what the alarms come to in words.
func (r *Report) explain(ref, cur *profile.Reference, p *Policy) {
	place := make(map[string]int, len(ref.Features))
	for i, f := range ref.Features {
		place[f.Name] = i
	}
	for i := range r.Features {
		f := &r.Features[i]
		if !f.Alarm() {
			break // They are ranked.
		}
		at := place[f.Name]
		f.Moved = moves(ref.Features[at].Bins, cur.Features[at].Bins)
		if len(r.Causes) < shownCauses {
			r.Causes = append(r.Causes, f.cause())
		}
	}
	if s := r.Score; s != nil && s.Alarm() {
		s.Moved = moves(ref.Score, cur.Score)
		if r.Verdict == Drift && len(r.Causes) < shownCauses {
			r.Causes = append(r.Causes, "the predictions moved with it: "+s.cause())
		}
	}
}

// nameUnseen adds the unseen categories that the encoder met since the last
// report.
func (r *Report) nameUnseen(e *epoch) {
	place := make(map[string]int, e.width)
	for i, name := range e.encoder.names {
		place[name] = i
	}
	for i := range r.Features {
		f := &r.Features[i]
		if at, ok := place[f.Name]; ok && f.Categorical() {
			f.UnseenTop, f.UnseenDistinct = e.encoder.fresh[at].take()
		}
	}
}

// cause says in one sentence what happened to a feature.
func (f *FeatureReport) cause() string {
	text := strconv.Quote(f.Name)
	if len(f.Rules) > 0 {
		text += " " + strings.Join(f.Rules, ", ")
	}
	if f.Drifted {
		if len(f.Rules) > 0 {
			text += ", and"
		}
		text += fmt.Sprintf(" has moved by %.3f (%s, floor %.3f, chance %.3f, p %.2g)", f.Effect, f.Method, f.Floor, f.NoiseFloor, f.Adjusted)
		if !f.Categorical() && f.Mean != f.RefMean {
			text += fmt.Sprintf(", mean %s instead of %s", number(f.Mean), number(f.RefMean))
		}
	}
	if len(f.UnseenTop) > 0 && len(f.Rules) > 0 {
		text += fmt.Sprintf("; the reference does not name %q", f.UnseenTop)
	}
	if len(f.Moved) > 0 {
		m := f.Moved[0]
		text += fmt.Sprintf("; most of all %s: %s instead of %s", m.Values, percent(m.Share), percent(m.Reference))
	}
	return text
}

// moves returns the bins that take most part in the difference.
func moves(ref, cur *profile.Bins) []Move {
	n, m := sum(ref.Counts), sum(cur.Counts)
	if n == 0 || m == 0 {
		return nil
	}
	type part struct {
		bin  int
		size float64
	}
	parts := make([]part, 0, len(ref.Counts))
	for i := range ref.Counts {
		p, q := float64(ref.Counts[i])/n, float64(cur.Counts[i])/m
		if p != q {
			// By what each adds to Hellinger's distance, which is finite for
			// shares of zero.
			d := math.Sqrt(q) - math.Sqrt(p)
			parts = append(parts, part{i, d * d})
		}
	}
	slices.SortStableFunc(parts, func(a, b part) int { return cmp.Compare(b.size, a.size) })
	out := make([]Move, 0, shownMoves)
	for _, p := range parts[:min(len(parts), shownMoves)] {
		out = append(out, Move{
			Values:    binName(ref, p.bin),
			Reference: float64(ref.Counts[p.bin]) / n, Share: float64(cur.Counts[p.bin]) / m,
		})
	}
	return out
}

// binName says which values a bin holds.
func binName(b *profile.Bins, i int) string {
	switch {
	case b.Kind == profile.Categorical && i < len(b.Categories):
		return strconv.Quote(b.Categories[i])
	case b.Kind == profile.Categorical:
		return "other categories"
	case len(b.Edges) == 0:
		return "any number"
	case i == 0:
		return "below " + number(b.Edges[0])
	case i == len(b.Edges):
		return "from " + number(b.Edges[i-1])
	}
	return "[" + number(b.Edges[i-1]) + ", " + number(b.Edges[i]) + ")"
}
