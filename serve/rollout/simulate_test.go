package rollout_test

import (
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/serve/rollout"
)

// runs is how often each row of TestFigures is simulated: 600 for the figures in
// the documentation.
var runs = flag.Int("runs", 12, "simulated experiments a row")

type draw = func(r *rand.Rand, step int) rollout.Request

// fails draws requests that fail at a rate.
func fails(rate float64) draw {
	return func(r *rand.Rand, _ int) rollout.Request { return rollout.Request{Failed: r.Float64() < rate} }
}

// waves draws requests whose rate of failure rises and falls, by extra above it.
func waves(extra float64) draw {
	return func(r *rand.Rand, step int) rollout.Request {
		rate := 0.03 + 0.03*math.Sin(float64(step)/20) + extra
		return rollout.Request{Failed: r.Float64() < rate}
	}
}

// slow draws log-normal durations around a median.
func slow(median time.Duration) draw {
	return func(r *rand.Rand, _ int) rollout.Request {
		return rollout.Request{Duration: time.Duration(float64(median) * math.Exp(0.5*r.NormFloat64()))}
	}
}

// scores draws figures around a mean.
func scores(mean float64) draw {
	return func(r *rand.Rand, _ int) rollout.Request {
		return rollout.Request{Figure: mean + 0.2*(r.Float64()-0.5)}
	}
}

// drifting draws figures whose mean moves by 0.1 while the ramp goes up.
func drifting(mean float64) draw {
	return func(r *rand.Rand, step int) rollout.Request {
		return rollout.Request{Figure: mean + 0.1*math.Sin(float64(step)/10) + 0.2*(r.Float64()-0.5)}
	}
}

// TestFigures simulates whole experiments: false alarms under a look after each
// hundred requests, and power. The first column is the documentation's.
func TestFigures(t *testing.T) {
	t.Parallel()
	ramp := []rollout.Step{{Share: 0.1}, {Share: 0.4}, {Share: 1}}
	errors := rollout.Guard{Metric: rollout.Errors, Margin: 0.01}
	latency := rollout.Guard{Metric: rollout.Latency, Quantile: 0.95, Margin: 0.2}
	score := rollout.Guard{Metric: rollout.Label, Margin: 0.05}
	for _, tc := range []struct {
		name       string
		guard      rollout.Guard
		ramp       []rollout.Step
		a, b       draw
		promoted   [2]float64 // At least, at most.
		rolledBack [2]float64
		delay      int
	}{
		{"errors 1 % and 1 %, margin 1 %", errors, ramp, fails(0.01), fails(0.01), [2]float64{0.9, 1}, [2]float64{0, 0.13}, 0},
		{"errors 2 % and 3 %: on the margin", errors, ramp, fails(0.02), fails(0.03), [2]float64{0, 0.18}, [2]float64{0, 0.18}, 0},
		{"errors in waves, on the margin", errors, ramp, waves(0), waves(0.01), [2]float64{0, 0.18}, [2]float64{0, 0.18}, 0},
		{"errors 1 % and 4 %", errors, ramp, fails(0.01), fails(0.04), [2]float64{0, 0.18}, [2]float64{0.9, 1}, 0},
		{"errors 1 % and 10 %", errors, ramp, fails(0.01), fails(0.10), [2]float64{0, 0}, [2]float64{1, 1}, 0},
		{"errors 1 % and 100 %", errors, ramp, fails(0.01), fails(1), [2]float64{0, 0}, [2]float64{1, 1}, 0},
		{"p95 equal, margin 20 %", latency, ramp, slow(10 * time.Millisecond), slow(10 * time.Millisecond), [2]float64{0.9, 1}, [2]float64{0, 0.13}, 0},
		{"p95 20 % slower: on the margin", latency, ramp, slow(10 * time.Millisecond), slow(12 * time.Millisecond), [2]float64{0, 0.18}, [2]float64{0, 0.18}, 0},
		{"p95 50 % slower", latency, ramp, slow(10 * time.Millisecond), slow(15 * time.Millisecond), [2]float64{0, 0.18}, [2]float64{0.9, 1}, 0},
		{"score equal, margin 0.05", score, ramp, scores(0.7), scores(0.7), [2]float64{0.9, 1}, [2]float64{0, 0.13}, 0},
		{"score 0.05 lower: on the margin", score, ramp, scores(0.7), scores(0.65), [2]float64{0, 0.18}, [2]float64{0, 0.18}, 0},
		{"score 0.1 lower", score, ramp, scores(0.7), scores(0.6), [2]float64{0, 0.18}, [2]float64{0.9, 1}, 0},
		{"labels of half the requests, 2,000 requests late: equal, margin 0.05", score, ramp, drifting(0.7), drifting(0.7), [2]float64{0.9, 1}, [2]float64{0, 0.13}, 20},
		{"labels late and drifting: 0.05 lower, on the margin", score, ramp, drifting(0.7), drifting(0.65), [2]float64{0, 0.18}, [2]float64{0, 0.18}, 20},
		{"labels late and drifting: 0.15 lower", score, ramp, drifting(0.7), drifting(0.55), [2]float64{0, 0.18}, [2]float64{0.9, 1}, 20},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			e := experiment()
			e.Guards, e.Ramp, e.MaxDuration = []rollout.Guard{tc.guard}, tc.ramp, -1
			merges := 300
			if tc.guard.Metric == rollout.Label {
				merges = 60 + 3*tc.delay
			}
			labelled := 1.0
			if tc.delay > 0 {
				labelled = 0.5
			}
			out, err := rollout.Simulate(e, rollout.Scenario{
				Champion: tc.a, Challengers: []func(*rand.Rand, int) rollout.Request{tc.b}, Merges: merges, Runs: *runs,
				LabelDelay: tc.delay, Labelled: labelled,
			})
			require.NoError(t, err)
			q := out.Challengers[0]
			t.Logf("| %s | promoted %.3f | rolled back %.3f | after %d requests of the challenger |", tc.name, q.Promoted, q.RolledBack, q.Requests)
			within := func(share float64, limits [2]float64) {
				require.GreaterOrEqual(t, share, limits[0])
				require.LessOrEqual(t, share, limits[1])
			}
			within(q.Promoted, tc.promoted)
			within(q.RolledBack, tc.rolledBack)
		})
	}
}

