package dataset_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
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

func whole(e profile.Expectation) profile.Expectation {
	e.Whole = true
	return e
}

func TestRowsThatFailAreNotCommitted(t *testing.T) {
	t.Parallel()
	stores(t, func(t *testing.T, s blob.Store) {
		ctx := context.Background()
		d := create(t, s, "n", small)
		_, err := d.SetExpectations(ctx, []profile.Expectation{profile.Range("n", 0, 100), profile.Unique("n")}, &dataset.CommitOptions{Message: "rules"})
		require.NoError(t, err)
		v, err := d.Append(ctx, numbers(t, 1, 2, 3), nil)
		require.NoError(t, err)
		report, err := v.Validation(ctx)
		require.NoError(t, err)
		require.True(t, report.Passed)
		require.EqualValues(t, 3, report.Rows)
		require.Len(t, report.Results, 2)

		_, err = d.Append(ctx, numbers(t, 4, 500, 4), &dataset.CommitOptions{Expect: []profile.Expectation{profile.Rows(5, math.Inf(1))}})
		require.ErrorIs(t, err, dataset.ErrInvalid)
		failed := (*dataset.ValidationError)(nil)
		require.ErrorAs(t, err, &failed)
		require.Len(t, failed.Report.Failures(), 3)
		require.EqualError(t, err, `dataset: append to "n": 3 of 3 expectations fail: range of "n" from 0 up to 100: 1 of 3 rows fail, such as "500" in row 1; unique of "n": 1 of 3 rows fail, such as "4" in row 2; rows from 5: there are 3 rows: invalid`)
		latest, err := d.Latest(ctx)
		require.NoError(t, err)
		require.Equal(t, v.Number, latest.Number)

		// Another process has the same expectations; a warning passes, and is kept.
		other, err := dataset.New(s, nil).Open(ctx, "n")
		require.NoError(t, err)
		_, err = other.Overwrite(ctx, numbers(t, -1), nil)
		require.ErrorAs(t, err, &failed)
		soft := profile.Rows(5, math.Inf(1))
		soft.Warn = true
		v, err = other.Append(ctx, numbers(t, 3), &dataset.CommitOptions{Expect: []profile.Expectation{soft}})
		require.NoError(t, err, "rows of other commits are no matter")
		report, err = v.Validation(ctx)
		require.NoError(t, err)
		require.False(t, report.Results[2].Passed)
		kept, err := v.Expectations(ctx)
		require.NoError(t, err)
		require.Len(t, kept, 2)

		// The whole version can be looked at, with these or others.
		report, err = v.Check(ctx, nil)
		require.NoError(t, err)
		require.Contains(t, report.String(), `unique of "n": 1 of 4 rows fail, such as "3" in row 3`)
		report, err = v.Check(ctx, []profile.Expectation{profile.Rows(4, 4), profile.Drift("n", 10)})
		require.NoError(t, err)
		require.True(t, report.Passed)

		v, err = d.SetExpectations(ctx, nil, nil)
		require.NoError(t, err)
		kept, err = v.Expectations(ctx)
		require.NoError(t, err)
		require.Empty(t, kept)
		v, err = d.Append(ctx, numbers(t, -5), nil)
		require.NoError(t, err)
		report, err = v.Validation(ctx)
		require.NoError(t, err)
		require.Nil(t, report)
	})
}

func TestExpectationsOfTheWholeVersion(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	d, err := dataset.New(&blob.Mem{}, nil).Create(ctx, "n", small, &dataset.CreateOptions{
		Expect: []profile.Expectation{whole(profile.Unique("n")), whole(profile.Rows(0, 5))},
	})
	require.NoError(t, err)
	_, err = d.Append(ctx, numbers(t, 1, 2, 3), nil)
	require.NoError(t, err)
	_, err = d.Append(ctx, numbers(t, 4, 2), nil)
	require.ErrorContains(t, err, `1 of 2 rows fail, such as "2" in row 1`)
	_, err = d.Append(ctx, numbers(t, 4, 5, 6), nil)
	require.ErrorContains(t, err, "rows from 0 up to 5, of the whole version: there are 6 rows")
	_, err = d.Append(ctx, numbers(t, 4), nil)
	require.NoError(t, err)

	// An overwrite is looked at beside the rows that it leaves.
	where, err := filter.Parse("n >= 3")
	require.NoError(t, err)
	v, err := d.Overwrite(ctx, numbers(t, 4, 3), &dataset.CommitOptions{Where: where})
	require.NoError(t, err)
	require.ElementsMatch(t, []int64{1, 2, 3, 4}, readNumbers(t, v))
	_, err = d.Overwrite(ctx, numbers(t, 1, 2, 3, 4, 5), nil)
	require.NoError(t, err)
}

