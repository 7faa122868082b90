package rows_test

import (
	"context"
	"fmt"
	"log"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/memory"

	"github.com/millwright-ml/millwright/dataset"
	"github.com/millwright-ml/millwright/dataset/blob"
	"github.com/millwright-ml/millwright/monitor/judge"
	"github.com/millwright-ml/millwright/monitor/judge/rows"
	"github.com/millwright-ml/millwright/tracking"
	"github.com/millwright-ml/millwright/tracking/trackingtest"
)

// A version of a dataset is judged, and the run says which one it was.
func Example() {
	ctx := context.Background()
	schema := arrow.NewSchema([]arrow.Field{{Name: "answer", Type: arrow.BinaryTypes.String}, {Name: "truth", Type: arrow.BinaryTypes.String}}, nil)
	data, err := dataset.New(&blob.Mem{}, nil).Create(ctx, "capitals", schema, nil)
	if err != nil {
		log.Fatal(err)
	}
	b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	defer b.Release()
	b.Field(0).(*array.StringBuilder).AppendValues([]string{"Paris", "It is Lima."}, nil)
	b.Field(1).(*array.StringBuilder).AppendValues([]string{"Paris", "Lima"}, nil)
	records, err := array.NewRecordReader(schema, []arrow.Record{b.NewRecord()})
	if err != nil {
		log.Fatal(err)
	}
	version, err := data.Append(ctx, records, nil)
	if err != nil {
		log.Fatal(err)
	}

	client := tracking.New(&trackingtest.Memory{}, &tracking.Options{Artifacts: &blob.Mem{}})
	exp, err := client.Experiment(ctx, "capitals")
	if err != nil {
		log.Fatal(err)
	}
	run, err := client.StartRun(ctx, exp.ID, nil)
	if err != nil {
		log.Fatal(err)
	}
	samples := rows.Samples(ctx, version, rows.Columns{Output: "answer", Expected: "truth"})
	report, err := judge.Track(ctx, run, run.Files(), samples, []judge.Scorer{judge.Exact(), judge.TokenF1()}, &judge.TrackOptions{Input: rows.Input(version)})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Print(report)
	info, err := run.Info(ctx)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(info.Inputs[0].Name, info.Inputs[0].Version, info.Inputs[0].Digest == version.Digest)
	// Output:
	// 2 of 2 samples
	// exact: mean 0.500 [-0.480, 1.480] of 2, 0 failed, 0 skipped
	// token_f1: mean 0.750 [0.260, 1.240] of 2, 0 failed, 0 skipped
	// capitals 1 true
}
