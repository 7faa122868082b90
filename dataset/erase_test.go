package dataset_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/memory"
	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/dataset"
	"github.com/millwright-ml/millwright/dataset/blob"
	"github.com/millwright-ml/millwright/dataset/blob/blobtest/faults"
	"github.com/millwright-ml/millwright/dataset/filter"
)

var people = arrow.NewSchema([]arrow.Field{
	{Name: "id", Type: arrow.PrimitiveTypes.Int64},
	{Name: "mail", Type: arrow.BinaryTypes.String, Nullable: true},
}, nil)

const secret = "zz-secret@example.com"

func persons(t testing.TB, mails ...string) array.RecordReader {
	b := array.NewRecordBuilder(memory.DefaultAllocator, people)
	for i, m := range mails {
		b.Field(0).(*array.Int64Builder).Append(int64(i))
		if m == "" {
			b.Field(1).AppendNull()
		} else {
			b.Field(1).(*array.StringBuilder).Append(m)
		}
	}
	return reader(t, b.NewRecord())
}

func mails(t testing.TB, v *dataset.Version) ([]string, error) {
	rr, err := v.Read(context.Background(), &dataset.ReadOptions{Columns: []string{"mail"}})
	require.NoError(t, err)
	defer rr.Release()
	out := []string{}
	for rr.Next() {
		column := rr.Record().Column(0).(*array.String)
		for i := range column.Len() {
			if column.IsNull(i) {
				out = append(out, "")
			} else {
				out = append(out, strings.Clone(column.Value(i)))
			}
		}
	}
	return out, rr.Err()
}

// members makes a table with a history in which the secret comes, stays, moves
// and goes, on two branches.
func members(t testing.TB, s blob.Store) {
	ctx := context.Background()
	d := create(t, s, "m", people)
	add := func(b *dataset.Branch, mails ...string) *dataset.Version {
		v, err := b.Append(ctx, persons(t, mails...), nil)
		require.NoError(t, err)
		return v
	}
	add(d.Branch, "a", "b")
	with := add(d.Branch, "c", secret, "", "d")
	add(d.Branch, secret)
	_, err := d.Delete(ctx, filter.Eq("mail", "a"), nil)
	require.NoError(t, err)
	require.NoError(t, d.Tag(ctx, "with", with, nil))
	dev, err := d.CreateBranch(ctx, "dev", with)
	require.NoError(t, err)
	add(dev, "e", secret)
	add(d.Branch, "f", secret) // Without the secret these two are equal but for the names.
	add(d.Branch, "f", secret)
	_, err = d.Delete(ctx, filter.Eq("mail", secret), nil)
	require.NoError(t, err)
	_, err = d.Restore(ctx, with, nil)
	require.NoError(t, err)
	for i := range 3 {
		add(d.Branch, fmt.Sprint("g", i))
	}
	_, err = d.Evolve(ctx, arrow.NewSchema(append(slices.Clone(people.Fields()), arrow.Field{Name: "x", Type: arrow.BinaryTypes.String, Nullable: true}), nil), nil)
	require.NoError(t, err)
}

// contents reads every version of both tables.
func contents(t testing.TB, s blob.Store) map[string][]string {
	ctx := context.Background()
	d, err := dataset.New(s, nil).Open(ctx, "m")
	require.NoError(t, err)
	out := map[string][]string{}
	for _, name := range []string{"main", "dev"} {
		b, err := d.OpenBranch(ctx, name)
		require.NoError(t, err)
		for v, err := range b.Log(ctx) {
			require.NoError(t, err)
			v, err = v.Load(ctx)
			require.NoError(t, err)
			got, err := mails(t, v)
			require.NoError(t, err, "version %d of %s", v.Number, v.Branch)
			require.Len(t, got, int(v.Rows))
			out[fmt.Sprintf("%s@%d", v.Branch, v.Number)] = got
		}
	}
	v, err := d.Resolve(ctx, "with")
	require.NoError(t, err)
	out["with"], err = mails(t, v)
	require.NoError(t, err)
	return out
}

func without(list []string) []string {
	return slices.DeleteFunc(slices.Clone(list), func(m string) bool { return m == secret })
}

