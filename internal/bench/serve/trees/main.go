// Command trees measures package serve/trees against the predictors of XGBoost,
// LightGBM, CatBoost and ONNX Runtime, on one machine, in one run, on one thread:
// CPU time a row for models of 500 trees of depth 6, one row a call and 1,000.
//
//	go run ./serve/trees -python venv/bin/python
//
// The rows vary from call to call: a row that comes again and again teaches the
// processor its way. Python's part of a call counts for the libraries that have no
// other way in; LightGBM is called by its C function for one row.
package main

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"flag"
	"fmt"
	"math"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/millwright-ml/millwright/serve/trees"
)

func main() {
	python := flag.String("python", "", "the interpreter of scripts/realtools.sh's part trees")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *python); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// figure is CPU microseconds a row.
type figure struct{ Row, Rows float64 }

var libraries = []string{"xgboost", "lightgbm", "catboost", "onnxruntime"}

func run(ctx context.Context, python string) error {
	dir, err := os.MkdirTemp("", "bench-trees-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	cmd := exec.CommandContext(ctx, python, "serve/trees/rivals.py", dir)
	cmd.Stderr = os.Stderr
	said, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("rivals.py (run this in internal/bench): %w", err)
	}
	var theirs map[string]figure
	if err := json.Unmarshal(said, &theirs); err != nil {
		return err
	}
	fmt.Println("| model of | a row: theirs µs | ours µs | ratio | 1,000 rows: theirs µs a row | ours µs a row | ratio |")
	fmt.Println("|---|---|---|---|---|---|---|")
	for _, name := range libraries {
		ours, err := measure(filepath.Join(dir, name))
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		t := theirs[name]
		fmt.Printf("| %s | %.1f | %.2f | %.1f | %.2f | %.2f | %.1f |\n", name, t.Row, ours.Row, t.Row/ours.Row, t.Rows, ours.Rows, t.Rows/ours.Rows)
	}
	return nil
}

// measure answers a library's rows with its model.
func measure(folder string) (figure, error) {
	model, err := trees.Load(os.DirFS(folder), nil)
	if err != nil {
		return figure{}, err
	}
	raw, err := os.ReadFile(filepath.Join(folder, "rows.f64"))
	if err != nil {
		return figure{}, err
	}
	rows := make([]float64, len(raw)/8)
	for i := range rows {
		rows[i] = math.Float64frombits(binary.LittleEndian.Uint64(raw[8*i:]))
	}
	features := model.Features()
	n := len(rows) / features
	out := make([]float64, n*model.Outputs())
	one := func(i int) {
		i %= n
		model.Predict(out[:model.Outputs()], rows[i*features:(i+1)*features])
	}
	return figure{Row: least(one, 1), Rows: least(func(int) { model.Predict(out, rows) }, n)}, nil
}

// least is the CPU microseconds a row, the least of some runs.
func least(call func(i int), rows int) float64 {
	const runs, length = 4, 100 * time.Millisecond
	call(0)
	calls := 0
	for began := cpu(); cpu()-began < length/2; calls++ {
		call(calls)
	}
	calls *= 2
	best := time.Duration(math.MaxInt64)
	for range runs {
		began := cpu()
		for i := range calls {
			call(i)
		}
		best = min(best, cpu()-began)
	}
	return float64(best.Nanoseconds()) / float64(calls) / float64(rows) / 1e3
}

// cpu is the processor time of this process so far.
func cpu() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
