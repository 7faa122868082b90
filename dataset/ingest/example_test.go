package ingest_test

import (
	"context"
	"fmt"
	"strings"

	"github.com/apache/arrow/go/v15/arrow"

	"github.com/millwright-ml/millwright/dataset"
	"github.com/millwright-ml/millwright/dataset/blob"
	"github.com/millwright-ml/millwright/dataset/ingest"
)

// A CSV file becomes the first version of a dataset.
func Example() {
	ctx := context.Background()
	const file = "day,origin,delay\n2026-11-20,SFO,12\n2026-11-21,LAX,\n2026-11-21,SFO,late\n"
	in, err := ingest.NewReader(ctx, "flights.csv", strings.NewReader(file), &ingest.Options{
		Columns: []string{"day", "delay"},
		// The sample would make text of a column with a text in it.
		Types: map[string]arrow.DataType{"delay": arrow.PrimitiveTypes.Int64},
		BadRows: func(bad *ingest.RowError) error {
			fmt.Println(bad)
			return nil
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer in.Release()

	flights, err := dataset.New(&blob.Mem{}, nil).Create(ctx, "flights", in.Schema(), nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	v, err := flights.Append(ctx, in, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(v.Rows, "rows of", v.Schema().Field(0), "and", v.Schema().Field(1))
	// Output:
	// ingest: read "flights.csv": row 3 (line 4), column "delay": "late" is not an int64: invalid
	// 2 rows of day: type=date32, nullable and delay: type=int64, nullable
}
