package loader_test

import (
	"context"
	"fmt"
	"log"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/memory"

	"github.com/millwright-ml/millwright/dataset"
	"github.com/millwright-ml/millwright/dataset/blob"
	"github.com/millwright-ml/millwright/dataset/loader"
)

// numbers is a version of ten rows, 0 to 9.
func numbers(ctx context.Context) *dataset.Version {
	schema := arrow.NewSchema([]arrow.Field{{Name: "n", Type: arrow.PrimitiveTypes.Int64}}, nil)
	d, err := dataset.New(&blob.Mem{}, nil).Create(ctx, "numbers", schema, nil)
	if err != nil {
		log.Fatal(err)
	}
	b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	for n := range int64(10) {
		b.Field(0).(*array.Int64Builder).Append(n)
	}
	rr, err := array.NewRecordReader(schema, []arrow.Record{b.NewRecord()})
	if err != nil {
		log.Fatal(err)
	}
	v, err := d.Append(ctx, rr, nil)
	if err != nil {
		log.Fatal(err)
	}
	return v
}

// Two ranks share an epoch; one of them dies and goes on at the next row.
func Example() {
	ctx := context.Background()
	l, err := loader.New(ctx, numbers(ctx), &loader.Options{Shuffle: true, Seed: 42, BatchRows: 2})
	if err != nil {
		log.Fatal(err)
	}
	seen := map[int64]bool{}
	var checkpoint string
	for rank := range 2 {
		s, err := l.Shard(loader.Shard{Epoch: 0, Rank: rank, World: 2})
		if err != nil {
			log.Fatal(err)
		}
		for rec, err := range s.Records(ctx) {
			if err != nil {
				log.Fatal(err)
			}
			for _, n := range rec.Column(0).(*array.Int64).Int64Values() {
				seen[n] = true
			}
			if rank == 1 {
				checkpoint = s.Token().String()
				break
			}
		}
	}
	fmt.Println(len(seen), "rows before")

	token, err := loader.ParseToken(checkpoint)
	if err != nil {
		log.Fatal(err)
	}
	s, err := l.Resume(token)
	if err != nil {
		log.Fatal(err)
	}
	for rec, err := range s.Records(ctx) {
		if err != nil {
			log.Fatal(err)
		}
		for _, n := range rec.Column(0).(*array.Int64).Int64Values() {
			seen[n] = true
		}
	}
	fmt.Println(len(seen), "rows in all")
	// Output:
	// 7 rows before
	// 10 rows in all
}

// A holdout of about two fifths that stays the same whatever is appended.
func ExampleSplit() {
	ctx := context.Background()
	v := numbers(ctx)
	train := loader.Split{Seed: "v1", Key: []string{"n"}, To: 600_000}
	test := loader.Split{Seed: "v1", Key: []string{"n"}, From: 600_000, To: loader.Buckets}
	for _, split := range []loader.Split{train, test} {
		l, err := loader.New(ctx, v, &loader.Options{Split: &split})
		if err != nil {
			log.Fatal(err)
		}
		s, err := l.Shard(loader.Shard{})
		if err != nil {
			log.Fatal(err)
		}
		for rec, err := range s.Records(ctx) {
			if err != nil {
				log.Fatal(err)
			}
			fmt.Println(rec.Column(0))
		}
	}
	fmt.Println(test.DuckDB())
	// Output:
	// [0 1 2 3 4 5 7 8 9]
	// [6]
	// ('0x' || left(md5('v1' || ':' || coalesce("n"::VARCHAR, '')), 8))::BIGINT % 1000000 BETWEEN 600000 AND 999999
}
