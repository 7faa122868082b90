package judge

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/millwright-ml/millwright/tracking"
)

// Run is what Log needs of [tracking.Run].
type Run interface {
	Info(ctx context.Context) (tracking.RunInfo, error)
	LogBatch(ctx context.Context, b tracking.Batch) error
}

// Files is what Log needs of [tracking.Files].
type Files interface {
	Put(ctx context.Context, path string, body io.Reader, size int64) error
}

// TablePath is where Log puts the table of results. MLflow's UI and its
// load_table find it there.
const TablePath = "eval_results_table.json"

// Log writes the report to a run: the summaries as metrics ("exact/mean",
// "exact/low", "exact/high", "exact/count", "exact/failed", "exact/skipped", and
// "…/agreement", "…/kappa" and "…/alpha" of a judge), what it took ("judge/calls", …), and the
// rows as a table that MLflow shows.
func (r *Report) Log(ctx context.Context, run Run, files Files) error {
	table, err := r.Table()
	if err != nil {
		return fmt.Errorf("judge: log: %w", err)
	}
	if err := files.Put(ctx, TablePath, bytes.NewReader(table), int64(len(table))); err != nil {
		return fmt.Errorf("judge: log the table: %w", err)
	}
	info, err := run.Info(ctx)
	if err != nil {
		return fmt.Errorf("judge: log: %w", err)
	}
	tag, err := artifactsTag(info.Tags[artifactsKey])
	if err != nil {
		return fmt.Errorf("judge: log: %w", err)
	}
	metrics := r.metrics()
	const most = 1000 // What a batch may have.
	first := tracking.Batch{Tags: map[string]string{artifactsKey: tag}}
	for part := range slices.Chunk(metrics, most) {
		first.Metrics = part
		if err := run.LogBatch(ctx, first); err != nil {
			return fmt.Errorf("judge: log: %w", err)
		}
		first = tracking.Batch{}
	}
	return nil
}

// artifactsKey is the tag by which MLflow knows which artifacts are tables.
const artifactsKey = "mlflow.loggedArtifacts"

// artifactsTag adds the table to those that the tag has.
func artifactsTag(have string) (string, error) {
	type entry struct {
		Path string `json:"path"`
		Type string `json:"type"`
	}
	var list []entry
	if have != "" {
		if err := json.Unmarshal([]byte(have), &list); err != nil {
			return "", fmt.Errorf("the tag %s: %w: %w", artifactsKey, err, ErrInvalid)
		}
	}
	if one := (entry{TablePath, "table"}); !slices.Contains(list, one) {
		list = append(list, one)
	}
	out, err := json.Marshal(list)
	return string(out), err
}

func (r *Report) metrics() []tracking.Metric {
	var out []tracking.Metric
	put := func(key string, v float64) {
		if !math.IsNaN(v) {
			out = append(out, tracking.Metric{Key: key, Value: v})
		}
	}
	for i := range r.Scorers {
		s := &r.Scorers[i]
		name := s.Name + "/"
		put(name+"mean", s.Mean)
		put(name+"low", s.Low)
		put(name+"high", s.High)
		put(name+"count", float64(s.Count))
		put(name+"failed", float64(s.Failed))
		put(name+"skipped", float64(s.Skipped))
		if a := s.Agreement; a != nil {
			put(name+"agreement", a.Raw)
			put(name+"kappa", a.Kappa)
			put(name+"alpha", a.Alpha)
		}
	}
	put("judge/samples", float64(r.Samples))
	put("judge/taken", float64(r.Taken))
	put("judge/replayed", float64(r.Replayed))
	put("judge/calls", float64(r.Usage.Calls))
	put("judge/input_tokens", float64(r.Usage.Input))
	put("judge/output_tokens", float64(r.Usage.Output))
	put("judge/money", r.Usage.Money)
	return out
}

// Table is the rows as MLflow writes tables: a JSON object of "columns" and "data".
func (r *Report) Table() ([]byte, error) {
	columns := []string{"id", "inputs", "outputs", "targets", "context", "other"}
	for i := range r.Scorers {
		name := r.Scorers[i].Name
		columns = append(columns, name+"/score", name+"/label", name+"/justification", name+"/error")
	}
	data := make([][]any, 0, len(r.Rows))
	for i := range r.Rows {
		row := &r.Rows[i]
		s := &row.Sample
		line := []any{s.ID, s.Input, s.Output, s.Expected, s.Context, s.Other}
		for _, v := range row.Scores {
			if v.Err != nil {
				line = append(line, nil, nil, nil, v.Err.Error())
				continue
			}
			line = append(line, v.Value, v.Label, v.Explanation, nil)
		}
		data = append(data, line)
	}
	return json.Marshal(map[string]any{"columns": columns, "data": data})
}

// String is the report as lines of text.
func (r *Report) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d of %d samples\n", r.Taken, r.Samples)
	number := func(v float64) string { return strconv.FormatFloat(v, 'f', 3, 64) }
	for i := range r.Scorers {
		s := &r.Scorers[i]
		fmt.Fprintf(&b, "%s: mean %s [%s, %s] of %d, %d failed, %d skipped", s.Name, number(s.Mean), number(s.Low), number(s.High), s.Count, s.Failed, s.Skipped)
		if a := s.Agreement; a != nil {
			fmt.Fprintf(&b, "; agrees with itself in %s, kappa %s [%s, %s], alpha %s", number(a.Raw), number(a.Kappa), number(a.KappaLow), number(a.KappaHigh), number(a.Alpha))
		}
		b.WriteByte('\n')
	}
	return b.String()
}
