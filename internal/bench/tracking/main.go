// Command tracking measures Millwright's MLflow server against MLflow's own, on
// one machine, in one run, with one load generator, and prints ratios.
//
//	go run ./tracking -mlflow venv/bin/mlflow                      # SQLite
//	go run ./tracking -mlflow venv/bin/mlflow -postgres URL1,URL2  # two empty databases
//
// Both servers run with one process for requests and serve artifacts from a
// folder. Runs for the search and the points of the long metric are written to
// both databases beforehand: to ours through its store, to MLflow's through the
// tables that its server made.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"
)

type config struct {
	mlflow   string
	postgres string
	runs     int
	points   int
	artifact int64
	seconds  float64
	soak     time.Duration
	only     string
	root     string
}

func main() {
	var c config
	flag.StringVar(&c.mlflow, "mlflow", "", "MLflow's program `mlflow`; without it only ours is measured")
	flag.StringVar(&c.postgres, "postgres", "", "two URLs of empty PostgreSQL databases, ours and MLflow's, with a comma between; default SQLite files")
	flag.IntVar(&c.runs, "runs", 100_000, "runs to search, each with 20 params and 20 metrics")
	flag.IntVar(&c.points, "points", 1_000_000, "points of the long metric")
	flag.Int64Var(&c.artifact, "artifact", 1<<30, "bytes of the artifact")
	flag.Float64Var(&c.seconds, "seconds", 3, "length of each measurement of a request")
	flag.DurationVar(&c.soak, "soak", 0, "how long to log to ours at the end, watching its memory")
	flag.StringVar(&c.only, "only", "", "measure only what has this in its name")
	flag.StringVar(&c.root, "root", "../..", "folder of Millwright's source")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, c); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, c config) error {
	dir, err := os.MkdirTemp("", "bench-tracking-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	binary := filepath.Join(dir, "mlflow-server")
	build := exec.CommandContext(ctx, "go", "build", "-C", c.root, "-o", binary, "./examples/mlflow-server")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("building our server: %w\n%s", err, out)
	}
	ourURL, rivalURL := "sqlite:///"+filepath.Join(dir, "ours.db"), "sqlite:///"+filepath.Join(dir, "mlflow.db")
	if c.postgres != "" {
		var ok bool
		if ourURL, rivalURL, ok = strings.Cut(c.postgres, ","); !ok {
			return fmt.Errorf("-postgres wants two URLs with a comma between")
		}
	}
	servers := []*server{{name: "ours", program: binary, backend: ourURL, dir: filepath.Join(dir, "ours")}}
	if c.mlflow != "" {
		servers = append(servers, &server{name: "mlflow", program: c.mlflow, backend: rivalURL, dir: filepath.Join(dir, "mlflow"), upstream: true})
	}
	table := &results{names: servers}
	defer table.print()
	for _, s := range servers {
		if err := s.start(ctx, table); err != nil { // makes the schema
			return err
		}
		defer s.stop()
	}
	for _, s := range servers {
		if err := s.seed(ctx, c); err != nil {
			return fmt.Errorf("filling the database of %s: %w", s.name, err)
		}
		if err := s.restart(ctx, table); err != nil {
			return err
		}
	}
	for _, m := range measurements(c) {
		if !strings.Contains(m.name, c.only) {
			continue
		}
		for _, s := range servers {
			value, err := m.run(ctx, s)
			if err != nil {
				return fmt.Errorf("%s, %s: %w", m.name, s.name, err)
			}
			table.add(m.name, m.unit, m.less, s, value)
		}
	}
	for _, s := range servers {
		table.add("memory after the load", "MiB", true, s, s.memory())
	}
	if c.soak > 0 {
		return soak(ctx, servers[0], c.soak)
	}
	return nil
}

// results is the table that is printed at the end, also of a run broken off.
type results struct {
	names []*server
	order []string
	rows  map[string]*row
}

type row struct {
	unit  string
	less  bool // smaller is better
	value map[string]float64
}

func (r *results) add(name, unit string, less bool, s *server, value float64) {
	if r.rows == nil {
		r.rows = map[string]*row{}
	}
	line := r.rows[name]
	if line == nil {
		line = &row{unit: unit, less: less, value: map[string]float64{}}
		r.rows[name] = line
		r.order = append(r.order, name)
	}
	line.value[s.name] = value
	fmt.Fprintf(os.Stderr, "%-44s %-8s %12.3f %s\n", name, s.name, value, unit)
}

func (r *results) print() {
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	defer w.Flush()
	fmt.Fprint(w, "measurement\t")
	for _, s := range r.names {
		fmt.Fprintf(w, "%s\t", s.name)
	}
	fmt.Fprint(w, "unit\tratio\t\n")
	for _, name := range r.order {
		line := r.rows[name]
		fmt.Fprintf(w, "%s\t", name)
		for _, s := range r.names {
			fmt.Fprintf(w, "%.4g\t", line.value[s.name])
		}
		ratio := line.value["ours"] / line.value["mlflow"]
		if line.less {
			ratio = 1 / ratio
		}
		if line.value["mlflow"] == 0 || line.value["ours"] == 0 {
			fmt.Fprintf(w, "%s\t–\t\n", line.unit)
			continue
		}
		fmt.Fprintf(w, "%s\t%.1f×\t\n", line.unit, ratio)
	}
}
