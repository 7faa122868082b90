package semcache

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/millwright-ml/millwright/internal/errs"
)

// ErrUnavailable is the kind of error of a server that has not given an embedding.
var ErrUnavailable = errs.ErrUnavailable

// OpenAIOptions are the settings of OpenAI. Nil is the defaults.
type OpenAIOptions struct {
	// Key is sent as the bearer token. "" sends none.
	Key string
	// Client sends the requests. Default http.DefaultClient.
	Client *http.Client
}

// OpenAI returns an Embedder of a model at a server with OpenAI's API, by its base
// URL, such as "http://embeddings:8000/v1".
func OpenAI(url, model string, o *OpenAIOptions) Embedder {
	s := &server{url: strings.TrimSuffix(url, "/") + "/embeddings", model: model, client: http.DefaultClient}
	if o != nil {
		s.key = o.Key
		if o.Client != nil {
			s.client = o.Client
		}
	}
	return s
}

type server struct {
	url, model, key string
	client          *http.Client
}

// maxAnswer is more than any embedding takes.
const maxAnswer = 4 << 20

// Embed implements Embedder.
func (s *server) Embed(ctx context.Context, text string) ([]float32, error) {
	fail := func(why any) error {
		return fmt.Errorf("semcache: embed with %q: %v: %w", s.model, why, ErrUnavailable)
	}
	body, err := json.Marshal(map[string]string{"model": s.model, "input": text})
	if err != nil {
		return nil, fail(err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url, bytes.NewReader(body))
	if err != nil {
		return nil, fail(err)
	}
	req.Header.Set("Content-Type", "application/json")
	if s.key != "" {
		req.Header.Set("Authorization", "Bearer "+s.key)
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return nil, fail(err)
	}
	defer func() { _ = resp.Body.Close() }() // It was read.
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return nil, fail(err)
	}
	if resp.StatusCode != http.StatusOK {
		return nil, fail(resp.Status)
	}
	var a struct {
		Data []struct{ Embedding []float32 }
	}
	if err := json.Unmarshal(answer, &a); err != nil || len(a.Data) != 1 {
		return nil, fail("the answer is no embedding")
	}
	return a.Data[0].Embedding, nil
}
