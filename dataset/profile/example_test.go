package profile_test

import (
	"encoding/json"
	"fmt"
	"math"

	"github.com/millwright-ml/millwright/dataset/profile"
)

// Two workers each read a part of a column. Their summaries merge into that of
// the whole.
func ExampleColumn() {
	var first, second profile.Column
	for i := 1; i <= 60; i++ {
		first.AddFloat(float64(i))
	}
	for i := 61; i <= 100; i++ {
		second.AddFloat(float64(i))
	}
	second.AddNull()
	if err := first.Merge(&second); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%d rows, %d null\n", first.Rows(), first.Nulls())
	fmt.Printf("from %g to %g, mean %g, variance %g, median %g\n",
		first.Min(), first.Max(), first.Mean(), first.Variance(), first.Quantile(0.5))
	// Output:
	// 101 rows, 1 null
	// from 1 to 100, mean 50.5, variance 833.25, median 50
}

// A model's reference is laid out from the training data, counted on rows held
// out of the training, and kept with the model. A window of live traffic has
// the same bins.
func ExampleReference() {
	var age, plan profile.Column
	for i := range 1000 {
		age.AddFloat(float64(18 + i%60))
		plan.AddString([]string{"free", "free", "pro"}[i%3])
	}
	var score profile.Column
	score.AddFloat(0)
	score.AddFloat(1)
	ref := profile.NewReference([]profile.Feature{
		{Name: "age", Bins: age.Bins(0)},
		{Name: "plan", Bins: plan.Bins(0)},
	}, score.Bins(0))
	ref.Split = "holdout 20 % by md5(key)"
	plans := ref.Features[1].Bins
	for i := range 200 {
		row := []float64{float64(20 + i%50), float64(plans.Code("free"))}
		if err := ref.Observe(row, float64(i%2)); err != nil {
			fmt.Println(err)
			return
		}
	}
	stored, err := json.Marshal(ref)
	if err != nil {
		fmt.Println(err)
		return
	}

	var loaded profile.Reference
	if err := json.Unmarshal(stored, &loaded); err != nil {
		fmt.Println(err)
		return
	}
	window := loaded.Empty()
	plans = window.Features[1].Bins
	for _, row := range [][]float64{
		{30, float64(plans.Code("pro"))},
		{math.NaN(), float64(plans.Code("enterprise"))},
		{130, float64(plans.Code("free"))},
	} {
		if err := window.Observe(row, 1); err != nil {
			fmt.Println(err)
			return
		}
	}
	ages := window.Features[0].Bins
	fmt.Printf("%d reference rows, %d in the window\n", loaded.Rows, window.Rows)
	fmt.Printf("age: %d missing, %d above %g\n", ages.Nulls, ages.Above, ages.High)
	fmt.Printf("plan: %v and others: %v\n", plans.Categories, plans.Counts)
	// Output:
	// 200 reference rows, 3 in the window
	// age: 1 missing, 1 above 77
	// plan: [free pro] and others: [1 1 1]
}

// A reference is built in one pass over rows that the model was not trained
// on, with what came of them.
func ExampleBuilder() {
	b, err := profile.NewBuilder([]profile.Input{{Name: "amount", Kind: profile.Numeric}}, &profile.BuilderOptions{
		Score: true, Split: "holdout 20 %",
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	for i := range 1000 {
		r := profile.Record{Numbers: []float64{float64(i % 50)}, Score: float64(i%2)*0.5 + 0.25, Outcome: float64(i % 2)}
		if err := b.Add(&r); err != nil {
			fmt.Println(err)
			return
		}
	}
	ref, err := b.Reference()
	if err != nil {
		fmt.Println(err)
		return
	}
	c := ref.Calibrator()
	fmt.Println("rows:", ref.Rows, "chunks:", ref.Chunks.N)
	fmt.Println("a score of 0.75 means", c.Probability(0.75))
	fmt.Printf("calibration error: %.2f, after calibration %.2f\n", c.Raw, c.Calibrated)
	// Output:
	// rows: 1000 chunks: 2
	// a score of 0.75 means 1
	// calibration error: 0.25, after calibration 0.00
}
