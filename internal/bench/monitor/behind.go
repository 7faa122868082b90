package main

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/millwright-ml/millwright/dataset"
	"github.com/millwright-ml/millwright/dataset/blob/dirblob"
	"github.com/millwright-ml/millwright/monitor"
	"github.com/millwright-ml/millwright/monitor/inferlog"
)

// logging is the processor time of a row from a monitor's block to Parquet in a folder.
func logging(ctx context.Context, c *config) ([]figure, error) {
	const block, rows = 128, 1 << 16
	ref, err := build(sample(1_000), nil)
	if err != nil {
		return nil, err
	}
	values := sample(rows)
	var blocks []monitor.Rows
	for n := range rows / block {
		r := monitor.Rows{Model: "m", Version: "1", Time: time.Unix(1_700_000_000, int64(n)*1e6), Reference: ref, Values: values[n*block*width : (n+1)*block*width]}
		for i := range block {
			r.Scores = append(r.Scores, 0.5)
			r.IDs = append(r.IDs, monitor.NewID("r", n*block+i))
		}
		blocks = append(blocks, r)
	}
	dir, err := os.MkdirTemp("", "bench-monitor-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	s, err := dirblob.Open(dir)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	l, err := inferlog.Open(ctx, dataset.New(s, nil), "log", inferlog.SchemaOf(ref), &inferlog.Options{FlushEvery: -1})
	if err != nil {
		return nil, err
	}
	// The least of several rounds: the store grows with them.
	spent := math.MaxFloat64
	for n, began := 0, time.Now(); n < 2 || n < 5 && time.Since(began) < c.length; n++ {
		before := cpu()
		for _, r := range blocks {
			r.Time = r.Time.Add(time.Duration(n) * time.Second)
			l.LogRows(r)
		}
		if err := l.Flush(ctx); err != nil {
			return nil, err
		}
		spent = min(spent, float64((cpu()-before).Nanoseconds())/rows)
	}
	return []figure{{name: "inference log, processor time a row", value: spent / 1000, unit: "µs", aim: 3}}, l.Shutdown(ctx)
}

// profiles is how many rows a second of processor time become a profile, here and with
// the rivals, who get the same table in memory.
func profiles(ctx context.Context, c *config) ([]figure, error) {
	rows := sample(c.rows)
	spent := math.MaxFloat64
	for range 3 {
		before := cpu()
		if _, err := build(rows, nil); err != nil {
			return nil, err
		}
		spent = min(spent, (cpu() - before).Seconds())
	}
	ours := float64(c.rows) / spent
	out := []figure{{name: "profile, rows a second of processor time", value: ours, unit: "rows/s"}}
	if c.whylogs == "" && c.evidently == "" {
		return out, nil
	}
	dir, err := os.MkdirTemp("", "bench-monitor-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	raw := make([]byte, 0, 8*len(rows))
	for _, v := range rows {
		raw = binary.LittleEndian.AppendUint64(raw, math.Float64bits(v))
	}
	path := filepath.Join(dir, "rows.f64")
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		return nil, err
	}
	for _, rival := range []struct{ name, python string }{{"whylogs", c.whylogs}, {"evidently", c.evidently}} {
		if rival.python == "" {
			continue
		}
		cmd := exec.CommandContext(ctx, rival.python, "monitor/rivals.py", rival.name, path, fmt.Sprint(width))
		cmd.Env = append(os.Environ(), "OMP_NUM_THREADS=1", "OPENBLAS_NUM_THREADS=1", "PYTHONDONTWRITEBYTECODE=1", "WHYLOGS_NO_ANALYTICS=True", "DO_NOT_TRACK=1")
		cmd.Stderr = os.Stderr
		said, err := cmd.Output()
		if err != nil {
			return nil, fmt.Errorf("%s (run this in internal/bench): %w", rival.name, err)
		}
		var took struct{ Seconds float64 }
		if err := json.Unmarshal(said, &took); err != nil {
			return nil, fmt.Errorf("%s said %q: %w", rival.name, said, err)
		}
		theirs := float64(c.rows) / took.Seconds
		out = append(out, figure{name: rival.name, value: theirs, unit: "rows/s"},
			figure{name: "ours over " + rival.name, value: ours / theirs, unit: "times", aim: 50, least: true})
	}
	return out, nil
}
