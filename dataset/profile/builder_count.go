package profile

import "math"

// layOut makes the bins of the columns and of the score, which may be nil.
func (b *Builder) layOut(columns []*Column, score *Column) {
	features := make([]Feature, len(b.inputs))
	for i, in := range b.inputs {
		bins := columns[i].Bins(b.opts.Bins)
		bins.Kind = in.Kind // A column of nulls has none.
		if in.Kind == Categorical && len(bins.Edges) > 0 {
			bins.Edges = nil
		}
		bins.ready()
		features[i] = Feature{in.Name, bins}
	}
	b.ref = NewReference(features, nil)
	if score != nil {
		b.ref.Score = score.Bins(b.opts.Bins)
	}
	if b.opts.ChunkRows > 0 {
		b.ref.Chunks = newChunks(b.ref, b.opts.ChunkRows)
		b.chunk = b.ref.Window()
	}
	if b.opts.Hours {
		b.by = append(b.by, slicing{HourOfWeek, -1, make([]*Reference, 7*24)})
	}
	for _, name := range b.opts.SliceBy {
		for i, in := range b.inputs {
			if in.Name == name {
				b.by = append(b.by, slicing{name, i, make([]*Reference, min(len(features[i].Bins.Categories), sliceValues))})
			}
		}
	}
	b.limit = bulkNumbers
}

// flush counts the rows in the buffer, after it has laid the bins out if need
// be.
func (b *Builder) flush() {
	if b.n == 0 {
		return
	}
	if b.ref == nil {
		b.layOutRows()
	}
	for i, in := range b.inputs {
		if in.Kind == Numeric {
			b.codes[i] = b.numbers[i]
			continue
		}
		b.codes[i] = b.codes[i][:0]
		bins := b.ref.Features[i].Bins
		for _, s := range b.texts[i] {
			code := math.NaN()
			if s != NullText {
				code = float64(bins.Code(s))
			}
			b.codes[i] = append(b.codes[i], code)
		}
	}
	for from := 0; from < b.n; {
		to := b.n
		if b.chunk != nil {
			to = min(to, from+b.opts.ChunkRows-int(b.chunk.Rows))
			b.count(b.chunk, from, to)
			if int(b.chunk.Rows) == b.opts.ChunkRows {
				b.ref.Chunks.Add(b.chunk)
				b.chunk = b.ref.Window()
			}
		}
		b.count(b.ref, from, to)
		from = to
	}
	b.countOutcomes()
	for i := range b.by {
		b.countSlices(&b.by[i])
	}
	for i := range b.inputs {
		b.numbers[i], b.texts[i] = b.numbers[i][:0], b.texts[i][:0]
	}
	b.scores, b.outcomes, b.hours, b.n = b.scores[:0], b.outcomes[:0], b.hours[:0], 0
}

// layOutRows lays the bins out by the rows in the buffer, or by the table where
// only those of the score are missing.
func (b *Builder) layOutRows() {
	columns := make([]*Column, len(b.inputs))
	for i, in := range b.inputs {
		if b.opts.Table != nil {
			columns[i] = b.opts.Table.Column(in.Name)
			continue
		}
		c := &Column{}
		if in.Kind == Numeric {
			b.summarise(c, b.numbers[i])
		}
		for _, s := range b.texts[i] {
			if s == NullText {
				c.AddNull()
			} else {
				c.AddString(s)
			}
		}
		columns[i] = c
	}
	var score *Column
	if b.opts.Score {
		score = &Column{}
		b.summarise(score, b.scores)
	}
	b.layOut(columns, score)
}

// summarise adds numbers of which NaN is a missing one.
func (b *Builder) summarise(c *Column, vs []float64) {
	b.scratch = b.scratch[:0]
	for _, v := range vs {
		if v == v {
			b.scratch = append(b.scratch, v)
		}
	}
	c.AddNulls(uint64(len(vs) - len(b.scratch)))
	c.AddFloats(b.scratch)
}

func (b *Builder) count(r *Reference, from, to int) {
	for i := range r.Features {
		r.Features[i].Bins.AddFloats(b.codes[i][from:to])
	}
	if r.Score != nil {
		r.Score.AddFloats(b.scores[from:to])
	}
	r.Rows += uint64(to - from)
}

func (b *Builder) countOutcomes() {
	if b.ref.Score == nil {
		return
	}
	for i, y := range b.outcomes {
		if s := b.scores[i]; s-s == 0 && y-y == 0 {
			if b.ref.Outcomes == nil {
				b.ref.Outcomes = newOutcomes(b.ref.Score)
			}
			b.ref.Outcomes.add(b.ref.Score.look.bin(s), s, y)
		}
	}
}

// countSlices counts the rows of the buffer in the slices that they belong to,
// the rows of one slice together.
func (b *Builder) countSlices(s *slicing) {
	rows := make([][]int, len(s.parts))
	for i := range b.n {
		part := -1
		if s.input < 0 {
			part = int(b.hours[i])
		} else if code := b.codes[s.input][i]; code == code {
			part = int(code)
		}
		if part >= 0 && part < len(rows) {
			rows[part] = append(rows[part], i)
		}
	}
	for value, list := range rows {
		if len(list) == 0 {
			continue
		}
		if s.parts[value] == nil {
			s.parts[value] = b.ref.Window()
		}
		part := s.parts[value]
		for j := range part.Features {
			part.Features[j].Bins.AddFloats(b.pick(b.codes[j], list))
		}
		if part.Score != nil {
			part.Score.AddFloats(b.pick(b.scores, list))
		}
		part.Rows += uint64(len(list))
	}
}

// pick gathers some values.
func (b *Builder) pick(vs []float64, list []int) []float64 {
	b.scratch = b.scratch[:0]
	for _, i := range list {
		b.scratch = append(b.scratch, vs[i])
	}
	return b.scratch
}
