package filter_test

import (
	"fmt"
	"strings"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/memory"

	"github.com/millwright-ml/millwright/dataset/filter"
)

func ExampleParse() {
	schema := arrow.NewSchema([]arrow.Field{
		{Name: "origin", Type: arrow.BinaryTypes.String, Nullable: true},
		{Name: "delay", Type: arrow.PrimitiveTypes.Int32, Nullable: true},
	}, nil)
	rec, _, err := array.RecordFromJSON(memory.DefaultAllocator, schema, strings.NewReader(
		`[{"origin": "SFO", "delay": 40}, {"origin": "JFK", "delay": 60}, {"origin": "LAX"}, {"origin": "LAX", "delay": 16}]`))
	if err != nil {
		fmt.Println(err)
		return
	}
	late, err := filter.Parse("delay > 15 AND origin IN ('SFO', 'LAX')")
	if err != nil {
		fmt.Println(err)
		return
	}
	bound, err := late.Bind(schema)
	if err != nil {
		fmt.Println(err)
		return
	}
	mask, err := bound.Eval(rec)
	if err != nil {
		fmt.Println(err)
		return
	}
	for from, to := range mask.Runs() {
		fmt.Println("rows", from, "to", to)
	}
	// Output:
	// rows 0 to 1
	// rows 3 to 4
}

func ExampleAnd() {
	e := filter.And(filter.Gt("delay", 15), filter.Not(filter.In("origin", "JFK", "EWR")))
	fmt.Println(e)
	_, err := filter.Parse("delay > 15 AND origin MATCHES 'S.*'")
	fmt.Println(err)
	// Output:
	// delay > 15 AND NOT (origin IN ('JFK', 'EWR'))
	// filter: parse: at byte 22, near "MATCHES 'S.*'": want AND, OR or the end: invalid
}

func ExampleHasPrefix() {
	fmt.Println(filter.HasPrefix("path", "logs/2026_"))
	// Output:
	// path LIKE 'logs/2026\_%'
}
