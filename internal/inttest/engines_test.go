package inttest_test

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/dataset"
	"github.com/millwright-ml/millwright/dataset/blob"
	"github.com/millwright-ml/millwright/dataset/blob/dirblob"
	"github.com/millwright-ml/millwright/dataset/blob/s3blob"
	"github.com/millwright-ml/millwright/dataset/filter"
	"github.com/millwright-ml/millwright/dataset/loader"
	"github.com/millwright-ml/millwright/internal/inttest"
)

var update = flag.Bool("update", false, "write docs/engines.md anew")

// capability is a row of docs/engines.md: reads that an engine does all, or all
// less some columns.
type capability struct {
	title  string
	column string // Only this column counts; "" for all of them.
	reads  []inttest.EngineRead
	tried  []string // The engines that this is for; nil for all.
}

// corpus collects what the engines are to read.
type corpus struct {
	t    *testing.T
	rows []capability
}

// read adds a read to the last capability.
func (c *corpus) read(key, table string, version int64, want idRows, where ...any) {
	at := &c.rows[len(c.rows)-1]
	read := inttest.EngineRead{Key: at.title + ": " + key, Table: table, Expect: want.write(c.t, key), Where: where}
	if version >= 0 {
		read.Version = &version
	}
	at.reads = append(at.reads, read)
}

func (c *corpus) begin(title string) { c.rows = append(c.rows, capability{title: title}) }

// TestEnginesReadEveryVersion has stock engines read versions, branches and tags
// and compares every value. What they can do is docs/engines.md.
func TestEnginesReadEveryVersion(t *testing.T) {
	t.Parallel()
	inttest.EnginePython(t)
	c := &corpus{t: t}
	dir := t.TempDir()
	store, err := dirblob.Open(dir)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, store.Close()) })
	c.history(store, dir)
	c.edits(store, dir)
	c.random(store, dir)
	c.parquetFeatures(dir)
	server := inttest.StartVersityGW(t)
	bucket := server.NewBucket(t)
	remote, err := s3blob.Open(t.Context(), "s3://"+bucket+"/lake", server.Options())
	require.NoError(t, err)
	c.remote(remote, "s3://"+bucket+"/lake")

	// Spark takes as long as all the others.
	found := c.ask(server, [][]string{{"spark"}, slices.DeleteFunc(inttest.Engines(), func(engine string) bool { return engine == "spark" })})
	var names []string
	cells := map[string][]string{}
	for _, engine := range inttest.Engines() {
		version, answers := found[engine].version, found[engine].answers
		names = append(names, version)
		for _, row := range c.rows {
			if !row.isFor(engine) {
				cells[row.title] = append(cells[row.title], "–")
				continue
			}
			fault := ""
			for _, read := range row.reads {
				one := answers[read.Key].Fault()
				if row.column != "" && answers[read.Key].Error == "" {
					one = answers[read.Key].Columns[row.column]
				}
				if one != "" {
					t.Logf("%s: %s: %s", version, read.Key, one)
					fault = one
				}
			}
			cells[row.title] = append(cells[row.title], cell(fault))
		}
	}
	document(t, names, c.rows, cells)
}

// isFor tells whether the engine is tried.
func (row capability) isFor(engine string) bool {
	return row.tried == nil || slices.Contains(row.tried, engine)
}

// said is all that an engine answered.
type said struct {
	version string
	answers map[string]inttest.EngineAnswer
}

// ask has the engines of each lane read one after the other, and the lanes at once.
func (c *corpus) ask(server *inttest.S3, lanes [][]string) map[string]said {
	var mu sync.Mutex
	found := map[string]said{}
	c.t.Run("engines", func(t *testing.T) {
		for _, lane := range lanes {
			t.Run(lane[0], func(t *testing.T) {
				t.Parallel()
				for _, engine := range lane {
					var reads []inttest.EngineRead
					asked := map[string]bool{}
					for _, row := range c.rows {
						for _, read := range row.reads {
							if row.isFor(engine) && !asked[read.Key] {
								reads, asked[read.Key] = append(reads, read), true
							}
						}
					}
					version, answers := inttest.ReadWith(t, engine, server, reads)
					mu.Lock()
					found[engine] = said{version, answers}
					mu.Unlock()
				}
			})
		}
	})
	if c.t.Failed() {
		c.t.FailNow()
	}
	return found
}

