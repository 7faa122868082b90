package llm_test

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/serve/llm"
)

// The upstream's request ends when the client leaves, wherever it is: before the
// header, behind it, behind an event, and where it waits for a whole answer.
func TestClientsVanish(t *testing.T) {
	t.Parallel()
	clients, besides := 1000, 50
	if raceEnabled {
		clients = 250 // The detector makes each of them ten times as dear.
	}
	var inside atomic.Int64
	var arrived sync.Map
	ended := make(chan struct{}, clients)
	u := newUpstream(t, func(w http.ResponseWriter, r *http.Request) {
		inside.Add(1)
		defer func() { inside.Add(-1); ended <- struct{}{} }()
		here, _ := arrived.Load(r.Header.Get("X-Request-Id"))
		signal, _ := here.(chan struct{})
		if r.Header.Get("X-Think") == "" {
			w.Header().Set("Content-Type", sse)
			_, _ = io.WriteString(w, chunk("a"))
			_ = http.NewResponseController(w).Flush()
		}
		close(signal)
		<-r.Context().Done()
	})
	g, server, s := gateway(t, nil, u)
	var all []llm.Exchange
	collected := make(chan struct{})
	go func() {
		defer close(collected)
		for range clients {
			all = append(all, <-s)
		}
	}()
	leave := func(i int) error {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, server.URL+chat, strings.NewReader(`{"model":"m","stream":`+strconv.FormatBool(i%4 != 3)+`}`))
		if err != nil {
			return err
		}
		signal := make(chan struct{})
		arrived.Store(strconv.Itoa(i), signal)
		req.Header.Set("X-Request-Id", strconv.Itoa(i))
		if i%4 > 1 {
			req.Header.Set("X-Think", "1")
			go func() {
				<-signal
				cancel()
			}()
		}
		resp, err := server.Client().Do(req)
		if err != nil {
			return nil //nolint:nilerr // It has left.
		}
		if i%4 == 0 {
			_, _ = bufio.NewReader(resp.Body).ReadString('\n')
		}
		return resp.Body.Close()
	}
	var wg sync.WaitGroup
	var next atomic.Int64
	for range besides {
		wg.Go(func() {
			for i := next.Add(1); int(i) <= clients; i = next.Add(1) {
				if err := leave(int(i)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	<-collected
	for _, x := range all {
		require.Equal(t, 499, x.Status)
		require.ErrorIs(t, x.Err, context.Canceled)
		<-ended
	}
	require.Zero(t, inside.Load())
	st := g.Upstreams()[0]
	require.Zero(t, st.Requests)
	require.Zero(t, st.Tokens)
	require.True(t, st.Ready, "that clients leave says nothing of the upstream")
}
