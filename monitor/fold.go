package monitor

import (
	"time"

	"github.com/millwright-ml/millwright/dataset/profile"
)

// maxClosing is how many windows may wait for OnReport before the open one
// grows instead.
const maxClosing = 4

// epoch is one reference and what depends on it. It never changes, but for its
// history.
type epoch struct {
	number    int
	version   string
	ref       *profile.Reference
	encoder   *Encoder
	width     int
	blockRows int
	digest    string // Of the reference.
	bare      *profile.Reference
	since     time.Time
	slices    []sliceBy
	threshold float64  // Of the score, from which on a row is predicted positive.
	history   *history // Changes, and has a lock of its own.
}

func newEpoch(number int, ref *profile.Reference, version string, o *Options) (*epoch, error) {
	digest, err := ref.Digest()
	if err != nil {
		return nil, err
	}
	e := &epoch{
		number: number, version: version, ref: ref, encoder: newEncoder(ref), width: len(ref.Features),
		blockRows: blockRows, digest: digest, bare: ref.Window(), threshold: o.Threshold, since: time.Now(),
	}
	if e.slices, err = newSlices(ref, o.SliceBy); err != nil {
		return nil, err
	}
	e.history = newHistory(e, o)
	for e.blockRows > minRows && e.blockRows*(8*e.width+24) > blockBytes {
		e.blockRows /= 2
	}
	return e, nil
}

// window is what was observed between two cuts. foldMu guards it while it is
// open; closed, it belongs to the goroutine that reports it.
type window struct {
	epoch    *epoch
	number   int
	target   uint64 // Rows to close at, 0 for none.
	from, to time.Time
	cur      *profile.Reference
	inputs   *profile.Reference     // What describes texts and vectors; nil without.
	parts    [][]*profile.Reference // By slicing and value; nil where no row was.
	newest   time.Time              // When the block of the last row was begun.
	misfits  SchemaCounts           // Of the whole time up to its end, as rejected.
	rejected uint64
	added    bool // It is in the history; history.mu guards it.
	report   Report
}

func (m *Monitor) newWindow(e *epoch, number int, after time.Time) *window {
	w := &window{epoch: e, number: number, target: uint64(m.opts.WindowRows), to: after, cur: e.bare.Empty(), parts: newParts(e)}
	if s := e.ref.Summary; s != nil {
		w.inputs = s.Counts.Empty()
	}
	return w
}

// fold counts a block into the open window and frees it. The caller holds
// foldMu.
func (m *Monitor) fold(b *block) {
	for from := 0; from < b.n; {
		to := b.n
		if w := m.win; w.target > 0 {
			to = from + int(min(uint64(to-from), w.target-w.cur.Rows))
		}
		m.foldRows(b, from, to)
		from = to
		if w := m.win; w.target > 0 && w.cur.Rows == w.target {
			if len(m.closing) < maxClosing {
				m.rotate()
				m.announce()
			} else {
				w.target += uint64(m.opts.WindowRows)
				m.left.Add(int64(m.opts.WindowRows))
			}
		}
	}
	if m.opts.Log != nil && b.n > 0 {
		m.logRows(b)
	} else {
		m.release(b)
	}
	if m.waiters.Load() > 0 {
		m.makeRoom()
	}
}

func (m *Monitor) foldRows(b *block, from, to int) {
	w := m.win
	if w.cur.Rows == 0 {
		w.from = b.first
		if w.from.Before(w.to) { // The block began before the last cut.
			w.from = w.to
		}
	}
	// Column by column, so that one feature's counts and lookup table stay in
	// the nearest cache for the whole block; and eight columns at a time, which
	// are one cache line of a row.
	n := to - from
	for j := 0; j < b.width; j += gathered {
		k := min(gathered, b.width-j)
		gather(m.scratch, b.rows[from*b.width+j:], b.width, k, n)
		for c := range k {
			w.cur.Features[j+c].Bins.AddFloats(m.scratch[c*blockRows : c*blockRows+n])
		}
	}
	if w.cur.Score != nil {
		w.cur.Score.AddFloats(b.scores[from:to])
	}
	m.positive.Add(reaching(b.scores[from:to], w.epoch.threshold))
	for i := range w.epoch.slices {
		m.foldSlices(i, b, from, to)
	}
	if b.first.After(w.newest) {
		w.newest = b.first
	}
	w.cur.Rows += uint64(to - from)
	m.observed.Add(uint64(to - from))
	m.labels.add(w, b.ids[from:to], b.scores[from:to], w.epoch.codes(m.codes[:], b, from, to), b.first)
}

// reaching counts the scores from the threshold on.
func reaching(scores []float64, threshold float64) (n uint64) {
	for _, s := range scores {
		if s >= threshold {
			n++
		}
	}
	return n
}

// gathered is how many columns are taken out of the rows in one pass.
const gathered = 8

// gather copies k neighbouring columns of n rows, each to blockRows numbers of
// its own.
func gather(dst, rows []float64, width, k, n int) {
	if k < gathered {
		for c := range k {
			for i := range n {
				dst[c*blockRows+i] = rows[i*width+c]
			}
		}
		return
	}
	dst = dst[:gathered*blockRows]
	for i := range n {
		r := rows[i*width : i*width+gathered : i*width+gathered]
		i &= blockRows - 1 // It is less; the compiler need not test it again.
		dst[i] = r[0]
		dst[i+blockRows] = r[1]
		dst[i+2*blockRows] = r[2]
		dst[i+3*blockRows] = r[3]
		dst[i+4*blockRows] = r[4]
		dst[i+5*blockRows] = r[5]
		dst[i+6*blockRows] = r[6]
		dst[i+7*blockRows] = r[7]
	}
}

// rotate closes the open window and opens the next. The caller holds foldMu.
func (m *Monitor) rotate() *window {
	w := m.win
	w.to = time.Now()
	w.misfits, w.rejected = m.schema.counts(), m.rejected.Load()
	m.labels.close(w.number, w.to)
	m.closing = append(m.closing, w)
	m.win = m.newWindow(w.epoch, w.number+1, w.to)
	if w.target > 0 {
		m.left.Add(int64(m.win.target) - int64(w.target) + int64(w.cur.Rows))
	}
	return w
}
