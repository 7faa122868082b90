package drift_test

import (
	"fmt"

	"github.com/millwright-ml/millwright/monitor/drift"
)

// The same shares on a small and on a large window: the score alone cannot tell
// a change from chance.
func Example() {
	reference := []uint64{2500, 2500, 2500, 2500}
	for _, window := range [][]uint64{
		{9, 5, 7, 4},
		{900, 500, 700, 400},
	} {
		r, err := drift.PSI(reference, window)
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Printf("psi %.3f, by chance alone %.3f, p-value %.2g\n", r.Score, r.NoiseFloor, r.PValue)
	}
	// Output:
	// psi 0.095, by chance alone 0.120, p-value 0.5
	// psi 0.095, by chance alone 0.002, p-value 7.2e-41
}

// Of four features at the level 0.05, two are below it by themselves; one of
// them is still there when the number of looks is taken into account.
func ExampleBenjaminiHochberg() {
	for _, p := range drift.BenjaminiHochberg([]float64{0.04, 0.001, 0.3, 0.7}) {
		fmt.Printf("%.3f\n", p)
	}
	// Output:
	// 0.080
	// 0.004
	// 0.400
	// 0.700
}
