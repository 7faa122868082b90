package rows

import (
	"context"
	"fmt"
	"iter"
	"strconv"
	"strings"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"

	"github.com/millwright-ml/millwright/dataset"
	"github.com/millwright-ml/millwright/internal/errs"
	"github.com/millwright-ml/millwright/monitor/judge"
	"github.com/millwright-ml/millwright/tracking"
)

// ErrInvalid says that a column is not there, or an option is not acceptable.
var ErrInvalid = errs.ErrInvalid

// Columns names the columns of a dataset that the fields of samples are in. "" is
// none. Texts are taken as they are, other values as they are printed, and nulls as
// "".
type Columns struct {
	// ID names the sample. Default none: the row's number, from 0.
	ID string
	// Output is what is judged. Required.
	Output string
	// Input, Expected, Context, Other, Model, Version and Prompt are the fields
	// of judge.Sample.
	Input, Expected, Context, Other, Model, Version, Prompt string
}

// batchRows is small, since texts may be long.
const batchRows = 256

// Samples are the rows of a version, in their order.
func Samples(ctx context.Context, v *dataset.Version, c Columns) iter.Seq2[judge.Sample, error] {
	return func(yield func(judge.Sample, error) bool) {
		if c.Output == "" {
			yield(judge.Sample{}, fmt.Errorf("rows: samples of %q: no column is named for the output: %w", v.Dataset, ErrInvalid))
			return
		}
		number := 0
		more := true
		err := read(ctx, v, nil, func(get func(name string, row int) string, count int) bool {
			for i := range count {
				s := judge.Sample{
					ID: get(c.ID, i), Input: get(c.Input, i), Output: get(c.Output, i), Expected: get(c.Expected, i), Context: get(c.Context, i),
					Other: get(c.Other, i), Model: get(c.Model, i), Version: get(c.Version, i), Prompt: get(c.Prompt, i),
				}
				if c.ID == "" {
					s.ID = strconv.Itoa(number)
				}
				number++
				if more = yield(s, nil); !more {
					return false
				}
			}
			return true
		}, c.ID, c.Output, c.Input, c.Expected, c.Context, c.Other, c.Model, c.Version, c.Prompt)
		if err != nil && more {
			yield(judge.Sample{}, fmt.Errorf("rows: samples of %q: %w", v.Dataset, err))
		}
	}
}

// Input is the version as the input of a run.
func Input(v *dataset.Version) *tracking.DatasetInput {
	return &tracking.DatasetInput{
		Name: v.Dataset, Version: strconv.FormatInt(v.Number, 10), Digest: v.Digest, Context: "evaluation", SourceType: "millwright",
		Source: v.Dataset + "@" + v.Branch, Tags: map[string]string{"rows": strconv.FormatInt(v.Rows, 10)},
	}
}

// read calls f with batches of the named columns until it returns false. The groups
// are those to read, nil all.
func read(ctx context.Context, v *dataset.Version, groups []dataset.Group, f func(get func(name string, row int) string, count int) bool, names ...string) error {
	place := map[string]int{}
	var wanted []string
	for _, name := range names {
		if _, twice := place[name]; name == "" || twice {
			continue
		}
		place[name] = len(wanted)
		wanted = append(wanted, name)
	}
	opts := &dataset.ReadOptions{Columns: wanted, BatchRows: batchRows}
	var rr array.RecordReader
	var err error
	if groups == nil {
		rr, err = v.Read(ctx, opts)
	} else {
		rr, err = v.ReadGroups(ctx, groups, opts)
	}
	if err != nil {
		return err
	}
	defer rr.Release()
	for rr.Next() {
		rec := rr.Record()
		get := func(name string, row int) string {
			if name == "" {
				return ""
			}
			return text(rec.Column(place[name]), row)
		}
		if !f(get, int(rec.NumRows())) {
			return nil
		}
	}
	return rr.Err()
}

// text is a value as a text of its own, which outlives the batch.
func text(a arrow.Array, row int) string {
	if a.IsNull(row) {
		return ""
	}
	return strings.Clone(a.ValueStr(row))
}
