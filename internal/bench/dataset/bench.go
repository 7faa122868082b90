package main

import (
	"bufio"
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/millwright-ml/millwright/dataset"
	"github.com/millwright-ml/millwright/dataset/blob/dirblob"
)

//go:embed rivals.py
var rivalScript []byte

// oursName is our column in the table.
const oursName = "ours"

// arrow15Name is a column with two figures: what the Parquet package of Arrow
// v15, whose types our API speaks, makes of nullable columns.
const arrow15Name = "arrow v15"

// parties are those that measure everything they can.
func parties() []string { return []string{oursName, "pyarrow", "deltalake", "polars", "duckdb"} }

const arrow15Package = "github.com/millwright-ml/millwright/internal/bench/dataset/arrow15"

// bench is one run of the command.
type bench struct {
	config
	arrow15 string // The program of Arrow v15.
	dir     string
	table   *results
	counts  []int            // Numbers of cores.
	sizes   map[string]int64 // Bytes in Arrow of each table.
	script  string
}

func (b *bench) run(ctx context.Context) error {
	b.script = filepath.Join(b.dir, "rivals.py")
	if err := os.WriteFile(b.script, rivalScript, 0o600); err != nil {
		return err
	}
	if b.wanted("write nullable") || b.wanted("read nullable") {
		// A program of its own, since both versions' Parquet do not link together.
		b.arrow15 = filepath.Join(b.dir, "arrow15")
		build := exec.CommandContext(ctx, "go", "build", "-o", b.arrow15, arrow15Package)
		if out, err := build.CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w: %s", arrow15Package, err, bytes.TrimSpace(out))
		}
	}
	for _, s := range shapes() {
		if err := b.throughput(ctx, s); err != nil {
			return err
		}
	}
	if err := b.again(ctx); err != nil {
		return err
	}
	if err := b.train(ctx); err != nil {
		return err
	}
	if err := b.log(ctx); err != nil {
		return err
	}
	return b.remote(ctx)
}

func (b *bench) wanted(name string) bool { return strings.Contains(name, b.only) }

// throughput writes and reads one table.
func (b *bench) throughput(ctx context.Context, s shape) error {
	measures := []string{"write", "lean", "read"}
	if s.name == "features" {
		measures = append(measures, "columns", "filter")
	}
	if !slices.ContainsFunc(measures, func(m string) bool { return b.wanted(m + " " + s.name) }) && !b.wanted("write "+s.name+" without a profile") {
		return nil
	}
	rows := int(float64(b.rows) * s.scale)
	p, size, err := b.prepare(ctx, s, rows)
	if err != nil {
		return err
	}
	defer os.RemoveAll(filepath.Join(b.dir, s.name))
	if s.name == "nullable" {
		if err := b.nullable(ctx, b.arrow15, p, size); err != nil {
			return err
		}
	}
	for _, m := range measures {
		name := m + " " + s.name
		if m == "lean" {
			name = "write " + s.name + " without a profile"
		}
		if !b.wanted(name) {
			continue
		}
		want := int64(rows)
		if m == "filter" {
			want = int64(p.Range[1] - p.Range[0])
		}
		if err := b.each(ctx, name, m, p, func(cores int, party string, all []figures) error {
			for _, f := range all {
				if f.Rows != want {
					return fmt.Errorf("%d rows, want %d", f.Rows, want)
				}
			}
			value := func(amount, seconds float64) float64 { return amount / seconds / 1e6 }
			switch seconds := best(cores, all); m {
			case "columns", "filter":
				b.table.add(name, "Mrows/s", cores, false, party, value(float64(rows), seconds))
			default:
				b.table.add(name, "MB/s", cores, false, party, value(float64(size), seconds))
			}
			if m == "write" && cores == b.counts[0] {
				b.table.add("size of "+s.name, "MB", 0, true, party, float64(all[0].Bytes)/1e6)
			}
			return nil
		}); err != nil {
			return err
		}
	}
	return nil
}

