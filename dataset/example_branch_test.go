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

var labelSchema = arrow.NewSchema([]arrow.Field{
	{Name: "image", Type: arrow.BinaryTypes.String},
	{Name: "label", Type: arrow.BinaryTypes.String, Nullable: true},
}, nil)

// labels makes records of pairs of image and label.
func labels(pairs ...string) array.RecordReader {
	b := array.NewRecordBuilder(memory.DefaultAllocator, labelSchema)
	for i := 0; i < len(pairs); i += 2 {
		b.Field(0).(*array.StringBuilder).Append(pairs[i])
		b.Field(1).(*array.StringBuilder).Append(pairs[i+1])
	}
	rr, err := array.NewRecordReader(labelSchema, []arrow.Record{b.NewRecord()})
	if err != nil {
		log.Fatal(err)
	}
	return rr
}

// A branch takes rows that are not ready for everybody; a merge brings them into
// main, beside what others added there.
func ExampleBranch_Merge() {
	ctx := context.Background()
	images, err := dataset.New(&blob.Mem{}, nil).Create(ctx, "images", labelSchema, nil)
	if err != nil {
		log.Fatal(err)
	}
	start, err := images.Append(ctx, labels("1.png", "cat"), nil)
	if err != nil {
		log.Fatal(err)
	}
	review, err := images.CreateBranch(ctx, "review", start)
	if err != nil {
		log.Fatal(err)
	}
	if _, err := review.Append(ctx, labels("2.png", "dog"), nil); err != nil {
		log.Fatal(err)
	}
	if _, err := images.Append(ctx, labels("3.png", "owl"), nil); err != nil {
		log.Fatal(err)
	}

	reviewed, err := review.Latest(ctx)
	if err != nil {
		log.Fatal(err)
	}
	merged, err := images.Merge(ctx, reviewed, &dataset.MergeOptions{Key: []string{"image"}})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(merged.Message, "→ version", merged.Number, "with", merged.Rows, "rows")
	if err := images.Tag(ctx, "v1.0", merged, nil); err != nil {
		log.Fatal(err)
	}
	tagged, err := images.Resolve(ctx, "v1.0")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("v1.0 is version", tagged.Number)
	// Output:
	// merge review@1 into main → version 3 with 3 rows
	// v1.0 is version 3
}

// Two versions are compared row by row; files that both have are not read.
func ExampleDiff_Rows() {
	ctx := context.Background()
	images, err := dataset.New(&blob.Mem{}, nil).Create(ctx, "images", labelSchema, nil)
	if err != nil {
		log.Fatal(err)
	}
	before, err := images.Append(ctx, labels("1.png", "cat", "2.png", "cat"), nil)
	if err != nil {
		log.Fatal(err)
	}
	after, err := images.Overwrite(ctx, labels("1.png", "cat", "2.png", "dog", "3.png", "owl"), nil)
	if err != nil {
		log.Fatal(err)
	}
	diff, err := images.Diff(ctx, before, after, &dataset.DiffOptions{Key: []string{"image"}})
	if err != nil {
		log.Fatal(err)
	}
	for change, err := range diff.Rows(ctx) {
		if err != nil {
			log.Fatal(err)
		}
		switch change.Kind {
		case dataset.Changed:
			fmt.Println("changed", change.Before.Column(0), change.Before.Column(1), "→", change.After.Column(1))
		case dataset.Added:
			fmt.Println("added", change.After.Column(0), change.After.Column(1))
		}
	}
	// Output:
	// added ["3.png"] ["owl"]
	// changed ["2.png"] ["cat"] → ["dog"]
}
