package drift

import (
	"fmt"
	"math"
)

// Method names a measure of two counts, for settings and for labels.
type Method string

// The measures by name.
const (
	MethodPSI               Method = "psi"
	MethodKL                Method = "kl"
	MethodJensenShannon     Method = "jensen_shannon"
	MethodHellinger         Method = "hellinger"
	MethodTotalVariation    Method = "total_variation"
	MethodLInf              Method = "l_infinity"
	MethodChiSquare         Method = "chi_square"
	MethodG                 Method = "g"
	MethodKolmogorovSmirnov Method = "kolmogorov_smirnov"
	MethodCramerVonMises    Method = "cramer_von_mises"
	MethodAndersonDarling   Method = "anderson_darling"
	MethodMannWhitney       Method = "mann_whitney"
	MethodWasserstein       Method = "wasserstein"
	MethodEnergy            Method = "energy"
)

// method is what is known of one.
type method struct {
	name Method
	// measure is nil for those that need positions.
	measure func(ref, cur []uint64) (Result, error)
	placed  func(ref, cur []uint64, positions []float64, scale float64) (Result, error)
	ordered bool
	// warn and alarm are effects that matter in practice.
	warn, alarm float64
}

func methods() []method {
	return []method{
		{name: MethodPSI, measure: PSI, warn: 0.1, alarm: 0.25},                                           // Siddiqi 2006.
		{name: MethodKL, measure: KL, warn: 0.05, alarm: 0.125},                                           // Half of PSI, as it is for small changes.
		{name: MethodJensenShannon, measure: JensenShannon, warn: 0.1, alarm: 0.2},                        // Evidently, NannyML.
		{name: MethodHellinger, measure: Hellinger, warn: 0.1, alarm: 0.2},                                // Evidently.
		{name: MethodTotalVariation, measure: TotalVariation, warn: 0.1, alarm: 0.2},                      // One row in ten has moved.
		{name: MethodLInf, measure: LInf, warn: 0.1, alarm: 0.3},                                          // TFDV's and Vertex's range.
		{name: MethodChiSquare, measure: ChiSquare, warn: 0.3, alarm: 0.5},                                // Cohen 1988: medium, large.
		{name: MethodG, measure: G, warn: 0.3, alarm: 0.5},                                                // The same.
		{name: MethodKolmogorovSmirnov, measure: KolmogorovSmirnov, ordered: true, warn: 0.1, alarm: 0.2}, // A quarter and half of a standard deviation.
		{name: MethodCramerVonMises, measure: CramerVonMises, ordered: true, warn: 0.07, alarm: 0.14},     // The same.
		{name: MethodAndersonDarling, measure: AndersonDarling, ordered: true, warn: 0.17, alarm: 0.34},   // The same.
		{name: MethodMannWhitney, measure: MannWhitney, ordered: true, warn: 0.147, alarm: 0.33},          // Romano et al. 2006: small, medium.
		{name: MethodWasserstein, placed: Wasserstein, ordered: true, warn: 0.1, alarm: 0.25},             // Evidently, in standard deviations.
		{name: MethodEnergy, placed: Energy, ordered: true, warn: 0.1, alarm: 0.25},                       // An eighth and a third of one.
	}
}

func (m Method) find() (method, bool) {
	for _, v := range methods() {
		if v.name == m {
			return v, true
		}
	}
	return method{}, false
}

// Methods are the names of all measures.
func Methods() []Method {
	var out []Method
	for _, v := range methods() {
		out = append(out, v.name)
	}
	return out
}

// Known says whether the name is one of Methods.
func (m Method) Known() bool {
	_, ok := m.find()
	return ok
}

// Ordered says whether the measure needs bins in an order, and so is nothing
// for categories.
func (m Method) Ordered() bool {
	v, _ := m.find()
	return v.ordered
}

// Measure calls the function of that name. positions and scale are those of
// Wasserstein and Energy; the others do not read them. An unknown name is
// ErrInvalid.
func (m Method) Measure(ref, cur []uint64, positions []float64, scale float64) (Result, error) {
	v, ok := m.find()
	switch {
	case !ok:
		return Result{}, fmt.Errorf("drift: measure %q: no such measure: %w", string(m), ErrInvalid)
	case v.placed != nil:
		return v.placed(ref, cur, positions, scale)
	}
	return v.measure(ref, cur)
}

// Floors are the effects from which a change is worth a warning and an alarm in
// practice, to hold against Result.Effect. They are usual limits, no law: what
// a change costs depends on the model. They are NaN for an unknown name.
func (m Method) Floors() (warn, alarm float64) {
	if v, ok := m.find(); ok {
		return v.warn, v.alarm
	}
	return math.NaN(), math.NaN()
}

