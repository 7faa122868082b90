package fleet_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log"

	"github.com/millwright-ml/millwright/dataset/blob"
	"github.com/millwright-ml/millwright/dataset/profile"
	"github.com/millwright-ml/millwright/monitor"
	"github.com/millwright-ml/millwright/monitor/fleet"
)

func readerOf(data []byte) io.Reader { return bytes.NewReader(data) }

// Two replicas count, and one evaluator decides on what both have seen.
func Example() {
	ctx := context.Background()
	var amount profile.Column
	for i := range 1000 {
		amount.AddFloat(float64(i))
	}
	ref := profile.NewReference([]profile.Feature{{Name: "amount", Bins: amount.Bins(0)}}, nil)
	for i := range 1000 {
		if err := ref.Observe([]float64{float64(i)}, 0); err != nil {
			log.Fatal(err)
		}
	}
	store := new(blob.Mem)
	options := monitor.Options{Model: "churn", Version: "3"}
	for replica := range 2 {
		m, err := monitor.New(ref, &options)
		if err != nil {
			log.Fatal(err)
		}
		for i := range 1000 {
			m.Observe([]float64{float64(replica*500 + i)}, 0, monitor.ID{})
		}
		p, err := fleet.NewPublisher(m, &fleet.PublisherOptions{Store: store})
		if err != nil {
			log.Fatal(err)
		}
		if err := p.Publish(ctx); err != nil { // Or let p.Run do it now and then.
			log.Fatal(err)
		}
	}
	e, err := fleet.New(ref, fleet.FromStore(store, ""), &fleet.Options{Store: store, Monitor: options})
	if err != nil {
		log.Fatal(err)
	}
	report, err := e.Evaluate(ctx)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(report.Rows, report.Verdict, report.Worst().Rules)
	// Output:
	// 2000 drift [25.0 % of rows above the reference maximum 999]
}
