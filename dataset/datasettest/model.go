package datasettest

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/dataset"
	"github.com/millwright-ml/millwright/dataset/filter"
)

// imagined is a version as a map.
type imagined struct {
	rows  rows
	below map[int]bool // The versions it builds on, and itself.
	real  *dataset.Version
}

// model makes a random history twice: on a table, and on maps.
type model struct {
	t        *testing.T
	r        *rand.Rand
	handles  []*dataset.Dataset
	versions []*imagined
	heads    map[string]int
	tags     map[string]int
}

// ids is how many rows there can be, few enough for them to meet.
const ids = 20

// history compares a random history with the model, after every step by the rows
// that it changed and in the end by all.
func history(t *testing.T, l *lake, seed uint64) {
	m := &model{
		t: t, r: rand.New(rand.NewPCG(seed, 77)), handles: []*dataset.Dataset{l.create(t), l.open(t)},
		heads: map[string]int{}, tags: map[string]int{},
	}
	m.note("main", rows{}, newest(t, m.handles[0].Branch))
	for i := range l.opts.Steps {
		m.step(i, m.handles[m.r.IntN(len(m.handles))])
	}
	d := l.open(t)
	for _, v := range m.versions {
		again := resolve(t, d, fmt.Sprintf("%s@%d", v.real.Branch, v.real.Number))
		require.Equal(t, v.real.Digest, again.Digest)
		require.Equal(t, v.rows, read(t, again))
	}
	for name, n := range m.tags {
		require.Equal(t, m.versions[n].rows, read(t, resolve(t, d, "tags/"+name)))
	}
	for name, n := range m.heads {
		require.Equal(t, m.versions[n].real.Number, resolve(t, d, "heads/"+name).Number)
	}
	verified(t, d)
}

// note takes in a new version of a branch, which builds on its head and on others.
func (m *model) note(branch string, r rows, v *dataset.Version, others ...int) {
	m.t.Helper()
	n := len(m.versions)
	next := &imagined{rows: r, below: map[int]bool{n: true}, real: v}
	if head, ok := m.heads[branch]; ok {
		others = append(others, head)
	}
	for _, o := range others {
		maps.Copy(next.below, m.versions[o].below)
	}
	m.versions, m.heads[branch] = append(m.versions, next), n
}

func (m *model) any() int { return m.r.IntN(len(m.versions)) }

func (m *model) cells() cells {
	return cells{float64(m.r.IntN(3)), []string{"", "x", "y"}[m.r.IntN(3)]}
}

func (m *model) step(i int, d *dataset.Dataset) {
	t, ctx := m.t, m.t.Context()
	names := slices.Sorted(maps.Keys(m.heads))
	name := names[m.r.IntN(len(names))]
	b, err := d.OpenBranch(ctx, name)
	require.NoError(t, err)
	head := m.versions[m.heads[name]]
	after := maps.Clone(head.rows)
	id := int64(m.r.IntN(ids))
	_, there := after[id]
	switch op := m.r.IntN(12); {
	case op < 4 && !there:
		c := m.cells()
		after[id] = c
		m.note(name, after, add(t, b, rows{id: c}))
	case op < 4:
		after[id] = m.cells()
		m.note(name, after, set(t, b, id, after[id]))
	case op == 4 && there:
		delete(after, id)
		v, err := b.Delete(ctx, filter.Eq("id", id), nil)
		require.NoError(t, err)
		m.note(name, after, v)
	case op == 5:
		from := m.versions[m.any()]
		v, err := b.Restore(ctx, from.real, nil)
		require.NoError(t, err)
		m.note(name, maps.Clone(from.rows), v)
	case op == 6 || len(names) == 1:
		from := m.any()
		fresh := fmt.Sprint("b", i)
		made := fork(t, d, fresh, m.versions[from].real)
		m.note(fresh, m.versions[from].rows, newest(t, made), from)
	case op == 7:
		n := m.any()
		tag := fmt.Sprint("t", i)
		require.NoError(t, d.Tag(ctx, tag, m.versions[n].real, nil))
		m.tags[tag] = n
	case op == 8:
		v, err := b.Compact(ctx, nil)
		require.NoError(t, err)
		require.Equal(t, after, read(t, v))
		if v.Number != head.real.Number {
			m.note(name, after, v)
		}
	default:
		m.merge(name, b, m.heads[names[m.r.IntN(len(names))]])
	}
}

// merge merges with theirs winning. Where two lines met more than once there are
// several common ancestors, and any of the newest may count.
func (m *model) merge(name string, b *dataset.Branch, theirs int) {
	t := m.t
	ours := m.heads[name]
	v, err := b.Merge(t.Context(), m.versions[theirs].real, &dataset.MergeOptions{Key: []string{"id"}, Prefer: dataset.Theirs})
	require.NoError(t, err)
	got := read(t, v)
	var common []int
	for n := range m.versions[ours].below {
		if m.versions[theirs].below[n] {
			common = append(common, n)
		}
	}
	var tried []rows
	for _, base := range common {
		if slices.ContainsFunc(common, func(o int) bool { return o != base && m.versions[o].below[base] }) {
			continue
		}
		want := join(m.versions[base].rows, m.versions[ours].rows, m.versions[theirs].rows)
		if maps.Equal(want, got) {
			if v.Number != m.versions[ours].real.Number {
				m.note(name, want, v, theirs)
			}
			return
		}
		tried = append(tried, want)
	}
	t.Fatalf("merge of %v into %v gave %v, want one of %v", m.versions[theirs].rows, m.versions[ours].rows, got, tried)
}

// join is a merge of rows in which theirs wins.
func join(base, ours, theirs rows) rows {
	out := maps.Clone(ours)
	for _, side := range []rows{base, theirs} {
		for id := range side {
			b, inBase := base[id]
			t, inTheirs := theirs[id]
			switch {
			case inBase == inTheirs && b == t: // They left it alone.
			case inTheirs:
				out[id] = t
			default:
				delete(out, id)
			}
		}
	}
	return out
}
