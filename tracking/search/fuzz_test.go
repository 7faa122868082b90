package search_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/millwright-ml/millwright/tracking/search"
)

func grammars() []*search.Grammar {
	return []*search.Grammar{
		search.Experiments(), search.Runs(), search.Models(),
		search.Traces(), search.RegisteredModels(), search.ModelVersions(),
	}
}

// Whatever the text, a filter parses or is ErrInvalid with a position, and what
// parses can be matched.
func FuzzFilter(f *testing.F) {
	for _, seed := range []string{
		"", "metrics.a > 1", "params.`a b` = 'it''s' AND tags.x IS NOT NULL", "run_id IN ('a', \"b\")",
		"name RLIKE '^x'", "span.attributes.`k` LIKE '%\\%_'", "attributes.start_time >= 1.5e-3", "'", "`", "((", "a.b.c.d = 'x' AND",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, g := range grammars() {
			clauses, err := g.Filter(text)
			if err != nil {
				if !errors.Is(err, search.ErrInvalid) || clauses != nil {
					t.Fatalf("%q: %v with %v", text, err, clauses)
				}
				continue
			}
			for _, c := range clauses {
				if c.Key == "" || c.Entity == "" || c.Pos < 1 || strings.ContainsRune(c.Text+c.Key, 0) {
					t.Fatalf("%q: %+v", text, c)
				}
				c.MatchText(text)
				c.MatchNumber(1)
				if again, err := g.Filter(text + "\n "); err != nil || len(again) != len(clauses) {
					t.Fatalf("%q with blanks: %v", text, err)
				}
			}
		}
	})
}

func FuzzOrder(f *testing.F) {
	for _, seed := range []string{"", "metrics.a DESC", "tags.`a b`", "start_time asc", "name", "attributes.\"x", "metrics.a -- x"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, g := range grammars() {
			orders, err := g.Order([]string{text})
			if err != nil && (!errors.Is(err, search.ErrInvalid) || orders != nil) {
				t.Fatalf("%q: %v", text, err)
			}
			if err == nil && (len(orders) != 1 || orders[0].Key == "") {
				t.Fatalf("%q: %v", text, orders)
			}
			if _, err := g.OrderField(text, true); err != nil && !errors.Is(err, search.ErrInvalid) {
				t.Fatalf("%q: %v", text, err)
			}
		}
	})
}

func BenchmarkFilter(b *testing.B) {
	runs := search.Runs()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := runs.Filter("metrics.auc > 0.9 AND params.depth = '3' AND tags.team LIKE 'a%'"); err != nil {
			b.Fatal(err)
		}
	}
}