// erased checks that nothing is left of the secret, and everything else.
func erased(t testing.TB, s blob.Store, before map[string][]string) {
	ctx := context.Background()
	after := contents(t, s)
	for name, list := range before {
		require.Equal(t, without(list), after[name], name)
	}
	for info, err := range s.List(ctx, "m/") {
		require.NoError(t, err)
		data, err := blob.ReadAll(ctx, s, info.Name(), 1<<20)
		require.NoError(t, err)
		require.NotContains(t, string(data), secret, info.Name())
	}
	d, err := dataset.New(s, nil).Open(ctx, "m")
	require.NoError(t, err)
	report, err := d.Verify(ctx, nil)
	require.NoError(t, err)
	require.True(t, report.OK(), "%v", report.Damage)
}

var (
	forget  = filter.Eq("mail", secret)
	nothing filter.Expr
)

func TestErase(t *testing.T) {
	t.Parallel()
	stores(t, func(t *testing.T, s blob.Store) {
		ctx := context.Background()
		members(t, s)
		before := contents(t, s)
		old, err := dataset.New(s, nil).Open(ctx, "m")
		require.NoError(t, err)
		stale, err := old.Resolve(ctx, "with")
		require.NoError(t, err)
		tip, err := old.Latest(ctx)
		require.NoError(t, err)

		d, err := dataset.New(s, nil).Open(ctx, "m")
		require.NoError(t, err)
		phases := map[string]bool{}
		c, err := d.Erase(ctx, forget, &dataset.EraseOptions{By: "dpo", Reason: "request 7", Progress: func(p dataset.EraseProgress) { phases[p.Phase] = true }})
		require.NoError(t, err)
		erased(t, s, before)
		require.Len(t, phases, 4)
		require.Equal(t, "dpo", c.By)
		require.EqualValues(t, 5, c.Rows, "stored rows with the secret")
		require.Empty(t, c.Predicate)
		require.Len(t, c.PredicateSHA256, 64)
		require.Equal(t, []string{"with"}, c.Tags)
		require.NotEmpty(t, c.Records)
		for _, f := range c.Files {
			_, err := s.Stat(ctx, "m/"+f.Path)
			require.Error(t, err)
		}
		for _, v := range c.Versions {
			require.NotEqual(t, v.Before, v.After)
			require.Positive(t, v.Rows)
			_, err := d.ByDigest(ctx, v.Before)
			require.ErrorIs(t, err, dataset.ErrNotFound)
		}
		v, err := d.Resolve(ctx, "with")
		require.NoError(t, err)
		p, err := v.Profile(ctx)
		require.NoError(t, err)
		require.EqualValues(t, 5, p.Rows)

		// What another process holds is refused, and it finds the new state by itself.
		_, err = mails(t, stale)
		require.Error(t, err)
		_, err = old.Restore(ctx, stale, nil)
		require.Error(t, err)
		v, err = old.Append(ctx, persons(t, "h"), nil)
		if err != nil { // The columns differ.
			require.ErrorIs(t, err, dataset.ErrInvalid)
			v, err = old.Restore(ctx, v2(t, old, 1), nil)
		}
		require.NoError(t, err)
		require.Equal(t, tip.Number+3, v.Number)
		got, err := mails(t, v)
		require.NoError(t, err)
		require.Equal(t, []string{"a", "b"}, got)

		// Erasing again finds nothing, and the same content can come again.
		c, err = d.Erase(ctx, forget, &dataset.EraseOptions{RecordPredicate: true})
		require.NoError(t, err)
		require.Zero(t, c.Rows)
		require.Contains(t, c.Predicate, secret)
		_, err = d.Append(ctx, persons(t, "c", secret, "", "d"), nil)
		require.NoError(t, err)

		for _, bad := range []filter.Expr{{}, filter.Eq("nobody", 1), filter.Eq("id", "x")} {
			_, err = d.Erase(ctx, bad, &dataset.EraseOptions{Resume: true})
			require.Error(t, err)
		}
	})
}

