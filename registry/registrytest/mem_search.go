package registrytest

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/millwright-ml/millwright/registry"
	"github.com/millwright-ml/millwright/tracking/search"
)

// SearchModels implements registry.Store.
func (m *Mem) SearchModels(ctx context.Context, q registry.ModelQuery) ([]registry.Model, string, error) {
	if err := ctx.Err(); err != nil {
		return nil, "", err
	}
	f, err := newFind(search.RegisteredModels(), q.Filter, q.OrderBy, q.Name)
	if err != nil {
		return nil, "", err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	var rows []*memModel
	for _, name := range slices.Sorted(maps.Keys(m.models)) {
		mod := m.models[name]
		if (q.Name == "" || q.Name == name) && q.View.Includes(mod.Deleted) && f.match(mod.Tags, mod.attribute) {
			rows = append(rows, mod)
		}
	}
	slices.SortStableFunc(rows, func(a, b *memModel) int {
		return cmp.Or(f.compare(a.attribute, b.attribute), cmp.Compare(a.Name, b.Name))
	})
	page, next, err := cutPage(rows, q.Page, fmt.Sprintf("models %q", []any{q.Name, q.View, q.Filter, q.OrderBy}), func(r *memModel) string { return r.Name })
	out := make([]registry.Model, len(page))
	for i, mod := range page {
		out[i] = mod.read()
		if q.Latest {
			out[i].LatestVersions = mod.latest()
		}
	}
	return out, next, err
}

// SearchVersions implements registry.Store.
func (m *Mem) SearchVersions(ctx context.Context, q registry.VersionQuery) ([]*registry.Version, string, error) {
	if err := ctx.Err(); err != nil {
		return nil, "", err
	}
	f, err := newFind(search.ModelVersions(), q.Filter, q.OrderBy, q.Name)
	if err != nil {
		return nil, "", err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	var rows []*registry.Version
	for _, mod := range m.models {
		for _, v := range mod.versions {
			if !mod.Deleted && (q.Name == "" || q.Name == mod.Name) && q.View.Includes(v.Deleted) && f.match(v.Tags, attributeOf(v)) {
				rows = append(rows, v)
			}
		}
	}
	slices.SortFunc(rows, func(a, b *registry.Version) int {
		first := f.compare(attributeOf(a), attributeOf(b))
		if len(q.OrderBy) == 0 {
			first = b.Updated.Compare(a.Updated)
		}
		return cmp.Or(first, cmp.Compare(a.Name, b.Name), cmp.Compare(b.Number, a.Number))
	})
	page, next, err := cutPage(rows, q.Page, fmt.Sprintf("versions %q", []any{q.Name, q.View, q.Filter, q.OrderBy}), (*registry.Version).Ref)
	out := make([]*registry.Version, len(page))
	for i, v := range page {
		out[i] = m.models[v.Name].version(v)
	}
	return out, next, err
}

// latest returns the active versions with the highest number in each stage.
func (mod *memModel) latest() (out []*registry.Version) {
	numbers := map[string]int{}
	for _, v := range mod.versions {
		if !v.Deleted {
			numbers[v.Stage] = max(numbers[v.Stage], v.Number)
		}
	}
	for _, v := range mod.versions {
		if !v.Deleted && numbers[v.Stage] == v.Number {
			out = append(out, mod.version(v))
		}
	}
	slices.SortFunc(out, func(a, b *registry.Version) int { return cmp.Compare(a.Number, b.Number) })
	return out
}

// attribute returns the value of a searchable key: a text, or a number.
func (mod *memModel) attribute(key string) (string, float64) {
	switch key {
	case "creation_timestamp":
		return "", float64(mod.Created.UnixMicro())
	case "last_updated_timestamp":
		return "", float64(mod.Updated.UnixMicro())
	}
	return mod.Name, 0
}

func attributeOf(v *registry.Version) func(string) (string, float64) {
	return func(key string) (string, float64) {
		switch key {
		case "creation_timestamp":
			return "", float64(v.Created.UnixMicro())
		case "last_updated_timestamp":
			return "", float64(v.Updated.UnixMicro())
		case "version_number":
			return "", float64(v.Number)
		case "run_id":
			return v.Run, 0
		case "source_path":
			return v.Source, 0
		}
		return v.Name, 0
	}
}

// find is a parsed query.
type find struct {
	clauses []search.Clause
	orders  []search.Order
	prompts bool // whether prompts are among the answers without being named
}

func newFind(g *search.Grammar, filter string, order []string, name string) (*find, error) {
	f := &find{prompts: name != ""}
	var err error
	if f.clauses, err = g.Filter(filter); err != nil {
		return nil, err
	}
	if f.orders, err = g.Order(order); err != nil {
		return nil, err
	}
	for _, c := range f.clauses {
		f.prompts = f.prompts || c.Entity == search.Tag && c.Key == registry.PromptTag
	}
	return f, nil
}

func (f *find) match(tags map[string]string, attribute func(string) (string, float64)) bool {
	if !f.prompts && tags[registry.PromptTag] == "true" {
		return false
	}
	for i := range f.clauses {
		c := &f.clauses[i]
		ok := false
		if c.Entity == search.Tag {
			value, there := tags[c.Key]
			if !there && c.Key == registry.PromptTag && c.Op != search.IsNull && c.Op != search.IsNotNull {
				value, there = "false", true
			}
			if ok = c.MatchAbsent(); there {
				ok = c.MatchText(value)
			}
		} else if text, number := attribute(c.Key); c.Numeric {
			ok = c.MatchNumber(number)
		} else {
			ok = c.MatchText(text)
		}
		if !ok {
			return false
		}
	}
	return true
}

func (f *find) compare(a, b func(string) (string, float64)) int {
	for _, o := range f.orders {
		aText, aNumber := a(o.Key)
		bText, bNumber := b(o.Key)
		c := cmp.Or(strings.Compare(aText, bText), cmp.Compare(aNumber, bNumber))
		if o.Desc {
			c = -c
		}
		if c != 0 {
			return c
		}
	}
	return 0
}

// cutPage returns the page that the token names: its query, and the id of the
// last row before it with its place, in case that row is gone by now.
func cutPage[T any](rows []T, p registry.Page, query string, id func(T) string) (page []T, next string, err error) {
	size, start := p.Max, 0
	if size <= 0 {
		size = 100
	}
	if p.Token != "" {
		place, rest, ok1 := strings.Cut(p.Token, "|")
		last, of, ok2 := strings.Cut(rest, "|")
		n, err := strconv.Atoi(place)
		if err != nil || !ok1 || !ok2 || of != query || n < 0 {
			return nil, "", fmt.Errorf("page token %q is damaged or of another query: %w", p.Token, registry.ErrInvalid)
		}
		start = min(n, len(rows))
		if i := slices.IndexFunc(rows, func(r T) bool { return id(r) == last }); i >= 0 {
			start = i + 1
		}
	}
	page = rows[start:min(start+size, len(rows))]
	if start+size < len(rows) {
		next = fmt.Sprintf("%d|%s|%s", start+size, id(page[len(page)-1]), query)
	}
	return page, next, nil
}
