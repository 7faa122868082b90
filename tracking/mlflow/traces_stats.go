package mlflow

import (
	"math"

	"github.com/millwright-ml/millwright/internal/mlflowapi"
	"github.com/millwright-ml/millwright/tracking"
)

// maxCounted bounds the traces that a statistic is computed of.
const maxCounted = 200_000

// countTraces returns how many traces a filter selects.
func (h *Handler) countTraces(c *call, experiments []tracking.ExperimentID, filter string) (int, error) {
	q := tracking.TraceQuery{Experiments: experiments, Filter: filter, Page: tracking.Page{Max: maxTraces}}
	n := 0
	for {
		page, next, err := h.traces.SearchTraces(c.Ctx(), q)
		if err != nil {
			return 0, err
		}
		if n += len(page); next == "" {
			return n, nil
		}
		if n > maxCounted {
			return 0, mlflowapi.Errorf(mlflowapi.CodeInvalid, "More than %d traces match: use a base_filter, for instance on the time.", maxCounted)
		}
		q.Page.Token = next
	}
}

// correlateFilters tells how often two filters select the same traces, as
// normalised pointwise mutual information.
func (h *Handler) correlateFilters(c *call, m *mlflowapi.CalculateTraceFilterCorrelation) (any, error) {
	if h.traces == nil {
		return nil, unsupported("traces")
	}
	ids, err := experimentIDs(m.ExperimentIDs)
	if err != nil {
		return nil, err
	}
	if ids, err = c.readable(ids); err != nil {
		return nil, err
	}
	and := func(a, b string) string {
		if a == "" {
			return b
		}
		return a + " AND " + b
	}
	first, second := and(m.BaseFilter, m.FilterString1), and(m.BaseFilter, m.FilterString2)
	var counts [4]int
	for i, filter := range [...]string{m.BaseFilter, first, second, and(first, m.FilterString2)} {
		if counts[i], err = h.countTraces(c, ids, filter); err != nil {
			return nil, err
		}
	}
	all, n1, n2, both := counts[0], counts[1], counts[2], counts[3]
	out := &mlflowapi.CalculateTraceFilterCorrelationResponse{
		NPMI: math.NaN(), NPMISmoothed: math.NaN(),
		TotalCount: int32(all), Filter1Count: int32(n1), Filter2Count: int32(n2), JointCount: int32(both), //nolint:gosec // at most maxCounted
	}
	if n1 > 0 && n2 > 0 && all >= n1+n2-both {
		out.NPMI = -1
		if both > 0 {
			out.NPMI = npmi(all, n1, n2, both, 0)
		}
		out.NPMISmoothed = npmi(all, n1, n2, both, 0.5) // Jeffreys' prior
	}
	return out, nil
}

// npmi computes the measure with each of the four cells of the table larger by
// smoothing.
func npmi(all, n1, n2, both int, smoothing float64) float64 {
	if n1 == both && n2 == both && all == both {
		return 1
	}
	joint := float64(both) + smoothing
	a, b := float64(n1)+2*smoothing, float64(n2)+2*smoothing
	total := float64(all) + 4*smoothing
	v := (math.Log(joint) + math.Log(total) - math.Log(a) - math.Log(b)) / (math.Log(total) - math.Log(joint))
	return math.Max(-1, math.Min(1, v))
}
