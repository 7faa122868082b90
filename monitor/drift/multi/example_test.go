package multi_test

import (
	"fmt"
	"math/rand/v2"

	"github.com/millwright-ml/millwright/monitor/drift/multi"
)

// Income and spending go together in the reference and against each other in
// the window; each by itself is as before.
func Example() {
	r := rand.New(rand.NewPCG(1, 0))
	rows := func(n int, sign float64) [][]float64 {
		out := make([][]float64, n)
		for i := range out {
			income := r.NormFloat64()
			out[i] = []float64{2000 + 400*income, 900 + sign*150*income + 50*r.NormFloat64()}
		}
		return out
	}
	pca, err := multi.FitPCA(rows(2000, 1), nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, sign := range []float64{1, -1} {
		var window multi.Errors
		for _, row := range rows(500, sign) {
			distance, err := pca.Distance(row, nil)
			if err != nil {
				fmt.Println(err)
				return
			}
			window.Add(distance)
		}
		result, err := pca.Compare(window)
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Printf("error %.2f, was %.2f, drift %v\n", window.Moments().Mean, pca.Reference.Moments().Mean, result.PValue < 0.001)
	}
	// Output:
	// error 0.18, was 0.18, drift false
	// error 1.17, was 0.18, drift true
}
