package sqlstore_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/internal/pgtest"
	"github.com/millwright-ml/millwright/tracking"
	"github.com/millwright-ml/millwright/tracking/sqlstore"
	"github.com/millwright-ml/millwright/tracking/trackingtest"
)

// someTexts are values and patterns in which every character of a filter's
// syntax and of LIKE and GLOB stands somewhere.
var someTexts = []string{
	"", "a", "A", "aa", "ab", "x", "a%", "a_b", `a\b`, `\`, "it's", `say "hi"`, "`", "*", "a?", "[a]", "-- x", "'; DROP TABLE mw_run; --",
	"é", "É", "日本", " a", "a\nb", "NULL", "1", "10", "\u2028", strings.Repeat("long ", 40) + "a", strings.Repeat("long ", 40) + "b",
}

var somePatterns = []string{
	"%", "_", "a%", "%a", "%a%", "a_b", `a\_b`, `%\%`, `\`, `%\\%`, "[a]", "*", "?", "%'%", `%"%`, "a__", "%b", "long%", "É%", "é", "日_", "", "%\n%",
}

type generator struct{ *rand.Rand }

func (g generator) pick(list ...string) string { return list[g.IntN(len(list))] }

// quoted writes a text as a filter does.
func (g generator) quoted(s string) string {
	quote := g.pick("'", `"`)
	return quote + strings.ReplaceAll(s, quote, quote+quote) + quote
}

func (g generator) list() string {
	items := []string{}
	for range 1 + g.IntN(3) {
		items = append(items, g.quoted(g.pick(someTexts...)))
	}
	return "(" + strings.Join(items, ", ") + ")"
}

func (g generator) number() float64 {
	return []float64{0, 0.5, -1, 1, 2, 1e300, math.Inf(1), math.Inf(-1), math.NaN(), math.MaxFloat64, 5e-324}[g.IntN(11)]
}

// text writes a comparison of a text.
func (g generator) text(ops ...string) string {
	switch op := g.pick(ops...); op {
	case "LIKE", "ILIKE":
		return op + " " + g.quoted(g.pick(somePatterns...))
	case "RLIKE":
		return op + " " + g.quoted(g.pick("a", "^a", "b$", "^$", "[a-c]", "(?i)A", `\\`, "日."))
	case "IN", "NOT IN":
		return op + " " + g.list()
	case "IS NULL", "IS NOT NULL":
		return op
	default:
		return op + " " + g.quoted(g.pick(someTexts...))
	}
}

func (g generator) compare(value any) string {
	return g.pick("=", "!=", ">", ">=", "<", "<=") + " " + fmt.Sprint(value)
}

func (g generator) runClause() string {
	key := g.pick("`a`", "b", `"c d"`, "'e/f'", "never", "same")
	switch g.IntN(9) {
	case 0, 1:
		return "metrics." + key + " " + g.compare(g.pick("0", "0.5", "-1", "1", "2", "1e300", "1e999", "-1e999", "1.7976931348623157e308"))
	case 2, 3:
		return "params." + key + " " + g.text("=", "!=", "LIKE", "ILIKE", "IS NULL", "IS NOT NULL")
	case 4, 5:
		return "tags." + key + " " + g.text("=", "!=", "LIKE", "ILIKE", "IS NULL", "IS NOT NULL")
	case 6:
		return "dataset." + g.pick("name", "digest", "context") + " " + g.text("=", "!=", "LIKE", "ILIKE", "IN", "NOT IN")
	case 7:
		return g.pick("run_name", "user_id", "status") + " " + g.text("=", "!=", "LIKE", "ILIKE")
	}
	return g.pick("start_time", "end_time") + " " + g.compare(g.pick("1700000000100", "1700000000200.5", "-1", "1e999"))
}

func (g generator) filter(clause func() string) string {
	var clauses []string
	for range g.IntN(4) {
		clauses = append(clauses, clause())
	}
	return strings.Join(clauses, g.pick(" AND ", "\nand "))
}

func (g generator) order(keys ...string) []string {
	var out []string
	g.Shuffle(len(keys), func(i, j int) { keys[i], keys[j] = keys[j], keys[i] })
	for _, key := range keys[:g.IntN(3)] {
		out = append(out, key+g.pick("", " ASC", " DESC", " desc"))
	}
	return out
}

// stores are one of each kind with the same contents, the model first.
func stores(t *testing.T) (names []string, list []tracking.Store) {
	t.Helper()
	names, list = []string{"memory", "SQLite"}, []tracking.Store{new(trackingtest.Memory), openNew(t)}
	if url := postgresURL(t); url != "" {
		names, list = append(names, "PostgreSQL"), append(list, openURL(t, url))
	}
	return names, list
}

