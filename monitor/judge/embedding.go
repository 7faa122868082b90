package judge

import (
	"context"
	"fmt"
	"math"

	"github.com/sashabaranov/go-openai"
)

// Embedder turns texts into vectors, one each, all of one length.
type Embedder interface {
	Embed(ctx context.Context, texts []string) ([][]float32, error)
}

// EmbeddingClient is what an embedder needs of [openai.Client].
type EmbeddingClient interface {
	CreateEmbeddings(ctx context.Context, request openai.EmbeddingRequestConverter) (openai.EmbeddingResponse, error)
}

// NewEmbedder makes an embedder of a client of OpenAI's API.
func NewEmbedder(client EmbeddingClient, model string) Embedder {
	return &clientEmbedder{client, model}
}

type clientEmbedder struct {
	client EmbeddingClient
	model  string
}

func (e *clientEmbedder) Embed(ctx context.Context, texts []string) ([][]float32, error) {
	answer, err := e.client.CreateEmbeddings(ctx, openai.EmbeddingRequest{Input: texts, Model: openai.EmbeddingModel(e.model)})
	if err != nil {
		return nil, fmt.Errorf("judge: embed with %q: %w: %w", e.model, err, ErrUnavailable)
	}
	out := make([][]float32, len(texts))
	for _, d := range answer.Data {
		if d.Index < 0 || d.Index >= len(out) || out[d.Index] != nil {
			return nil, fmt.Errorf("judge: embed with %q: the answer has vector %d of %d: %w", e.model, d.Index, len(out), ErrInvalid)
		}
		out[d.Index] = d.Embedding
	}
	return out, nil
}

// Cosine is the cosine between the embeddings of the output and of the expected
// answer. It is named "cosine".
func Cosine(e Embedder) Scorer {
	return Func("cosine", func(ctx context.Context, s *Sample) (Score, error) {
		v, err := e.Embed(ctx, []string{s.Output, s.Expected})
		if err != nil {
			return Score{}, err
		}
		if len(v) != 2 {
			return Score{}, fmt.Errorf("judge: cosine: %d vectors for 2 texts: %w", len(v), ErrInvalid)
		}
		c, err := cosine(v[0], v[1])
		return Score{Value: c}, err
	})
}

// Distance is how far the embedding of the output is from a center, as 1 minus the
// cosine: 0 in its direction, 1 across. The center is the mean of the embeddings
// that a reference has (Center). It is named "embedding_distance" and judges
// nothing: its drift is that of the outputs' subjects.
func Distance(e Embedder, center []float32) Scorer {
	return Func("embedding_distance", func(ctx context.Context, s *Sample) (Score, error) {
		v, err := e.Embed(ctx, []string{s.Output})
		if err != nil {
			return Score{}, err
		}
		if len(v) != 1 {
			return Score{}, fmt.Errorf("judge: distance: %d vectors for a text: %w", len(v), ErrInvalid)
		}
		c, err := cosine(v[0], center)
		return Score{Value: 1 - c}, err
	})
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
