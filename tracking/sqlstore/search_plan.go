package sqlstore

import (
	"context"
	"database/sql"
	"slices"
	"strconv"
	"strings"

	"github.com/millwright-ml/millwright/internal/sqldb"
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

func (l *lookup) plan(ctx context.Context, n int, st stage, from []any, limit int) ([]entry, error) {
	if !l.walkable(st) {
		list, err := l.shortest(ctx, longCount)
		if err != nil {
			return nil, err
		}
		return l.query(ctx, n, st, from, limit, list.rest, list.source)
	}
	var out []entry
	walked, decided := 0, false
	for size := max(firstWalk, 2*limit); ; size = min(2*size, longWalk) {
		candidates, err := l.query(ctx, n, st, from, size, nil, nil)
		if err != nil {
			return nil, err
		}
		good, err := l.satisfy(ctx, candidates)
		if err != nil {
			return nil, err
		}
		for _, c := range candidates {
			if good[c.id] {
				if out = append(out, c); len(out) == limit {
					return out, nil
				}
			}
		}
		if len(candidates) < size {
			return out, nil
		}
		from = candidates[len(candidates)-1].at.values
		if walked += len(candidates); decided {
			continue
		}
		rest := (limit - len(out)) * walked / max(len(out), 1)
		list, err := l.shortest(ctx, min(rest, longCount))
		if err != nil {
			return nil, err
		}
		if list.source != nil {
			more, err := l.query(ctx, n, st, from, limit-len(out), list.rest, list.source)
			return append(out, more...), err
		}
		decided = true
	}
}

// satisfy returns those of the candidates that satisfy all conditions.
func (l *lookup) satisfy(ctx context.Context, candidates []entry) (map[int64]bool, error) {
	good := make(map[int64]bool, len(candidates))
	if len(candidates) == 0 {
		return good, nil
	}
	ids := make([]int64, len(candidates))
	for i, c := range candidates {
		ids[i] = c.id
	}
	var s statement
	s.write("SELECT e.id FROM "+l.kind.from+" WHERE "+l.dialect.In("e.id"), l.dialect.Ints(ids))
	for _, c := range l.conds {
		s.write(" AND ").add(c.on("e.id"))
	}
	rows, err := l.tx.QueryBuilt(ctx, s.text.String(), s.args...)
	if err != nil {
		return nil, err
	}
	return good, drainRows(rows, func(rows *sql.Rows) error {
		var id int64
		err := rows.Scan(&id)
		good[id] = true
		return err
	})
}

// shortList are the entries that satisfy some of the conditions.
type shortList struct {
	source *fragment   // lists them; nil: there is no short list
	rest   []condition // to be tested on each
}

// shortest lists the entries of the clause that has the fewest, if it has less
// than limit, without those that are not in the lists of others which are not
// much longer.
func (l *lookup) shortest(ctx context.Context, limit int) (shortList, error) {
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
	slices.SortStableFunc(lists, func(a, b condition) int { return counts[a.pos] - counts[b.pos] })
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
	for _, c := range lists {
		if used[c.pos] {
			continue
		}
		if len(used) > 0 && (len(ids) <= shortEnough || counts[c.pos] > lookupCost*len(ids)) {
			break
		}
		found, err := l.list(ctx, []condition{c}, limit)
		if err != nil {
			return out, err
		}
		if len(found) >= limit {
			continue
		}
		slices.Sort(found)
		if len(used) > 0 {
			found = common(ids, found)
		}
		ids, used[c.pos] = found, true
	}
	if len(used) == 0 {
		return out, nil
	}
	source := frag("SELECT value AS id FROM "+l.dialect.Each("x"), l.dialect.Ints(ids))
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
func sortedLists(lists []condition) []condition {
	var out []condition
	for _, c := range lists {
		if c.sorted {
			out = append(out, c)
		}
	}
	return out
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
func (l *lookup) list(ctx context.Context, conds []condition, limit int) ([]int64, error) {
	var s statement
	s.write("SELECT COALESCE(group_concat(c.id), '') FROM (")
	for i, c := range conds {
		if i > 0 {
			s.write(" INTERSECT ")
		}
		s.add(c.rows)
	}
	s.write(" LIMIT ?) c", limit)
	rows, err := l.tx.QueryBuilt(ctx, s.text.String(), s.args...)
	if err != nil {
		return nil, err
	}
	text := ""
	if err := drainRows(rows, func(rows *sql.Rows) error { return rows.Scan(&text) }); err != nil {
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
func (l *lookup) count(ctx context.Context, c condition, limit int) (int, error) {
	var s statement
	s.write("SELECT COUNT(*) FROM (").add(c.rows).write(" LIMIT ?) c", limit)
	rows, err := l.tx.QueryBuilt(ctx, s.text.String(), s.args...)
	if err != nil {
		return 0, err
	}
	n := 0
	return n, drainRows(rows, func(rows *sql.Rows) error { return rows.Scan(&n) })
}

// findKeys returns the ids of those keys that are in use.
func (s *Store) findKeys(ctx context.Context, tx *sqldb.Tx, keys []string) (map[string]int64, error) {
	found := make(map[string]int64, len(keys))
	if len(keys) == 0 {
		return found, nil
	}
	ids := make([]int64, len(keys))
	unknown := s.keys.lookup(ids, func(i int) string { return keys[i] })
	for i, key := range keys {
		if ids[i] != 0 {
			found[key] = ids[i]
		}
	}
	if len(unknown) == 0 {
		return found, nil
	}
	fresh := map[string]int64{}
	err := eachRow(ctx, tx, `SELECT key, id FROM mw_key WHERE `+s.dialect.In("key"), []any{s.dialect.Texts(unknown)}, func(rows *sql.Rows) error {
		var key string
		var id int64
		err := rows.Scan(&key, &id)
		fresh[key], found[key] = id, id
		return err
	})
	if err == nil && len(fresh) > 0 {
		s.keys.add(fresh)
	}
	return found, err
}
