package sqlsearch

import (
	"context"
	"database/sql"
	"slices"
	"strconv"
	"strings"
)

// SQLite has no statistics of what a key's values are, so it cannot tell
// whether a filter selects half of the runs, and the first page is found by
// walking in the order of the answer, or ten of them, and they are best listed
// from the filter's index and sorted. This file finds out: it walks for a
// while, then compares what the rest of the walk would cost with the number of
// entries that the clauses have in their indexes.

// Sizes of the steps. In microseconds on a slow machine: an entry walked takes 2
// to 4, one counted in an index of values 0.1, one listed 0.25, one looked up
// for a further clause 1.5.
const (
	firstWalk  = 200
	longWalk   = 4000
	quickCount = 4000
	longCount  = 50_000
	// shortEnough is a list whose entries are better looked up one by one than
	// compared with a further list.
	shortEnough = 500
	lookupCost  = 10 // of one entry, in entries listed
)

func (l *Lookup) plan(ctx context.Context, n int, st stage, from []any, limit int) ([]Entry, error) {
	if !l.walkable(st) {
		list, err := l.shortest(ctx, longCount)
		if err != nil {
			return nil, err
		}
		return l.query(ctx, n, st, from, limit, list.rest, list.source)
	}
	// A list that is shorter than the least walk needs no further judgement.
	list, err := l.shortest(ctx, firstWalk)
	if err != nil {
		return nil, err
	}
	if list.source != nil {
		return l.query(ctx, n, st, from, limit, list.rest, list.source)
	}
	var out []Entry
	walked, judged := 0, firstWalk
	for size := max(firstWalk, 2*limit); ; {
		candidates, good, err := l.walk(ctx, n, st, from, size)
		if err != nil {
			return nil, err
		}
		for i, c := range candidates {
			if good[i] {
				if out = append(out, c); len(out) == limit {
					return out, nil
				}
			}
		}
		if len(candidates) < size {
			return out, nil
		}
		from = candidates[len(candidates)-1].At.Values
		walked += len(candidates)
		rest := min((limit-len(out))*walked/max(len(out), 1), longCount)
		size = max(firstWalk, min(rest+rest/4, 2*size, longWalk))
		if rest < 2*judged && (rest < longCount || judged == longCount) {
			continue
		}
		// Also again when the walk turns out longer than it looked: what is
		// sought may lie together, far from its beginning.
		judged = rest
		if rest >= worthParents {
			more, ok, err := l.byParents(ctx, n, st, from, limit-len(out))
			if err != nil || ok {
				return append(out, more...), err
			}
		}
		list, err := l.shortest(ctx, rest)
		if err != nil {
			return nil, err
		}
		if list.source != nil {
			more, err := l.query(ctx, n, st, from, limit-len(out), list.rest, list.source)
			return append(out, more...), err
		}
	}
}

// shortList are the entries that satisfy some of the conditions.
type shortList struct {
	source *Fragment   // lists them; nil: there is no short list
	rest   []Condition // to be tested on each
}

