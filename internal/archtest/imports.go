package archtest

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
)

// Rule is what one package may do.
type Rule struct {
	Own  []string // packages of the module that it may import; "public" is every public one
	Link []string // modules that may be in its link set beside the standard library
}

// Ban explains why an edge is refused. It adds no refusal of its own: what a
// Rule does not list is refused anyway, a Ban says why to whoever tries.
type Ban struct {
	From   string // path.Match pattern of packages, "*" for all
	To     string // a package of the module, or the beginning of a module path
	Reason string
}

// Table is the import table.
type Table struct {
	Open  []string // packages of the module that every package may import
	Rules map[string]Rule
	Bans  []Ban
}

const defaultReason = "the table does not list it: every import and every linked module is a decision (CONTRIBUTING.md, \"The import table\")"

// reason finds the first ban that fits.
func (t *Table) reason(from, to string) string {
	for _, b := range t.Bans {
		if ok, err := path.Match(b.From, from); b.From != "*" && (err != nil || !ok) {
			continue
		}
		if to == b.To || strings.HasPrefix(to, strings.TrimSuffix(b.To, "/")+"/") {
			return b.Reason
		}
	}
	return defaultReason
}

// rule finds the package's rule, by its name or by a pattern such as "examples/*".
func (t *Table) rule(rel string) (string, bool) {
	if _, ok := t.Rules[rel]; ok {
		return rel, true
	}
	for _, pattern := range slices.Sorted(maps.Keys(t.Rules)) {
		if ok, err := path.Match(pattern, rel); ok && err == nil {
			return pattern, true
		}
	}
	return "", false
}

// isPublic reports whether a program outside the module may import the package.
func isPublic(rel string) bool {
	return !slices.Contains(strings.Split(rel, "/"), "internal") && !strings.HasPrefix(rel, "examples/")
}

// Check holds the graph against the table and returns every violation.
func Check(g *Graph, t *Table) []string {
	var faults []string
	used := map[string]bool{} // rules, and "rule module" for each module a rule allows
	for _, rel := range g.own() {
		name, ok := t.rule(rel)
		if !ok {
			faults = append(faults, fmt.Sprintf("%s: no rule in the table: add one when the package has its first real content", rel))
			continue
		}
		used[name] = true
		p, rule := g.get(rel), t.Rules[name]
		for _, imp := range p.Imports {
			to, own := g.relative(imp)
			allowed := slices.Contains(rule.Own, to) || slices.Contains(t.Open, to) ||
				slices.Contains(rule.Own, "public") && isPublic(to)
			if own && !allowed {
				faults = append(faults, fmt.Sprintf("%s/%s imports %s: %s", rel, importer(p, imp), to, t.reason(rel, to)))
			}
		}
		linked := g.linked(rel)
		for _, m := range slices.Sorted(maps.Keys(linked)) {
			used[name+" "+m] = true
			if !slices.Contains(rule.Link, m) {
				faults = append(faults, fmt.Sprintf("%s links %s: %s\n    %s", rel, m, t.reason(rel, m), strings.Join(linked[m], "\n    → ")))
			}
		}
	}
	return append(faults, stale(g, t, used)...)
}

// stale finds what the table still says about packages and modules that are gone:
// a list that nobody shortens ends up allowing everything.
func stale(g *Graph, t *Table, used map[string]bool) []string {
	var faults []string
	for _, name := range slices.Sorted(maps.Keys(t.Rules)) {
		if !used[name] {
			faults = append(faults, fmt.Sprintf("table: there is no package %s: remove its rule", name))
			continue
		}
		for _, m := range t.Rules[name].Link {
			if !used[name+" "+m] {
				faults = append(faults, fmt.Sprintf("table: %s no longer links %s: remove it from the rule", name, m))
			}
		}
	}
	for _, b := range t.Bans {
		prefix := strings.TrimSuffix(b.To, "/")
		known := g.get(prefix) != nil
		for _, p := range g.Packages {
			known = known || strings.HasPrefix(p.module()+"/", prefix+"/")
		}
		if !known {
			faults = append(faults, fmt.Sprintf("table: the ban on %s names nothing that exists: correct or remove it", b.To))
		}
	}
	return faults
}