// postgresURL is a database where there is a server; a test that compares all
// stores does not skip the others for the lack of one.
func postgresURL(t *testing.T) string {
	t.Helper()
	url := ""
	t.Run("PostgreSQL", func(sub *testing.T) {
		pgtest.URL(sub) // skips, or fails where it must be there
		url = "found"
	})
	if url != "" {
		url = pgtest.URL(t)
	}
	return url
}

// The same search gives the same runs in the same order everywhere, page by
// page, whatever way a store takes.
func TestSearchRunsAlike(t *testing.T) {
	t.Parallel()
	names, list := stores(t)
	g := generator{rand.New(rand.NewPCG(3, 7))}
	const n = 420
	for _, store := range list {
		_, err := store.CreateExperiment(t.Context(), tracking.Experiment{ID: "1", Name: "one", Created: time.UnixMilli(1)})
		require.NoError(t, err)
		_, err = store.CreateExperiment(t.Context(), tracking.Experiment{ID: "2", Name: "two", Created: time.UnixMilli(1)})
		require.NoError(t, err)
	}
	for i := range n {
		info := tracking.RunInfo{
			ID: tracking.RunID(fmt.Sprintf("r%d", (i*379)%n)), Experiment: tracking.ExperimentID(g.pick("1", "1", "1", "2")), Status: tracking.Running,
			Name: g.pick(someTexts...), User: g.pick(someTexts...), Start: time.UnixMilli(1700000000000 + int64(g.IntN(n/2))), ArtifactURI: "x:/1",
		}
		if g.IntN(2) == 0 {
			info.End = time.UnixMilli(1700000000000 + int64(g.IntN(n)))
		}
		batch := tracking.Batch{Params: map[string]string{"same": "a"}, Tags: map[string]string{"same": "a"}}
		for _, key := range []string{"a", "b", "c d", "e/f"} {
			if g.IntN(3) > 0 {
				batch.Params[key] = g.pick(someTexts...)
			}
			if g.IntN(3) > 0 {
				batch.Tags[key] = g.pick(someTexts...)
			}
			if g.IntN(3) > 0 {
				batch.Metrics = append(batch.Metrics, tracking.Metric{Key: key, Value: g.number(), Time: time.UnixMilli(5)})
			}
		}
		for range g.IntN(3) {
			batch.Inputs = append(batch.Inputs, tracking.DatasetInput{Name: g.pick(someTexts[1:]...), Digest: g.pick(someTexts[1:]...), Context: g.pick(someTexts...)})
		}
		for _, store := range list {
			_, err := store.CreateRun(t.Context(), info)
			require.NoError(t, err)
			require.NoError(t, store.LogBatch(t.Context(), info.ID, batch))
		}
	}
	for range 160 {
		q := tracking.RunQuery{
			Experiments: []tracking.ExperimentID{"1"},
			Filter:      g.filter(g.runClause),
			OrderBy: g.order("metrics.a", "metrics.`c d`", "params.b", "tags.`e/f`", "params.same", "metrics.never", "start_time", "end_time",
				"run_id", "user_id", "tags.mlflow.runName"),
		}
		if g.IntN(4) == 0 {
			q.Experiments = append(q.Experiments, "2", "77")
		}
		size := []int{3, 7, 200}[g.IntN(3)]
		want := readRuns(t, list[0], q, size, 4)
		for i, store := range list[1:] {
			require.Equal(t, want, readRuns(t, store, q, size, 4), "%s: filter %s order %q size %d", names[i+1], q.Filter, q.OrderBy, size)
		}
	}
}

// readRuns reads some pages of ids.
func readRuns(t *testing.T, store tracking.Store, q tracking.RunQuery, size, pages int) string {
	t.Helper()
	var ids []string
	q.Page = tracking.Page{Max: size}
	for range pages {
		page, next, err := store.SearchRuns(t.Context(), q)
		require.NoError(t, err, q.Filter)
		for _, r := range page {
			ids = append(ids, string(r.ID))
		}
		if q.Page.Token = next; next == "" {
			break
		}
	}
	return strings.Join(ids, " ")
}