func TestDriftFromAVersion(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	d := create(t, &blob.Mem{}, "n", small)
	series := func(from int64) []int64 {
		out := make([]int64, 1000)
		for i := range out {
			out[i] = from + int64(i)
		}
		return out
	}
	_, err := d.SetExpectations(ctx, []profile.Expectation{profile.Drift("n", 0.25)}, nil)
	require.NoError(t, err)
	v, err := d.Append(ctx, numbers(t, series(0)...), nil)
	require.NoError(t, err)
	report, err := v.Validation(ctx)
	require.NoError(t, err)
	require.Equal(t, "there is nothing to compare with", report.Results[0].Reason)
	_, err = d.Append(ctx, numbers(t, series(5)...), nil)
	require.NoError(t, err)
	_, err = d.Append(ctx, numbers(t, series(900)...), nil)
	require.ErrorContains(t, err, "the distribution has moved by")

	against := profile.Drift("n", 0.25)
	against.Against = fmt.Sprint(v.Number)
	_, err = d.Append(ctx, numbers(t, series(10)...), &dataset.CommitOptions{Expect: []profile.Expectation{against}})
	require.NoError(t, err)
	against.Against = "no-such-tag"
	_, err = d.Append(ctx, numbers(t, 1), &dataset.CommitOptions{Expect: []profile.Expectation{against}})
	require.ErrorIs(t, err, dataset.ErrNotFound)
}

func TestExpectationsThatCannotBe(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	c := dataset.New(&blob.Mem{}, nil)
	_, err := c.Create(ctx, "n", small, &dataset.CreateOptions{
		Expect: []profile.Expectation{profile.Range("m", 0, 1), profile.Match("n", "a")}, Properties: map[string]string{"millwright.expectations": "[]"},
	})
	require.ErrorIs(t, err, dataset.ErrInvalid)
	require.ErrorContains(t, err, `there is no column "m"`)
	require.ErrorContains(t, err, "the column is int64, which such a check cannot take")
	require.ErrorContains(t, err, "names that start with \"millwright.\" are ours")
	d := create(t, &blob.Mem{}, "n", small)
	_, err = d.SetExpectations(ctx, []profile.Expectation{profile.Unique("m")}, nil)
	require.ErrorIs(t, err, dataset.ErrInvalid)
	_, err = d.Append(ctx, numbers(t, 1), &dataset.CommitOptions{Expect: []profile.Expectation{{Check: "nope"}}})
	require.ErrorIs(t, err, dataset.ErrInvalid)
	_, err = d.Append(ctx, numbers(t, 1), &dataset.CommitOptions{Expect: []profile.Expectation{profile.Unique("m")}})
	require.ErrorIs(t, err, dataset.ErrInvalid)
}

// Of writers that race with the same key exactly one has its rows in the table:
// the others are told, by the check or by a conflict.
func TestUniquenessHoldsInARace(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	s := &blob.Mem{}
	_, err := dataset.New(s, nil).Create(ctx, "n", small, &dataset.CreateOptions{Expect: []profile.Expectation{whole(profile.Unique("n"))}})
	require.NoError(t, err)
	var wg sync.WaitGroup
	var mu sync.Mutex
	committed := 0
	for range 6 {
		d, err := dataset.New(s, nil).Open(ctx, "n")
		require.NoError(t, err)
		rr := numbers(t, 7)
		wg.Go(func() {
			_, err := d.Append(ctx, rr, nil)
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				committed++
				return
			}
			var failed *dataset.ValidationError
			var conflict *dataset.ConflictError
			if !errors.As(err, &failed) && !errors.As(err, &conflict) {
				t.Errorf("neither a failed check nor a conflict: %v", err)
			}
		})
	}
	wg.Wait()
	require.Equal(t, 1, committed)
}

