package judge

import (
	"io"
	"net/http"

	"github.com/sashabaranov/go-openai"
)

// Bound makes an HTTP client for [openai.ClientConfig] that reads at most so many
// bytes of a body: the library itself reads whatever a server sends. What is longer
// ends early and so cannot be read as an answer.
func Bound(client openai.HTTPDoer, most int64) openai.HTTPDoer {
	return &shortened{client, most}
}

type shortened struct {
	client openai.HTTPDoer
	most   int64
}

func (b *shortened) Do(r *http.Request) (*http.Response, error) {
	answer, err := b.client.Do(r)
	if err != nil {
		return nil, err
	}
	answer.Body = &shortBody{io.LimitReader(answer.Body, b.most), answer.Body}
	return answer, nil
}

type shortBody struct {
	io.Reader
	io.Closer
}
