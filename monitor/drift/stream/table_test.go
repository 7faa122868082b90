//go:build !race

// The race detector makes simulations tenfold slower, and learns nothing from
// them: nothing here runs at once.

package stream_test

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/monitor/drift/stream"
)

// TestDelayTable is the table of docs/drift.md: false alarms in 100,000 error
// bits of a stable series, and how late a change of the error rate is found.
// Show it with -v.
func TestDelayTable(t *testing.T) {
	t.Parallel()
	const stable, runs, before, after = 100_000, 30, 2000, 4000
	r := rand.New(rand.NewPCG(51, 0))
	bit := func(rate float64) float64 {
		if r.Float64() < rate {
			return 1
		}
		return 0
	}
	detectors := every(t)
	detectors["cusum"] = made[*stream.CUSUM](t)(stream.NewCUSUM(nil))
	for _, name := range []string{"adwin", "page_hinkley", "cusum", "kswin default", "ddm", "eddm", "hddm_a", "hddm_w"} {
		d := detectors[name]
		alarms := 0
		for range stable {
			if d.Update(bit(0.1)) == stream.Drift {
				alarms++
			}
		}
		found, delay := 0, 0
		for range runs {
			d.Reset()
			for range before {
				d.Update(bit(0.1))
			}
			for i := range after {
				if d.Update(bit(0.2)) == stream.Drift {
					found++
					delay += i + 1
					break
				}
			}
		}
		t.Logf("%-14s false alarms %4d, found %2d of %d, after %d", name, alarms, found, runs, delay/max(found, 1))
		if name == "hddm_a" || name == "adwin" {
			require.LessOrEqual(t, alarms, 5, name)
			require.GreaterOrEqual(t, found, runs-1, name)
		}
	}
}
