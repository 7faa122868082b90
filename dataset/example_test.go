package dataset_test

import (
	"context"
	"fmt"
	"log"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/memory"

	"github.com/millwright-ml/millwright/dataset"
	"github.com/millwright-ml/millwright/dataset/blob"
)

// A table gets a second version; the first stays what it was.
func Example() {
	ctx := context.Background()
	catalog := dataset.New(&blob.Mem{}, nil) // dirblob.Open and s3blob.Open give lasting stores.

	schema := arrow.NewSchema([]arrow.Field{
		{Name: "customer", Type: arrow.BinaryTypes.String},
		{Name: "spend", Type: arrow.PrimitiveTypes.Float64, Nullable: true},
	}, nil)
	churn, err := catalog.Create(ctx, "churn", schema, nil)
	if err != nil {
		log.Fatal(err)
	}
	for month, customers := range [][]string{{"ada", "bob"}, {"cyd"}} {
		b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
		b.Field(0).(*array.StringBuilder).AppendValues(customers, nil)
		for range customers {
			b.Field(1).(*array.Float64Builder).Append(float64(10 * (month + 1)))
		}
		records, err := array.NewRecordReader(schema, []arrow.Record{b.NewRecord()})
		if err != nil {
			log.Fatal(err)
		}
		v, err := churn.Append(ctx, records, &dataset.CommitOptions{Message: fmt.Sprintf("month %d", month+1)})
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println("version", v.Number, "has", v.Rows, "rows:", v.Message)
	}

	first, err := churn.Version(ctx, 1)
	if err != nil {
		log.Fatal(err)
	}
	rows, err := first.Read(ctx, &dataset.ReadOptions{Columns: []string{"customer"}})
	if err != nil {
		log.Fatal(err)
	}
	defer rows.Release()
	for rows.Next() {
		fmt.Println(rows.Record().Column(0))
	}
	if err := rows.Err(); err != nil {
		log.Fatal(err)
	}
	// Output:
	// version 1 has 2 rows: month 1
	// version 2 has 3 rows: month 2
	// ["ada" "bob"]
}

// A holdout that keeps its members whatever is appended later.
func ExampleBucket() {
	for _, id := range []string{"ada", "bob", "cyd"} {
		fmt.Println(id, dataset.Bucket("v1", id) < 200_000)
	}
	fmt.Println(dataset.Bucket("v1", "abc"))
	// Output:
	// ada false
	// bob false
	// cyd false
	// 49986
}
