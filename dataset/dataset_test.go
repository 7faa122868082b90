package dataset_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/memory"
	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/dataset"
	"github.com/millwright-ml/millwright/dataset/blob"
	"github.com/millwright-ml/millwright/dataset/filter"
	"github.com/millwright-ml/millwright/dataset/profile"
)

func TestEveryTypeComesBackExactly(t *testing.T) {
	t.Parallel()
	stores(t, func(t *testing.T, s blob.Store) {
		ctx := context.Background()
		mem := memory.NewCheckedAllocator(memory.DefaultAllocator)
		c := dataset.New(s, &dataset.Options{Allocator: mem, Producer: "test 1"})
		c.SetLayout(100, 1<<20, 8<<10) // Several row groups and files.
		d, err := c.Create(ctx, "all", everyType, &dataset.CreateOptions{Description: "every type", Properties: map[string]string{"owner": "tests"}})
		require.NoError(t, err)

		want := everyRecord(t, memory.DefaultAllocator, 0, 1000)
		v, err := d.Append(ctx, reader(t, want), &dataset.CommitOptions{Message: "first", Run: "run-1", Tags: map[string]string{"a": "b"}})
		require.NoError(t, err)
		require.EqualValues(t, 1, v.Number)
		require.EqualValues(t, 1000, v.Rows)
		require.Greater(t, len(v.Files), 1)
		require.Equal(t, "first", v.Message)
		require.Equal(t, "run-1", v.Run)
		require.Equal(t, "test 1", v.Producer)
		require.Equal(t, map[string]string{"a": "b"}, v.Tags)

		// Another process sees the same.
		other, err := dataset.New(s, &dataset.Options{Allocator: mem}).Open(ctx, "all")
		require.NoError(t, err)
		again, err := other.Latest(ctx)
		require.NoError(t, err)
		require.Equal(t, v.Digest, again.Digest)
		require.Equal(t, v.Files, again.Files)
		require.Equal(t, v.Time, again.Time)

		rr, err := again.Read(ctx, &dataset.ReadOptions{BatchRows: 64})
		require.NoError(t, err)
		row := int64(0)
		for rr.Next() {
			rec := rr.Record()
			require.LessOrEqual(t, rec.NumRows(), int64(64))
			part := want.NewSlice(row, row+rec.NumRows())
			for i := range rec.Columns() {
				require.Truef(t, array.ApproxEqual(part.Column(i), rec.Column(i), array.WithNaNsEqual(true), array.WithAbsTolerance(0)), "column %s, rows from %d:\n%s\n%s", rec.ColumnName(i), row, part.Column(i), rec.Column(i))
			}
			row += rec.NumRows()
			part.Release()
		}
		require.NoError(t, rr.Err())
		rr.Release()
		require.EqualValues(t, 1000, row)
		mem.AssertSize(t, 0)
	})
}

func TestColumnsAndRetainedRecordsOutliveTheReader(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	mem := memory.NewCheckedAllocator(memory.DefaultAllocator)
	c := dataset.New(&blob.Mem{}, &dataset.Options{Allocator: mem})
	d, err := c.Create(ctx, "all", everyType, nil)
	require.NoError(t, err)
	v, err := d.Append(ctx, reader(t, everyRecord(t, memory.DefaultAllocator, 0, 200)), nil)
	require.NoError(t, err)

	rr, err := v.Read(ctx, &dataset.ReadOptions{Columns: []string{"pair", "text", "id"}})
	require.NoError(t, err)
	require.True(t, rr.Next())
	rec := rr.Record()
	rec.Retain()
	require.False(t, rr.Next())
	rr.Release()
	require.Equal(t, []string{"pair", "text", "id"}, []string{rec.ColumnName(0), rec.ColumnName(1), rec.ColumnName(2)})
	require.EqualValues(t, 199, rec.Column(2).(*array.Int64).Value(199))
	require.Equal(t, "größe-0", rec.Column(1).(*array.String).Value(198))
	rec.Release()
	mem.AssertSize(t, 0)

	_, err = v.Read(ctx, &dataset.ReadOptions{Columns: []string{"id", "id", "nope"}, BatchRows: -1})
	require.ErrorIs(t, err, dataset.ErrInvalid)
	require.ErrorContains(t, err, `batch rows are -1`)
	require.ErrorContains(t, err, `"id" is asked for twice`)
	require.ErrorContains(t, err, `there is no column "nope"`)
}

