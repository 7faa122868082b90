package monitor

import (
	"encoding/binary"
	"math"
	"slices"

	"github.com/millwright-ml/millwright/dataset/profile"
)

const (
	// defaultInputShare is the share of rows whose texts and vectors are looked
	// at: power grows with the root of the rows, the cost with the rows.
	defaultInputShare = 1.0 / 16
	// waitingInputs bounds the rows that wait to be described.
	waitingInputs = 256
	// longestInput is how many bytes of a text are kept until then.
	longestInput = 64 << 10
)

// inputs are the texts and vectors of a row on their way to the numbers that
// describe them.
type inputs struct {
	epoch   *epoch
	texts   []string
	vectors [][]float32
}

// ObserveInputs takes the texts and vectors that a row of Observe was made of,
// in the order of the reference's profile.Summary: profile.NullText is a missing
// text, nil a missing vector. Of most rows it looks at the id only:
// Options.InputShare says how many are kept, chosen by a hash of the id so that
// replicas and logs choose the same. Those it copies, and one goroutine counts
// them behind the path. When more than 256 wait, further ones are left out and
// counted in Snapshot.InputsSkipped: a sample of a sample.
//
// What describes them is in reports and metrics like any other feature, once a
// window has Policy.MinRows of such rows. It belongs to windows, not to Spans,
// saved states or other replicas. Without a Summary in the reference ObserveInputs
// does nothing, as after Shutdown.
func (m *Monitor) ObserveInputs(id ID, texts []string, vectors [][]float32) {
	if id == (ID{}) {
		if avalanche(m.anonymous.Add(1)*0x9e3779b97f4a7c15) >= m.inputLimit {
			return
		}
	} else if binary.BigEndian.Uint64(id[:8]) >= m.inputLimit {
		return
	}
	e := m.epoch.Load()
	if e.ref.Summary == nil || m.closed.Load() {
		return
	}
	if len(m.inputs) == cap(m.inputs) { // Before a copy that is likely in vain.
		m.inputsSkipped.Add(1)
		return
	}
	in := &inputs{epoch: e, texts: slices.Clone(texts), vectors: make([][]float32, len(vectors))}
	for i, s := range in.texts {
		if len(s) > longestInput {
			in.texts[i] = string([]byte(s[:longestInput])) // The rest must not stay with it.
		}
	}
	for i, v := range vectors {
		in.vectors[i] = slices.Clone(v)
	}
	select {
	case m.inputs <- in:
		m.wake()
	default:
		m.inputsSkipped.Add(1)
	}
}

// inputLimit is the hash below which a row is in the sample.
func inputLimit(share float64) uint64 {
	if share >= 1 {
		return math.MaxUint64
	}
	return uint64(share * (1 << 64))
}

// describeOne counts the texts and vectors of one row, false when none waits.
func (m *Monitor) describeOne() bool {
	m.foldMu.Lock()
	defer m.foldMu.Unlock()
	return m.describe()
}

// describe is describeOne. The caller holds foldMu.
func (m *Monitor) describe() bool {
	select {
	case in := <-m.inputs:
		w := m.win
		if in.epoch != w.epoch || w.inputs == nil {
			m.inputsSkipped.Add(1)
			return true
		}
		m.described = in.epoch.ref.Summary.Describe(m.described[:0], in.texts, in.vectors)
		for i, f := range w.inputs.Features {
			f.Bins.AddFloat(m.described[i])
		}
		w.inputs.Rows++
		return true
	default:
		return false
	}
}

// beside puts what describes texts and vectors beside the features of a window,
// where there is enough of it, so that all are decided on together. effects are
// those of the features and the score.
func beside(ref, cur *profile.Reference, w *window, p *Policy, effects []float64) (r, c *profile.Reference, all []float64) {
	if w == nil || w.inputs == nil || w.inputs.Rows < uint64(max(p.MinRows, 1)) {
		return ref, cur, effects
	}
	joined, counted := *ref, *cur
	joined.Features = slices.Concat(ref.Features, w.epoch.ref.Summary.Counts.Features)
	counted.Features = slices.Concat(cur.Features, w.inputs.Features)
	n := len(ref.Features)
	all = slices.Clone(effects[:n])
	for range w.inputs.Features {
		all = append(all, max(1, p.DesignEffect)) // Rows of a sample are seldom neighbours.
	}
	return &joined, &counted, append(all, effects[n:]...)
}
