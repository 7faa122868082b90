package estimate_test

import (
	"fmt"

	"github.com/millwright-ml/millwright/monitor/drift/estimate"
)

// Four predictions without labels, and what they are probably worth.
func Example() {
	var window estimate.CBPE
	for _, p := range []float64{0.9, 0.8, 0.3, 0.1} {
		window.Add(p, p >= 0.5)
	}
	expected := window.Confusion()
	fmt.Printf("%.1f of the 2 positive predictions are right\n", expected.TP)
	fmt.Printf("f1 %.3f, auc %.3f\n", expected.Metric(estimate.F1), window.AUC())

	// The reference, with labels, says how far chance goes in 200 rows.
	reference := estimate.Confusion{TP: 400, FP: 100, FN: 150, TN: 350}
	low, high := estimate.Bounds(estimate.Accuracy, 0.75, reference.StandardError(estimate.Accuracy, 200))
	fmt.Printf("accuracy 0.75, %.2f to %.2f\n", low, high)
	// Output:
	// 1.7 of the 2 positive predictions are right
	// f1 0.829, auc 0.863
	// accuracy 0.75, 0.66 to 0.84
}
