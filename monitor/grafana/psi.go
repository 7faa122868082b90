package grafana

import (
	"fmt"
	"strings"

	"github.com/millwright-ml/millwright/monitor/metrics"
)

// The labels that a fleet's figures keep.
const (
	byBin     = "model, version, feature, bin"
	byFeature = "model, version, feature"
)

// step is one recording rule: a name and what it is.
type step struct{ name, expr string }

// psi returns the rules that make the population stability index of counts,
// each of which names those before it. It is drift.PSI: bins that are empty on
// both sides do not count, and where some bin is empty on one side half a row
// is added to each.
func psi(counts, suffix string) []step {
	n := func(s string) string { return metrics.Prefix + ":" + s + ":" + suffix }
	reference, rows, smoothing := metrics.Prefix+":feature_reference:rows", n("feature_bin_rows"), n("feature_smoothing")
	share, then := n("feature_share"), n("feature_reference_share")
	shareOf := func(c string) string {
		return fmt.Sprintf("(%[1]s + on (%[2]s) group_left () %[3]s)\n/ on (%[2]s) group_left ()\n(sum by (%[2]s) (%[1]s) + %[3]s * count by (%[2]s) (%[1]s))", c, byFeature, smoothing)
	}
	all := fmt.Sprintf("sum by (%s) (%s)", byBin, counts)
	return []step{
		{reference, fmt.Sprintf("max by (%s) (%s)\n* on (model, version) group_left ()\nmax by (model, version) (%s)", byBin, name(metrics.FeatureReferenceRatio), name(metrics.ReferenceRows))},
		{rows, fmt.Sprintf("%s\nand\n%s + %s > 0", all, all, reference)},
		{smoothing, fmt.Sprintf("0.5 * max by (%s) (%s * %s == bool 0)", byFeature, rows, reference)},
		{share, shareOf(rows)},
		{then, shareOf(fmt.Sprintf("(%s and %s)", reference, rows))},
		{n("feature_rows"), fmt.Sprintf("sum by (%s) (%s)", byFeature, rows)},
		{n("feature_psi"), fmt.Sprintf("sum by (%[1]s) ((%[2]s - %[3]s) * ln(%[2]s / %[3]s))\nand\n%[4]s > 0", byFeature, share, then, n("feature_rows"))},
		{n("feature_psi_noise"), fmt.Sprintf("(count by (%[1]s) (%[2]s) - 1)\n* (1 / (%[3]s > 0) + 1 / sum by (%[1]s) (%[4]s and %[2]s))", byFeature, rows, n("feature_rows"), reference)},
	}
}

// FleetPSI returns a query for the population stability index of each feature
// over all replicas, without recording rules: of the rows of the last range
// ("1h"), or since the version began for "".
func FleetPSI(span string) (string, error) {
	counts := name(metrics.FeatureObservations)
	if span != "" {
		if !rangeText.MatchString(span) {
			return "", fmt.Errorf("grafana: fleet psi: the range is %q, want a duration like 1h: %w", span, ErrInvalid)
		}
		counts = fmt.Sprintf("increase(%s[%s])", counts, span)
	}
	steps := psi(counts, "all")
	done := map[string]string{}
	for _, s := range steps {
		expr := s.expr
		for _, before := range steps {
			if inner, ok := done[before.name]; ok {
				expr = replaceName(expr, before.name, "("+inner+")")
			}
		}
		done[s.name] = expr
	}
	return strings.Join(strings.Fields(done[metrics.Prefix+":feature_psi:all"]), " "), nil
}

// replaceName replaces a recorded name, not those that begin with it.
func replaceName(expr, name, by string) string {
	var b strings.Builder
	for {
		at := strings.Index(expr, name)
		if at < 0 {
			b.WriteString(expr)
			return b.String()
		}
		end := at + len(name)
		b.WriteString(expr[:at])
		if end < len(expr) && (expr[end] == '_' || expr[end] == ':') {
			b.WriteString(name)
		} else {
			b.WriteString(by)
		}
		expr = expr[end:]
	}
}