// cell is what the table says of a fault.
func cell(fault string) string {
	switch {
	case fault == "":
		return "yes"
	case strings.HasSuffix(fault, inttest.NullsAsEmpty):
		return "yes¹"
	}
	return "**no**"
}

// version adds a read of a version, under the path and the number that it tells
// to foreign readers.
func (c *corpus) version(key, root string, v *dataset.Version, want idRows) {
	table, number := v.Table()
	c.read(key, root+"/"+table, number, want)
}

// history makes datasets in a folder.
func (c *corpus) history(store blob.Store, dir string) {
	ctx := context.Background()
	d, err := dataset.New(store, nil).Create(ctx, "all", everyType, nil)
	require.NoError(c.t, err)
	table := filepath.Join(dir, "all")

	// More versions than lie between two checkpoints.
	c.begin("every version of a dataset")
	c.read("0", table, 0, idRows{everyType, nil, nil})
	for i := 1; i <= 12; i++ {
		v, err := d.Append(ctx, idRows{everyType, ids(i*100-100, i*100), nil}.reader(c.t), nil)
		require.NoError(c.t, err)
		c.version(fmt.Sprint(i), dir, v, idRows{everyType, ids(0, i*100), nil})
	}
	c.read("latest", table, -1, idRows{everyType, ids(0, 1200), nil})

	c.begin("filters, which skip files by their statistics")
	c.read("id", table, -1, idRows{everyType, ids(1150, 1200), nil}, "id", ">=", 1150)
	c.read("id none", table, -1, idRows{everyType, nil, nil}, "id", ">=", 5000)
	var text []int
	for id := range 1200 {
		if id%7 != 3 && id%9 == 4 {
			text = append(text, id)
		}
	}
	c.read("string", table, -1, idRows{everyType, text, nil}, "string", "=", "größe-4")
	c.splits(table)
	for _, f := range everyType.Fields() {
		c.rows = append(c.rows, capability{title: "type `" + f.Type.String() + "`", column: f.Name, reads: c.rows[0].reads[12:]})
	}
}

// splits asks for the two sides of a split by the conditions that it is in SQL.
func (c *corpus) splits(table string) {
	c.begin("splits, by the condition that `loader.Split` writes")
	at := &c.rows[len(c.rows)-1]
	at.tried = []string{"duckdb", "spark"}
	const border = 300_000
	sides := map[string]*loader.Split{
		"train": {Seed: "it's", Key: []string{"string", "id"}, From: border, To: loader.Buckets},
		"test":  {Seed: "it's", Key: []string{"string", "id"}, From: 0, To: border},
	}
	all := 0
	for name, side := range sides {
		var in []int
		for id := range 1200 {
			text := ""
			if id%7 != 3 {
				text = fmt.Sprintf("größe-%d", id%9)
			}
			if b := dataset.Bucket(side.Seed, text+":"+strconv.Itoa(id)); side.From <= b && b < side.To {
				in = append(in, id)
			}
		}
		all += len(in)
		c.read(name, table, -1, idRows{everyType, in, nil})
		at.reads[len(at.reads)-1].Condition = map[string]string{"duckdb": side.DuckDB(), "spark": side.Spark()}
	}
	require.Equal(c.t, 1200, all)
}

