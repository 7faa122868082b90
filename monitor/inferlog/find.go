package inferlog

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"

	"github.com/millwright-ml/millwright/dataset"
)

// Find returns the request with the id as it was appended: rows in their order,
// floats bit by bit, text as []string, nil for what is redacted. Pending rows are found too. When several
// requests used the id it is the one logged last. It returns ErrNotFound when
// there is none, which also is the answer for one that was dropped.
//
// Written rows are found by reading the log's request ids, all of them: this is
// for looking into one prediction, not for serving.
func (l *Log) Find(ctx context.Context, requestID string) (*Record, error) {
	if r := l.findPending(l.policy.searched(requestID)); r != nil {
		return r, nil
	}
	// What was pending then may be written now, and is in this version.
	v, err := l.data.Latest(ctx)
	if err != nil {
		return nil, fmt.Errorf("inferlog: find %q in %q: %w", requestID, l.name, err)
	}
	r, err := l.findWritten(ctx, v, l.policy.searched(requestID))
	switch {
	case err != nil:
		return nil, fmt.Errorf("inferlog: find %q in %q: %w", requestID, l.name, err)
	case r == nil:
		return nil, fmt.Errorf("inferlog: find %q in %q: it was never logged, or dropped: %w", requestID, l.name, ErrNotFound)
	}
	return r, nil
}

func (l *Log) findPending(id string) *Record {
	l.mu.Lock()
	var r *Record
	newest := int64(-1)
	for _, c := range l.open {
		if found := c.find(id); found != nil && c.touched > newest {
			r, newest = found, c.touched
		}
	}
	sealed := slices.Clone(l.sealed)
	l.mu.Unlock()
	if r != nil {
		return r
	}
	// Sealed chunks do not change: the lock is not needed to read them.
	for _, c := range slices.Backward(sealed) {
		if c.parked {
			loaded, err := c.load()
			if err != nil {
				continue // It is written now, or the worker says what is wrong.
			}
			c = loaded
		}
		if r := c.find(id); r != nil {
			return r
		}
	}
	return nil
}

// findWritten reads twice: the ids alone to learn which rows they are, then
// those rows whole.
func (l *Log) findWritten(ctx context.Context, v *dataset.Version, id string) (*Record, error) {
	first, last := int64(-1), int64(-1)
	err := scan(ctx, v, []string{"request_id", "row"}, func(base int64, rec arrow.Record) bool {
		ids, rows := rec.Column(0).(*array.String), rec.Column(1).(*array.Int32)
		for i := range ids.Len() {
			if ids.Value(i) != id {
				continue
			}
			if rows.Value(i) == 0 {
				first = base + int64(i)
			}
			last = base + int64(i)
		}
		return true
	})
	if err != nil || first < 0 {
		return nil, err
	}
	var out *Record
	var all []string // By name: a dataset that is older may order them otherwise.
	for _, f := range l.columns.Fields() {
		all = append(all, f.Name)
	}
	err = scan(ctx, v, all, func(base int64, rec arrow.Record) bool {
		from, to := max(first-base, 0), min(last+1-base, rec.NumRows())
		if from < to {
			out = l.take(out, rec, int(from), int(to))
		}
		return base+rec.NumRows() <= last
	})
	return out, err
}

// take adds the rows [from, to) of a batch to the record.
func (l *Log) take(out *Record, rec arrow.Record, from, to int) *Record {
	if out == nil {
		out = &Record{
			RequestID: rec.Column(0).(*array.String).Value(from),
			Time:      time.UnixMicro(int64(rec.Column(2).(*array.Timestamp).Value(from))).UTC(),
			Model:     rec.Column(3).(*array.String).Value(from),
			Version:   rec.Column(4).(*array.String).Value(from),
			Latency:   time.Duration(rec.Column(5).(*array.Int64).Value(from)) * time.Microsecond,
			Error:     rec.Column(6).(*array.String).Value(from),
			Inputs:    make([]any, len(l.schema.Inputs)),
			Outputs:   make([]any, len(l.schema.Outputs)),
		}
		out.RequestID, out.Model, out.Version = strings.Clone(out.RequestID), strings.Clone(out.Model), strings.Clone(out.Version)
		out.Error = strings.Clone(out.Error)
	}
	for i := range out.Inputs {
		out.Inputs[i] = extend(out.Inputs[i], rec, len(fixed)+i, from, to)
	}
	for i := range out.Outputs {
		out.Outputs[i] = extend(out.Outputs[i], rec, len(fixed)+len(out.Inputs)+i, from, to)
	}
	return out
}

// extend appends the cells [from, to) of a column to the slice of its field.
func extend(to any, rec arrow.Record, column, first, end int) any {
	if rec.Column(column).IsNull(first) {
		return to // So are the others of the request.
	}
	switch a := rec.Column(column).(type) {
	case *array.Float64:
		s, _ := to.([]float64)
		return append(s, a.Float64Values()[first:end]...)
	case *array.Float32:
		s, _ := to.([]float32)
		return append(s, a.Float32Values()[first:end]...)
	case *array.Int64:
		s, _ := to.([]int64)
		return append(s, a.Int64Values()[first:end]...)
	case *array.Int32:
		s, _ := to.([]int32)
		return append(s, a.Int32Values()[first:end]...)
	case *array.Boolean:
		s, _ := to.([]bool)
		for i := first; i < end; i++ {
			s = append(s, a.Value(i))
		}
		return s
	case *array.String:
		s, _ := to.([]string)
		for i := first; i < end; i++ {
			s = append(s, strings.Clone(a.Value(i)))
		}
		return s
	}
	return to
}

// scan calls f with each batch and the number of the batch's first row, until f
// returns false.
func scan(ctx context.Context, v *dataset.Version, columns []string, f func(base int64, rec arrow.Record) bool) error {
	rr, err := v.Read(ctx, &dataset.ReadOptions{Columns: columns})
	if err != nil {
		return err
	}
	defer rr.Release()
	base := int64(0)
	for rr.Next() {
		rec := rr.Record()
		if !f(base, rec) {
			return nil
		}
		base += rec.NumRows()
	}
	return rr.Err()
}
