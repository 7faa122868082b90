package dataset_test

import (
	"context"
	"testing"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/memory"
	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/dataset"
	"github.com/millwright-ml/millwright/dataset/blob"
	"github.com/millwright-ml/millwright/dataset/filter"
)

// fill appends one file for each list of numbers.
func fill(t testing.TB, d *dataset.Dataset, files ...[]int64) *dataset.Version {
	var v *dataset.Version
	for _, f := range files {
		var err error
		v, err = d.Append(context.Background(), numbers(t, f...), nil)
		require.NoError(t, err)
	}
	return v
}

func TestDeleteTouchesOnlyFilesThatHoldTheRows(t *testing.T) {
	t.Parallel()
	stores(t, func(t *testing.T, s blob.Store) {
		ctx := context.Background()
		d := create(t, s, "n", small)
		before := fill(t, d, []int64{1, 2, 3}, []int64{10, 11, 12}, []int64{20, 21, 22}, []int64{5, 25})
		v, err := d.Delete(ctx, filter.And(filter.Ge("n", 11), filter.Lt("n", 23)), &dataset.CommitOptions{Message: "tidy", Author: "a", Code: dataset.Code{Commit: "c0ffee", Dirty: true, Image: "i"}})
		require.NoError(t, err)
		require.Equal(t, []int64{1, 2, 3, 10, 5, 25}, readNumbers(t, v), "the rows keep their order")
		require.EqualValues(t, 6, v.Rows)
		require.Equal(t, "DELETE", v.Operation)
		require.Equal(t, "a", v.Author)
		require.Equal(t, dataset.Code{Commit: "c0ffee", Dirty: true, Image: "i"}, v.Code)
		require.Equal(t, []string{before.Commit}, v.Parents)
		require.Equal(t, before.Digest, v.Parent)
		require.Equal(t, before.Files[0], v.Files[0])
		require.Equal(t, before.Files[3], v.Files[2])
		require.Equal(t, []int64{1, 2, 3, 10, 11, 12, 20, 21, 22, 5, 25}, readNumbers(t, before), "the old version stays")

		p, err := v.Profile(ctx)
		require.NoError(t, err)
		require.EqualValues(t, 6, p.Rows)
		require.EqualValues(t, 25, p.Column("n").Max())
		require.EqualValues(t, 46, p.Column("n").Mean()*6)

		// Another process sees the same, in the same order.
		again, err := open(t, s).Latest(ctx)
		require.NoError(t, err)
		require.Equal(t, v.Files, again.Files)
		require.Equal(t, v.Digest, again.Digest)

		// Nothing to delete is no version.
		same, err := d.Delete(ctx, filter.Gt("n", 1000), nil)
		require.NoError(t, err)
		require.Equal(t, v.Number, same.Number)
		// Everything is.
		none, err := d.Delete(ctx, filter.Expr{}, nil)
		require.NoError(t, err)
		require.Empty(t, readNumbers(t, none))
		require.Equal(t, v.Number+1, none.Number)

		_, err = d.Delete(ctx, filter.Eq("nope", 1), nil)
		require.ErrorIs(t, err, dataset.ErrInvalid)
		require.ErrorContains(t, err, `delete from "n"`)
	})
}

func TestDeleteKeepsRowsForWhichTheConditionIsNull(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	d := create(t, &blob.Mem{}, "all", everyType)
	_, err := d.Append(ctx, reader(t, everyRecord(t, memory.DefaultAllocator, 0, 700)), nil)
	require.NoError(t, err)
	v, err := d.Delete(ctx, filter.Ge("i32", 0), nil)
	require.NoError(t, err)
	require.EqualValues(t, 100, v.Rows, "every seventh row is null")
	rr, err := v.Read(ctx, &dataset.ReadOptions{Columns: []string{"id"}})
	require.NoError(t, err)
	defer rr.Release()
	require.True(t, rr.Next())
	require.EqualValues(t, 3, rr.Record().Column(0).(*array.Int64).Value(0))
	require.EqualValues(t, 10, rr.Record().Column(0).(*array.Int64).Value(1))
}

