package monitor

import (
	"math"
	"time"

	"github.com/millwright-ml/millwright/internal/errs"
)

// Policy decides. A feature drifts in a window when the difference from the
// reference is significant after correction for the number of features, and
// its effect, which is the difference less what chance alone makes of it
// between samples of these sizes, reaches the floor. The shares and volumes are
// limits instead: rates that need no distribution, only allowance for the noise
// of counting, and spend none of the budget of false alarms.
type Policy struct {
	// FalseAlarms is a budget: how many windows in the time Per may show a
	// drift where there is none. Each window spends of it in proportion to the
	// time that it covers, so that the length of the windows does not matter;
	// with Spans, each length has an equal share. It replaces Alpha, where the
	// time is known: not in Compare. Default 0: Alpha counts.
	FalseAlarms float64
	// Per is the time that FalseAlarms is for. Default 30 days (720h).
	Per time.Duration
	// Alpha is the level of significance for the whole window: the share of
	// drift alarms that are false (Benjamini-Hochberg), which on clean data is
	// the share of windows with any. Above 0 and below 1. Default 0.001.
	Alpha float64
	// K of the last N windows of one length must show a drift before the state
	// is StateDrift and a trigger opens. It spends none of the budget, which
	// holds for single windows. Default 1 of 1.
	K, N int
	// Leave is how far the effects must have gone back before StateDrift ends,
	// as a part of their floors, in N windows one after the other. Above 0 and
	// at most 1. Default 0.8.
	Leave float64
	// Cooldown is how long after a trigger no other one opens. Default 0.
	Cooldown time.Duration
	// DesignEffect is how many rows of the traffic say as much as one row drawn
	// at random: 1 where rows are independent, more where neighbours resemble
	// each other. Default 0: it is estimated for each feature, from the chunks
	// of the reference and, from sixteen windows on, from how these vary.
	DesignEffect float64
	// MinRows is the least number of rows in a window to decide on; with
	// fewer the verdict is Insufficient. Default 500.
	MinRows int
	// Numeric is the effect floor for numbers, as Wasserstein-1 distance in
	// standard deviations of the reference. Default 0.1; -1 is no floor.
	Numeric float64
	// Categorical is the effect floor for categories, as Jensen-Shannon
	// distance in base 2, from 0 to 1. Default 0.1; -1 is no floor.
	Categorical float64
	// NullShare is how much the share of missing values may rise above the
	// reference's, as a part of all rows. Default 0.01; -1 is off.
	NullShare float64
	// NonFiniteShare is the same for infinite values. Default 0.01; -1 is off.
	NonFiniteShare float64
	// OutOfRangeShare is the share of rows that may lie above the largest or
	// below the smallest value of the reference, each side by itself.
	// Default 0.01; -1 is off.
	OutOfRangeShare float64
	// UnseenShare is how much the share of categories that the reference does
	// not name may rise. Default 0.01; -1 is off.
	UnseenShare float64
	// MinVolume and MaxVolume are the least and the most rows that a window
	// should have. Default 0: no limit.
	MinVolume, MaxVolume uint64
	// MaxSilence is how long before the end of a window its last row may have
	// come. Default 0: no limit.
	MaxSilence time.Duration
	// SchemaShare is the share of rows that may not fit the reference: of a
	// wrong length, or with values absent, mistyped or unknown, each counted
	// by itself. Default 0.01; -1 is off.
	SchemaShare float64
}

func (p Policy) withDefaults(f *errs.Faults) Policy {
	f.Check(p.Alpha >= 0 && p.Alpha < 1, "Policy.Alpha is %v, want above 0 and below 1", p.Alpha)
	f.Check(p.MinRows >= 0, "Policy.MinRows is %d, want 0 or more", p.MinRows)
	f.Check(p.FalseAlarms >= 0 && !math.IsInf(p.FalseAlarms, 0), "Policy.FalseAlarms is %v, want 0 or more", p.FalseAlarms)
	f.Check(p.FalseAlarms == 0 || p.Alpha == 0, "Policy has FalseAlarms and Alpha, want one of the two")
	f.Check(p.Per >= 0, "Policy.Per is %s, want 0 or more", p.Per)
	f.Check(p.Cooldown >= 0, "Policy.Cooldown is %s, want 0 or more", p.Cooldown)
	f.Check(p.MaxSilence >= 0, "Policy.MaxSilence is %s, want 0 or more", p.MaxSilence)
	f.Check(p.MaxVolume == 0 || p.MinVolume <= p.MaxVolume, "Policy.MinVolume is %d, above MaxVolume", p.MinVolume)
	f.Check(p.K >= 0 && p.N >= 0 && p.N <= maxHits && p.K <= max(p.N, 1), "Policy.K of N is %d of %d, want at most N, and N at most %d", p.K, p.N, maxHits)
	f.Check(p.Leave >= 0 && p.Leave <= 1, "Policy.Leave is %v, want above 0 and at most 1", p.Leave)
	f.Check(p.DesignEffect == 0 || p.DesignEffect >= 1 && !math.IsInf(p.DesignEffect, 0), "Policy.DesignEffect is %v, want 1 or more", p.DesignEffect)
	p.K, p.N = max(p.K, 1), max(p.N, p.K, 1)
	if p.Per == 0 {
		p.Per = 30 * 24 * time.Hour
	}
	if p.Leave == 0 {
		p.Leave = 0.8
	}
	if p.Alpha == 0 {
		p.Alpha = 1e-3
	}
	if p.MinRows == 0 {
		p.MinRows = 500
	}
	for _, l := range []struct {
		name     string
		v        *float64
		standard float64
	}{
		{"Numeric", &p.Numeric, 0.1},
		{"Categorical", &p.Categorical, 0.1},
		{"NullShare", &p.NullShare, 0.01},
		{"NonFiniteShare", &p.NonFiniteShare, 0.01},
		{"OutOfRangeShare", &p.OutOfRangeShare, 0.01},
		{"UnseenShare", &p.UnseenShare, 0.01},
		{"SchemaShare", &p.SchemaShare, 0.01},
	} {
		ok := *l.v == off || *l.v >= 0 && !math.IsInf(*l.v, 0)
		f.Check(ok, "Policy.%s is %v, want 0 or more, or -1 for off", l.name, *l.v)
		if *l.v == 0 {
			*l.v = l.standard
		}
	}
	return p
}

// maxHits bounds N of K of N.
const maxHits = 64

// maxAlpha is the most that a window of any length may spend: half a year in
// one window is still a test.
const maxAlpha = 0.05

// alpha is the level of significance of a window that covers so much time,
// where windows of so many lengths are decided on.
func (p *Policy) alpha(d time.Duration, lengths int) float64 {
	if p.FalseAlarms == 0 {
		return p.Alpha
	}
	return min(p.FalseAlarms*float64(d)/float64(p.Per)/float64(lengths), maxAlpha)
}
