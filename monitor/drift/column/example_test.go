package column_test

import (
	"fmt"

	"github.com/millwright-ml/millwright/monitor/drift"
	"github.com/millwright-ml/millwright/monitor/drift/column"
)

// Two columns of eight values, as tests of their order, of their distance, and
// of the counts in bins see them.
func Example() {
	reference := []float64{38.7, 41.5, 43.8, 44.5, 45.5, 46.0, 47.7, 58.0}
	window := []float64{39.2, 39.3, 39.7, 41.4, 41.8, 42.9, 43.3, 45.8}
	ks, err := column.KolmogorovSmirnov(reference, window)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("kolmogorov-smirnov %.3f, p-value %.3f\n", ks.Score, ks.PValue)

	w, err := column.Wasserstein(reference, window, column.StandardDeviation(reference))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("moved by %.2f standard deviations, by chance alone %.2f\n", w.Score, w.NoiseFloor)

	bins, err := column.Bin(reference, window, 4)
	if err != nil {
		fmt.Println(err)
		return
	}
	psi, err := drift.PSI(bins.Ref, bins.Cur)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("psi %.2f of %v and %v\n", psi.Score, bins.Ref, bins.Cur)
	// Output:
	// kolmogorov-smirnov 0.625, p-value 0.087
	// moved by 0.78 standard deviations, by chance alone 0.47
	// psi 1.24 of [2 2 2 2 0] and [7 0 1 0 0]
}