func TestOverwrite(t *testing.T) {
	t.Parallel()
	stores(t, func(t *testing.T, s blob.Store) {
		ctx := context.Background()
		d := create(t, s, "n", small)
		first := fill(t, d, []int64{1, 2, 3}, []int64{10, 11, 12}, []int64{20, 21})
		v, err := d.Overwrite(ctx, numbers(t, 13, 14), &dataset.CommitOptions{Where: filter.Between("n", 11, 19)})
		require.NoError(t, err)
		require.Equal(t, []int64{1, 2, 3, 10, 20, 21, 13, 14}, readNumbers(t, v))
		p, err := v.Profile(ctx)
		require.NoError(t, err)
		require.EqualValues(t, 8, p.Rows)

		_, err = d.Overwrite(ctx, numbers(t, 15, 99), &dataset.CommitOptions{Where: filter.Between("n", 11, 19)})
		require.ErrorIs(t, err, dataset.ErrInvalid)
		require.ErrorContains(t, err, "row 1 does not match")

		v, err = d.Overwrite(ctx, numbers(t, 7), nil)
		require.NoError(t, err)
		require.Equal(t, []int64{7}, readNumbers(t, v))
		require.Len(t, v.Files, 1)

		// The same rows again: the file takes its own place.
		again, err := d.Overwrite(ctx, numbers(t, 7), nil)
		require.NoError(t, err)
		require.Equal(t, []int64{7}, readNumbers(t, again))
		require.Equal(t, v.Digest, again.Digest)
		other, err := open(t, s).Latest(ctx)
		require.NoError(t, err)
		require.Equal(t, []int64{7}, readNumbers(t, other))

		_, err = d.Append(ctx, numbers(t, 1), &dataset.CommitOptions{Where: filter.Eq("n", 1)})
		require.ErrorIs(t, err, dataset.ErrInvalid)

		// What was there comes back, whatever happened since.
		back, err := d.Restore(ctx, first, nil)
		require.NoError(t, err)
		require.Equal(t, first.Digest, back.Digest)
		require.Equal(t, first.Files, back.Files)
		require.Equal(t, []int64{1, 2, 3, 10, 11, 12, 20, 21}, readNumbers(t, back))
		other, err = open(t, s).Latest(ctx)
		require.NoError(t, err)
		require.Equal(t, first.Files, other.Files)
	})
}

func TestConflictsAreTyped(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	s := &gate{Store: &blob.Mem{}}
	d := create(t, s, "n", small)
	base := fill(t, d, []int64{1, 2, 3}, []int64{10, 11, 12})
	other := open(t, s.Store)

	// Somebody deletes rows of the same file between our work and our commit.
	s.before = func() {
		_, err := other.Delete(ctx, filter.Eq("n", 1), nil)
		require.NoError(t, err)
	}
	_, err := d.Delete(ctx, filter.Eq("n", 2), nil)
	var conflict *dataset.ConflictError
	require.ErrorAs(t, err, &conflict)
	require.ErrorIs(t, err, dataset.ErrConflict)
	require.Equal(t, "DELETE", conflict.Operation)
	require.EqualValues(t, 3, conflict.Version)
	require.Equal(t, []string{base.Files[0].Path}, conflict.Files)

	// Of another file: both are right, whichever came first.
	s.before = func() {
		_, err := other.Delete(ctx, filter.Eq("n", 10), nil)
		require.NoError(t, err)
	}
	v, err := d.Delete(ctx, filter.Eq("n", 2), nil)
	require.NoError(t, err)
	require.Equal(t, []int64{3, 11, 12}, readNumbers(t, v))

	// Rows that were appended meanwhile stay, also beside an overwrite.
	s.before = func() { fill(t, other, []int64{30}) }
	v, err = d.Overwrite(ctx, numbers(t, 40), nil)
	require.NoError(t, err)
	require.ElementsMatch(t, []int64{30, 40}, readNumbers(t, v))

	// A new schema and rows of the old one agree; two new schemas do not.
	wider := arrow.NewSchema([]arrow.Field{small.Field(0), {Name: "m", Type: arrow.BinaryTypes.String, Nullable: true}}, nil)
	s.before = func() {
		_, err := other.Evolve(ctx, wider, nil)
		require.NoError(t, err)
	}
	v, err = d.Append(ctx, numbers(t, 50), nil)
	require.NoError(t, err)
	require.Len(t, v.Schema().Fields(), 2)
	s.before = func() {
		widest := arrow.NewSchema(append(wider.Fields(), arrow.Field{Name: "x", Type: arrow.BinaryTypes.String, Nullable: true}), nil)
		_, err := other.Evolve(ctx, widest, nil)
		require.NoError(t, err)
	}
	mine := arrow.NewSchema(append(wider.Fields(), arrow.Field{Name: "y", Type: arrow.BinaryTypes.String, Nullable: true}), nil)
	_, err = d.Evolve(ctx, mine, nil)
	require.ErrorAs(t, err, &conflict)
	require.ErrorContains(t, err, "the schema was changed meanwhile")
}

