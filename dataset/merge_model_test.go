package dataset_test

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/dataset"
	"github.com/millwright-ml/millwright/dataset/blob"
)

// modelVersion is a version as a map, with all versions it builds on.
type modelVersion struct {
	rows      rows
	ancestors map[int]bool // Indexes of model.versions, its own among them.
	real      *dataset.Version
}

// model runs random operations on a dataset and on maps, side by side.
type model struct {
	t        *testing.T
	r        *rand.Rand
	store    blob.Store
	d        *dataset.Dataset
	versions []*modelVersion
	heads    map[string]int
	tags     map[string]int
	deletes  bool // Branches are deleted too.
	merges   map[string]int
}

const modelIDs = 40

func newModel(t *testing.T, seed uint64, deletes bool) *model {
	s := &blob.Mem{}
	c := dataset.New(s, nil)
	c.SetLayout(8, 1<<20, 1)
	d, err := c.Create(context.Background(), "t", keyed, nil)
	require.NoError(t, err)
	m := &model{
		t: t, r: rand.New(rand.NewPCG(seed, 1)), store: s, d: d, deletes: deletes,
		heads: map[string]int{}, tags: map[string]int{}, merges: map[string]int{},
	}
	v, err := d.Latest(context.Background())
	require.NoError(t, err)
	m.add("main", rows{}, v)
	return m
}

// add takes a new version of a branch, which builds on the branch's head and on
// the others.
func (m *model) add(branch string, r rows, v *dataset.Version, others ...int) {
	n := len(m.versions)
	next := &modelVersion{rows: r, ancestors: map[int]bool{n: true}, real: v}
	if head, ok := m.heads[branch]; ok {
		others = append(others, head)
	}
	for _, o := range others {
		maps.Copy(next.ancestors, m.versions[o].ancestors)
	}
	m.versions = append(m.versions, next)
	m.heads[branch] = n
	require.Equal(m.t, branch, v.Branch)
	require.Equal(m.t, r, readRows(m.t, v))
}

func (m *model) pick() (string, *dataset.Branch) {
	names := slices.Sorted(maps.Keys(m.heads))
	name := names[m.r.IntN(len(names))]
	b, err := m.d.OpenBranch(context.Background(), name)
	require.NoError(m.t, err)
	return name, b
}

func (m *model) cells() cells { return cells{int64(m.r.IntN(3)), []string{"x", "y"}[m.r.IntN(2)]} }

// unused gives rows whose ids are not in r.
func (m *model) unused(r rows, n int) rows {
	out := rows{}
	for range n {
		if id := int64(m.r.IntN(modelIDs)); r[id] == (cells{}) {
			out[id] = cells{1 + int64(m.r.IntN(3)), "new"}
		}
	}
	return out
}