// prepare makes the table that is written and the one that is read.
func (b *bench) prepare(ctx context.Context, s shape, rows int) (p plan, size int64, err error) {
	dir := filepath.Join(b.dir, s.name)
	if err := os.MkdirAll(filepath.Join(dir, "lake"), 0o755); err != nil {
		return p, 0, err
	}
	p = plan{
		Source: filepath.Join(dir, "source.arrow"), Out: filepath.Join(dir, "out"), Table: filepath.Join(dir, "lake", tableName),
		Files: filepath.Join(dir, "lake", tableName, "_refs", "data", "*.parquet"), Range: [2]int{rows / 2, rows/2 + rows/100},
	}
	if size, err = s.generate(p.Source, rows); err != nil {
		return p, 0, err
	}
	fmt.Fprintf(os.Stderr, "table %s: %d rows, %d MB\n", s.name, rows, size/1e6)
	store, err := dirblob.Open(filepath.Dir(p.Table))
	if err != nil {
		return p, 0, err
	}
	defer store.Close()
	schema, recs, err := load(p.Source)
	if err != nil {
		return p, 0, err
	}
	_, err = write(ctx, dataset.New(store, nil), tableName, schema, recs, nil)
	for _, rec := range recs {
		rec.Release()
	}
	return p, size, err
}

// best is the shortest repetition: the processor's time on one core, the wall's
// on more.
func best(cores int, all []figures) float64 {
	seconds := 0.0
	for i, f := range all {
		used := f.Wall
		if cores == 1 {
			used = f.CPU
		}
		if i == 0 || used < seconds {
			seconds = used
		}
	}
	return seconds
}

// each runs a measurement with every party on every number of cores.
func (b *bench) each(ctx context.Context, name, measure string, p plan, take func(cores int, party string, all []figures) error) error {
	for _, cores := range b.counts {
		for _, party := range parties() {
			if b.python == "" && party != oursName {
				continue
			}
			all, err := b.one(ctx, party, measure, cores, p)
			if err == nil && len(all) > 0 {
				err = take(cores, party, all)
			}
			if err != nil {
				return fmt.Errorf("%s, %s: %w", name, party, err)
			}
		}
	}
	return nil
}

// one runs a measurement in a process of its own that has the cores and no more.
func (b *bench) one(ctx context.Context, party, measure string, cores int, p plan) ([]figures, error) {
	text, err := json.Marshal(p)
	if err != nil {
		return nil, err
	}
	if party == oursName {
		program, err := os.Executable()
		if err != nil {
			return nil, err
		}
		return figuresOf(ctx, cores, program, "-profile", b.profile, "-ours", measure, strconv.Itoa(b.repeats), string(text))
	}
	return figuresOf(ctx, cores, b.python, b.script, party, measure, strconv.Itoa(cores), strconv.Itoa(b.repeats), string(text))
}

// figuresOf runs a program on so many cores and reads its figures.
func figuresOf(ctx context.Context, cores int, program ...string) ([]figures, error) {
	args := append([]string{"-c", "0-" + strconv.Itoa(cores-1)}, program...)
	cmd := exec.CommandContext(ctx, "taskset", args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	cmd.Env = append(os.Environ(), "GOMAXPROCS="+strconv.Itoa(cores))
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("%w: %s", err, bytes.TrimSpace(stderr.Bytes()))
	}
	var all []figures
	lines := bufio.NewScanner(&stdout)
	for lines.Scan() {
		var f figures
		if err := json.Unmarshal(lines.Bytes(), &f); err != nil {
			return nil, fmt.Errorf("%q: %w", lines.Bytes(), err)
		}
		all = append(all, f)
	}
	return all, lines.Err()
}

// runChild is one measurement of ours: its name, the repetitions and the plan.
func runChild(ctx context.Context, measure string, args []string) error {
	if len(args) != 2 {
		return fmt.Errorf("%d arguments, want the repetitions and a plan", len(args))
	}
	repeats, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	var p plan
	if err := json.Unmarshal([]byte(args[1]), &p); err != nil {
		return err
	}
	return ours(ctx, measure, repeats, p, os.Stdout)
}