func TestEvolveRefusesWhatOldRowsCannotFollow(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	i64, text := arrow.PrimitiveTypes.Int64, arrow.BinaryTypes.String
	schema := func(fields ...arrow.Field) *arrow.Schema { return arrow.NewSchema(fields, nil) }
	s := &blob.Mem{}
	d, err := dataset.New(s, nil).Create(ctx, "n", schema(
		arrow.Field{Name: "a", Type: arrow.PrimitiveTypes.Int8},
		arrow.Field{Name: "b", Type: arrow.PrimitiveTypes.Int32, Nullable: true},
		arrow.Field{Name: "c", Type: arrow.StructOf(arrow.Field{Name: "x", Type: text, Nullable: true}), Nullable: true},
	), nil)
	require.NoError(t, err)

	_, err = d.Evolve(ctx, schema(
		arrow.Field{Name: "b", Type: i64, Nullable: false},
		arrow.Field{Name: "c", Type: arrow.StructOf(arrow.Field{Name: "y", Type: text}), Nullable: true},
		arrow.Field{Name: "d", Type: text},
	), nil)
	require.ErrorIs(t, err, dataset.ErrInvalid)
	for _, want := range []string{`"a" is missing`, `"b" has taken nulls`, `"b" cannot grow from int32 to int64`, `"c.x" is missing`, `"c.y" is new and must take nulls`, `"d" is new and must take nulls`} {
		require.ErrorContains(t, err, want)
	}
	same, err := d.Evolve(ctx, schema(
		arrow.Field{Name: "a", Type: arrow.PrimitiveTypes.Int8},
		arrow.Field{Name: "b", Type: arrow.PrimitiveTypes.Int32, Nullable: true},
		arrow.Field{Name: "c", Type: arrow.StructOf(arrow.Field{Name: "x", Type: text, Nullable: true}), Nullable: true},
	), nil)
	require.NoError(t, err)
	require.Zero(t, same.Number)

	v, err := d.Evolve(ctx, schema(
		arrow.Field{Name: "a", Type: arrow.PrimitiveTypes.Int32, Nullable: true},
		arrow.Field{Name: "b", Type: arrow.PrimitiveTypes.Int32, Nullable: true},
		arrow.Field{Name: "c", Type: arrow.StructOf(arrow.Field{Name: "x", Type: text, Nullable: true}, arrow.Field{Name: "y", Type: i64, Nullable: true}), Nullable: true},
		arrow.Field{Name: "d", Type: text, Nullable: true},
	), nil)
	require.NoError(t, err)
	require.EqualValues(t, 1, v.Number)
	require.Len(t, v.Schema().Fields(), 4)
	old, err := open(t, s).Version(ctx, 0)
	require.NoError(t, err)
	require.Len(t, old.Schema().Fields(), 3)
	require.NotEqual(t, old.Digest, v.Digest)
	back, err := d.Restore(ctx, old, nil)
	require.NoError(t, err)
	require.Equal(t, old.Digest, back.Digest)
	require.Len(t, back.Schema().Fields(), 3)
}