func TestVersionsStayWhatTheyWere(t *testing.T) {
	t.Parallel()
	stores(t, func(t *testing.T, s blob.Store) {
		ctx := context.Background()
		d := create(t, s, "n", small)
		zero, err := d.Latest(ctx)
		require.NoError(t, err)
		require.EqualValues(t, 0, zero.Number)
		require.Empty(t, readNumbers(t, zero))

		digests := map[string]bool{zero.Digest: true}
		parent := zero.Digest
		for i := int64(1); i <= 5; i++ {
			v, err := d.Append(ctx, numbers(t, i*10, i*10+1), nil)
			require.NoError(t, err)
			require.Equal(t, i, v.Number)
			require.Equal(t, parent, v.Parent)
			parent = v.Digest
			digests[v.Digest] = true
		}
		require.Len(t, digests, 6)

		reopened, err := dataset.New(s, nil).Open(ctx, "n")
		require.NoError(t, err)
		v3, err := reopened.Version(ctx, 3)
		require.NoError(t, err)
		require.Equal(t, []int64{10, 11, 20, 21, 30, 31}, readNumbers(t, v3))
		found, err := reopened.ByDigest(ctx, v3.Digest)
		require.NoError(t, err)
		require.Equal(t, v3.Number, found.Number)

		_, err = reopened.ByDigest(ctx, "sha256:00")
		require.ErrorIs(t, err, dataset.ErrNotFound)
		_, err = reopened.Version(ctx, 6)
		require.ErrorIs(t, err, dataset.ErrNotFound)
		_, err = reopened.Version(ctx, -1)
		require.ErrorIs(t, err, dataset.ErrInvalid)

		// A handle that was opened before learns of what others committed.
		_, err = reopened.Append(ctx, numbers(t, 60), nil)
		require.NoError(t, err)
		v6, err := d.Version(ctx, 6)
		require.NoError(t, err)
		require.EqualValues(t, 11, v6.Rows)
	})
}

func TestEqualContentHasEqualDigest(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	whole := everyRecord(t, memory.DefaultAllocator, 0, 700)
	var digests []string
	for _, cut := range [][]int64{{700}, {1, 699}, {100, 100, 100, 400}, {333, 200, 167}, {64, 1, 1, 634}} {
		var parts []arrow.Record
		from := int64(0)
		for _, n := range cut {
			p := whole.NewSlice(from, from+n)
			defer p.Release()
			parts = append(parts, p)
			from += n
		}
		c := dataset.New(&blob.Mem{}, nil)
		c.SetLayout(100, 1<<20, 8<<10)
		d, err := c.Create(ctx, "x", everyType, nil)
		require.NoError(t, err)
		v, err := d.Append(ctx, reader(t, parts...), nil)
		require.NoError(t, err)
		digests = append(digests, v.Digest)
	}
	for _, other := range digests[1:] {
		require.Equal(t, digests[0], other)
	}
}

func TestSameRowsAppendedTwiceCountTwice(t *testing.T) {
	t.Parallel()
	stores(t, func(t *testing.T, s blob.Store) {
		ctx := context.Background()
		d := create(t, s, "n", small)
		for range 3 {
			_, err := d.Append(ctx, numbers(t, 1, 2), nil)
			require.NoError(t, err)
		}
		v, err := d.Latest(ctx)
		require.NoError(t, err)
		require.Equal(t, []int64{1, 2, 1, 2, 1, 2}, readNumbers(t, v))
		require.Equal(t, v.Files[0].SHA256, v.Files[2].SHA256)
		require.NotEqual(t, v.Files[0].Path, v.Files[2].Path)
	})
}

