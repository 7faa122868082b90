package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/memory"

	"github.com/millwright-ml/millwright/dataset"
	"github.com/millwright-ml/millwright/dataset/blob"
	"github.com/millwright-ml/millwright/dataset/blob/dirblob"
	"github.com/millwright-ml/millwright/dataset/blob/s3blob"
	"github.com/millwright-ml/millwright/dataset/filter"
)

// tableName is the dataset that every measurement uses, each in a folder of its
// own.
const tableName = "t"

// plan is what a measurement needs, for us and for rivals.py.
type plan struct {
	Source string   `json:"source,omitempty"` // Arrow IPC file to write.
	Edited string   `json:"edited,omitempty"` // The same with a row inserted.
	Out    string   `json:"out,omitempty"`    // Folder to write to.
	Table  string   `json:"table,omitempty"`  // Table to read.
	Files  string   `json:"files,omitempty"`  // Pattern of its Parquet files.
	Range  [2]int   `json:"range"`            // Ids of the filter.
	URL    string   `json:"url,omitempty"`    // Table on S3.
	S3     *account `json:"s3,omitempty"`
}

type account struct {
	Endpoint string `json:"endpoint"`
	Key      string `json:"key"`
	Secret   string `json:"secret"`
	Bucket   string `json:"bucket"`
}

// figures are one repetition.
type figures struct {
	Wall  float64 `json:"wall"` // Seconds.
	CPU   float64 `json:"cpu"`  // Seconds of the process.
	Bytes int64   `json:"bytes"`
	New   int64   `json:"new"` // Bytes in files that were not there before.
	Rows  int64   `json:"rows"`
}

// task is one measurement; only run is timed.
type task struct {
	before func() error // nil for nothing.
	run    func() (rows int64, err error)
	after  func(f *figures) // nil for nothing.
}

// ours runs one measurement in this process and prints its figures, like
// rivals.py.
func ours(ctx context.Context, measure string, repeats int, p plan, out io.Writer) error {
	one, err := prepare(ctx, measure, p)
	if err != nil {
		return err
	}
	enc := json.NewEncoder(out)
	for i := range repeats + 1 {
		if one.before != nil {
			if err := one.before(); err != nil {
				return err
			}
		}
		began, used := time.Now(), processorTime()
		rows, err := one.run()
		if err != nil {
			return err
		}
		f := figures{Wall: time.Since(began).Seconds(), CPU: processorTime() - used, Rows: rows}
		if one.after != nil {
			one.after(&f)
		}
		if i == 0 {
			continue // It warms.
		}
		if err := enc.Encode(f); err != nil {
			return err
		}
	}
	return nil
}

// fresh empties a folder.
func fresh(dir string) error {
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	return os.MkdirAll(dir, 0o755)
}

// empty removes the tables of a folder, and leaves what the store keeps there.
func empty(dir string) error {
	inside, err := os.ReadDir(dir)
	for _, e := range inside {
		if strings.HasPrefix(e.Name(), ".") {
			continue
		}
		err = errors.Join(err, os.RemoveAll(filepath.Join(dir, e.Name())))
	}
	return err
}

func prepare(ctx context.Context, measure string, p plan) (one task, err error) {
	run, err := preparedRun(ctx, measure, p)
	one.run = run
	switch measure {
	case "write", "lean":
		one.before = func() error { return empty(p.Out) }
		one.after = func(f *figures) { f.Bytes = parquetBytes(p.Out) }
	case "reingest":
		return reingest(ctx, p)
	}
	return one, err
}

