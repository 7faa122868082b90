// Command dataset measures Millwright's datasets against pyarrow, delta-rs,
// Polars and DuckDB: the same tables, on one machine, in one run, on one core and
// on two, and prints ratios to the best of the four.
//
//	go run ./dataset -python venv/bin/python -s3 bin/versitygw
//	go run ./dataset -python venv/bin/python -cores 1 -only 'read features' -rows 4000000
//
// The first is the whole table, in about a quarter of an hour on a machine that
// does nothing else; behind it stands which of the aims are met.
//
// Every repetition is timed inside the process that does it, after one that
// warms. On one core the processor's time counts, so that other work on the
// machine does not; on two the clock on the wall does (at S3 the client's
// processor on both). Throughput is bytes of the table in Arrow's memory form. All
// read the same files, which ours wrote, and all write zstd at level 1. Ours also
// counts a profile of each column, which no other does, so that there is a second
// row of writing without it. What only a table format does (commits, opening a
// log) is measured against delta-rs and what is built on it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime/pprof"
	"strconv"
	"strings"
	"time"
)

type config struct {
	python  string
	s3      string
	rows    int
	commits int
	repeats int
	cores   string
	only    string
	temp    string
	profile string
}

func main() {
	var c config
	flag.StringVar(&c.python, "python", "", "Python with the rivals (scripts/realtools.sh engines); without it only ours is measured")
	flag.StringVar(&c.s3, "s3", "", "program `versitygw`, the S3 server; without it S3 is left out")
	flag.IntVar(&c.rows, "rows", 1_000_000, "rows of the table of features; the other tables have a share of them")
	flag.IntVar(&c.commits, "commits", 10_000, "versions of the long log")
	flag.IntVar(&c.repeats, "repeats", 3, "repetitions of each measurement; the best counts")
	flag.StringVar(&c.cores, "cores", "1,2", "numbers of cores to measure on")
	flag.StringVar(&c.only, "only", "", "measure only what has this in its name")
	flag.StringVar(&c.temp, "temp", "/dev/shm", "folder to work in; one in memory keeps the disk out of the figures")
	flag.StringVar(&c.profile, "profile", "", "file to which the processor's profile of the last measurement of ours goes; none without it")
	child := flag.String("ours", "", "run one measurement of ours in this process, with the rest of the arguments; for the command's own use")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	err := error(nil)
	if *child != "" {
		err = profiled(c.profile, func() error { return runChild(ctx, *child, flag.Args()) })
	} else {
		err = run(ctx, c)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// profiled writes the processor's profile of f to a file, if it has a name.
func profiled(name string, f func() error) (err error) {
	if name == "" {
		return f()
	}
	out, err := os.Create(name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	if err := pprof.StartCPUProfile(out); err != nil {
		return err
	}
	defer pprof.StopCPUProfile()
	return f()
}

func run(ctx context.Context, c config) (err error) {
	dir, err := os.MkdirTemp(c.temp, "bench-dataset-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	table := &results{}
	began := time.Now()
	defer func() {
		_ = table.print(os.Stdout)
		fmt.Fprintln(os.Stdout)
		_ = table.aims(os.Stdout)
		fmt.Fprintf(os.Stdout, "\n%d rows of features, %d repetitions, %.0f s in all\n", c.rows, c.repeats, time.Since(began).Seconds())
	}()
	b := &bench{config: c, dir: dir, table: table, sizes: map[string]int64{}}
	for text := range strings.SplitSeq(c.cores, ",") {
		cores, err := strconv.Atoi(text)
		if err != nil || cores < 1 {
			return fmt.Errorf("cores %q: want numbers with commas between", c.cores)
		}
		b.counts = append(b.counts, cores)
	}
	return b.run(ctx)
}
