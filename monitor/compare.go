package monitor

import (
	"cmp"
	"math"
	"slices"

	"github.com/millwright-ml/millwright/dataset/profile"
	"github.com/millwright-ml/millwright/internal/errs"
	"github.com/millwright-ml/millwright/monitor/drift"
)

// The methods of comparison, as reports and metrics name them.
const (
	wasserstein   = "wasserstein"
	jensenShannon = "jensen-shannon"
)

// saturated is the share of rows outside the reference's range from which on
// its bins no longer say how far away they are.
const saturated = 0.01

// Compare decides by the policy whether cur, counted over the layout of ref
// (profile.Reference.Empty), differs from it. It is the function that a
// Monitor closes each window with, for tests, promotion gates and profiles
// from elsewhere. It changes nothing; a nil policy has all defaults. It
// returns ErrInvalid with every fault when the two do not belong together.
//
// The decision needs both a p-value, corrected for the number of features, and
// an effect: the first alone alarms on every large window, the second on every
// small one.
func Compare(ref, cur *profile.Reference, p *Policy) (Report, error) {
	var policy Policy
	if p != nil {
		policy = *p
	}
	var f errs.Faults
	policy = policy.withDefaults(&f)
	if err := f.Err("monitor: compare"); err != nil {
		return Report{}, err
	}
	if err := checkReference(ref); err != nil {
		return Report{}, err
	}
	checkPair(&f, ref, cur)
	if err := f.Err("monitor: compare"); err != nil {
		return Report{}, err
	}
	r := compare(ref, cur, &policy, policy.Alpha, (*design)(nil).effects(ref, &policy, policy.Alpha))
	r.explain(ref, cur, &policy)
	r.Labels = (&performance{rows: r.Rows}).report()
	r.Estimated = estimated(ref, cur.Score, 0.5)
	r.Key = key(&r, cur)
	return r, nil
}

// compare is Compare for a pair that fits and a policy with its defaults, at a
// level of significance and with the design effects of the features and the
// score.
func compare(ref, cur *profile.Reference, p *Policy, alpha float64, effects []float64) Report {
	r := Report{Rows: cur.Rows, Verdict: OK, Alpha: alpha, Features: make([]FeatureReport, len(ref.Features))}
	pvalues := make([]float64, len(ref.Features))
	for i, feature := range ref.Features {
		r.Features[i], pvalues[i] = measure(feature.Name, feature.Bins, cur.Features[i].Bins, p, effects[i])
	}
	decide := cur.Rows >= uint64(p.MinRows)
	if !decide {
		r.Verdict = Insufficient
	}
	for i, adjusted := range drift.BenjaminiHochberg(pvalues) {
		feature := &r.Features[i]
		feature.decide(adjusted, alpha, decide)
		if decide {
			feature.applyRules(ref.Features[i].Bins, cur.Features[i].Bins, p)
		}
		if feature.Alarm() {
			r.Verdict = Drift
		}
	}
	slices.SortStableFunc(r.Features, worseFirst)
	if ref.Score != nil && cur.Score != nil {
		score, pvalue := measure("score", ref.Score, cur.Score, p, effects[len(effects)-1])
		score.decide(pvalue, alpha, decide)
		if decide {
			score.applyRules(ref.Score, cur.Score, p)
		}
		r.Score = &score
	}
	return r
}

func worseFirst(a, b FeatureReport) int {
	if a.Alarm() != b.Alarm() {
		if a.Alarm() {
			return -1
		}
		return 1
	}
	return cmp.Compare(b.Severity, a.Severity)
}