// law is the score under chance as a power of a law: the score is (x/size)^power
// for x of the law with a tail and a mean.
type law struct {
	size, power, floor float64
	critical           func(alpha float64) float64
}

func (m Method) law(bins int, rows, window float64) (law, bool) {
	k := rows / (rows + window) * window
	if bins < 1 || !(k > 0) || math.IsInf(k, 1) {
		return law{}, false
	}
	df := bins - 1
	chi := func(alpha float64) float64 { return ChiSquareCritical(alpha, df) }
	share := 1 / float64(bins)
	gap := math.Sqrt(share * (1 - share) / k) // The standard deviation of one bin's gap.
	switch m {
	case MethodPSI:
		return law{k, 1, float64(df) / k, chi}, true
	case MethodKL:
		return law{2 * k, 1, float64(df) / (2 * k), chi}, true
	case MethodJensenShannon:
		return law{8 * math.Ln2 * k, 0.5, chiMean(df) / math.Sqrt(8*math.Ln2*k), chi}, true
	case MethodHellinger:
		return law{8 * k, 0.5, chiMean(df) / math.Sqrt(8*k), chi}, true
	case MethodTotalVariation:
		return law{floor: float64(bins) / 2 * gap * normalMean}, true
	case MethodLInf:
		each := share // Bonferroni's bound over the bins.
		if bins == 2 {
			each = 1
		}
		return law{1 / gap, 1, gap * normalMean, func(alpha float64) float64 { return NormalCritical(alpha * each) }}, true
	case MethodChiSquare, MethodG:
		return law{1, 1, float64(df), chi}, true
	case MethodKolmogorovSmirnov:
		return law{math.Sqrt(k), 1, min(kolmogorovMean/math.Sqrt(k), 1), KolmogorovCritical}, true
	case MethodCramerVonMises:
		return law{1, 1, (1 + 1/(rows+window)) / 6, CramerVonMisesCritical}, true
	case MethodAndersonDarling:
		spread := math.Sqrt(2 * (math.Pi*math.Pi/3 - 3))
		return law{1, 1, 0, func(alpha float64) float64 { return (AndersonDarlingCritical(alpha, 2) - 1) / spread }}, true
	case MethodMannWhitney:
		size := math.Sqrt(3 * k / (1 + 1/(rows+window)))
		return law{size, 1, normalMean / size, NormalCritical}, true
	}
	return law{}, false
}

// NoiseFloor is the score to expect, on average, when nothing has changed: of
// bins that share the rows evenly, with so many rows in the reference and in
// the window. It is NaN for Wasserstein and Energy, whose floor depends on the
// positions, and where there is nothing to compare.
func (m Method) NoiseFloor(bins int, rows, window float64) float64 {
	l, ok := m.law(bins, rows, window)
	if !ok {
		return math.NaN()
	}
	return l.floor
}

// Critical is the least score that is significant at the level alpha, with so
// many bins and rows. It is NaN for the measures without a closed law
// (TotalVariation, Wasserstein, Energy) and where there is nothing to compare.
func (m Method) Critical(alpha float64, bins int, rows, window float64) float64 {
	l, ok := m.law(bins, rows, window)
	if !ok || l.critical == nil {
		return math.NaN()
	}
	return math.Pow(l.critical(alpha)/l.size, l.power)
}

// Window is the least number of rows of a window in which an effect is as high
// as what alpha calls significant, so that about every second such change is
// found; twice as many find nearly all. It is infinite when no window is large
// enough for the reference, and NaN for the measures without a closed law.
func (m Method) Window(effect, alpha float64, bins int, rows float64) float64 {
	if !(effect > 0) || !(rows > 0) {
		return math.NaN()
	}
	var k float64
	l, ok := m.law(bins, 2, 2) // With k of 1.
	switch {
	case !ok || l.critical == nil:
		return math.NaN()
	case m == MethodChiSquare || m == MethodG || m == MethodCramerVonMises:
		k = l.critical(alpha) / (effect * effect)
	case m == MethodAndersonDarling:
		k = AndersonDarlingCritical(alpha, 2) / (effect * effect)
	case m == MethodMannWhitney:
		k = math.Pow(l.critical(alpha)/effect, 2) / 3
	case m == MethodPSI, m == MethodKL:
		k = l.critical(alpha) / l.size / effect
	default:
		k = math.Pow(l.critical(alpha)/l.size/effect, 2)
	}
	if k >= rows {
		return math.Inf(1)
	}
	return k * rows / (rows - k)
}