// Files that were collected have left their statistics in the log.
func TestEraseAfterCollect(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	s := &blob.Mem{}
	c := newClocked(s)
	members(t, c)
	d, err := dataset.New(c, nil).Open(ctx, "m")
	require.NoError(t, err)
	require.NoError(t, errors.Join(d.DeleteTag(ctx, "with"), d.DeleteBranch(ctx, "dev")))
	c.pass(day)
	_, err = d.Delete(ctx, forget, nil)
	require.NoError(t, err)
	deleted := int64(0)
	for range 3 {
		r, err := d.Collect(ctx, apply(-1))
		require.NoError(t, err)
		deleted += r.Deleted
		c.pass(day)
	}
	require.Positive(t, deleted)
	want, err := mails(t, newestOf(t, d))
	require.NoError(t, err)
	_, err = d.Erase(ctx, forget, nil)
	require.NoError(t, err)
	for info, err := range s.List(ctx, "m/") {
		require.NoError(t, err)
		data, err := blob.ReadAll(ctx, s, info.Name(), 1<<20)
		require.NoError(t, err)
		require.NotContains(t, string(data), secret, info.Name())
	}
	got, err := mails(t, newestOf(t, d))
	require.NoError(t, err)
	require.Equal(t, want, got)
	for n := range newestOf(t, d).Number {
		v2(t, d, n)
	}
}

// A writer that was killed left a file with the row in it.
func TestEraseFindsUnusedFiles(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	s := &blob.Mem{}
	members(t, s)
	before := contents(t, s)
	for _, list := range [][]string{{"lost", secret}, {"harmless"}} {
		kit := faults.New(s, nil)
		kit.Inject(faults.Rule{Op: faults.Put, Key: "_mlops/commits/", Times: -1, Fault: faults.LostRequest()})
		d, err := dataset.New(kit, nil).Open(ctx, "m")
		require.NoError(t, err)
		dev, err := d.OpenBranch(ctx, "dev")
		require.NoError(t, err)
		_, err = dev.Append(ctx, persons(t, list...), nil)
		require.Error(t, err)
	}
	files := countFiles(t, s, "m/_refs/data/")
	d, err := dataset.New(s, nil).Open(ctx, "m")
	require.NoError(t, err)
	c, err := d.Erase(ctx, forget, nil)
	require.NoError(t, err)
	require.EqualValues(t, 6, c.Rows)
	erased(t, s, before)
	replaced := 0
	for _, f := range c.Files {
		replaced += len(f.Replaced)
	}
	require.Equal(t, files-len(c.Files)+replaced, countFiles(t, s, "m/_refs/data/"), "the harmless file stays for its writer")
}

func v2(t testing.TB, d *dataset.Dataset, n int64) *dataset.Version {
	v, err := d.Version(context.Background(), n)
	require.NoError(t, err)
	return v
}

// TestEraseBrokenOff ends an erase at every write (every seventh in ring 1), checks that every version can
// be read, before or after, and resumes it.
func TestEraseBrokenOff(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	origin := &blob.Mem{}
	members(t, origin)
	before := contents(t, origin)
	writes := func(c faults.Call) bool {
		return c.Op == faults.Create || c.Op == faults.Put || c.Op == faults.Delete || c.Op == faults.Swap || c.Op == faults.Copy
	}
	run := func(s blob.Store, end int64) (steps int64, err error) {
		var n atomic.Int64
		kit := faults.New(s, &faults.Options{Before: func(c faults.Call) error {
			if end > 0 && n.Load() >= end || writes(c) && n.Add(1) == end {
				return context.Canceled
			}
			return nil
		}})
		d, err := dataset.New(kit, nil).Open(ctx, "m")
		require.NoError(t, err)
		_, err = d.Erase(ctx, forget, nil)
		return n.Load(), err
	}
	steps, err := run(clone(t, origin), 0)
	require.NoError(t, err)
	require.Greater(t, steps, int64(30))
	stride := int64(7)
	if os.Getenv("REQUIRE_REAL") == "1" {
		stride = 1
	}
	if detector {
		stride = 17
	}
	for end := int64(1); end <= steps; end += stride {
		s := clone(t, origin)
		_, err := run(s, end)
		require.Error(t, err, "step %d", end)
		for name, list := range contents(t, s) {
			if was, ok := before[name]; ok && !slices.Equal(was, list) {
				require.Equal(t, without(was), without(list), "step %d: %s", end, name)
			}
		}
		d, err := dataset.New(s, nil).Open(ctx, "m")
		require.NoError(t, err)
		_, err = d.Erase(ctx, forget, nil)
		if busy := (*dataset.EraseError)(nil); errors.As(err, &busy) {
			require.ErrorIs(t, err, dataset.ErrConflict)
			_, err = d.Collect(ctx, apply(-1))
			require.ErrorIs(t, err, dataset.ErrConflict)
			_, err = d.Erase(ctx, forget, &dataset.EraseOptions{Resume: true})
		}
		require.NoError(t, err, "step %d", end)
		erased(t, s, before)
	}
}

