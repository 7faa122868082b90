package metrics_test

import (
	"context"
	"fmt"

	"github.com/millwright-ml/millwright/dataset/profile"
	"github.com/millwright-ml/millwright/monitor"
	"github.com/millwright-ml/millwright/monitor/metrics"
)

// A fleet's drift is that of the sum of its counts.
func ExamplePSI() {
	var amount profile.Column
	for i := range 1000 {
		amount.AddFloat(float64(i))
	}
	ref := profile.NewReference([]profile.Feature{{Name: "amount", Bins: amount.Bins(0)}}, nil)
	for i := range 1000 {
		_ = ref.Observe([]float64{float64(i)}, 0)
	}
	fleet := ref.Window()
	for replica := range 2 {
		m, err := monitor.New(ref, nil)
		if err != nil {
			fmt.Println(err)
			return
		}
		for i := range 1000 {
			m.Observe([]float64{float64(i + 100*replica)}, 0, monitor.ID{})
		}
		_, observed, err := m.Counts()
		if err == nil {
			err = fleet.Merge(observed)
		}
		if err != nil {
			fmt.Println(err)
			return
		}
		_ = m.Shutdown(context.Background())
	}
	psi, err := metrics.PSI(ref, fleet)
	fmt.Printf("%.3f %v\n", psi["amount"], err)
	// Output: 0.054 <nil>
}

// An exporter for another system is a loop.
func ExampleReader_Read() {
	var amount profile.Column
	amount.AddFloats([]float64{1, 2, 3})
	ref := profile.NewReference([]profile.Feature{{Name: "amount", Bins: amount.Bins(0)}}, nil)
	_ = ref.Observe([]float64{1}, 0)
	m, err := monitor.New(ref, &monitor.Options{Model: "fraud", Version: "3"})
	if err != nil {
		fmt.Println(err)
		return
	}
	m.Observe([]float64{2}, 0, monitor.ID{})
	list := metrics.All()
	model := metrics.NewReader(m, nil).Read(func(s metrics.Sample) {
		if s.Metric == metrics.ModelInfo || s.Metric == metrics.FeatureObservations {
			fmt.Println(list[s.Metric].Name, s.Labels, s.Value)
		}
	})
	fmt.Println(model, m.Shutdown(context.Background()))
	// Output:
	// model_info [3  ] 1
	// feature_observations_total [3 amount 0] 0
	// feature_observations_total [3 amount 1] 1
	// feature_observations_total [3 amount null] 0
	// fraud <nil>
}