// edits makes a dataset with all that can happen to one.
func (c *corpus) edits(store blob.Store, dir string) {
	ctx := context.Background()
	d, err := dataset.New(store, nil).Create(ctx, "edited", everyType, nil)
	require.NoError(c.t, err)
	made := func(v *dataset.Version, err error) *dataset.Version {
		c.t.Helper()
		require.NoError(c.t, err)
		return v
	}
	made(d.Append(ctx, idRows{everyType, ids(0, 300), nil}.reader(c.t), nil))
	two := made(d.Append(ctx, idRows{everyType, ids(300, 600), nil}.reader(c.t), nil))

	c.begin("rows deleted and overwritten")
	v := made(d.Delete(ctx, filter.Lt("id", 100), nil))
	c.version("deleted", dir, v, idRows{everyType, ids(100, 600), nil})
	v = made(d.Overwrite(ctx, idRows{everyType, ids(500, 650), nil}.reader(c.t), &dataset.CommitOptions{Where: filter.Ge("id", 500)}))
	c.version("overwritten", dir, v, idRows{everyType, ids(100, 650), nil})

	c.begin("a column added")
	v = made(d.Evolve(ctx, evolved, nil))
	c.version("evolved", dir, v, idRows{evolved, ids(100, 650), nil})
	noted := func(id int) bool { return id >= 650 }
	six := made(d.Append(ctx, idRows{evolved, ids(650, 800), noted}.reader(c.t), nil))
	c.version("with values", dir, six, idRows{evolved, ids(100, 800), noted})

	c.begin("a column widened from int8 to int32")
	v = made(d.Evolve(ctx, widened, nil))
	c.version("widened", dir, v, idRows{widened, ids(100, 800), noted})
	v = made(d.Append(ctx, idRows{widened, ids(800, 900), noted}.reader(c.t), nil))
	c.version("with values", dir, v, idRows{widened, ids(100, 900), noted})

	c.begin("a version restored")
	v = made(d.Restore(ctx, two, nil))
	c.version("restored", dir, v, idRows{everyType, ids(0, 600), nil})

	c.begin("every version of a branch")
	branch, err := d.CreateBranch(ctx, "try", six)
	require.NoError(c.t, err)
	c.version("begun", dir, made(branch.Latest(ctx)), idRows{evolved, ids(100, 800), noted})
	v = made(branch.Delete(ctx, filter.Lt("id", 200), nil))
	c.version("deleted", dir, v, idRows{evolved, ids(200, 800), noted})
	other, err := d.CreateBranch(ctx, "other", two)
	require.NoError(c.t, err)
	c.version("another", dir, made(other.Latest(ctx)), idRows{everyType, ids(0, 600), nil})
	for i := 80; i < 92; i++ {
		v = made(branch.Append(ctx, idRows{evolved, ids(i*10, i*10+10), noted}.reader(c.t), nil))
		c.version(fmt.Sprint(i), dir, v, idRows{evolved, ids(200, i*10+10), noted})
	}

	c.begin("a tag")
	require.NoError(c.t, d.Tag(ctx, "good", v, nil))
	tagged, err := d.Resolve(ctx, "good")
	require.NoError(c.t, err)
	c.version("of a branch", dir, tagged, idRows{evolved, ids(200, 920), noted})

	c.begin("a merge")
	v = made(other.Append(ctx, idRows{everyType, ids(600, 700), nil}.reader(c.t), nil))
	v = made(d.Merge(ctx, v, nil))
	c.version("into main", dir, v, idRows{everyType, ids(0, 700), nil})
}

// remote makes a dataset on an S3 server.
func (c *corpus) remote(store blob.Store, url string) {
	ctx := context.Background()
	d, err := dataset.New(store, nil).Create(ctx, "all", everyType, nil)
	require.NoError(c.t, err)
	for _, part := range [][]int{ids(0, 300), ids(300, 400)} {
		_, err := d.Append(ctx, idRows{everyType, part, nil}.reader(c.t), nil)
		require.NoError(c.t, err)
	}
	c.begin("from S3 (versitygw)")
	// Spark needs more for this than its package brings.
	c.rows[len(c.rows)-1].tried = []string{"deltalake", "pandas", "polars", "duckdb", "clickhouse"}
	c.read("1", url+"/all", 1, idRows{everyType, ids(0, 300), nil})
	c.read("latest", url+"/all", -1, idRows{everyType, ids(0, 400), nil})
}

// document compares docs/engines.md with what was found.
func document(t *testing.T, names []string, rows []capability, cells map[string][]string) {
	var b strings.Builder
	b.WriteString(enginesHead)
	fmt.Fprintf(&b, "| | %s |\n|---|%s\n", strings.Join(names, " | "), strings.Repeat("---|", len(names)))
	for _, row := range rows {
		fmt.Fprintf(&b, "| %s | %s |\n", row.title, strings.Join(cells[row.title], " | "))
	}
	path := filepath.Join("..", "..", "docs", "engines.md")
	if *update {
		require.NoError(t, os.WriteFile(path, []byte(b.String()), 0o644))
		return
	}
	have, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, string(have), b.String(), "docs/engines.md is not what the engines do: run this test with -update and look at what changed")
}

const enginesHead = `# What other engines read

A dataset is a plain Delta Lake table, so other engines read its versions by path or URL, without
anything of ours. This table is made by a test: ` + "`TestEnginesReadEveryVersion`" + ` in ` + "`internal/inttest`" + `
has each engine read each version and compares every value. It fails when the table no longer holds;
with -update it writes the table. "–" is what was not tried.

What an engine does not read, our writer does not use: no file is written with BYTE_STREAM_SPLIT.
Spark reads from S3 with hadoop-aws, which its Python package does not bring.

¹ Null lists, maps and structs come as empty ones.

`
