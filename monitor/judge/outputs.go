package judge

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"sync"

	"github.com/millwright-ml/millwright/internal/errs"
	"github.com/millwright-ml/millwright/monitor/drift"
	"github.com/millwright-ml/millwright/monitor/drift/multi"
)

// OutputsOptions say how embeddings are compared. Nil means all defaults.
type OutputsOptions struct {
	// Keep is how many vectors of a window are kept, a random choice of them
	// all, and how many of the reference. Default 512, at most 4096.
	Keep int
	// Seed is that of the choices. Default 0, a seed like any other.
	Seed uint64
}

const (
	defaultKeep = 512
	mostKept    = 4096
)

// Outputs compares the embeddings of a window of outputs with those of a
// reference, by all that they say together: which is more than the distance from
// the center ([Distance]), that a monitor compares as one number. It is a [Scorer]
// with that same distance as its score, so that one embedding serves both. It is
// safe for concurrent use.
type Outputs struct {
	*embedding

	reference [][]float64
	keep      int

	mu     sync.Mutex
	random *rand.Rand
	seen   uint64
	window [][]float64
	sum    []float64
	center []float32
}

// OutputsDrift is how a window of outputs differs from the reference.
type OutputsDrift struct {
	// Seen are the outputs of the window, Kept those that were compared.
	Seen uint64
	Kept int
	// Centers is the distance between the means of all vectors, as 1 minus the
	// cosine.
	Centers float64
	// MMD is the maximum mean discrepancy (Gretton et al., A kernel two-sample
	// test, 2012), with a permutation test.
	MMD drift.Result
	// Classifier is how well a model tells the window from the reference
	// (Lopez-Paz and Oquab, Revisiting classifier two-sample tests, 2017).
	Classifier multi.Classified
}

// NewOutputs makes a comparison with a reference: embeddings, as the embedder
// makes them, of at least eight outputs.
func NewOutputs(e Embedder, reference [][]float32, opts *OutputsOptions) (*Outputs, error) {
	var p OutputsOptions
	if opts != nil {
		p = *opts
	}
	const least = 8
	var f errs.Faults
	f.Check(p.Keep >= 0 && p.Keep <= mostKept && (p.Keep == 0 || p.Keep >= least), "Keep is %d, of which %d to %d are possible", p.Keep, least, mostKept)
	f.Check(len(reference) >= least, "the reference has %d vectors, want at least %d", len(reference), least)
	if err := f.Err("judge: new outputs"); err != nil {
		return nil, err
	}
	center, err := Center(reference)
	if err != nil {
		return nil, err
	}
	o := &Outputs{keep: or(p.Keep, defaultKeep), random: rand.New(rand.NewPCG(p.Seed, 1)), center: center, sum: make([]float64, len(center))}
	o.embedding = Distance(e, center).(*embedding) //nolint:forcetypeassert // It is always one.
	distance := o.score
	o.score = func(v [][]float32) (float64, error) {
		d, err := distance(v)
		if err == nil {
			o.take(v[0])
		}
		return d, err
	}
	for i, v := range reference {
		o.reference = o.choose(o.reference, uint64(i+1), v)
	}
	return o, nil
}

// take has a vector be part of the window.
func (o *Outputs) take(v []float32) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.seen++
	for i, x := range v {
		o.sum[i] += float64(x)
	}
	o.window = o.choose(o.window, o.seen, v)
}

// choose keeps each of seen vectors with the same chance.
func (o *Outputs) choose(kept [][]float64, seen uint64, v []float32) [][]float64 {
	at := len(kept)
	if at == o.keep {
		if at = int(o.random.Uint64N(seen)); at >= o.keep { //nolint:gosec // The number of vectors fits.
			return kept
		}
	} else {
		kept = append(kept, nil)
	}
	row := make([]float64, len(v))
	for i, x := range v {
		row[i] = float64(x)
	}
	kept[at] = row
	return kept
}

// Cut compares the window and begins the next one. A window of fewer than eight
// outputs goes on, and is ErrInvalid. The cost is that of a few hundred comparisons
// of each vector with all others: this is for every some minutes.
func (o *Outputs) Cut(ctx context.Context) (OutputsDrift, error) {
	const least = 8
	o.mu.Lock()
	d := OutputsDrift{Seen: o.seen, Kept: len(o.window)}
	window, sum := o.window, o.sum
	if d.Kept < least {
		o.mu.Unlock()
		return d, fmt.Errorf("judge: outputs: %d of them, want at least %d: %w", d.Kept, least, ErrInvalid)
	}
	o.seen, o.window, o.sum = 0, nil, make([]float64, len(sum))
	o.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return d, err
	}
	mean := make([]float32, len(sum))
	for i, x := range sum {
		mean[i] = float32(x / float64(d.Seen))
	}
	c, err := cosine(mean, o.center)
	if err != nil {
		c = math.NaN() // A mean without a direction.
	}
	d.Centers = 1 - c
	if d.MMD, err = multi.MMD(o.reference, window, nil); err != nil {
		return d, fmt.Errorf("judge: outputs: %w", err)
	}
	if d.Classifier, err = multi.Classify(o.reference, window, nil); err != nil {
		return d, fmt.Errorf("judge: outputs: %w", err)
	}
	return d, nil
}
