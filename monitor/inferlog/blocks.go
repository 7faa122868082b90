package inferlog

import (
	"encoding/hex"
	"math"
	"sync"

	"github.com/millwright-ml/millwright/dataset/profile"
	"github.com/millwright-ml/millwright/internal/errs"
	"github.com/millwright-ml/millwright/monitor"
)

// scoreField is the output of a model in the log of a monitor.
const scoreField = "score"

// SchemaOf is what a log holds of the rows of a monitor with that reference: its
// features, numbers as float64 and categories as text, and the score.
func SchemaOf(ref *profile.Reference) Schema {
	s := Schema{Outputs: []Field{{scoreField, Float64}}}
	for _, f := range ref.Features {
		t := Float64
		if f.Bins.Kind == profile.Categorical {
			t = String
		}
		s.Inputs = append(s.Inputs, Field{f.Name, t})
	}
	return s
}

// blocks turns the rows of monitors into batches.
type blocks struct {
	mu      sync.Mutex
	known   *profile.Reference // The last one, and whether it fits.
	fault   string
	chosen  []int
	entries []entry
	numbers [][]float64 // By column.
	texts   []nullableText
	inputs  []any
	outputs []any
}

// LogRows takes the rows that a monitor has counted: give the log to
// monitor.Options.Log. The request_id of a row is its monitor.ID in hexadecimal,
// "" where that is zero, and its time that of its block, whose first row came
// then. A category that is missing, or that the reference does not name, is null;
// a missing number is NaN. Outliers, which Sample always keeps, are rows with a number outside the
// range of the reference, or an unseen category.
//
// A log that was opened with another schema than SchemaOf the reference counts
// the rows as dropped.
func (l *Log) LogRows(rows monitor.Rows) {
	b := &l.blocks
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.known != rows.Reference {
		b.known, b.fault = rows.Reference, l.misfit(rows.Reference)
		b.prepare(l.schema)
	}
	n := len(rows.Scores)
	if b.fault != "" {
		l.mu.Lock()
		l.refuse(n, b.fault)
		l.mu.Unlock()
		return
	}
	l.choose(b, rows, n)
	if out := n - len(b.chosen); out > 0 {
		l.mu.Lock()
		l.stats.Observed += uint64(out)
		l.stats.SampledOut += uint64(out)
		l.mu.Unlock()
	}
	if len(b.chosen) == 0 {
		return
	}
	batch := b.fill(rows)
	l.policy.protect(batch)
	l.mu.Lock()
	l.accept(batch)
	l.mu.Unlock()
}

// misfit says why rows of a reference cannot be logged here.
func (l *Log) misfit(ref *profile.Reference) string {
	want := SchemaOf(ref)
	var f errs.Faults
	have, need := l.schema.names(), want.names()
	f.Check(len(have) == len(need), "the log has %d columns, want %d", len(have), len(need))
	for i := range min(len(have), len(need)) {
		f.Check(have[i] == need[i] && l.schema.fields()[i].Type == want.fields()[i].Type,
			"column %q is a %s, want %q as %s", have[i], l.schema.fields()[i].Type, need[i], want.fields()[i].Type)
	}
	if err := f.Err("the schema is not that of the monitor's reference"); err != nil {
		return err.Error()
	}
	return ""
}

func (b *blocks) prepare(s Schema) {
	n := len(s.Inputs)
	b.numbers, b.texts = make([][]float64, n), make([]nullableText, n)
	b.inputs, b.outputs = make([]any, n), make([]any, 1)
}

// choose lists the rows of the sample.
func (l *Log) choose(b *blocks, rows monitor.Rows, n int) {
	b.chosen = b.chosen[:0]
	for i := range n {
		if l.policy.all() || l.policy.drawn(rows.IDs[i], &l.anonymous) || unusual(rows, i) {
			b.chosen = append(b.chosen, i)
		}
	}
}