// TestNoProfileKeepsTheStatistics leaves out the profile of some commits: the
// files and their statistics are the same, and so is the profile, which is then
// counted of the rows.
func TestNoProfileKeepsTheStatistics(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	mem := &blob.Mem{}
	with, without := create(t, mem, "with", everyType), create(t, mem, "without", everyType)
	var rows []arrow.Record
	for i := range 3 {
		rows = append(rows, everyRecord(t, memory.DefaultAllocator, i*250, (i+1)*250))
	}
	var want, got *dataset.Version
	var err error
	for i, rec := range rows {
		want, err = with.Append(ctx, reader(t, rec), nil)
		require.NoError(t, err)
		got, err = without.Append(ctx, reader(t, rec), &dataset.CommitOptions{NoProfile: i != 1})
		require.NoError(t, err)
	}
	require.Equal(t, want.Digest, got.Digest)
	stats := func(name string) (out []string) {
		for n := range 4 {
			entry, err := blob.ReadAll(ctx, mem, fmt.Sprintf("%s/_delta_log/%020d.json", name, n), 1<<20)
			require.NoError(t, err)
			for line := range strings.Lines(string(entry)) {
				var action struct{ Add *struct{ Stats string } }
				require.NoError(t, json.Unmarshal([]byte(line), &action))
				if action.Add != nil {
					out = append(out, action.Add.Stats)
				}
			}
		}
		return out
	}
	require.Len(t, stats("with"), 3)
	require.Equal(t, stats("with"), stats("without"))
	wanted, err := want.Profile(ctx)
	require.NoError(t, err)
	counted, err := got.Profile(ctx)
	require.NoError(t, err)
	a, err := json.Marshal(wanted)
	require.NoError(t, err)
	b, err := json.Marshal(counted)
	require.NoError(t, err)
	require.JSONEq(t, string(a), string(b))
	report, err := without.Verify(ctx, nil)
	require.NoError(t, err)
	require.True(t, report.OK(), "%v", report.Damage)

	// Rows that take the place of others, and expectations, which need a profile.
	v, err := without.Overwrite(ctx, reader(t, rows[0]), &dataset.CommitOptions{NoProfile: true, Where: filter.Lt("id", 100)})
	require.Error(t, err, "%v", v) // The rows are not all below 100.
	v, err = without.Overwrite(ctx, reader(t, everyRecord(t, memory.DefaultAllocator, 0, 50)), &dataset.CommitOptions{NoProfile: true, Where: filter.Lt("id", 100)})
	require.NoError(t, err)
	counted, err = v.Profile(ctx)
	require.NoError(t, err)
	require.EqualValues(t, 700, counted.Rows)
	v, err = without.Append(ctx, reader(t, rows[1]), &dataset.CommitOptions{NoProfile: true, Expect: []profile.Expectation{{Check: profile.CheckNulls, Column: "id"}}})
	require.NoError(t, err)
	passed, err := v.Validation(ctx)
	require.NoError(t, err)
	require.True(t, passed.Passed)
}

func TestProfileIsThatOfAllRows(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	d := create(t, &blob.Mem{}, "all", everyType)
	for i := range 4 {
		_, err := d.Append(ctx, reader(t, everyRecord(t, memory.DefaultAllocator, i*250, (i+1)*250)), nil)
		require.NoError(t, err)
	}
	v, err := d.Version(ctx, 3)
	require.NoError(t, err)
	p, err := v.Profile(ctx)
	require.NoError(t, err)
	require.EqualValues(t, 750, p.Rows)
	id := p.Column("id")
	require.EqualValues(t, 750, id.Rows())
	require.Zero(t, id.Nulls())
	require.InDelta(t, 374.5, id.Mean(), 1e-9)
	require.EqualValues(t, 749, id.Max())
	text := p.Column("text")
	require.EqualValues(t, 107, text.Nulls())
	require.EqualValues(t, 9, text.Distinct())
	require.EqualValues(t, 1, p.Column("bool").Max())
	require.InDelta(t, 749*1.000003, p.Column("at").Max(), 1e-9)
	require.InDelta(t, 249*86400, p.Column("day").Max(), 0)
	require.Nil(t, p.Column("vector"))

	empty, err := d.Version(ctx, 0)
	require.NoError(t, err)
	p, err = empty.Profile(ctx)
	require.NoError(t, err)
	require.Zero(t, p.Rows)
}

