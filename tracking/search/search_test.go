package search_test

import (
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/tracking/search"
)

func text(e search.Entity, key string, op search.Op, value string) search.Clause {
	return search.Clause{Entity: e, Key: key, Op: op, Text: value}
}

func number(e search.Entity, key string, op search.Op, value float64) search.Clause {
	return search.Clause{Entity: e, Key: key, Op: op, Numeric: true, Number: value}
}

func list(e search.Entity, key string, op search.Op, values ...string) search.Clause {
	return search.Clause{Entity: e, Key: key, Op: op, List: values}
}

func bare(e search.Entity, key string, op search.Op) search.Clause {
	return search.Clause{Entity: e, Key: key, Op: op}
}

// What MLflow accepts is accepted with the same meaning.
func TestFilterAccepts(t *testing.T) {
	t.Parallel()
	const (
		A = search.Attribute
		M = search.Metric
		P = search.Param
		T = search.Tag
		D = search.Dataset
	)
	for _, group := range []struct {
		g     *search.Grammar
		cases map[string]search.Clause
	}{
		{search.Runs(), map[string]search.Clause{
			"metrics.a > 1":                   number(M, "a", search.Greater, 1),
			"  metrics.a>1  ":                 number(M, "a", search.Greater, 1),
			"metric.a > -1.5e3":               number(M, "a", search.Greater, -1500),
			"metrics.a <= .5":                 number(M, "a", search.LessEqual, 0.5),
			"metrics.a < 1.":                  number(M, "a", search.Less, 1),
			"metrics.a = 1e999":               number(M, "a", search.Equal, math.Inf(1)),
			"metrics.a.1 > 2":                 number(M, "a.1", search.Greater, 2),
			"metrics.`a b`>1":                 number(M, "a b", search.Greater, 1),
			"metrics.\"a/b:c\">1":             number(M, "a/b:c", search.Greater, 1),
			"metrics.'a b'>1":                 number(M, "a b", search.Greater, 1),
			"metrics.timestamp != 1":          number(M, "timestamp", search.NotEqual, 1),
			"params.m = 'a'":                  text(P, "m", search.Equal, "a"),
			"params.m = \"it's\"":             text(P, "m", search.Equal, "it's"),
			"params.m = 'it''s'":              text(P, "m", search.Equal, "it's"),
			`params.m = 'C:\'`:                text(P, "m", search.Equal, `C:\`),
			"param.a = ''":                    text(P, "a", search.Equal, ""),
			"parameters.a-b/c = 'x\ny'":       text(P, "a-b/c", search.Equal, "x\ny"),
			"`params`.a='x'":                  text(P, "a", search.Equal, "x"),
			"parameter.a like '%x'":           text(P, "a", search.Like, "%x"),
			"params.a ilike'x'":               text(P, "a", search.ILike, "x"),
			"params.é = '世界'":                 text(P, "é", search.Equal, "世界"),
			"params.from != 'x'":              text(P, "from", search.NotEqual, "x"),
			"params.a IS NULL":                bare(P, "a", search.IsNull),
			"tags.a is  not\tnull":            bare(T, "a", search.IsNotNull),
			"tags.mlflow.source.type = 'x'":   text(T, "mlflow.source.type", search.Equal, "x"),
			"tags.`mlflow.runName`='x'":       text(A, "run_name", search.Equal, "x"),
			"tag.mlflow.runName LIKE 'x'":     text(A, "run_name", search.Like, "x"),
			"run_id = 'x'":                    text(A, "run_id", search.Equal, "x"),
			"run.run_id IN ('a',\"b\" , 'c')": list(A, "run_id", search.In, "a", "b", "c"),
			"attributes.run_id not  in('a',)": list(A, "run_id", search.NotIn, "a"),
			"attr.status = 'FINISHED'":        text(A, "status", search.Equal, "FINISHED"),
			"created > 1":                     number(A, "start_time", search.Greater, 1),
			"attribute.Created>=1":            number(A, "start_time", search.GreaterEqual, 1),
			"`run name` = 'x'":                text(A, "run_name", search.Equal, "x"),
			"attributes.\"Run name\"='x'":     text(A, "run_name", search.Equal, "x"),
			"end_time < 5.5":                  number(A, "end_time", search.Less, 5.5),
			"user_id='x'":                     text(A, "user_id", search.Equal, "x"),
			"artifact_uri LIKE 'x%'":          text(A, "artifact_uri", search.Like, "x%"),
			"dataset.name = 'x'":              text(D, "name", search.Equal, "x"),
			"datasets.digest IN ('a')":        list(D, "digest", search.In, "a"),
			"dataset.context LIKE '%'":        text(D, "context", search.Like, "%"),
		}},
		{search.Experiments(), map[string]search.Clause{
			"name='x'":                     text(A, "name", search.Equal, "x"),
			"attribute.name ILIKE 'x'":     text(A, "name", search.ILike, "x"),
			"tags.a IS NULL":               bare(T, "a", search.IsNull),
			"experiment_id IN ('1','2')":   list(A, "experiment_id", search.In, "1", "2"),
			"creation_time > 5":            number(A, "creation_time", search.Greater, 5),
			"attribute.last_update_time=5": number(A, "last_update_time", search.Equal, 5),
		}},
		{search.Models(), map[string]search.Clause{
			"attributes.name='x'":        text(A, "name", search.Equal, "x"),
			"name in ('a')":              list(A, "name", search.In, "a"),
			"creation_time > 5":          number(A, "creation_timestamp", search.Greater, 5),
			"last_updated_timestamp > 1": number(A, "last_updated_timestamp", search.Greater, 1),
			"params.a IN ('x','y')":      list(P, "a", search.In, "x", "y"),
			"tags.a not in ('x')":        list(T, "a", search.NotIn, "x"),
			"metrics.`a b` > 1":          number(M, "a b", search.Greater, 1),
			"source_run_id = 'r'":        text(A, "source_run_id", search.Equal, "r"),
		}},
		{search.Traces(), map[string]search.Clause{
			"timestamp > 1":                     number(A, "timestamp_ms", search.Greater, 1),
			"trace.timestamp_ms > '1'":          number(A, "timestamp_ms", search.Greater, 1),
			"execution_time < 5":                number(A, "execution_time_ms", search.Less, 5),
			"status IN ('OK','ERROR')":          list(A, "status", search.In, "OK", "ERROR"),
			"name RLIKE '^x'":                   text(T, "mlflow.traceName", search.RLike, "^x"),
			"trace.run_id='r'":                  text(A, "run_id", search.Equal, "r"),
			"prompt='a/1'":                      text(A, "prompt", search.Equal, "a/1"),
			"text LIKE '%a%'":                   text(search.Span, "content", search.Like, "%a%"),
			"request_metadata.a='x'":            text(search.Metadata, "a", search.Equal, "x"),
			"metadata.a IS NOT NULL":            bare(search.Metadata, "a", search.IsNotNull),
			"span.type IN ('LLM')":              list(search.Span, "type", search.In, "LLM"),
			"span.attributes.`a b` LIKE 'x'":    text(search.SpanAttribute, "a b", search.Like, "x"),
			"span.attributes.a.b = 'x'":         text(search.SpanAttribute, "a.b", search.Equal, "x"),
			"feedback.score > 0.5":              number(search.Feedback, "score", search.Greater, 0.5),
			"feedback.correct = 'yes'":          text(search.Feedback, "correct", search.Equal, "yes"),
			"expectation.`a b` IS NULL":         bare(search.Expectation, "a b", search.IsNull),
			"issue.id='x'":                      text(search.Issue, "id", search.Equal, "x"),
			"trace.client_request_id ILIKE '_'": text(A, "client_request_id", search.ILike, "_"),
		}},
		{search.RegisteredModels(), map[string]search.Clause{
			"name ilike 'x'":        text(A, "name", search.ILike, "x"),
			"name IN ('a')":         list(A, "name", search.In, "a"),
			"tag.`a b` != 'x'":      text(T, "a b", search.NotEqual, "x"),
			"attribute.`name` ='x'": text(A, "name", search.Equal, "x"),
		}},
		{search.ModelVersions(), map[string]search.Clause{
			"version_number > 1":   number(A, "version_number", search.Greater, 1),
			"version_number='1'":   number(A, "version_number", search.Equal, 1),
			"run_id NOT IN ('a')":  list(A, "run_id", search.NotIn, "a"),
			"source_path LIKE 's'": text(A, "source_path", search.Like, "s"),
			"tags.a='x'":           text(T, "a", search.Equal, "x"),
		}},
	} {
		for filter, want := range group.cases {
			got, err := group.g.Filter(filter)
			require.NoError(t, err, filter)
			require.Len(t, got, 1, filter)
			require.Positive(t, got[0].Pos, filter)
			if want.Op == search.RLike { // holds the compiled expression
				require.True(t, got[0].MatchText("xyz"), filter)
				require.Equal(t, want.Text, got[0].Text)
				continue
			}
			got[0].Pos = 0
			require.Equal(t, want, got[0], filter)
		}
	}
}

func TestFilterJoins(t *testing.T) {
	t.Parallel()
	got, err := search.Runs().Filter("tags.é = 'x'and params.b != 'y'\n AND metrics.c=1")
	require.NoError(t, err)
	require.Len(t, got, 3)
	require.Equal(t, []int{1, 17, 38}, []int{got[0].Pos, got[1].Pos, got[2].Pos})
	for _, empty := range []string{"", "  \t\n"} {
		got, err := search.Runs().Filter(empty)
		require.NoError(t, err)
		require.Empty(t, got)
	}
}

// What is wrong is named with its position, in the words that clients of
// MLflow look for.
func TestFilterRejects(t *testing.T) {
	t.Parallel()
	many := strings.TrimSuffix(strings.Repeat("metrics.a = 1 AND ", search.MaxClauses+1), " AND ")
	for _, group := range []struct {
		g     *search.Grammar
		cases map[string]string
	}{
		{search.Runs(), map[string]string{
			"m.acc >= 0.94":                     "character 1: Invalid entity type 'm'",
			"PARAMS.a = 'x'":                    "character 1: Invalid entity type 'PARAMS'",
			"acc >= 0.94":                       "character 1: Invalid attribute key 'acc'",
			"attribute.lifecycle_stage = 'a'":   "Invalid attribute key 'lifecycle_stage'",
			"dataset.status = 'true'":           "Invalid dataset key 'status'",
			"metrics.a > 1 OR params.B = 'LR'":  "character 15: Invalid clause(s) in filter string: found 'OR', expected AND",
			"metrics.a > 1 AND (params.B='LR')": "character 19: Invalid clause(s) in filter string: found '('",
			"metrics.a > 1 AND":                 "character 18: Invalid clause(s) in filter string: found the end",
			"AND metrics.a > 1":                 "Invalid attribute key 'AND'",
			"metrics.a > 1 metrics.b > 1":       "character 15: Invalid clause(s)",
			"metrics.a > 1; metrics.b > 1":      "Search filter contained multiple expression",
			"`metrics.A > 0.1":                  "character 1: Invalid clause(s) in filter string",
			"param`.A > 0.1":                    "Invalid attribute key 'param'",
			"metrics.a":                         "character 10: Invalid clause(s) in filter string: found the end",
			"metrics.a > '0.94'":                "character 13: Expected numeric value type for metric",
			"metrics.a > +1":                    "Expected numeric value type for metric",
			"metrics.a > NaN":                   "Expected numeric value type for metric",
			"metrics.a > 1x":                    "Expected numeric value type for metric",
			"metrics.a > 0x10":                  "Expected numeric value type for metric",
			"metrics.a == 1":                    "character 11: Invalid comparator '=='",
			"metrics.a <> 1":                    "Invalid comparator '<>'",
			"metrics.a LIKE 'x'":                "Invalid comparator 'LIKE' for metric",
			"metrics.a IS NULL":                 "IS NULL / IS NOT NULL is not supported for metric",
			"1.0 > metrics.a":                   "character 1: Invalid comparison clause: Expected 'Identifier' found '1.0'",
			"'x' = tags.a":                      "Expected 'Identifier' found",
			"params.acc = 5":                    "character 14: Expected a quoted string value for param",
			"params.acc = LR":                   "value is either not quoted or unidentified quote types",
			"params.acc = `LR`":                 "value is either not quoted or unidentified quote types",
			"params.acc = 'LR":                  "character 14: Invalid clause(s) in filter string",
			"params.acc = LR'":                  "Expected a quoted string value",
			"params.'acc = LR":                  "character 8: Invalid clause(s)",
			"params.a > 'x'":                    "Invalid comparator '>'",
			"params.a NOT LIKE 'x'":             "Invalid comparator 'NOT LIKE'",
			"params.a IN ('x')":                 "Expected a quoted string value for param",
			"params.a RLIKE 'x'":                "Invalid comparator 'RLIKE'",
			"params. a = 'x'":                   "character 8: Invalid clause(s) in filter string: found ' '",
			"params .a = 'x'":                   "Invalid attribute key 'params'",
			"params.a IS 5":                     "expected IS NULL or IS NOT NULL",
			"status in ('a')":                   "Invalid comparator 'IN'",
			"run_id IN ()":                      "expected a non-empty list",
			"run_id IN (5)":                     "expected a quoted string value",
			"run_id IN ('a' 'b')":               "expected ',' or ')'",
			"run_id IN ('a'":                    "found the end in a list",
			"run_id IN 'a'":                     "expected a list",
			"start_time = 'x'":                  "Expected numeric value type for numeric attribute: 'start_time'",
			"attribute.status = true":           "Expected a quoted string value for attributes",
			"tags.a = 'x\x00'":                  "character 12: found NUL",
			"tags.a = '\xff'":                   "not valid UTF-8",
			many:                                "at most 100",
			"tags.a = '" + strings.Repeat("x", search.MaxFilterBytes) + "'":       "bytes, at most 65536",
			"tags.a LIKE '" + strings.Repeat("x", search.MaxPatternBytes+1) + "'": "character 13: found a pattern of 10001 bytes",
		}},
		{search.Experiments(), map[string]string{
			"name IS NULL":        "IS NULL / IS NOT NULL is not supported for attribute",
			"experiment_id = 1":   "Expected a quoted string value",
			"experiment_id > '1'": "Invalid comparator '>'",
			"metrics.a > 1":       "Invalid entity type 'metrics'",
			"creation_time > '5'": "Expected numeric value type",
			"lifecycle_stage='x'": "Invalid attribute key 'lifecycle_stage'",
		}},
		{search.Traces(), map[string]string{
			"span.content = 'x'":     "Invalid comparator '='",
			"span.foo = 'x'":         "Invalid span key 'foo'",
			"span.attributes. = 'x'": "expected the key of the span attribute",
			"feedback.score = 0.5":   "Expected a quoted string value for feedback",
			"feedback.a > '5'":       "Expected numeric value type for feedback",
			"issue.id != 'x'":        "Invalid comparator '!='",
			"name RLIKE '('":         "expected a regular expression",
			"experiment_id = '1'":    "Invalid attribute key 'experiment_id'",
			"timestamp > 'x'":        "Expected numeric value type",
			"prompt LIKE 'x'":        "Invalid comparator 'LIKE'",
		}},
		{search.RegisteredModels(), map[string]string{"creation_timestamp > 1": "Invalid attribute key 'creation_timestamp'"}},
		{search.ModelVersions(), map[string]string{"source_path IN ('a')": "Invalid comparator 'IN'", "version = 1": "Invalid attribute key 'version'"}},
	} {
		for filter, want := range group.cases {
			_, err := group.g.Filter(filter)
			require.ErrorIs(t, err, search.ErrInvalid, filter)
			require.ErrorContains(t, err, want)
		}
	}
}

func TestOrder(t *testing.T) {
	t.Parallel()
	o := func(e search.Entity, key string, desc bool) search.Order {
		return search.Order{Entity: e, Key: key, Desc: desc}
	}
	for key, want := range map[string]search.Order{
		"metrics.a":                o(search.Metric, "a", false),
		" metric.a  dEsc ":         o(search.Metric, "a", true),
		"metrics.`a b` DESC":       o(search.Metric, "a b", true),
		"metrics.\"a b\"DESC":      {},
		"metrics.'a b' ASC":        o(search.Metric, "a b", false),
		"metrics.a.b-c/d DESC":     o(search.Metric, "a.b-c/d", true),
		"start_time":               o(search.Attribute, "start_time", false),
		"Created DESC":             o(search.Attribute, "start_time", true),
		"attributes.`run name`":    o(search.Attribute, "run_name", false),
		"params.a":                 o(search.Param, "a", false),
		"tag.`mlflow.runName`":     o(search.Attribute, "run_name", false),
		"tags.\"a\tb\"\tasc":       o(search.Tag, "a\tb", false),
		"dataset.name":             {},
		"foo":                      {},
		"":                         {},
		"metrics.a, metrics.b":     {},
		"metrics.a != 1":           {},
		"attribute.run_id ACS":     {},
		"metrics.a DESC ASC":       {},
		"metrics.a; DROP TABLE x":  {},
		"metrics.a\x00":            {},
		strings.Repeat("x", 1<<13): {},
	} {
		got, err := search.Runs().Order([]string{key})
		if want.Entity == "" {
			require.ErrorIs(t, err, search.ErrInvalid, key)
			continue
		}
		require.NoError(t, err, key)
		require.Equal(t, []search.Order{want}, got, key)
	}
	_, err := search.Runs().Order([]string{"attribute.run_id ACS"})
	require.ErrorContains(t, err, "Invalid ordering key")
	_, err = search.Runs().Order([]string{"metrics.a DESC", "metric.`a`"})
	require.ErrorContains(t, err, "duplicate fields")
	_, err = search.Runs().Order(make([]string, search.MaxOrderKeys+1))
	require.ErrorIs(t, err, search.ErrInvalid)

	got, err := search.Traces().Order([]string{"timestamp DESC", "name", "run_id", "metadata.a"})
	require.NoError(t, err)
	require.Equal(t, []search.Order{
		o(search.Attribute, "timestamp_ms", true), o(search.Tag, search.TraceNameTag, false),
		o(search.Attribute, "run_id", false), o(search.Metadata, "a", false),
	}, got)
}

func TestOrderField(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]search.Order{
		"creation_time": {Entity: search.Attribute, Key: "creation_timestamp", Desc: true},
		"metrics.a b.c": {Entity: search.Metric, Key: "a b.c", Desc: true},
		"metrics.`a b`": {Entity: search.Metric, Key: "a b", Desc: true},
		" name ":        {Entity: search.Attribute, Key: "name", Desc: true},
		"params.a":      {},
		"foo":           {},
		"metrics.":      {},
		"":              {},
		"x.y":           {},
		"metrics.a\x00": {},
	} {
		got, err := search.Models().OrderField(name, true)
		if want.Entity == "" {
			require.ErrorIs(t, err, search.ErrInvalid, name)
			continue
		}
		require.NoError(t, err, name)
		require.Equal(t, want, got, name)
	}
}
