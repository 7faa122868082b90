package trees

import "github.com/millwright-ml/millwright/serve/oip"

// labels are the classes of a classifier that answers the best one by name.
type labels struct {
	ints    []int64
	strings []string
}

// tensor makes the tensor of the classes of the rows.
func (l *labels) tensor(name string, answers []float64, width int) oip.Tensor {
	rows := len(answers) / width
	best := make([]int, rows)
	for r := range best {
		row := answers[r*width : (r+1)*width]
		for i, v := range row {
			if v > row[best[r]] {
				best[r] = i
			}
		}
	}
	if l.strings != nil {
		out := make([]string, rows)
		for r, b := range best {
			out[r] = l.strings[b]
		}
		return oip.NewStrings(name, []int64{int64(rows)}, out)
	}
	out := make([]int64, rows)
	for r, b := range best {
		out[r] = l.ints[b]
	}
	return oip.NewINT64(name, []int64{int64(rows)}, out)
}