func TestCreateAndOpenRefuse(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	c := dataset.New(&blob.Mem{}, nil)
	_, err := c.Create(ctx, "x", small, nil)
	require.NoError(t, err)
	_, err = c.Create(ctx, "x", small, nil)
	require.ErrorIs(t, err, dataset.ErrExists)
	_, err = c.Open(ctx, "y")
	require.ErrorIs(t, err, dataset.ErrNotFound)
	require.EqualError(t, err, `dataset: open "y": not found`)
	_, err = c.Open(ctx, "../x")
	require.ErrorIs(t, err, dataset.ErrInvalid)

	_, err = c.Create(ctx, "_x", arrow.NewSchema([]arrow.Field{
		{Name: "a", Type: arrow.PrimitiveTypes.Uint8},
		{Name: "A", Type: arrow.BinaryTypes.String},
		{Name: "t", Type: &arrow.TimestampType{Unit: arrow.Microsecond}},
		{Name: "two words", Type: arrow.FixedWidthTypes.Duration_ms},
	}, nil), &dataset.CreateOptions{Properties: map[string]string{"delta.appendOnly": "true"}})
	require.ErrorIs(t, err, dataset.ErrInvalid)
	for _, want := range []string{"a name has", `"a": uint8 is unsigned`, `"A": the name repeats "a"`, `"t": timestamp[us] has no time zone`, `"two words": a name may not`, "duration", `"delta.appendOnly"`} {
		require.ErrorContains(t, err, want)
	}
	_, err = c.Create(ctx, "z", nil, nil)
	require.ErrorIs(t, err, dataset.ErrInvalid)
}

func TestAppendRefusesRecordsThatDoNotFit(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	mem := memory.NewCheckedAllocator(memory.DefaultAllocator)
	c := dataset.New(&blob.Mem{}, &dataset.Options{Allocator: mem})
	d, err := c.Create(ctx, "x", arrow.NewSchema([]arrow.Field{
		{Name: "a", Type: arrow.PrimitiveTypes.Int64},
		{Name: "b", Type: arrow.BinaryTypes.String, Nullable: true},
	}, nil), nil)
	require.NoError(t, err)
	fields := func(names string, types ...arrow.DataType) *arrow.Schema {
		var out []arrow.Field
		for i, n := range strings.Fields(names) {
			out = append(out, arrow.Field{Name: n, Type: types[i], Nullable: true})
		}
		return arrow.NewSchema(out, nil)
	}
	i64, text := arrow.PrimitiveTypes.Int64, arrow.BinaryTypes.String

	b := array.NewRecordBuilder(memory.DefaultAllocator, fields("c a", text, arrow.PrimitiveTypes.Int32))
	_, err = d.Append(ctx, reader(t, b.NewRecord()), nil)
	var mismatch *dataset.SchemaError
	require.ErrorAs(t, err, &mismatch)
	require.ErrorIs(t, err, dataset.ErrInvalid)
	require.Equal(t, []string{`column "a" is int32, want int64`, `column "b" (utf8) is missing`, `column "c" (utf8) is not in the table`}, mismatch.Violations)

	b = array.NewRecordBuilder(memory.DefaultAllocator, fields("b a", text, i64))
	b.Field(0).(*array.StringBuilder).AppendValues([]string{"ok", "bad \xff", ""}, nil)
	b.Field(1).(*array.Int64Builder).AppendValues([]int64{1, 2, 3}, []bool{true, true, false})
	_, err = d.Append(ctx, reader(t, b.NewRecord()), nil)
	require.ErrorAs(t, err, &mismatch)
	require.Equal(t, []string{`column "a" takes no nulls, row 2 is null`, `column "b": row 1 is not UTF-8 text`}, mismatch.Violations)

	// Characters that are cut by the border of two values are no text either.
	b.Field(0).(*array.StringBuilder).AppendValues([]string{"\xc3", "\xbc"}, nil)
	b.Field(1).(*array.Int64Builder).AppendValues([]int64{1, 2}, nil)
	_, err = d.Append(ctx, reader(t, b.NewRecord()), nil)
	require.ErrorContains(t, err, `column "b": row 0 is not UTF-8 text`)

	_, err = d.Append(ctx, nil, nil)
	require.ErrorIs(t, err, dataset.ErrInvalid)
	b.Field(0).AppendNull()
	b.Field(1).(*array.Int64Builder).Append(7)
	_, err = d.Append(ctx, reader(t, b.NewRecord()), &dataset.CommitOptions{AppVersion: -1, Message: "\xff", Tags: map[string]string{"": strings.Repeat("x", 9000)}})
	for _, want := range []string{"app version is -1", "message is not UTF-8", "a tag has no key", "is 9000 bytes long"} {
		require.ErrorContains(t, err, want)
	}

	latest, err := d.Latest(ctx)
	require.NoError(t, err)
	require.Zero(t, latest.Number)
	mem.AssertSize(t, 0)
}

