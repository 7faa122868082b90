package filter_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/dataset/filter"
)

func TestSpanAndSlice(t *testing.T) {
	t.Parallel()
	runs := [][2]int{{70, 75}, {130, 131}, {190, 260}}
	m := filter.MaskOf(300, func(yield func(int, int) bool) {
		for _, r := range runs {
			if !yield(r[0], r[1]) {
				return
			}
		}
	})
	from, to := m.Span()
	require.Equal(t, []int{70, 260}, []int{from, to})
	for _, cut := range [][2]int{{70, 260}, {0, 300}, {72, 200}, {75, 130}, {131, 131}} {
		part := m.Slice(cut[0], cut[1])
		require.Equal(t, cut[1]-cut[0], part.Len())
		marked := 0
		for i := range part.Len() {
			require.Equal(t, m.At(cut[0]+i), part.At(i))
			if part.At(i) {
				marked++
			}
		}
		require.Equal(t, marked, part.Count())
	}
	from, to = m.Slice(80, 90).Span()
	require.Equal(t, []int{0, 0}, []int{from, to})
}
