package remote_test

import (
	"context"
	"io"
	"iter"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/serve"
	"github.com/millwright-ml/millwright/serve/oip"
	"github.com/millwright-ml/millwright/serve/remote"
)

// speaker answers with the words of a text, one at a time, with their lengths.
type speaker struct{}

func (speaker) Signature() serve.Signature {
	return serve.Signature{
		Inputs:  []oip.TensorMetadata{{Name: "text_input", Datatype: oip.BYTES, Shape: []int64{1}}},
		Outputs: []oip.TensorMetadata{{Name: "text_output", Datatype: oip.BYTES, Shape: []int64{1}}, {Name: "length", Datatype: oip.INT64, Shape: []int64{1}}},
	}
}

func (speaker) part(word string) []oip.Tensor {
	return []oip.Tensor{oip.NewStrings("text_output", []int64{1}, []string{word}), oip.NewINT64("length", []int64{1}, []int64{int64(len(word))})}
}

func (s speaker) Infer(_ context.Context, req *oip.InferRequest, resp *oip.InferResponse) error {
	resp.Outputs = append(resp.Outputs, s.part(req.Input("text_input").Strings()[0])...)
	return nil
}

func (s speaker) Stream(_ context.Context, req *oip.InferRequest) iter.Seq2[*oip.InferResponse, error] {
	return func(yield func(*oip.InferResponse, error) bool) {
		for word := range strings.FieldsSeq(req.Input("text_input").Strings()[0]) {
			if word == "bad" {
				yield(nil, serve.ErrInvalid)
				return
			}
			if !yield(&oip.InferResponse{Outputs: s.part(word)}, nil) {
				return
			}
		}
	}
}

func (speaker) Close() error { return nil }

// speak collects the words of a stream.
func speak(ctx context.Context, s serve.Streamer, text string) (words []string, err error) {
	req := &oip.InferRequest{Inputs: []oip.Tensor{oip.NewStrings("text_input", []int64{1}, []string{text})}}
	for part, err := range s.Stream(ctx, req) {
		if err != nil {
			return words, err
		}
		word := part.Output("text_output").Strings()[0]
		if n := part.Output("length"); n != nil && n.INT64()[0] != int64(len(word)) {
			return words, io.ErrUnexpectedEOF
		}
		words = append(words, word)
	}
	return words, nil
}

func TestStream(t *testing.T) {
	t.Parallel()
	there := serve.New(nil)
	require.NoError(t, there.Deploy(t.Context(), serve.Deployment{Name: "speaker", Version: "1", Model: speaker{}}))
	t.Cleanup(func() { require.NoError(t, there.Shutdown(context.Background())) })
	m := dial(t, listen(t, there), &remote.Options{Model: "speaker"})
	words, err := speak(t.Context(), m.Streaming(), "one two three")
	require.NoError(t, err)
	require.Equal(t, []string{"one", "two", "three"}, words)
	words, err = speak(t.Context(), m.Streaming(), "one bad three")
	require.Error(t, err)
	require.Equal(t, []string{"one"}, words)
}

// TestStreamStalls: a stream that falls silent in the middle is not waited for,
// and not begun again.
func TestStreamStalls(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	t.Cleanup(func() { close(release) })
	sig := speaker{}.Signature()
	o := &remote.Options{Model: "m", Signature: &sig, Encoding: remote.JSON, Stall: 50 * time.Millisecond}
	m := dial(t, rude(t, func(_ int64, _ *http.Request, conn net.Conn) {
		_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: {\"text_output\":\"one\"}\n\n")
		<-release
	}), o)
	words, err := speak(t.Context(), m.Streaming(), "one two")
	require.ErrorIs(t, err, remote.ErrUnavailable)
	require.ErrorContains(t, err, "stalled")
	require.LessOrEqual(t, len(words), 1) // On a slow machine it stalls before the first.
}
