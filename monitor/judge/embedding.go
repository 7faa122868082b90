package judge

import (
	"context"
	"fmt"
	"maps"
	"math"
	"time"

	"github.com/sashabaranov/go-openai"

	"github.com/millwright-ml/millwright/internal/errs"
)

// Embedder turns texts into vectors, one each, all of one length.
type Embedder interface {
	Embed(ctx context.Context, texts []string) ([][]float32, error)
}

// EmbeddingClient is what an embedder needs of [openai.Client].
type EmbeddingClient interface {
	CreateEmbeddings(ctx context.Context, request openai.EmbeddingRequestConverter) (openai.EmbeddingResponse, error)
}

// EmbedderOptions say how texts are embedded. Nil means all defaults.
type EmbedderOptions struct {
	// Budget is what may be spent; its InputPrice is that of the embedding
	// model. A text takes a token a byte at most, and 16 more. Default none: no
	// limits.
	Budget *Budget
	// MaxBytes bounds the texts of one call together, in bytes. Longer ones are
	// an error. Default 65536.
	MaxBytes int
	// Timeout bounds one call. Default 60s; -1 is no bound but that of the
	// context.
	Timeout time.Duration
}

// NewEmbedder makes an embedder of a client of OpenAI's API. It does not try again
// what fails: a missing distance costs less than a late one.
func NewEmbedder(client EmbeddingClient, model string, opts *EmbedderOptions) (Embedder, error) {
	e := &clientEmbedder{client: client, model: model}
	if opts != nil {
		e.opts = *opts
	}
	var f errs.Faults
	f.Check(e.opts.MaxBytes >= 0, "MaxBytes is %d", e.opts.MaxBytes)
	if err := f.Err("judge: new embedder"); err != nil {
		return nil, err
	}
	e.opts.MaxBytes = or(e.opts.MaxBytes, defaultMaxPrompt)
	e.opts.Timeout = or(e.opts.Timeout, defaultTimeout)
	return e, nil
}

type clientEmbedder struct {
	client EmbeddingClient
	model  string
	opts   EmbedderOptions
}

func (e *clientEmbedder) Embed(ctx context.Context, texts []string) ([][]float32, error) {
	vectors, _, err := e.embed(ctx, texts)
	return vectors, err
}

func (e *clientEmbedder) embed(ctx context.Context, texts []string) (vectors [][]float32, used Usage, err error) {
	size := 0
	for _, text := range texts {
		size += len(text)
	}
	if size > e.opts.MaxBytes {
		return nil, used, fmt.Errorf("judge: embed with %q: the texts have %d bytes, of which %d are possible: %w", e.model, size, e.opts.MaxBytes, ErrInvalid)
	}
	held, err := e.opts.Budget.reserve(int64(size+messageTokens*len(texts)), 0)
	if err != nil {
		return nil, used, err
	}
	call := ctx
	if e.opts.Timeout > 0 {
		var cancel context.CancelFunc
		call, cancel = context.WithTimeout(ctx, e.opts.Timeout)
		defer cancel()
	}
	answer, err := e.client.CreateEmbeddings(call, openai.EmbeddingRequest{Input: texts, Model: openai.EmbeddingModel(e.model)})
	used = Usage{Calls: 1, Input: held.Input}
	switch {
	case err != nil && statusOf(err) != 0:
		used.Input = 0 // Refused, and so not charged.
	case err == nil && answer.Usage.PromptTokens > 0:
		used.Input = int64(answer.Usage.PromptTokens)
	}
	used = e.opts.Budget.settle(held, used)
	if err != nil {
		return nil, used, fmt.Errorf("judge: embed with %q: %w: %w", e.model, err, ErrUnavailable)
	}
	out := make([][]float32, len(texts))
	for _, d := range answer.Data {
		if d.Index < 0 || d.Index >= len(out) || out[d.Index] != nil {
			return nil, used, fmt.Errorf("judge: embed with %q: the answer has vector %d of %d: %w", e.model, d.Index, len(out), ErrInvalid)
		}
		out[d.Index] = d.Embedding
	}
	for i, v := range out {
		if len(v) == 0 {
			return nil, used, fmt.Errorf("judge: embed with %q: the answer lacks vector %d: %w", e.model, i, ErrInvalid)
		}
	}
	return out, used, nil
}