func TestEraseKeepsWritersOut(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	s := &blob.Mem{}
	members(t, s)
	other, err := dataset.New(s, nil).Open(ctx, "m")
	require.NoError(t, err)
	kit := faults.New(s, nil)
	kit.Inject(faults.Rule{Op: faults.Put, Key: "_mlops/erase/", Times: -1, Fault: faults.LostRequest()})
	d, err := dataset.New(kit, nil).Open(ctx, "m")
	require.NoError(t, err)
	_, err = d.Erase(ctx, forget, nil)
	require.Error(t, err, "the journal cannot be written")
	var busy *dataset.EraseError
	_, err = other.Restore(ctx, v2(t, other, 1), nil)
	require.ErrorAs(t, err, &busy)
	dev, err := other.OpenBranch(ctx, "dev")
	require.NoError(t, err)
	_, err = dev.Append(ctx, persons(t, "x"), nil)
	require.ErrorAs(t, err, &busy)
	_, err = other.Erase(ctx, filter.Eq("mail", "b"), nil)
	require.ErrorAs(t, err, &busy)
	require.NotEmpty(t, busy.ID)

	_, err = other.Erase(ctx, forget, &dataset.EraseOptions{Resume: true})
	require.NoError(t, err)
	_, err = dev.Append(ctx, persons(t, "x"), nil)
	require.NoError(t, err)
	_, err = other.Restore(ctx, v2(t, other, 1), nil)
	require.NoError(t, err)
}

// TestEraseBesideWriters lets writers append, compact and branch while rows are
// erased: what they were told is stored is there, and the rows are gone.
func TestEraseBesideWriters(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	for round := range fewer(4, 2) {
		s := &blob.Mem{}
		members(t, s)
		before := contents(t, s)
		var wg sync.WaitGroup
		var mu sync.Mutex
		stored := map[string]bool{}
		for w := range 3 {
			d, err := dataset.New(s, nil).Open(ctx, "m")
			require.NoError(t, err)
			dev, err := d.OpenBranch(ctx, "dev")
			require.NoError(t, err)
			var rr []array.RecordReader
			for i := range 12 {
				rr = append(rr, persons(t, fmt.Sprintf("w%d-%d", w, i)))
			}
			wg.Go(func() {
				for i, r := range rr {
					var err error
					if w == 2 && i%3 == 2 {
						_, err = dev.Compact(ctx, nil)
						// Its files may be erased while it reads them.
						if _, gone := errors.AsType[*dataset.CorruptError](err); gone {
							err = nil
						}
					} else if _, err = dev.Append(ctx, r, nil); err == nil {
						mu.Lock()
						stored[fmt.Sprintf("w%d-%d", w, i)] = true
						mu.Unlock()
					}
					if busy := (*dataset.EraseError)(nil); err != nil && !errors.As(err, &busy) && !errors.Is(err, dataset.ErrConflict) {
						t.Error(err)
					}
				}
			})
		}
		d, err := dataset.New(s, nil).Open(ctx, "m")
		require.NoError(t, err)
		_, err = d.Erase(ctx, forget, nil)
		require.NoError(t, err, "round %d", round)
		wg.Wait()
		after := contents(t, s)
		for name, list := range before {
			require.Equal(t, without(list), after[name], name)
		}
		for name, list := range after {
			require.NotContains(t, list, secret, name)
		}
		dev, err := d.OpenBranch(ctx, "dev")
		require.NoError(t, err)
		v, err := dev.Latest(ctx)
		require.NoError(t, err)
		have, err := mails(t, v)
		require.NoError(t, err)
		for m := range stored {
			require.Contains(t, have, m)
		}
		report, err := d.Verify(ctx, nil)
		require.NoError(t, err)
		require.True(t, report.OK(), "%v", report.Damage)
	}
}

func newestOf(t testing.TB, d *dataset.Dataset) *dataset.Version {
	v, err := d.Latest(context.Background())
	require.NoError(t, err)
	return v
}