func TestEveryTypeCanBeChecked(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	mem := memory.NewCheckedAllocator(memory.DefaultAllocator)
	d, err := dataset.New(&blob.Mem{}, &dataset.Options{Allocator: mem}).Create(ctx, "all", everyType, nil)
	require.NoError(t, err)
	var list []profile.Expectation
	for _, f := range everyType.Fields() {
		loose := profile.Unique(f.Name)
		loose.Share = 1
		list = append(list, profile.OfType(f.Name, f.Type.String()), profile.Nulls(f.Name, 0.2))
		if !arrow.IsNested(f.Type.ID()) {
			list = append(list, loose)
		}
	}
	for _, name := range []string{"bool", "i8", "i16", "i32", "f32", "f64", "day", "at", "money"} {
		loose := profile.Range(name, -1e18, 1e18)
		loose.Share = 0.1 // NaN and an infinity.
		list = append(list, loose)
	}
	list = append(list, profile.OneOf("bool", "true", "false"), profile.Unique("id", "text", "bytes"), profile.Match("text", "^größe-[0-9]$"))
	v, err := d.Append(ctx, reader(t, everyRecord(t, memory.DefaultAllocator, 0, 500)), &dataset.CommitOptions{Expect: list})
	require.NoError(t, err)
	again, err := v.Check(ctx, list)
	require.NoError(t, err)
	report, err := v.Validation(ctx)
	require.NoError(t, err)
	require.Equal(t, report.Results, again.Results, "what was checked on its way in is what is read back")
	mem.AssertSize(t, 0)
}

// A producer says once what its rows are.
func ExampleBranch_SetExpectations() {
	ctx := context.Background()
	schema := arrow.NewSchema([]arrow.Field{{Name: "age", Type: arrow.PrimitiveTypes.Int64, Nullable: true}}, nil)
	people, err := dataset.New(&blob.Mem{}, nil).Create(ctx, "people", schema, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	rules := []profile.Expectation{profile.Range("age", 0, 120), profile.Nulls("age", 0.1)}
	if _, err := people.SetExpectations(ctx, rules, nil); err != nil {
		fmt.Println(err)
		return
	}
	b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	b.Field(0).(*array.Int64Builder).AppendValues([]int64{31, 47, 212}, nil)
	records, err := array.NewRecordReader(schema, []arrow.Record{b.NewRecord()})
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = people.Append(ctx, records, nil)
	fmt.Println(err)
	// Output:
	// dataset: append to "people": 1 of 2 expectations fail: range of "age" from 0 up to 120: 1 of 3 rows fail, such as "212" in row 2: invalid
}

// What a Delete leaves is held against the expectations of the whole version, and
// what a Restore brings back against all.
func TestExpectationsOfDeleteAndRestore(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	d := create(t, &blob.Mem{}, "n", small)
	old := fill(t, d, []int64{1, 2, 300})
	fill(t, d, []int64{4, 5})
	_, err := d.Delete(ctx, filter.Eq("n", 300), nil)
	require.NoError(t, err)
	good, err := d.SetExpectations(ctx, []profile.Expectation{profile.Range("n", 0, 100), whole(profile.Rows(3, 10)), whole(profile.Unique("n")), profile.Rows(1, 10)}, nil)
	require.NoError(t, err)

	var bad *dataset.ValidationError
	_, err = d.Delete(ctx, filter.Le("n", 2), nil)
	require.ErrorAs(t, err, &bad)
	require.ErrorIs(t, err, dataset.ErrInvalid)
	require.ErrorContains(t, err, "there are 2 rows")
	_, err = d.Delete(ctx, filter.Eq("n", 2), &dataset.CommitOptions{Expect: []profile.Expectation{whole(profile.Rows(4, 10))}})
	require.ErrorAs(t, err, &bad)
	v, err := d.Delete(ctx, filter.Eq("n", 2), nil)
	require.NoError(t, err)
	require.Equal(t, []int64{1, 4, 5}, readNumbers(t, v))
	report, err := v.Validation(ctx)
	require.NoError(t, err)
	require.Len(t, report.Results, 1, "of the whole version, but for what a delete cannot break")
	p, err := v.Profile(ctx)
	require.NoError(t, err)
	require.EqualValues(t, 3, p.Rows)

	_, err = d.Restore(ctx, old, nil)
	require.ErrorAs(t, err, &bad)
	require.ErrorContains(t, err, `"300"`)
	v, err = d.Restore(ctx, good, nil)
	require.NoError(t, err)
	require.Equal(t, []int64{1, 2, 4, 5}, readNumbers(t, v))
	report, err = v.Validation(ctx)
	require.NoError(t, err)
	require.True(t, report.Passed)
	p, err = v.Profile(ctx)
	require.NoError(t, err)
	require.EqualValues(t, 4, p.Rows)

	// One that brings no rows is not held against what is expected of such.
	_, err = d.Append(ctx, numbers(t, 6), nil)
	require.NoError(t, err)
	v, err = d.Restore(ctx, v, nil)
	require.NoError(t, err)
	require.EqualValues(t, 4, v.Rows)

	_, err = d.SetExpectations(ctx, nil, nil)
	require.NoError(t, err)
	_, err = d.Restore(ctx, old, nil)
	require.NoError(t, err)
}
