package loader

import (
	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/memory"
)

// Gather copies rows, each a chunk and a row of it, into one array.
func Gather(mem memory.Allocator, chunks []arrow.Array, rows [][2]int) (arrow.Array, error) {
	var runs []run
	for i, r := range rows {
		if i > 0 && rows[i-1][0] == r[0] && rows[i-1][1]+1 == r[1] {
			runs[len(runs)-1].n++
			continue
		}
		runs = append(runs, run{r[1], 1, int32(r[0])})
	}
	data := make([]arrow.ArrayData, len(chunks))
	for i, c := range chunks {
		data[i] = c.Data()
	}
	out, err := gather(mem, chunks[0].DataType(), data, runs, len(rows))
	if err != nil {
		return nil, err
	}
	defer out.Release()
	return array.MakeFromData(out), nil
}

// GatherRows is Gather by the way that single rows take.
func GatherRows(mem memory.Allocator, chunks []arrow.Array, rows [][2]int) (arrow.Array, error) {
	order := make([]place, len(rows))
	for i, r := range rows {
		order[i] = placeOf(r[0], r[1])
	}
	data := make([]arrow.ArrayData, len(chunks))
	for i, c := range chunks {
		data[i] = c.Data()
	}
	out, err := gatherRows(mem, chunks[0].DataType(), data, order)
	if err != nil {
		return nil, err
	}
	defer out.Release()
	return array.MakeFromData(out), nil
}

// Gatherable reports whether Gather takes a type.
func Gatherable(t arrow.DataType) bool { return gatherable(t) }

// Permutation is the order of n groups, or of the n rows of the window with a
// name, in an epoch.
func Permutation(seed uint64, epoch int64, rows bool, name, n int) []int {
	list := make([]int, n)
	for i := range list {
		list[i] = i
	}
	if rows {
		permute(list, generator(seed, epoch, ofRows, name))
	} else {
		permute(list, generator(seed, epoch, ofGroups, n))
	}
	return list
}
