package train

import (
	"slices"
	"strings"
)

// rank orders the causes: what stops the job for good and can be mended by the
// user comes before what time mends, and a specific cause before a general one.
// A quota, say, is also seen as a queue that does not move.
var causeRank = rankOf(
	CauseCancelled, CauseDeadline, CauseOOM, CauseUser,
	CauseForbidden, CauseRefused, CauseQueueMissing, CauseConfig, CauseImagePull,
	CauseNodeLost, CausePreempted, CauseEvicted, CauseKilled,
	CauseSuspended, CauseQuota, CauseGang, CauseUnschedulable, CauseController, CauseQueued, CauseStarting,
)

func rankOf(causes ...Cause) map[Cause]int {
	m := make(map[Cause]int, len(causes))
	for i, c := range causes {
		m[c] = i
	}
	return m
}

// NewWhy makes one answer of findings: sorted by how likely their kind is the
// cause, then newest first, without repeats; the first one's text is the answer.
func NewWhy(findings ...Finding) Why {
	sorted := slices.Clone(findings)
	slices.SortStableFunc(sorted, func(a, b Finding) int {
		if c := a.rank() - b.rank(); c != 0 {
			return c
		}
		return b.Since.Compare(a.Since)
	})
	w := Why{}
	for _, f := range sorted {
		same := func(g Finding) bool { return g.Kind == f.Kind && g.Text == f.Text && g.Object == f.Object }
		if f.Text != "" && !slices.ContainsFunc(w.Findings, same) {
			w.Findings = append(w.Findings, f)
		}
	}
	if len(w.Findings) > 0 {
		w.Text = sentence(w.Findings[0].Text)
	}
	return w
}

func (f Finding) rank() int {
	if r, ok := causeRank[f.Kind]; ok {
		return r
	}
	return len(causeRank)
}

func sentence(text string) string {
	if text = strings.TrimSpace(text); text == "" || strings.HasSuffix(text, ".") {
		return text
	}
	return text + "."
}