func preparedRun(ctx context.Context, measure string, p plan) (run func() (int64, error), err error) {
	switch measure {
	case "reingest":
		return nil, nil
	case "write", "lean", "s3write":
		schema, recs, err := load(p.Source)
		if err != nil {
			return nil, err
		}
		store := blob.Store(nil)
		if measure == "s3write" {
			store, err = openS3(ctx, p.S3)
		} else if err = fresh(p.Out); err == nil {
			store, err = dirblob.Open(p.Out)
		}
		if err != nil {
			return nil, err
		}
		// One for all repetitions, as a service has.
		c := dataset.New(store, nil)
		return func() (int64, error) {
			v, err := write(ctx, c, fmt.Sprintf("%s-%d", tableName, time.Now().UnixNano()), schema, recs, &dataset.CommitOptions{NoProfile: measure == "lean"})
			if err != nil {
				return 0, err
			}
			return v.Rows, nil
		}, nil
	case "commit":
		return commits(ctx, p.Out)
	case "epoch", "shuffle", "early", "late":
		return training(ctx, measure, p)
	}

	reading := dataset.ReadOptions{}
	switch measure {
	case "columns":
		reading.Columns = []string{"id", "amount", "age"}
	case "filter":
		reading.Where = filter.And(filter.Ge("id", p.Range[0]), filter.Lt("id", p.Range[1]))
	}
	return func() (int64, error) {
		var store blob.Store
		var err error
		if measure == "s3read" {
			store, err = openS3(ctx, p.S3)
		} else {
			store, err = dirblob.Open(filepath.Dir(p.Table))
		}
		if err != nil {
			return 0, err
		}
		d, err := dataset.New(store, nil).Open(ctx, filepath.Base(p.Table))
		if err != nil {
			return 0, err
		}
		v, err := d.Latest(ctx)
		switch {
		case err != nil:
			return 0, err
		case measure == "open":
			return v.Number, nil
		case measure == "list":
			return int64(len(v.Files)), nil
		}
		return readAll(ctx, v, &reading)
	}, nil
}

func write(ctx context.Context, c *dataset.Catalog, name string, schema *arrow.Schema, recs []arrow.Record, opts *dataset.CommitOptions) (*dataset.Version, error) {
	d, err := c.Create(ctx, name, schema, nil)
	if err != nil {
		return nil, err
	}
	rr, err := array.NewRecordReader(schema, recs)
	if err != nil {
		return nil, err
	}
	defer rr.Release()
	return d.Append(ctx, rr, opts)
}

func readAll(ctx context.Context, v *dataset.Version, opts *dataset.ReadOptions) (rows int64, err error) {
	rr, err := v.Read(ctx, opts)
	if err != nil {
		return 0, err
	}
	defer rr.Release()
	for rr.Next() {
		rows += rr.Record().NumRows()
	}
	return rows, rr.Err()
}

// commits appends one row at a time.
func commits(ctx context.Context, dir string) (func() (int64, error), error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	store, err := dirblob.Open(dir)
	if err != nil {
		return nil, err
	}
	schema := arrow.NewSchema([]arrow.Field{{Name: "n", Type: arrow.PrimitiveTypes.Int64}}, nil)
	d, err := dataset.New(store, nil).Create(ctx, tableName, schema, nil)
	if err != nil {
		return nil, err
	}
	n := int64(0)
	return func() (int64, error) {
		b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
		defer b.Release()
		n++
		b.Field(0).(*array.Int64Builder).Append(n)
		rr, err := array.NewRecordReader(schema, []arrow.Record{b.NewRecord()})
		if err != nil {
			return 0, err
		}
		defer rr.Release()
		_, err = d.Append(ctx, rr, nil)
		return 1, err
	}, nil
}

func openS3(ctx context.Context, a *account) (blob.Store, error) {
	return s3blob.Open(ctx, "s3://"+a.Bucket, a.options())
}

// processorTime is the processor time that this process has used, in seconds.
func processorTime() float64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()).Seconds()
}

func parquetBytes(dir string) (size int64) {
	_ = filepath.Walk(dir, func(path string, fi os.FileInfo, err error) error {
		if err == nil && filepath.Ext(path) == ".parquet" {
			size += fi.Size()
		}
		return err
	})
	return size
}
