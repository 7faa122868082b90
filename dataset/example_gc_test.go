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
	"github.com/millwright-ml/millwright/dataset/filter"
)

// mailing makes a table of mail addresses with one version for each.
func mailing(addresses ...string) *dataset.Dataset {
	ctx := context.Background()
	schema := arrow.NewSchema([]arrow.Field{{Name: "mail", Type: arrow.BinaryTypes.String}}, nil)
	d, err := dataset.New(&blob.Mem{}, nil).Create(ctx, "mailing", schema, nil)
	if err != nil {
		log.Fatal(err)
	}
	for _, a := range addresses {
		b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
		b.Field(0).(*array.StringBuilder).Append(a)
		rr, err := array.NewRecordReader(schema, []arrow.Record{b.NewRecord()})
		if err != nil {
			log.Fatal(err)
		}
		if _, err := d.Append(ctx, rr, nil); err != nil {
			log.Fatal(err)
		}
		rr.Release()
		b.Release()
	}
	return d
}

// Every version forgets the person and keeps its number.
func ExampleDataset_Erase() {
	ctx := context.Background()
	d := mailing("ada@example.com", "bob@example.com", "eve@example.com")

	c, err := d.Erase(ctx, filter.Eq("mail", "bob@example.com"), &dataset.EraseOptions{By: "privacy office", Reason: "request 17"})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(c.Rows, "row in", len(c.Files), "file")
	for n := range int64(4) {
		v, err := d.Version(ctx, n)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println("version", v.Number, "rows", v.Rows)
	}
	// Output:
	// 1 row in 1 file
	// version 0 rows 0
	// version 1 rows 1
	// version 2 rows 1
	// version 3 rows 2
}

// A dry run says what a policy would keep.
func ExampleDataset_Collect() {
	d := mailing("ada@example.com", "bob@example.com", "eve@example.com")
	r, err := d.Collect(context.Background(), &dataset.CollectOptions{KeepLast: 2})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("keeps", r.Kept, "of", r.Versions, "versions; dry run:", r.DryRun)
	// Output:
	// keeps 2 of 4 versions; dry run: true
}