func TestReaderErrorCommitsNothing(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	d := create(t, &blob.Mem{}, "n", small)
	_, err := d.Append(ctx, failing{numbers(t, 1)}, nil)
	require.ErrorIs(t, err, errTorn)
	ended, cancel := context.WithCancel(ctx)
	cancel()
	_, err = d.Append(ended, numbers(t, 1), nil)
	require.ErrorIs(t, err, context.Canceled)
	v, err := d.Latest(ctx)
	require.NoError(t, err)
	require.Zero(t, v.Number)
}

var errTorn = errors.New("the source broke off")

type failing struct{ array.RecordReader }

func (failing) Err() error { return errTorn }

func TestZeroRowsMakeAVersion(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	d := create(t, &blob.Mem{}, "n", small)
	v, err := d.Append(ctx, numbers(t), &dataset.CommitOptions{Message: "nothing today"})
	require.NoError(t, err)
	require.EqualValues(t, 1, v.Number)
	require.Empty(t, v.Files)
	p, err := v.Profile(ctx)
	require.NoError(t, err)
	require.Zero(t, p.Rows)
}

func TestIdempotentProducer(t *testing.T) {
	t.Parallel()
	stores(t, func(t *testing.T, s blob.Store) {
		ctx := context.Background()
		d := create(t, s, "n", small)
		first, err := d.Append(ctx, numbers(t, 1), &dataset.CommitOptions{App: "etl", AppVersion: 4})
		require.NoError(t, err)
		_, err = d.Append(ctx, numbers(t, 9), &dataset.CommitOptions{App: "other", AppVersion: 4})
		require.NoError(t, err)
		third, err := d.Append(ctx, numbers(t, 2), &dataset.CommitOptions{App: "etl", AppVersion: 5})
		require.NoError(t, err)

		other, err := dataset.New(s, nil).Open(ctx, "n")
		require.NoError(t, err)
		for n, want := range map[int64]*dataset.Version{4: first, 5: third} {
			again, err := other.Append(ctx, numbers(t, 7), &dataset.CommitOptions{App: "etl", AppVersion: n})
			require.NoError(t, err)
			require.Equal(t, want.Number, again.Number)
			require.Equal(t, want.Digest, again.Digest)
		}
		_, err = other.Append(ctx, numbers(t, 7), &dataset.CommitOptions{App: "etl", AppVersion: 3})
		require.ErrorIs(t, err, dataset.ErrConflict)
		v, err := other.Latest(ctx)
		require.NoError(t, err)
		require.Equal(t, []int64{1, 9, 2}, readNumbers(t, v))
	})
}

func TestProgressEndsAtTheWhole(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	c := dataset.New(&blob.Mem{}, nil)
	c.SetLayout(100, 1<<20, 1)
	d, err := c.Create(ctx, "all", everyType, nil)
	require.NoError(t, err)
	var seen []dataset.Progress
	v, err := d.Append(ctx, reader(t, everyRecord(t, memory.DefaultAllocator, 0, 450)), &dataset.CommitOptions{Progress: func(p dataset.Progress) { seen = append(seen, p) }})
	require.NoError(t, err)
	require.Len(t, v.Files, 5)
	last := seen[len(seen)-1]
	require.EqualValues(t, 450, last.Rows)
	require.Equal(t, 5, last.Files)
	require.Positive(t, last.Bytes)
}
