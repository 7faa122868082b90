package inferlog_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/millwright-ml/millwright/dataset"
	"github.com/millwright-ml/millwright/dataset/blob"
	"github.com/millwright-ml/millwright/monitor/inferlog"
)

// One request of two rows is logged and found again.
func Example() {
	ctx := context.Background()
	catalog := dataset.New(&blob.Mem{}, nil)
	inferences, err := inferlog.Open(ctx, catalog, "churn-inferences", inferlog.Schema{
		Inputs:  []inferlog.Field{{Name: "spend", Type: inferlog.Float64}, {Name: "plan", Type: inferlog.String}},
		Outputs: []inferlog.Field{{Name: "score", Type: inferlog.Float64}},
	}, nil)
	if err != nil {
		log.Fatal(err)
	}
	inferences.Append(inferlog.Record{
		RequestID: "r-1", Time: time.Now(), Model: "churn", Version: "3", Latency: 850 * time.Microsecond,
		Inputs:  []any{[]float64{12.5, 0}, []string{"basic", "pro"}},
		Outputs: []any{[]float64{0.1, 0.7}},
	})
	if err := inferences.Shutdown(ctx); err != nil {
		log.Fatal(err)
	}
	r, err := inferences.Find(ctx, "r-1")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(r.Model, r.Version, r.Latency, r.Inputs[1], r.Outputs[0])
	fmt.Println(inferences.Stats())
	// Output:
	// churn 3 850µs [basic pro] [0.1 0.7]
	// {2 2 0 0 0 0 0}
}