// measure fills in what is known of one feature by itself. The p-value is NaN
// when one side has no values: such a feature is not a test, and does not make
// the correction of the others stricter.
func measure(name string, ref, cur *profile.Bins, p *Policy, effect float64) (FeatureReport, float64) {
	f := FeatureReport{Name: name, Kind: ref.Kind, PValue: 1, Adjusted: 1, DesignEffect: effect}
	rows := float64(max(cur.Rows(), 1))
	f.Nulls = float64(cur.Nulls) / rows
	f.NonFinite = float64(cur.NonFinite) / rows
	f.OutOfRange = float64(cur.Below+cur.Above) / rows
	var res drift.Result
	var err error
	if ref.Kind == profile.Categorical {
		f.Method, f.Floor = jensenShannon, max(p.Categorical, 0)
		f.Unseen = float64(cur.Counts[len(cur.Counts)-1]) / rows
		res, err = shareDistance(ref.Counts, cur.Counts, effect)
	} else {
		f.Method, f.Floor = wasserstein, max(p.Numeric, 0)
		f.RefMean, f.Mean = finite(ref.Mean()), finite(cur.Mean())
		f.Variance = finite(cur.Variance())
		res, err = distance(ref, cur, effect)
	}
	if err != nil { // No value on one side: the rule for nulls has the say.
		return f, math.NaN()
	}
	f.Score, f.NoiseFloor, f.PValue = finite(res.Score), finite(res.NoiseFloor), res.PValue
	// Chance adds to a distance as the legs of a triangle do to its longest
	// side: the squares add up, and what is left of the square is not chance.
	switch {
	case math.IsInf(res.Score, 1):
		f.Effect = f.Score // Beyond the numbers: the p-value has the say.
	case f.Score > f.NoiseFloor:
		chance := f.NoiseFloor / f.Score
		f.Effect = f.Score * math.Sqrt(1-chance*chance)
	}
	switch {
	case f.Floor > 0:
		f.Severity = finite(f.Effect / f.Floor)
	case f.NoiseFloor > 0:
		f.Severity = finite(f.Score / f.NoiseFloor)
	}
	return f, f.PValue
}

// distance is the Wasserstein-1 distance of numbers in standard deviations of
// the reference, with the p-value of the Kolmogorov-Smirnov test.
func distance(ref, cur *profile.Bins, effect float64) (drift.Result, error) {
	scale := spread(ref)
	res, err := drift.Wasserstein(ref.Counts, cur.Counts, ref.Positions(), scale)
	if err != nil {
		return res, err
	}
	test, err := drift.KolmogorovSmirnov(ref.Counts, cur.Counts)
	if err != nil {
		return res, err
	}
	res.PValue = test.PValue
	if effect > 1 {
		res.PValue = drift.KolmogorovTail(test.Score * math.Sqrt(pairs(sum(ref.Counts), sum(cur.Counts))/effect))
		res.NoiseFloor *= math.Sqrt(effect)
	}
	// Bins place what lies outside the reference's range at its ends. The
	// difference of the means is a lower bound of the true distance and knows
	// no ends; but a single absurd value moves it, so it has a say only when
	// enough rows are outside for the bins to mislead.
	if outside := cur.Below + cur.Above; float64(outside) > saturated*float64(cur.Rows()) {
		// Sums of huge numbers of both signs may come to NaN, which says nothing.
		if far := math.Abs(cur.Mean()-ref.Mean()) / scale; far > res.Score {
			res.Score = far
		}
	}
	return res, nil
}

// shareDistance is the Jensen-Shannon distance of shares, with the p-value of
// its chi-square law.
func shareDistance(ref, cur []uint64, effect float64) (drift.Result, error) {
	res, err := drift.JensenShannon(ref, cur)
	if err != nil || effect <= 1 {
		return res, err
	}
	df := -1
	for i := range ref {
		if ref[i]+cur[i] > 0 {
			df++
		}
	}
	res.PValue = drift.ChiSquareTail(8*math.Ln2*pairs(sum(ref), sum(cur))/effect*res.Score*res.Score, df)
	res.NoiseFloor *= math.Sqrt(effect)
	return res, nil
}

// pairs is the effective size of two samples of n and m rows.
func pairs(n, m float64) float64 { return n / (n + m) * m }

func sum(counts []uint64) float64 {
	n := 0.0
	for _, c := range counts {
		n += float64(c)
	}
	return n
}

// spread is the unit that distances are measured in: the standard deviation of
// the reference or, for a constant, a thousandth of it.
func spread(ref *profile.Bins) float64 {
	sd := math.Sqrt(ref.Variance())
	if sd > 0 && !math.IsInf(sd, 0) {
		return sd
	}
	if width := ref.High/4 - ref.Low/4; sd != 0 && width > 0 {
		return width // The squares overflowed.
	}
	return 1e-3 * max(math.Abs(finite(ref.Mean())), 1)
}

// decide applies the level of significance and the floor to the measures.
func (f *FeatureReport) decide(adjusted, alpha float64, enough bool) {
	if adjusted == adjusted {
		f.Adjusted = adjusted
	}
	f.Drifted = enough && f.Adjusted <= alpha && f.Effect > 0 && f.Effect >= f.Floor
}
