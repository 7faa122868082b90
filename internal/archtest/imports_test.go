package archtest_test

import (
	"context"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/internal/archtest"
)

const root = "../.."

// tree is this module, listed once for all tests.
var tree = sync.OnceValues(func() (*archtest.Graph, error) {
	return archtest.Load(context.Background(), root)
})

func TestImports(t *testing.T) {
	t.Parallel()
	g, err := tree()
	require.NoError(t, err)
	faults := archtest.Check(g, table)
	if len(faults) > 0 {
		t.Error(strings.Join(faults, "\n"))
	}
}

// module builds a graph of a module "m" out of "package: import import" lines.
func module(lines ...string) *archtest.Graph {
	g := &archtest.Graph{Module: "m", Packages: map[string]*archtest.Package{}}
	for _, line := range lines {
		path, imports, _ := strings.Cut(line, ":")
		p := &archtest.Package{ImportPath: path, Imports: strings.Fields(imports)}
		p.Module = &struct{ Path, GoVersion string }{Path: strings.SplitN(path, "/", 2)[0]}
		g.Packages[path] = p
	}
	return g
}

// The table must be able to refuse: each case is one way to break it.
func TestCheckRefuses(t *testing.T) {
	t.Parallel()
	good := archtest.Table{
		Open: []string{"errs"},
		Rules: map[string]archtest.Rule{
			"errs": {}, "a": {}, "b": {Own: []string{"a"}, Link: []string{"x"}}, "ex/*": {Own: []string{"public"}, Link: []string{"x"}},
		},
		Bans: []archtest.Ban{{From: "a", To: "b", Reason: "a is upstream"}, {From: "*", To: "x", Reason: "x is heavy"}},
	}
	base := []string{"m/errs:", "m/a: m/errs", "m/b: m/a x/deep", "m/ex/one: m/b", "x/deep:"}
	require.Empty(t, archtest.Check(module(base...), &good))

	for name, c := range map[string]struct {
		add  []string
		want string
	}{
		"an edge against the stream": {[]string{"m/a: m/b"}, "a/some file imports b: a is upstream"},
		"an edge without a ban":      {[]string{"m/b: m/a m/ex/one x/deep"}, "b/some file imports ex/one: the table does not list it"},
		"a module out of place":      {[]string{"m/a: y/mid", "y/mid: x/deep"}, "a links x: x is heavy\n    m/a\n    → y/mid\n    → x/deep"},
		"a module with no ban":       {[]string{"m/a: y/mid", "y/mid:"}, "a links y: the table does not list it"},
		"a package without a rule":   {[]string{"m/new:"}, "new: no rule in the table"},
		"a rule without a package":   {[]string{"m/ex/one: m/b", "-m/errs", "m/a:"}, "table: there is no package errs"},
		"a module no longer linked":  {[]string{"m/b: m/a"}, "table: b no longer links x"},
		"a ban on nothing":           {[]string{"m/b: m/a", "-x/deep"}, "table: the ban on x names nothing that exists"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := module(append(append([]string{}, base...), c.add...)...)
			for _, line := range c.add {
				if gone, ok := strings.CutPrefix(line, "-"); ok {
					delete(g.Packages, gone)
					delete(g.Packages, line)
				}
			}
			require.Contains(t, strings.Join(archtest.Check(g, &good), "\n"), c.want)
		})
	}
}