// TestPeekingAtPValues is why: the usual test, looked at after each hundred
// requests, of two equal versions.
func TestPeekingAtPValues(t *testing.T) {
	t.Parallel()
	alarms, all := 0, max(400, *runs)
	for run := range all {
		r := rand.New(rand.NewPCG(1, uint64(run)))
		var n, a, b float64
		for range 300 {
			for range 50 {
				n++
				if r.Float64() < 0.05 {
					a++
				}
				if r.Float64() < 0.05 {
					b++
				}
			}
			p := (a + b) / (2 * n)
			if z := (b - a) / math.Sqrt(max(1e-9, 2*n*p*(1-p))); math.Abs(z) > 1.96 {
				alarms++
				break
			}
		}
	}
	share := float64(alarms) / float64(all)
	t.Logf("| p < 0.05 after each hundred requests | false alarms %.3f |", share)
	require.Greater(t, share, 0.25)
}

func TestSimulateSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	_, err := rollout.Simulate(experiment(), rollout.Scenario{Runs: -1})
	require.ErrorIs(t, err, rollout.ErrInvalid)
	for _, part := range []string{"a draw is nil", "0 challengers", "Runs"} {
		require.ErrorContains(t, err, part)
	}
	_, err = rollout.Simulate(rollout.Experiment{}, rollout.Scenario{})
	require.ErrorIs(t, err, rollout.ErrInvalid)
}

// How many requests does it take to find a version that fails twice as often?
func ExampleSimulate() {
	out, err := rollout.Simulate(rollout.Experiment{
		Name: "plan", Model: "churn", Champion: "1",
		Challengers: []rollout.Challenger{{Version: "2", Share: 0.5}},
		Guards:      []rollout.Guard{{Metric: rollout.Errors, Margin: 0.005}},
	}, rollout.Scenario{
		Champion:    fails(0.02),
		Challengers: []func(*rand.Rand, int) rollout.Request{fails(0.04)},
		Runs:        50,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	q := out.Challengers[0]
	fmt.Println("found:", q.RolledBack > 0.9, "within 5,000 requests of the challenger:", q.Requests < 5000)
	// Output:
	// found: true within 5,000 requests of the challenger: true
}
