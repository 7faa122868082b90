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
	"os/signal"
	"strings"
	"time"

	"github.com/millwright-ml/millwright/internal/bench/rivals"
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
	pair, err := rivals.Pair(ctx, c.root, dir, c.mlflow, c.postgres)
	if err != nil {
		return err
	}
	table := new(rivals.Results)
	defer func() { _ = table.Print(os.Stdout) }()
	var servers []*server
	for _, s := range pair {
		if err := s.Start(ctx, nil); err != nil { // makes the schema
			return err
		}
		defer s.Stop()
		servers = append(servers, &server{Server: s})
	}
	for _, s := range servers {
		if err := s.seed(ctx, c); err != nil {
			return fmt.Errorf("filling the database of %s: %w", s.Name, err)
		}
		if err := s.Restart(ctx, table); err != nil {
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
				return fmt.Errorf("%s, %s: %w", m.name, s.Name, err)
			}
			table.Add(m.name, m.unit, m.less, s.Name, value)
		}
	}
	for _, s := range servers {
		table.Add("memory after the load", "MiB", true, s.Name, s.Memory())
	}
	if c.soak > 0 {
		return soak(ctx, servers[0], c.soak)
	}
	return nil
}
