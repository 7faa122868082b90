package trees

import "github.com/millwright-ml/millwright/serve/oip"

// labels are the classes of a classifier that answers the best one by name.
type labels struct {
	ints    []int64
	strings []string
}

// tensor makes the tensor of the classes of the rows.
func (l *labels) tensor(name string, best []int) oip.Tensor {
	shape := []int64{int64(len(best))}
	if l.strings != nil {
		out := make([]string, len(best))
		for r, b := range best {
			out[r] = l.strings[b]
		}
		return oip.NewStrings(name, shape, out)
	}
	out := make([]int64, len(best))
	for r, b := range best {
		out[r] = l.ints[b]
	}
	return oip.NewINT64(name, shape, out)
}
