package monitor

import "time"

// frozen is a copy of the labels of one epoch, taken in one moment.
type frozen struct {
	counts  LabelCounts
	newest  int
	kept    []*performance // Of windows, and of the epoch last.
	pending []entry
}

// freeze copies, so that nobody waits for the encoding of a million entries.
func (l *labels) freeze(epoch int) *frozen {
	l.mu.Lock()
	defer l.mu.Unlock()
	f := &frozen{counts: l.counts, newest: l.newest}
	for n := max(1, l.newest-keptWindows+1); n <= l.newest; n++ {
		if p := l.windows[n%keptWindows]; p != nil && p.number == n && p.epoch == epoch {
			f.kept = append(f.kept, p.clone())
		}
	}
	f.kept = append(f.kept, l.epochs[epoch%keptEpochs].clone())
	p := &l.pending
	f.pending = make([]entry, 0, p.n)
	end := min(p.head+p.n, len(p.ring))
	f.pending = append(f.pending, p.ring[p.head:end]...)
	f.pending = append(f.pending, p.ring[:p.n-(end-p.head)]...)
	return f
}

// write encodes the labels of an epoch.
func (f *frozen) write(w *writer, epoch int) {
	c := f.counts
	for _, v := range []uint64{c.Matched, c.Unknown, c.Duplicate, c.Late, c.Rejected, c.Forgotten, uint64(c.Delay)} {
		w.uint(v)
	}
	w.int(f.newest)
	w.int(len(f.kept))
	for _, p := range f.kept {
		p.write(w)
	}
	n := 0
	for i := range f.pending {
		if f.pending[i].epoch == uint16(epoch) {
			n++
		}
	}
	w.int(n)
	for i := range f.pending {
		e := &f.pending[i]
		if e.epoch != uint16(epoch) {
			continue
		}
		w.b = append(w.b, e.id[:]...)
		w.float(e.score)
		w.uint(uint64(max(e.at, 0)))
		w.uint(uint64(e.window))
		w.bool(e.labelled)
		w.b = append(w.b, e.codes[:]...)
	}
}

// read decodes labels into new ones.
func (l *labels) read(r *reader, e *epoch) {
	l.counts = LabelCounts{Matched: r.uint(), Unknown: r.uint(), Duplicate: r.uint(), Late: r.uint(), Rejected: r.uint(), Forgotten: r.uint(), Delay: time.Duration(r.uint())}
	l.newest = r.int(1 << 30)
	n := r.int(keptWindows + 1)
	for i := range n {
		p := newPerformance(0, e)
		p.read(r)
		switch {
		case r.bad:
		case i == n-1 && p.number == 0:
			l.epochs[e.number%keptEpochs] = p
		case i < n-1 && p.number > 0 && p.number <= l.newest:
			l.windows[p.number%keptWindows] = p
		default:
			r.fail()
		}
	}
	const least = 16 + 8 + 1 + 1 + 1 + maxSliceBy
	for range r.count(least) {
		var x entry
		copy(x.id[:], r.take(len(x.id)))
		x.score, x.at, x.window, x.labelled = r.float(), int64(r.uint()), uint32(r.int(1<<30)), r.bool()
		copy(x.codes[:], r.take(len(x.codes)))
		for j, c := range x.codes {
			if c > 0 && (j >= len(e.slices) || int(c) > len(e.slices[j].values)) {
				r.fail()
			}
		}
		x.epoch = uint16(e.number)
		if r.bad || x.id == (ID{}) || x.score-x.score != 0 {
			r.fail()
			return
		}
		if l.pending.max > 0 {
			l.keep(&x, l.pending.hash(&x.id))
			if x.labelled {
				l.counts.Pending--
			}
		}
	}
}

// take becomes others, whose owner gives them up.
func (l *labels) take(o *labels) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.pending, l.counts, l.windows, l.epochs, l.newest = o.pending, o.counts, o.windows, o.epochs, o.newest
}

func (p *performance) write(w *writer) {
	w.int(p.number)
	for _, v := range []uint64{p.rows, p.labelled, p.positives, p.correct} {
		w.uint(v)
	}
	w.float(p.logLoss)
	w.float(p.squared)
	w.bool(p.notBinary)
	w.bool(p.outsideUnit)
	for _, n := range p.cells {
		w.uint(n)
	}
	w.floats([]float64{p.errors.sum, p.errors.abs, p.errors.fourth, p.errors.y, p.errors.ySquared})
	for _, b := range p.calibration {
		w.uint(b.rows)
		w.uint(b.positives)
		w.float(b.scores)
	}
	for _, values := range p.groups {
		for _, g := range values {
			for _, n := range append([]uint64{g.rows, g.predicted}, g.cells[:]...) {
				w.uint(n)
			}
		}
	}
	w.time(p.end)
	w.floats(p.scores)
	for _, t := range p.truths {
		w.bool(t)
	}
	if w.bool(p.hist != nil); p.hist != nil {
		for _, class := range p.hist {
			for _, n := range class {
				w.uint(n)
			}
		}
	}
}

// read decodes into a new one of its epoch.
func (p *performance) read(r *reader) {
	p.number = r.int(1 << 30)
	p.rows, p.labelled, p.positives, p.correct = r.uint(), r.uint(), r.uint(), r.uint()
	p.logLoss, p.squared = r.float(), r.float()
	p.notBinary, p.outsideUnit = r.bool(), r.bool()
	for i := range p.cells {
		p.cells[i] = r.uint()
	}
	if s := r.floats(); len(s) == 5 {
		p.errors = errorSums{s[0], s[1], s[2], s[3], s[4]}
	} else {
		r.fail()
	}
	for i := range p.calibration {
		p.calibration[i] = calibrationBin{r.uint(), r.uint(), r.float()}
	}
	if p.number > 0 {
		p.groups = nil
	}
	for _, values := range p.groups {
		for i := range values {
			values[i] = group{r.uint(), r.uint(), [4]uint64{r.uint(), r.uint(), r.uint(), r.uint()}}
		}
	}
	p.end = r.time()
	p.scores = r.floats()
	if len(p.scores) > exactPairs {
		r.fail()
		return
	}
	for range p.scores {
		p.truths = append(p.truths, r.bool())
	}
	if r.bool() {
		p.hist = new([2][scoreBins]uint64)
		for class := range p.hist {
			for i := range p.hist[class] {
				p.hist[class][i] = r.uint()
			}
		}
	}
}
