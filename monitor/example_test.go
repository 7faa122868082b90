package monitor_test

import (
	"context"
	"fmt"
	"math/rand/v2"

	"github.com/millwright-ml/millwright/dataset/profile"
	"github.com/millwright-ml/millwright/monitor"
)

// fares is a reference of two features: a distance in miles, and a currency.
func fares() *profile.Reference {
	rng := rand.New(rand.NewPCG(1, 2))
	var distance, currency, score profile.Column
	miles := make([]float64, 5000)
	for i := range miles {
		miles[i] = 1 + 20*rng.Float64()
		distance.AddFloat(miles[i])
		currency.AddString([]string{"EUR", "USD"}[i%2])
		score.AddFloat(miles[i] / 21)
	}
	ref := profile.NewReference([]profile.Feature{
		{Name: "distance", Bins: distance.Bins(0)},
		{Name: "currency", Bins: currency.Bins(0)},
	}, score.Bins(0))
	for i, v := range miles {
		if err := ref.Observe([]float64{v, float64(i % 2)}, v/21); err != nil {
			panic(err)
		}
	}
	return ref
}

// A gateway starts to send kilometres. The monitor names the feature.
func Example() {
	ctx := context.Background()
	m, err := monitor.New(fares(), &monitor.Options{
		Model: "fares", Version: "3",
		OnReport: func(r monitor.Report) { fmt.Println("report:", r.Verdict) },
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = m.Shutdown(ctx) }()

	rng := rand.New(rand.NewPCG(3, 4))
	for _, unit := range []float64{1, 1.609344} {
		for i := range 2000 {
			miles := 1 + 20*rng.Float64()
			row := []float64{miles * unit, m.EncodeString(1, "EUR")}
			if i%2 == 0 {
				row[1] = m.EncodeString(1, "USD")
			}
			m.Observe(row, miles/21, monitor.NewID("request", i))
		}
		r, err := m.Cut(ctx)
		if err != nil {
			fmt.Println(err)
			return
		}
		w := r.Worst()
		fmt.Printf("window %d: worst %s, mean %.0f instead of %.0f, drifted %v, %d rule(s)\n",
			r.Window, w.Name, w.Mean, w.RefMean, w.Drifted, len(w.Rules))
	}
	// Output:
	// report: ok
	// window 1: worst distance, mean 11 instead of 11, drifted false, 0 rule(s)
	// report: drift
	// window 2: worst distance, mean 18 instead of 11, drifted true, 1 rule(s)
}

// Labels come when they come; each counts in the window of its prediction.
func ExampleMonitor_Label() {
	m, err := monitor.New(fares(), nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = m.Shutdown(context.Background()) }()

	for i, score := range []float64{0.9, 0.2, 0.6, 0.1} {
		m.Observe([]float64{10, 0}, score, monitor.NewID("order-17", i))
	}
	r, err := m.Cut(context.Background())
	if err != nil {
		fmt.Println(err)
		return
	}

	for i, y := range []float64{1, 1, 0} {
		fmt.Println(m.Label(monitor.NewID("order-17", i), y))
	}
	fmt.Println(m.Label(monitor.NewID("order-18", 0), 1))
	p, err := m.Performance(r.Window)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("AUC %.2f on %.0f %% of the rows\n", p.AUC, 100*p.Coverage)
	// Output:
	// matched
	// matched
	// matched
	// unknown
	// AUC 0.50 on 75 % of the rows
}

// The fields of a struct are the features of the model. A lasting drift opens
// one trigger, whose key names what is to be done.
func ExampleNewStructEncoder() {
	type order struct {
		Amount  float64 `monitor:"amount"`
		Country string  `monitor:"country"`
	}
	b, err := profile.NewBuilder([]profile.Input{
		{Name: "amount", Kind: profile.Numeric}, {Name: "country", Kind: profile.Categorical},
	}, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	for i := range 5000 {
		r := profile.Record{Numbers: []float64{float64(i * 7 % 100)}, Texts: []string{[]string{"CH", "FR"}[i%2]}}
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
	m, err := monitor.New(ref, &monitor.Options{Model: "fraud", Version: "3", Policy: monitor.Policy{K: 2, N: 3}})
	if err != nil {
		fmt.Println(err)
		return
	}
	orders, err := monitor.NewStructEncoder[order](m)
	if err != nil {
		fmt.Println(err)
		return
	}
	for window := range 3 {
		for i := range 1000 {
			o := order{Amount: float64(i * 7 % 100), Country: "CH"}
			if i%2 == 1 && window == 0 {
				o.Country = "FR"
			}
			orders.Observe(&o, 0.5, monitor.ID{})
		}
		r, err := m.Cut(context.Background())
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(r.State, r.Worst().Name, len(r.Causes), r.Trigger != nil && r.Trigger.New)
	}
	// Output:
	// ok amount 0 false
	// warn country 1 false
	// drift country 1 true
}