// unusual reports whether a row is an outlier by the reference.
func unusual(rows monitor.Rows, i int) bool {
	width := len(rows.Reference.Features)
	for j, v := range rows.Values[i*width : (i+1)*width] {
		bins := rows.Reference.Features[j].Bins
		if bins.Kind == profile.Categorical {
			if v >= float64(len(bins.Categories)) {
				return true
			}
			continue
		}
		if math.IsInf(v, 0) || bins.HasRange && (v < bins.Low || v > bins.High) {
			return true
		}
	}
	return false
}

// fill makes a batch of the chosen rows.
func (b *blocks) fill(rows monitor.Rows) *batch {
	n := len(b.chosen)
	at := rows.Time.UnixMicro()
	out := &batch{key: partition{hourOf(at), rows.Model, rows.Version}, rows: n}
	b.entries = b.entries[:0]
	ids := make([]byte, 0, 2*len(monitor.ID{})*n)
	for _, i := range b.chosen {
		if rows.IDs[i] != (monitor.ID{}) {
			ids = hex.AppendEncode(ids, rows.IDs[i][:])
		}
	}
	all := string(ids)
	for _, i := range b.chosen {
		e := entry{at: at, rows: 1}
		if rows.IDs[i] != (monitor.ID{}) {
			e.id, all = all[:2*len(monitor.ID{})], all[2*len(monitor.ID{}):]
		}
		b.entries = append(b.entries, e)
	}
	out.entries = b.entries
	out.size = len(ids) + 8*n
	width := len(rows.Reference.Features)
	if n == len(rows.Scores) {
		// Eight neighbouring columns at a time, which are one cache line of a row.
		for j := 0; j < width; j += gathered {
			b.gather(rows.Values, j, min(gathered, width-j), width, n)
		}
	}
	for j, f := range rows.Reference.Features {
		if f.Bins.Kind == profile.Categorical {
			t := &b.texts[j]
			t.texts, t.null = t.texts[:0], t.null[:0]
			for _, i := range b.chosen {
				out.size += t.add(f.Bins, rows.Values[i*width+j])
			}
			b.inputs[j] = t
			continue
		}
		if n < len(rows.Scores) {
			b.numbers[j] = b.numbers[j][:0]
			for _, i := range b.chosen {
				b.numbers[j] = append(b.numbers[j], rows.Values[i*width+j])
			}
		}
		out.size += 8 * n
		b.inputs[j] = b.numbers[j]
	}
	scores := make([]float64, 0, n)
	for _, i := range b.chosen {
		scores = append(scores, rows.Scores[i])
	}
	b.outputs[0] = scores
	out.inputs, out.outputs = b.inputs, b.outputs
	return out
}

// gathered is how many columns are taken out of the rows in one pass.
const gathered = 8

// gather copies k neighbouring columns of all rows.
func (b *blocks) gather(values []float64, from, k, width, n int) {
	for j := from; j < from+k; j++ {
		if cap(b.numbers[j]) < n {
			b.numbers[j] = make([]float64, n)
		}
		b.numbers[j] = b.numbers[j][:n]
	}
	if k < gathered {
		for c := from; c < from+k; c++ {
			column := b.numbers[c]
			for i := range column {
				column[i] = values[i*width+c]
			}
		}
		return
	}
	c0, c1, c2, c3 := b.numbers[from][:n], b.numbers[from+1][:n], b.numbers[from+2][:n], b.numbers[from+3][:n]
	c4, c5, c6, c7 := b.numbers[from+4][:n], b.numbers[from+5][:n], b.numbers[from+6][:n], b.numbers[from+7][:n]
	for i := range n {
		row := values[i*width+from : i*width+from+gathered : i*width+from+gathered]
		c0[i], c1[i], c2[i], c3[i] = row[0], row[1], row[2], row[3]
		c4[i], c5[i], c6[i], c7[i] = row[4], row[5], row[6], row[7]
	}
}

// add appends the text of a code, null for one that the reference has not.
func (t *nullableText) add(b *profile.Bins, code float64) int {
	known := code >= 0 && code < float64(len(b.Categories))
	text := ""
	if known {
		text = b.Categories[int(code)]
	}
	t.texts, t.null = append(t.texts, text), append(t.null, !known)
	return len(text) + 5
}
