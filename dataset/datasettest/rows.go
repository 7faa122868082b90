package datasettest

import (
	"maps"
	"slices"
	"testing"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/memory"
	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/dataset"
	"github.com/millwright-ml/millwright/dataset/filter"
)

// schema is that of all tables of the kit.
var schema = arrow.NewSchema([]arrow.Field{
	{Name: "id", Type: arrow.PrimitiveTypes.Int64},
	{Name: "value", Type: arrow.PrimitiveTypes.Float64, Nullable: true},
	{Name: "text", Type: arrow.BinaryTypes.String, Nullable: true},
}, nil)

// cells are a row without its id.
type cells struct {
	value float64
	text  string // "" is null.
}

// rows are a table, by id.
type rows map[int64]cells

// reader reads the rows in the order of their ids.
func (r rows) reader(t *testing.T) array.RecordReader {
	b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	defer b.Release()
	for _, id := range slices.Sorted(maps.Keys(r)) {
		c := r[id]
		b.Field(0).(*array.Int64Builder).Append(id)
		b.Field(1).(*array.Float64Builder).Append(c.value)
		if c.text == "" {
			b.Field(2).AppendNull()
		} else {
			b.Field(2).(*array.StringBuilder).Append(c.text)
		}
	}
	rec := b.NewRecord()
	defer rec.Release()
	rr, err := array.NewRecordReader(schema, []arrow.Record{rec})
	require.NoError(t, err)
	t.Cleanup(rr.Release)
	return rr
}

// read reads a version, in which no id may be twice.
func read(t *testing.T, v *dataset.Version) rows {
	t.Helper()
	rr, err := v.Read(t.Context(), nil)
	require.NoError(t, err)
	defer rr.Release()
	out := rows{}
	n := 0
	for rr.Next() {
		rec := rr.Record()
		id, value, text := rec.Column(0).(*array.Int64), rec.Column(1).(*array.Float64), rec.Column(2).(*array.String)
		for i := range int(rec.NumRows()) {
			c := cells{value: value.Value(i)}
			if !text.IsNull(i) {
				c.text = string([]byte(text.Value(i))) // The record goes.
			}
			out[id.Value(i)] = c
			n++
		}
	}
	require.NoError(t, rr.Err())
	require.Len(t, out, n, "an id is there twice")
	require.EqualValues(t, n, v.Rows)
	return out
}

func add(t *testing.T, b *dataset.Branch, r rows) *dataset.Version {
	t.Helper()
	v, err := b.Append(t.Context(), r.reader(t), nil)
	require.NoError(t, err)
	return v
}

// set overwrites one row.
func set(t *testing.T, b *dataset.Branch, id int64, c cells) *dataset.Version {
	t.Helper()
	v, err := b.Overwrite(t.Context(), rows{id: c}.reader(t), &dataset.CommitOptions{Where: filter.Eq("id", id)})
	require.NoError(t, err)
	return v
}

func newest(t *testing.T, b *dataset.Branch) *dataset.Version {
	t.Helper()
	v, err := b.Latest(t.Context())
	require.NoError(t, err)
	return v
}

func fork(t *testing.T, d *dataset.Dataset, name string, from *dataset.Version) *dataset.Branch {
	t.Helper()
	b, err := d.CreateBranch(t.Context(), name, from)
	require.NoError(t, err)
	return b
}

func resolve(t *testing.T, d *dataset.Dataset, ref string) *dataset.Version {
	t.Helper()
	v, err := d.Resolve(t.Context(), ref)
	require.NoError(t, err)
	return v
}

// with is a copy of the rows with others.
func (r rows) with(more rows) rows {
	out := maps.Clone(r)
	maps.Copy(out, more)
	return out
}