func (g generator) traceClause() string {
	key := g.pick("`a`", "b", `"c d"`, "never")
	texts := []string{"=", "!=", "LIKE", "ILIKE", "RLIKE", "IS NULL", "IS NOT NULL"}
	switch g.IntN(7) {
	case 0:
		return "tags." + key + " " + g.text(texts...)
	case 1:
		return "metadata." + key + " " + g.text(texts...)
	case 2:
		return g.pick("feedback", "expectation") + "." + key + " " + g.text(texts...)
	case 3:
		return g.pick("feedback", "expectation") + "." + key + " " + g.pick(">", "<=") + " " + g.pick("0", "0.5", "1", "-1")
	case 4:
		return "span." + g.pick("name", "type", "attributes."+key) + " " + g.text("=", "!=", "LIKE", "ILIKE", "RLIKE", "IN", "NOT IN")
	case 5:
		return g.pick("client_request_id", "run_id", "request_id", "status") + " " + g.text("=", "!=", "LIKE", "RLIKE", "IN", "NOT IN")
	}
	return g.pick("timestamp", "execution_time", "end_time") + " " + g.compare(g.pick("1700000000040", "50", "0.5"))
}

// The same for traces.
func TestSearchTracesAlike(t *testing.T) {
	t.Parallel()
	names, list := stores(t)
	g := generator{rand.New(rand.NewPCG(4, 9))}
	for _, store := range list {
		_, err := store.CreateExperiment(t.Context(), tracking.Experiment{ID: "1", Name: "one", Created: time.UnixMilli(1)})
		require.NoError(t, err)
	}
	for i := range 120 {
		trace := tracking.Trace{
			ID: tracking.TraceID(fmt.Sprintf("t%d", (i*151)%120)), Experiment: "1", State: tracking.TraceState(g.pick("OK", "ERROR", "IN_PROGRESS")),
			ClientRequestID: g.pick(someTexts[:20]...), Start: time.UnixMilli(1700000000000 + int64(g.IntN(120))), Duration: time.Duration(g.IntN(100)-10) * time.Millisecond,
			Tags: map[string]string{}, Metadata: map[string]string{},
		}
		var spans []tracking.Span
		for _, key := range []string{"a", "b", "c d", "mlflow.sourceRun"} {
			if g.IntN(2) == 0 {
				trace.Tags[key] = g.pick(someTexts...)
			}
			if g.IntN(2) == 0 {
				trace.Metadata[key] = g.pick(someTexts...)
			}
			if g.IntN(2) == 0 && len(key) < 10 {
				trace.Assessments = append(trace.Assessments, tracking.Assessment{
					ID: "a-" + key, Name: key, Kind: tracking.AssessmentKind(g.pick("feedback", "expectation")), Valid: g.IntN(4) > 0, Created: time.UnixMilli(1), Updated: time.UnixMilli(1),
					Value: []byte(g.pick("1", "0.5", "true", "null", `"a"`, `"5"`, `"日本"`, `{"a": 1}`, `"it's"`)),
				})
				attributes := fmt.Sprintf(`{"attributes": {%q: %q}}`, key, g.pick("5", `"a"`, `"it's"`, `"a%"`, "true"))
				spans = append(spans, tracking.Span{
					Trace: trace.ID, ID: key, Name: g.pick(someTexts...), Type: g.pick("LLM", "TOOL"), Status: tracking.TraceOK, Content: []byte(attributes),
				})
			}
		}
		for _, store := range list {
			traces := store.(tracking.TraceStore)
			_, err := traces.PutTrace(t.Context(), trace)
			require.NoError(t, err)
			require.NoError(t, traces.PutSpans(t.Context(), "1", spans))
		}
	}
	for range 100 {
		q := tracking.TraceQuery{
			Experiments: []tracking.ExperimentID{"1"}, Filter: g.filter(g.traceClause),
			OrderBy: g.order("timestamp", "execution_time", "status", "tags.b", "metadata.`c d`", "request_id", "end_time"),
		}
		size := []int{3, 50}[g.IntN(2)]
		want := readTraces(t, list[0], q, size)
		for i, store := range list[1:] {
			require.Equal(t, want, readTraces(t, store, q, size), "%s: filter %s order %q size %d", names[i+1], q.Filter, q.OrderBy, size)
		}
	}
}

func readTraces(t *testing.T, store tracking.Store, q tracking.TraceQuery, size int) string {
	t.Helper()
	var ids []string
	q.Page = tracking.Page{Max: size}
	for range 5 {
		page, next, err := store.(tracking.TraceStore).SearchTraces(t.Context(), q)
		require.NoError(t, err, q.Filter)
		for _, trace := range page {
			ids = append(ids, string(trace.ID))
		}
		if q.Page.Token = next; next == "" {
			break
		}
	}
	return strings.Join(ids, " ")
}

var _ tracking.TraceStore = (*sqlstore.Store)(nil)
