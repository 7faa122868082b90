package search_test

import (
	"fmt"

	"github.com/millwright-ml/millwright/tracking/search"
)

func Example() {
	runs := search.Runs()
	clauses, _ := runs.Filter("metrics.auc >= 0.9 AND params.`batch size` LIKE '6_'")
	for _, c := range clauses {
		fmt.Printf("%s %q %s %v %q\n", c.Entity, c.Key, c.Op, c.Number, c.Text)
	}
	fmt.Println(clauses[0].MatchNumber(0.93), clauses[1].MatchText("64"))

	orders, _ := runs.Order([]string{"metrics.auc DESC", "created"})
	fmt.Println(orders)

	_, err := runs.Filter("metrics.auc > 0.9 OR params.a = 'x'")
	fmt.Println(err)
	// Output:
	// metric "auc" >= 0.9 ""
	// parameter "batch size" LIKE 0 "6_"
	// true true
	// [{metric auc true} {attribute start_time false}]
	// search: filter of runs at character 19: Invalid clause(s) in filter string: found 'OR', expected AND or the end: invalid
}