func (m *model) step(i int) {
	t, ctx := m.t, context.Background()
	name, b := m.pick()
	head := m.versions[m.heads[name]]
	after := maps.Clone(head.rows)
	switch op := m.r.IntN(24); {
	case op < 5:
		more := m.unused(head.rows, 1+m.r.IntN(12))
		maps.Copy(after, more)
		m.add(name, after, appendRows(t, b, more))
	case op < 9 && len(after) > 0:
		ids := slices.Sorted(maps.Keys(after))
		id := ids[m.r.IntN(len(ids))]
		after[id] = m.cells()
		m.add(name, after, set(t, b, id, after[id]))
	case op < 11:
		from := int64(m.r.IntN(modelIDs))
		maps.DeleteFunc(after, func(id int64, _ cells) bool { return id >= from && id < from+4 })
		v, err := b.Delete(ctx, where(t, fmt.Sprintf("id >= %d AND id < %d", from, from+4)), nil)
		require.NoError(t, err)
		m.add(name, after, v)
	case op == 11:
		after = m.unused(rows{}, 20)
		v, err := b.Overwrite(ctx, after.reader(t), nil)
		require.NoError(t, err)
		m.add(name, after, v)
	case op == 12:
		from := m.r.IntN(len(m.versions))
		old := m.versions[from]
		v, err := b.Restore(ctx, old.real, nil)
		require.NoError(t, err)
		m.add(name, maps.Clone(old.rows), v)
	case op == 13 || len(m.heads) == 1 && i > 3:
		from := m.r.IntN(len(m.versions))
		fresh := fmt.Sprintf("b%d", i)
		if m.deletes {
			fresh = fmt.Sprintf("b%d", i%3)
		}
		made, err := m.d.CreateBranch(ctx, fresh, m.versions[from].real)
		if _, taken := m.heads[fresh]; taken {
			require.ErrorIs(t, err, dataset.ErrExists)
			return
		}
		require.NoError(t, err)
		m.add(fresh, m.versions[from].rows, latest(t, made), from)
	case op == 14 && m.deletes && name != "main":
		require.NoError(t, m.d.DeleteBranch(ctx, name))
		delete(m.heads, name)
	case op == 15:
		tag := fmt.Sprintf("t%d", i)
		n := m.r.IntN(len(m.versions))
		require.NoError(t, m.d.Tag(ctx, tag, m.versions[n].real, nil))
		m.tags[tag] = n
	case op == 16:
		x, y := m.versions[m.r.IntN(len(m.versions))], m.versions[m.r.IntN(len(m.versions))]
		require.Equal(t, diffOf(x.rows, y.rows), diffRows(t, m.d, x.real, y.real, &dataset.DiffOptions{Key: []string{"id"}}))
	default:
		theirs := m.r.IntN(len(m.versions))
		if names := slices.Sorted(maps.Keys(m.heads)); m.r.IntN(4) > 0 {
			theirs = m.heads[names[m.r.IntN(len(names))]]
		}
		m.merge(name, b, theirs)
	}
}

func diffOf(from, to rows) changes {
	out := changes{rows{}, rows{}, rows{}, rows{}}
	for id, c := range from {
		after, ok := to[id]
		switch {
		case !ok:
			out.removed[id] = c
		case after != c:
			out.before[id], out.after[id] = c, after
		}
	}
	for id, c := range to {
		if _, ok := from[id]; !ok {
			out.added[id] = c
		}
	}
	return out
}

// bases are the versions that a merge may start from: common ancestors that no
// other common ancestor builds on. Once branches were deleted older ones are
// right as well.
func (m *model) bases(ours, theirs int) []int {
	var common []int
	for n := range m.versions[ours].ancestors {
		if m.versions[theirs].ancestors[n] {
			common = append(common, n)
		}
	}
	if m.deletes {
		return common
	}
	return slices.DeleteFunc(slices.Clone(common), func(n int) bool {
		return slices.ContainsFunc(common, func(o int) bool { return o != n && m.versions[o].ancestors[n] })
	})
}

// mergeOf joins three states as a merge by row does.
func mergeOf(base, ours, theirs rows, opts *dataset.MergeOptions) (out rows, conflicts int64) {
	out = rows{}
	ids := map[int64]bool{}
	for _, side := range []rows{base, ours, theirs} {
		for id := range side {
			ids[id] = true
		}
	}
	for id := range ids {
		b, inBase := base[id]
		o, inOurs := ours[id]
		t, inTheirs := theirs[id]
		keep, there := o, inOurs
		switch {
		case inTheirs == inBase && t == b, inTheirs == inOurs && t == o:
		case inOurs == inBase && o == b:
			keep, there = t, inTheirs
		case opts.Cells && inOurs && inTheirs:
			clash := false
			if o.a != t.a {
				switch {
				case inBase && o.a == b.a:
					keep.a = t.a
				case !inBase || t.a != b.a:
					clash = true
					if opts.Prefer == dataset.Theirs {
						keep.a = t.a
					}
				}
			}
			if o.b != t.b {
				switch {
				case inBase && o.b == b.b:
					keep.b = t.b
				case !inBase || t.b != b.b:
					clash = true
					if opts.Prefer == dataset.Theirs {
						keep.b = t.b
					}
				}
			}
			if clash {
				conflicts++
			}
		default:
			conflicts++
			if opts.Prefer == dataset.Theirs {
				keep, there = t, inTheirs
			}
		}
		if there {
			out[id] = keep
		}
	}
	return out, conflicts
}

