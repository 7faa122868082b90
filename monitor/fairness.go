package monitor

import "math"

// group counts the rows of one value of a slicing.
type group struct {
	rows, predicted uint64
	cells           [4]uint64
}

func newGroups(e *epoch) [][]group {
	out := make([][]group, len(e.slices))
	for i, s := range e.slices {
		out[i] = make([]group, len(s.values))
	}
	return out
}

// Fairness compares how a version treats the values of one slicing. A gap is
// the largest difference between two of them, over groups of at least 30 rows
// (or 30 labels of the class in question), and NaN with fewer than two such.
type Fairness struct {
	By     string
	Groups []Group
	// SelectionGap is that of the shares predicted positive (demographic
	// parity), OpportunityGap that of the recalls (equal opportunity), OddsGap
	// the larger of that and the gap of the false positive rates (equalised
	// odds).
	SelectionGap, OpportunityGap, OddsGap float64
}

// Group is one value.
type Group struct {
	Value string
	// Rows were observed, Labelled of them have a label of 0 or 1.
	Rows, Labelled uint64
	// Selection is the share of rows predicted positive, Accuracy, Recall and
	// FalsePositives the rates of those with a label. NaN where there are none.
	Selection, Accuracy, Recall, FalsePositives float64
}

// enough is the least number of rows that a gap is told of.
const enough = 30

// Fairness reports how the current version treats the values of each of
// Options.SliceBy, over all its rows, at Options.Threshold.
func (m *Monitor) Fairness() []Fairness {
	m.foldMu.Lock()
	m.flush()
	e := m.win.epoch
	m.foldMu.Unlock()
	m.labels.mu.Lock()
	defer m.labels.mu.Unlock()
	p := m.labels.epochOf(uint16(e.number))
	if p == nil {
		return nil
	}
	out := make([]Fairness, len(e.slices))
	for i, s := range e.slices {
		f := Fairness{By: s.name}
		var selection, recall, alarms gap
		for code, value := range s.values {
			g := &p.groups[i][code]
			c := confusionOf(g.cells)
			x := Group{
				Value: value, Rows: g.rows, Labelled: uint64(c.Rows()),
				Selection: float64(g.predicted) / float64(g.rows), Accuracy: (c.TP + c.TN) / c.Rows(),
				Recall: c.TP / (c.TP + c.FN), FalsePositives: c.FP / (c.FP + c.TN),
			}
			selection.add(x.Selection, float64(g.rows))
			recall.add(x.Recall, c.TP+c.FN)
			alarms.add(x.FalsePositives, c.FP+c.TN)
			f.Groups = append(f.Groups, x)
		}
		f.SelectionGap, f.OpportunityGap = selection.size(), recall.size()
		f.OddsGap = math.Max(f.OpportunityGap, alarms.size())
		out[i] = f
	}
	return out
}

type gap struct {
	low, high float64
	n         int
}

func (g *gap) add(v, rows float64) {
	if rows < enough {
		return
	}
	if g.n++; g.n == 1 {
		g.low, g.high = v, v
	}
	g.low, g.high = min(g.low, v), max(g.high, v)
}

func (g *gap) size() float64 {
	if g.n < 2 {
		return math.NaN()
	}
	return g.high - g.low
}

// count counts the rows of a block by the codes of their slices, 0 for none.
func (p *performance) count(codes []sliceCodes, scores []float64) {
	for i, c := range codes {
		predicted := scores[i] >= p.threshold
		for j := range p.groups {
			if c[j] == 0 {
				continue
			}
			g := &p.groups[j][c[j]-1]
			g.rows++
			if predicted {
				g.predicted++
			}
		}
	}
}

// label counts a label of 0 or 1.
func (p *performance) label(codes sliceCodes, score, y float64) {
	if y != 0 && y != 1 {
		return
	}
	for j := range p.groups {
		if codes[j] > 0 {
			p.groups[j][codes[j]-1].cells[cellOf(score >= p.threshold, y == 1)]++
		}
	}
}

// sliceCodes holds, for each slicing, the code of a row's value plus one, 0
// where it is none of those looked at.
type sliceCodes [maxSliceBy]uint8

// codes finds those of the rows of a block.
func (e *epoch) codes(dst []sliceCodes, b *block, from, to int) []sliceCodes {
	if len(e.slices) == 0 {
		return nil
	}
	dst = dst[:to-from]
	for i := range dst {
		dst[i] = sliceCodes{}
		for j, s := range e.slices {
			v := b.rows[(from+i)*b.width+s.feature]
			if v >= 0 && v < float64(len(s.values)) && v == math.Trunc(v) {
				dst[i][j] = uint8(v) + 1
			}
		}
	}
	return dst
}