// shortest lists the entries of the clause that has the fewest, if it has less
// than limit, without those that are not in the lists of others which are not
// much longer.
func (l *Lookup) shortest(ctx context.Context, limit int) (shortList, error) {
	out := shortList{rest: l.conds}
	lists := l.lists()
	counts := make(map[int]int, len(lists)) // by pos, at most quickCount
	for _, c := range lists {
		n, err := l.count(ctx, c, min(quickCount, limit))
		if err != nil {
			return out, err
		}
		counts[c.pos] = n
	}
	slices.SortStableFunc(lists, func(a, b Condition) int {
		if counts[a.pos] != counts[b.pos] {
			return counts[a.pos] - counts[b.pos]
		}
		// Of a list in the order of the ids a part is enough once there are
		// others, so it comes last.
		switch {
		case a.Sorted && !b.Sorted:
			return 1
		case b.Sorted && !a.Sorted:
			return -1
		}
		return 0
	})
	if limit <= quickCount && counts[lists[0].pos] >= limit {
		return out, nil
	}
	var ids []int64
	used := map[int]bool{}
	if merged := sortedLists(lists); len(merged) > 1 && counts[lists[0].pos] > shortEnough {
		found, err := l.list(ctx, merged, limit)
		if err != nil {
			return out, err
		}
		if len(found) < limit {
			slices.Sort(found)
			ids = found
			for _, c := range merged {
				used[c.pos] = true
			}
		}
	}
	var long []Condition
	// narrow lists c and keeps of ids what is in it; false when it has most
	// entries or more.
	narrow := func(c Condition, most int) (bool, error) {
		if len(used) > 0 {
			if len(ids) == 0 {
				used[c.pos] = true
				return true, nil
			}
			c.Rows = between(c.Rows, ids[0], ids[len(ids)-1])
		}
		found, err := l.list(ctx, []Condition{c}, most)
		if err != nil || len(found) >= most {
			return false, err
		}
		slices.Sort(found)
		if len(used) > 0 {
			found = common(ids, found)
		}
		ids, used[c.pos] = found, true
		return true, nil
	}
	for _, c := range lists {
		if used[c.pos] {
			continue
		}
		if len(used) > 0 && (len(ids) <= shortEnough || counts[c.pos] > lookupCost*len(ids)) {
			break
		}
		ok, err := narrow(c, limit)
		if err != nil {
			return out, err
		}
		if !ok {
			long = append(long, c)
		}
	}
	// What is longer than the walk may still take less than to look it up for
	// each of the entries that are left.
	for _, c := range long {
		if most := min(longCount, lookupCost*len(ids)); len(used) > 0 && len(ids) > shortEnough && most > limit {
			if _, err := narrow(c, most); err != nil {
				return out, err
			}
		}
	}
	if len(used) == 0 {
		return out, nil
	}
	source := Frag("SELECT value AS id FROM "+l.dialect.Each("x"), l.dialect.Ints(ids))
	out.source, out.rest = &source, nil
	for _, c := range l.conds {
		if !used[c.pos] {
			out.rest = append(out.rest, c)
		}
	}
	return out, nil
}

// sortedLists are those that SQLite reads in the order of the entries, and so
// merges for little more than reading them.
func sortedLists(lists []Condition) []Condition {
	var out []Condition
	for _, c := range lists {
		if c.Sorted {
			out = append(out, c)
		}
	}
	return out
}

// between narrows a list of entries to those with ids from one to another.
func between(rows Fragment, from, to int64) Fragment {
	return Fragment{"SELECT r.id FROM (" + rows.Text + ") r WHERE r.id >= ? AND r.id <= ?", append(slices.Clip(rows.Args), from, to)}
}

// common returns what two sorted lists have in common.
func common(a, b []int64) []int64 {
	out := a[:0]
	for len(a) > 0 && len(b) > 0 {
		switch {
		case a[0] < b[0]:
			a = a[1:]
		case a[0] > b[0]:
			b = b[1:]
		default:
			out, a, b = append(out, a[0]), a[1:], b[1:]
		}
	}
	return out
}

// list reads the entries that satisfy all of the conditions, at most limit. One
// text with all of them takes half the time of as many rows.
func (l *Lookup) list(ctx context.Context, conds []Condition, limit int) ([]int64, error) {
	var s Statement
	s.Write("SELECT COALESCE(group_concat(c.id), '') FROM (")
	for i, c := range conds {
		if i > 0 {
			s.Write(" INTERSECT ")
		}
		s.Add(c.Rows)
	}
	s.Write(" LIMIT ?) c", limit)
	rows, err := l.Tx.QueryBuilt(ctx, s.text.String(), s.args...)
	if err != nil {
		return nil, err
	}
	text := ""
	if err := drain(rows, func(rows *sql.Rows) error { return rows.Scan(&text) }); err != nil {
		return nil, err
	}
	var ids []int64
	for number := range strings.SplitSeq(text, ",") {
		if id, err := strconv.ParseInt(number, 10, 64); err == nil {
			ids = append(ids, id)
		}
	}
	return ids, nil
}

// count counts the entries of a condition, at most limit.
func (l *Lookup) count(ctx context.Context, c Condition, limit int) (int, error) {
	var s Statement
	s.Write("SELECT COUNT(*) FROM (").Add(c.Rows).Write(" LIMIT ?) c", limit)
	rows, err := l.Tx.QueryBuilt(ctx, s.text.String(), s.args...)
	if err != nil {
		return 0, err
	}
	n := 0
	return n, drain(rows, func(rows *sql.Rows) error { return rows.Scan(&n) })
}