func (m *model) merge(name string, b *dataset.Branch, theirs int) {
	t := m.t
	ours := m.heads[name]
	opts := &dataset.MergeOptions{Key: []string{"id"}, Prefer: []dataset.Side{"", dataset.Ours, dataset.Theirs}[m.r.IntN(3)], Cells: m.r.IntN(2) == 0}
	v, err := b.Merge(context.Background(), m.versions[theirs].real, opts)
	conflict := (*dataset.MergeConflict)(nil)
	if err != nil {
		require.ErrorAs(t, err, &conflict)
	}
	var tried []string
	for _, base := range m.bases(ours, theirs) {
		want, conflicts := mergeOf(m.versions[base].rows, m.versions[ours].rows, m.versions[theirs].rows, opts)
		switch {
		case conflict != nil:
			if opts.Prefer == "" && conflicts == conflict.Count {
				m.merges["conflict"]++
				return
			}
		case opts.Prefer == "" && conflicts > 0:
		case maps.Equal(want, readRows(t, v)):
			if v.Number == m.versions[ours].real.Number {
				m.merges["nothing"]++
				return // There was nothing to merge.
			}
			m.merges[v.Operation]++
			m.add(name, want, v, theirs)
			return
		}
		tried = append(tried, fmt.Sprintf("from %s: %d conflicts, %v", ref(m.versions[base].real), conflicts, want))
	}
	t.Fatalf("merge of %s %v into %s %v (prefer %q, cells %v) gave %v %v, want one of %v", ref(m.versions[theirs].real), m.versions[theirs].rows,
		ref(m.versions[ours].real), m.versions[ours].rows, opts.Prefer, opts.Cells, v, err, tried)
}

func ref(v *dataset.Version) string { return fmt.Sprintf("%s@%d", v.Branch, v.Number) }

// check reads everything again, as another process does.
func (m *model) check() {
	t, ctx := m.t, context.Background()
	d, err := dataset.New(m.store, nil).Open(ctx, "t")
	require.NoError(t, err)
	for _, v := range m.versions {
		again, err := d.Resolve(ctx, ref(v.real))
		require.NoError(t, err)
		require.Equal(t, v.real.Digest, again.Digest)
		require.Equal(t, v.real.Parents, again.Parents)
		require.Equal(t, v.rows, readRows(t, again))
	}
	for tag, n := range m.tags {
		v, err := d.Resolve(ctx, tag)
		require.NoError(t, err)
		require.Equal(t, ref(m.versions[n].real), ref(v))
	}
	var names []string
	for b, err := range d.Branches(ctx) {
		require.NoError(t, err)
		names = append(names, b.Name())
		require.Equal(t, ref(m.versions[m.heads[b.Name()]].real), ref(latest(t, b)))
	}
	slices.Sort(names)
	require.Equal(t, slices.Sorted(maps.Keys(m.heads)), names)
}

// Random operations on branches, merges, restores and tags have the outcome that
// they have on maps.
func TestRandomHistoriesMatchTheModel(t *testing.T) {
	t.Parallel()
	for seed := range uint64(modelSeeds()) {
		for _, deletes := range []bool{false, true} {
			t.Run(fmt.Sprintf("%d,%v", seed, deletes), func(t *testing.T) {
				t.Parallel()
				m := newModel(t, seed, deletes)
				for i := range 60 {
					m.step(i)
				}
				m.check()
				t.Log(m.merges)
			})
		}
	}
}

func modelSeeds() int {
	n, _ := strconv.Atoi(os.Getenv("MODEL_SEEDS"))
	return max(n, fewer(4, 2))
}
