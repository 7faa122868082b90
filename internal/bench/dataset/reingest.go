package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"

	"github.com/millwright-ml/millwright/dataset"
	"github.com/millwright-ml/millwright/dataset/blob/dirblob"
)

// keyed is a table of three columns whose rows have a key, as where the edits of
// a table are measured in the research behind the format: 3 million rows of it
// make some 90 fragments. Its first row is one that was inserted.
func keyed(inserted bool) shape {
	return shape{"keyed", 3, arrow.NewSchema([]arrow.Field{
		field("key", arrow.BinaryTypes.String, false),
		field("n", arrow.PrimitiveTypes.Int64, false),
		field("x", arrow.PrimitiveTypes.Float64, false),
	}, nil), func(b *array.RecordBuilder, _ *rand.Rand, id int) {
		if inserted {
			id--
		}
		mixed := uint64(id) * 0x9e3779b97f4a7c15
		b.Field(0).(*array.StringBuilder).Append(fmt.Sprintf("row-%016x", mixed))
		b.Field(1).(*array.Int64Builder).Append(int64(id % 1000))
		b.Field(2).(*array.Float64Builder).Append(float64(mixed>>11) / (1 << 53))
	}}
}

// again stores a table a second time after a row was inserted at its start: how
// many of its bytes are new, and how long it takes.
func (b *bench) again(ctx context.Context) error {
	const bytes, speed = "new bytes after one row was inserted", "ingest again after one row was inserted"
	if !b.wanted(bytes) && !b.wanted(speed) {
		return nil
	}
	dir := filepath.Join(b.dir, "keyed")
	defer os.RemoveAll(dir)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	p := plan{Source: filepath.Join(dir, "source.arrow"), Edited: filepath.Join(dir, "edited.arrow"), Out: filepath.Join(dir, "out")}
	rows := int(float64(b.rows) * keyed(false).scale)
	if _, err := keyed(false).generate(p.Source, rows); err != nil {
		return err
	}
	size, err := keyed(true).generate(p.Edited, rows+1)
	if err != nil {
		return err
	}
	return b.each(ctx, speed, "reingest", p, func(cores int, party string, all []figures) error {
		if cores == b.counts[0] {
			b.table.add(bytes, "%", 0, true, party, 100*float64(all[0].New)/float64(all[0].Bytes))
		}
		b.table.add(speed, "MB/s", cores, false, party, float64(size)/best(cores, all)/1e6)
		return nil
	})
}

// reingest is that in this process.
func reingest(ctx context.Context, p plan) (one task, err error) {
	schema, recs, err := load(p.Source)
	if err != nil {
		return one, err
	}
	_, edited, err := load(p.Edited)
	if err != nil {
		return one, err
	}
	var d *dataset.Dataset
	var first, second *dataset.Version
	overwrite := func(recs []arrow.Record) (*dataset.Version, error) {
		rr, err := array.NewRecordReader(schema, recs)
		if err != nil {
			return nil, err
		}
		defer rr.Release()
		return d.Overwrite(ctx, rr, &dataset.CommitOptions{Key: []string{"key"}})
	}
	one.before = func() error {
		if err := fresh(p.Out); err != nil {
			return err
		}
		store, err := dirblob.Open(p.Out)
		if err != nil {
			return err
		}
		if d, err = dataset.New(store, nil).Create(ctx, tableName, schema, nil); err == nil {
			first, err = overwrite(recs)
		}
		return err
	}
	one.run = func() (rows int64, err error) {
		if second, err = overwrite(edited); err != nil {
			return 0, err
		}
		return second.Rows, nil
	}
	one.after = func(f *figures) {
		had := map[string]bool{}
		for _, file := range first.Files {
			had[file.SHA256] = true
		}
		for _, file := range second.Files {
			f.Bytes += file.Size
			if !had[file.SHA256] {
				f.New += file.Size
			}
		}
	}
	return one, nil
}
