package main

import (
	"context"
	"errors"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/memory"

	"github.com/millwright-ml/millwright/dataset"
)

const (
	demoFiles = 8
	demoRows  = 2500
)

// makeDemo commits 20,000 rows of two features and a label, in eight files.
func makeDemo(ctx context.Context, c *dataset.Catalog) error {
	schema := arrow.NewSchema([]arrow.Field{
		{Name: "id", Type: arrow.PrimitiveTypes.Int64},
		{Name: "x", Type: arrow.PrimitiveTypes.Float32},
		{Name: "y", Type: arrow.PrimitiveTypes.Float32, Nullable: true},
		{Name: "label", Type: arrow.FixedWidthTypes.Boolean},
	}, nil)
	d, err := c.Create(ctx, "demo", schema, nil)
	if errors.Is(err, dataset.ErrExists) {
		return nil
	}
	if err != nil {
		return err
	}
	for file := range demoFiles {
		b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
		defer b.Release()
		for i := range demoRows {
			id := file*demoRows + i
			x, y := float32(id%1000)/1000, float32(id*7919%1000)/1000
			b.Field(0).(*array.Int64Builder).Append(int64(id))
			b.Field(1).(*array.Float32Builder).Append(x)
			if id%10 == 0 {
				b.Field(2).AppendNull()
			} else {
				b.Field(2).(*array.Float32Builder).Append(y)
			}
			b.Field(3).(*array.BooleanBuilder).Append(x > y)
		}
		rec := b.NewRecord()
		defer rec.Release()
		rr, err := array.NewRecordReader(schema, []arrow.Record{rec})
		if err != nil {
			return err
		}
		defer rr.Release()
		if _, err := d.Append(ctx, rr, &dataset.CommitOptions{Message: "demo"}); err != nil {
			return err
		}
	}
	return nil
}