// embedding is a scorer that compares vectors.
type embedding struct {
	name  string
	with  Embedder
	about map[string]string
	texts func(s *Sample) []string
	score func(v [][]float32) (float64, error)
}

func newEmbedding(name string, e Embedder) *embedding {
	m := &embedding{name: name, with: e, about: map[string]string{}}
	if c, ok := e.(*clientEmbedder); ok {
		m.about["model"] = c.model
	}
	return m
}

func (m *embedding) Name() string { return m.name }

// Describe says which model embeds, if the embedder is one of NewEmbedder.
func (m *embedding) Describe() map[string]string { return maps.Clone(m.about) }

func (m *embedding) charge(u Usage) {
	if c, ok := m.with.(*clientEmbedder); ok {
		c.opts.Budget.Charge(u)
	}
}

func (m *embedding) Score(ctx context.Context, s *Sample) (out Score, err error) {
	texts := m.texts(s)
	var vectors [][]float32
	if c, ok := m.with.(*clientEmbedder); ok {
		vectors, out.Usage, err = c.embed(ctx, texts)
	} else {
		vectors, err = m.with.Embed(ctx, texts)
	}
	if err == nil && len(vectors) != len(texts) {
		err = fmt.Errorf("judge: %s: %d vectors for %d texts: %w", m.name, len(vectors), len(texts), ErrInvalid)
	}
	if err == nil {
		out.Value, err = m.score(vectors)
	}
	return out, err
}

// Cosine is the cosine between the embeddings of the output and of the expected
// answer. It is named "cosine".
func Cosine(e Embedder) Scorer {
	m := newEmbedding("cosine", e)
	m.texts = func(s *Sample) []string { return []string{s.Output, s.Expected} }
	m.score = func(v [][]float32) (float64, error) { return cosine(v[0], v[1]) }
	return m
}

// Distance is how far the embedding of the output is from a center, as 1 minus the
// cosine: 0 in its direction, 1 across. The center is the mean of the embeddings
// that a reference has (Center). It is named "embedding_distance" and judges
// nothing: its drift is that of the outputs' subjects. [Outputs] sees more of it.
func Distance(e Embedder, center []float32) Scorer {
	m := newEmbedding("embedding_distance", e)
	m.texts = func(s *Sample) []string { return []string{s.Output} }
	m.score = func(v [][]float32) (float64, error) {
		c, err := cosine(v[0], center)
		return 1 - c, err
	}
	m.about["center"] = digestOf(fmt.Sprint(center))
	return m
}

// Center is the mean of vectors. ErrInvalid if there are none or their lengths
// differ.
func Center(vectors [][]float32) ([]float32, error) {
	if len(vectors) == 0 {
		return nil, fmt.Errorf("judge: center: no vectors: %w", ErrInvalid)
	}
	sums := make([]float64, len(vectors[0]))
	for _, v := range vectors {
		if len(v) != len(sums) {
			return nil, fmt.Errorf("judge: center: vectors of %d and %d numbers: %w", len(sums), len(v), ErrInvalid)
		}
		for i, x := range v {
			sums[i] += float64(x)
		}
	}
	out := make([]float32, len(sums))
	for i, x := range sums {
		out[i] = float32(x / float64(len(vectors)))
	}
	return out, nil
}

func cosine(a, b []float32) (float64, error) {
	if len(a) != len(b) || len(a) == 0 {
		return 0, fmt.Errorf("judge: cosine: vectors of %d and %d numbers: %w", len(a), len(b), ErrInvalid)
	}
	var dot, aa, bb float64
	for i, x := range a {
		y := b[i]
		dot += float64(x) * float64(y)
		aa += float64(x) * float64(x)
		bb += float64(y) * float64(y)
	}
	c := dot / math.Sqrt(aa*bb)
	if math.IsNaN(c) {
		return 0, fmt.Errorf("judge: cosine: a vector without a direction: %w", ErrInvalid)
	}
	return max(-1, min(1, c)), nil
}
