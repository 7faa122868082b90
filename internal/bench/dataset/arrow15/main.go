// Command arrow15 is the part of the datasets' benchmark that Arrow v15 plays
// with its own Parquet package, which does not link beside that of v18.
//
//	arrow15 write|read REPEATS SOURCE OUT
//
// It writes the table of an Arrow IPC file as zstd at level 1 in row groups of
// 1 Mi rows, or reads what it wrote, and prints a JSON object a repetition, as
// rivals.py does.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"syscall"
	"time"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/ipc"
	"github.com/apache/arrow/go/v15/arrow/memory"
	"github.com/apache/arrow/go/v15/parquet"
	"github.com/apache/arrow/go/v15/parquet/compress"
	"github.com/apache/arrow/go/v15/parquet/pqarrow"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "arrow15:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 4 {
		return fmt.Errorf("%d arguments, want 4", len(args))
	}
	repeats, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	table, err := load(args[2])
	if err != nil {
		return err
	}
	defer table.Release()
	measure, out := args[0], args[3]
	if measure == "read" {
		if err := write(table, out); err != nil {
			return err
		}
	}
	enc := json.NewEncoder(os.Stdout)
	for i := range repeats + 1 {
		began, used := time.Now(), processorTime()
		rows := table.NumRows()
		if measure == "read" {
			rows, err = read(out)
		} else {
			err = write(table, out)
		}
		if err != nil {
			return err
		}
		figures := map[string]any{"wall": time.Since(began).Seconds(), "cpu": processorTime() - used, "rows": rows}
		if i == 0 {
			continue // It warms.
		}
		if err := enc.Encode(figures); err != nil {
			return err
		}
	}
	return nil
}

func load(path string) (arrow.Table, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	r, err := ipc.NewFileReader(f)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	var recs []arrow.Record
	for i := range r.NumRecords() {
		rec, err := r.Record(i)
		if err != nil {
			return nil, err
		}
		rec.Retain()
		recs = append(recs, rec)
	}
	return array.NewTableFromRecords(r.Schema(), recs), nil
}

func write(table arrow.Table, path string) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	props := parquet.NewWriterProperties(parquet.WithCompression(compress.Codecs.Zstd), parquet.WithCompressionLevel(1))
	return pqarrow.WriteTable(table, f, 1<<20, props, pqarrow.DefaultWriterProps())
}

func read(path string) (int64, error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	table, err := pqarrow.ReadTable(context.Background(), f, parquet.NewReaderProperties(memory.DefaultAllocator), pqarrow.ArrowReadProperties{BatchSize: 1 << 16}, memory.DefaultAllocator)
	if err != nil {
		return 0, err
	}
	defer table.Release()
	return table.NumRows(), nil
}

// processorTime is the processor time that this process has used, in seconds.
func processorTime() float64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()).Seconds()
}
