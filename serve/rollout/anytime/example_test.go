package anytime_test

import (
	"fmt"
	"math"

	"github.com/millwright-ml/millwright/serve/rollout/anytime"
)

// A new version fails five times as often. The test is looked at after each
// batch of requests, and stops as soon as it is sure.
func ExampleRateTest() {
	test := anytime.RateTest{Margin: 0.01, Direction: anytime.Greater}
	for batch := 1; ; batch++ {
		test.Add(anytime.Counts{N: 95, K: 1}, anytime.Counts{N: 20, K: 1})
		if test.Rejects(0.01) {
			fmt.Printf("after %d batches: e-value above %.0f\n", batch, 1/0.01)
			break
		}
	}
	low, high := anytime.RateBounds(test.B, 0.05)
	fmt.Printf("the new version fails %.3f to %.3f of the time\n", low, high)
	// Output:
	// after 25 batches: e-value above 100
	// the new version fails 0.023 to 0.092 of the time
}

func ExampleMeansLogE() {
	var a, b anytime.Moments
	for i := range 400 {
		a.Add(0.70 + 0.1*math.Sin(float64(i)))
		b.Add(0.55 + 0.1*math.Cos(float64(i)))
	}
	e := math.Exp(anytime.MeansLogE(a, b, -0.05, anytime.Less))
	fmt.Println("b is more than 0.05 below a:", e > 20)
	low, high := anytime.MeanBounds(b, 0.05)
	fmt.Printf("the mean of b is within %.2f and %.2f\n", low, high)
	// Output:
	// b is more than 0.05 below a: true
	// the mean of b is within 0.52 and 0.58
}
