// Command registry measures Millwright's model registry against MLflow's own,
// on one machine, in one run, with one load generator, and prints ratios.
//
//	go run ./registry -mlflow venv/bin/mlflow                      # SQLite
//	go run ./registry -mlflow venv/bin/mlflow -postgres URL1,URL2  # two empty databases
//	go run ./registry -s3 bin/versitygw -only open                 # a cold open from S3; with -mlflow also by its client
//
// Both servers run with one process for requests. Models, versions and aliases
// are written to both databases beforehand: to ours through its store, to
// MLflow's through the tables that its server made. What upstream has no part
// for, the watch of an alias and verified files in a shared cache, is measured
// against its aim or against the store's own limit.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"

	"github.com/millwright-ml/millwright/internal/bench/rivals"
)

type config struct {
	mlflow   string
	postgres string
	s3       string
	models   int
	versions int
	size     int64
	seconds  float64
	cpu      bool
	only     string
	root     string
	dir      string // of this run
}

func main() {
	var c config
	flag.StringVar(&c.mlflow, "mlflow", "", "MLflow's program `mlflow`; without it only ours is measured")
	flag.StringVar(&c.postgres, "postgres", "", "two URLs of empty PostgreSQL databases, ours and MLflow's, with a comma between; default SQLite files")
	flag.StringVar(&c.s3, "s3", "", "program `versitygw`, the S3 server to open models from; without it they come from a folder only")
	flag.IntVar(&c.models, "models", 10_000, "models to search")
	flag.IntVar(&c.versions, "versions", 20, "versions of each")
	flag.Int64Var(&c.size, "size", 1<<30, "bytes of the model that is opened")
	flag.Float64Var(&c.seconds, "seconds", 3, "length of each measurement of a request")
	flag.BoolVar(&c.cpu, "cpu", false, "of requests sent one by one, measure the server's processor time instead of the median: for a machine that has other work")
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

func run(ctx context.Context, c config) (err error) {
	if c.dir, err = os.MkdirTemp("", "bench-registry-"); err != nil {
		return err
	}
	defer os.RemoveAll(c.dir)
	table := new(rivals.Results)
	defer func() { _ = table.Print(os.Stdout) }()
	if err := atHome(ctx, c, table); err != nil {
		return err
	}
	wanted := false
	for _, m := range requests(c) {
		wanted = wanted || strings.Contains(m.name, c.only)
	}
	if !wanted {
		return nil
	}
	pair, err := rivals.Pair(ctx, c.root, c.dir, c.mlflow, c.postgres)
	if err != nil {
		return err
	}
	var servers []*server
	for _, p := range pair {
		s := &server{Server: p}
		if err := s.Start(ctx, nil); err != nil { // makes the schema
			return err
		}
		defer s.Stop()
		servers = append(servers, s)
	}
	for _, s := range servers {
		if err := s.seed(ctx, c); err != nil {
			return fmt.Errorf("filling the database of %s: %w", s.Name, err)
		}
		if err := s.Restart(ctx, table); err != nil {
			return err
		}
	}
	for _, m := range requests(c) {
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
	return nil
}
