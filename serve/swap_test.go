package serve_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/serve"
	"github.com/millwright-ml/millwright/serve/oip"
)

// versioned returns a model that answers with its number, so that an answer
// under another version's name shows.
func versioned(n int) *model {
	m := adder()
	m.infer = func(ctx context.Context, req *oip.InferRequest, resp *oip.InferResponse) error {
		if err := add(ctx, req, resp); err != nil {
			return err
		}
		resp.Outputs[0].FP64()[0] = float64(n)
		return nil
	}
	return m
}

// A thousand deployments under load: no request fails, each is answered by the
// version that its answer names, never by an older one than that which was in
// place when it was sent, and each model is closed once, with no call inside.
func TestSwapUnderLoad(t *testing.T) {
	t.Parallel()
	const deploys, clients, pause = 1000, 3, 4
	b := new(census)
	s, url := start(t, &serve.Options{Observers: []serve.Observer{b}}, nil)
	models := make([]*model, deploys)
	var current atomic.Int64
	deploy := func(i int) {
		models[i] = versioned(i)
		require.NoError(t, s.Deploy(t.Context(), serve.Deployment{Name: "adder", Version: strconv.Itoa(i), Model: models[i]}))
		current.Store(int64(i))
	}
	deploy(0)

	stop := make(chan struct{})
	faults := make(chan error, clients)
	var answered, versions atomic.Int64
	var wg sync.WaitGroup
	for range clients {
		c := client(t, url)
		wg.Go(func() {
			last := ""
			for {
				select {
				case <-stop:
					return
				default:
				}
				least := current.Load()
				resp, err := c.Infer(t.Context(), "adder", "", rows(1, 2))
				if err == nil {
					got := strconv.FormatFloat(resp.Output("sum").FP64()[0], 'f', -1, 64)
					n, _ := strconv.ParseInt(got, 10, 64)
					switch {
					case got != resp.ModelVersion:
						err = fmt.Errorf("version %s answered as %s", got, resp.ModelVersion)
					case n < least:
						err = fmt.Errorf("version %d answered after %d was in place", n, least)
					}
					if got != last {
						versions.Add(1)
					}
					last = got
				}
				if err != nil {
					faults <- err
					return
				}
				answered.Add(1)
			}
		})
	}
	for i := 1; i < deploys; i++ {
		deploy(i)
		// Let requests in between, on a machine of any speed; now and then
		// several deployments fall into one request.
		if i%pause > 0 {
			continue
		}
		for before := answered.Load(); answered.Load() == before && len(faults) == 0; {
			runtime.Gosched()
		}
	}
	close(stop)
	wg.Wait()
	require.Empty(t, faults)
	require.GreaterOrEqual(t, answered.Load(), int64(deploys/pause-1))
	require.Greater(t, versions.Load(), int64(deploys/pause/2))
	require.Zero(t, models[deploys-1].closed.Load())
	require.NoError(t, s.Shutdown(t.Context()))
	for i, m := range models {
		require.EqualValues(t, 1, m.closed.Load(), "version %d", i)
		require.Zero(t, m.abused.Load(), "version %d", i)
	}
	require.Equal(t, answered.Load(), b.told.Load(), "each answer was told of once")
	require.Zero(t, b.wrong.Load(), "by what is bound to its version, while it is")
	require.EqualValues(t, deploys, b.bound.Load())
	require.EqualValues(t, deploys, b.unbound.Load())
}

// census is an observer that counts what it is bound to and told.
type census struct{ bound, unbound, told, wrong atomic.Int64 }

func (c *census) Observe(*serve.Exchange) { c.wrong.Add(1) }

func (c *census) Bind(_ string, v serve.VersionInfo) (serve.Observer, func()) {
	c.bound.Add(1)
	var gone atomic.Bool
	return observer(func(x *serve.Exchange) {
			c.told.Add(1)
			if gone.Load() || x.Version != v.Version {
				c.wrong.Add(1)
			}
		}), func() {
			gone.Store(true)
			c.unbound.Add(1)
		}
}

// blocked returns a model whose calls wait until release is closed, and tell
// entered when they begin.
func blocked() (m *model, entered chan struct{}, release chan struct{}) {
	entered, release = make(chan struct{}, 100), make(chan struct{})
	m = adder()
	m.infer = func(ctx context.Context, req *oip.InferRequest, resp *oip.InferResponse) error {
		entered <- struct{}{}
		<-release
		return add(ctx, req, resp)
	}
	return m, entered, release
}

// inBackground sends a request and returns where its outcome will be.
func inBackground(t *testing.T, c *oip.Client) chan error {
	done := make(chan error, 1)
	go func() {
		_, err := c.Infer(context.WithoutCancel(t.Context()), "adder", "", rows(1, 2))
		done <- err
	}()
	return done
}

func TestOldVersionDrains(t *testing.T) {
	t.Parallel()
	old, entered, release := blocked()
	s, url := start(t, nil, old)
	c := client(t, url)
	first := inBackground(t, c)
	<-entered

	require.NoError(t, s.Deploy(t.Context(), serve.Deployment{Name: "adder", Version: "2", Model: adder()}))
	resp, err := c.Infer(t.Context(), "adder", "", rows(1, 2))
	require.NoError(t, err)
	require.Equal(t, "2", resp.ModelVersion)
	_, err = c.Infer(t.Context(), "adder", "1", rows(1, 2))
	require.ErrorIs(t, err, oip.ErrNotFound)
	require.Zero(t, old.closed.Load())

	close(release)
	require.NoError(t, <-first)
	require.NoError(t, s.Shutdown(t.Context()))
	require.EqualValues(t, 1, old.closed.Load())
	require.Zero(t, old.abused.Load())
}

func TestUndeploy(t *testing.T) {
	t.Parallel()
	m, entered, release := blocked()
	m.close = func() error { return errors.New("device is gone") }
	s, url := start(t, nil, m)
	c := client(t, url)
	first := inBackground(t, c)
	<-entered

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, s.Undeploy(ctx, "adder"), context.Canceled)
	_, err := c.Infer(t.Context(), "adder", "", rows(1, 2))
	require.ErrorIs(t, err, oip.ErrNotFound)
	require.ErrorIs(t, c.Ready(t.Context()), oip.ErrUnavailable)
	require.Zero(t, m.closed.Load())
	close(release)
	require.NoError(t, <-first)

	// What nobody uses is closed before Undeploy returns.
	broken := adder()
	broken.close = func() error { panic("twice freed") }
	require.NoError(t, s.Deploy(t.Context(), serve.Deployment{Name: "b", Version: "1", Model: broken}))
	require.EqualError(t, s.Undeploy(t.Context(), "b"), `serve: undeploy "b": the model panicked in Close: twice freed`)
	require.EqualValues(t, 1, broken.closed.Load())

	ok := adder()
	require.NoError(t, s.Deploy(t.Context(), serve.Deployment{Name: "b", Version: "1", Model: ok}))
	require.NoError(t, s.Undeploy(t.Context(), "b"))
	require.ErrorIs(t, s.Undeploy(t.Context(), "b"), serve.ErrNotFound)
	require.EqualValues(t, 1, ok.closed.Load())
}

func TestShutdown(t *testing.T) {
	t.Parallel()
	m, entered, release := blocked()
	w := watch()
	s, url := start(t, &serve.Options{Observers: []serve.Observer{w}}, m)
	idle := adder()
	idle.close = func() error { return errors.New("device is gone") }
	require.NoError(t, s.Deploy(t.Context(), serve.Deployment{Name: "idle", Version: "1", Model: idle}))
	c := client(t, url)
	first := inBackground(t, c)
	<-entered

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err := s.Shutdown(ctx)
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorContains(t, err, `serve: shutdown: "adder" version "1" is still answering`)
	require.EqualValues(t, 1, idle.closed.Load())

	// No new work, and no new models.
	require.NoError(t, c.Live(t.Context()))
	require.ErrorIs(t, c.Ready(t.Context()), oip.ErrUnavailable)
	_, err = c.Infer(t.Context(), "adder", "", rows(1, 2))
	require.ErrorIs(t, err, oip.ErrUnavailable)
	require.ErrorContains(t, err, "503 Service Unavailable: serve: the server is shutting down: closed")
	late := adder()
	require.ErrorIs(t, s.Deploy(t.Context(), serve.Deployment{Name: "b", Version: "1", Model: late}), serve.ErrClosed)
	require.ErrorIs(t, s.Undeploy(t.Context(), "adder"), serve.ErrClosed)
	require.Zero(t, late.closed.Load())

	close(release)
	require.NoError(t, <-first)
	require.NoError(t, s.Shutdown(t.Context()))
	require.NoError(t, s.Shutdown(t.Context()))
	require.NoError(t, w.last(t).Err)
	require.EqualValues(t, 1, m.closed.Load())
	require.Zero(t, m.abused.Load())
}

func TestShutdownReportsClose(t *testing.T) {
	t.Parallel()
	s := serve.New(nil)
	m := adder()
	m.close = func() error { return errors.New("device is gone") }
	require.NoError(t, s.Deploy(t.Context(), serve.Deployment{Name: "a", Version: "1", Model: m}))
	require.EqualError(t, s.Shutdown(t.Context()), `serve: shutdown: "a" version "1": device is gone`)
	require.NoError(t, s.Shutdown(t.Context()))
}

// Several goroutines deploy and undeploy the same names: nothing is closed
// twice or forgotten.
func TestConcurrentDeploys(t *testing.T) {
	t.Parallel()
	s := serve.New(nil)
	var mu sync.Mutex
	var all []*model
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for i := range 100 {
				name := strconv.Itoa((g + i) % 3)
				if i%5 == 4 {
					if err := s.Undeploy(t.Context(), name); err != nil && !errors.Is(err, serve.ErrNotFound) {
						t.Error(err)
					}
					continue
				}
				m := adder()
				if err := s.Deploy(t.Context(), serve.Deployment{Name: name, Version: "1", Model: m}); err != nil {
					t.Error(err)
				}
				mu.Lock()
				all = append(all, m)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	require.NoError(t, s.Shutdown(t.Context()))
	require.Len(t, all, 320)
	for _, m := range all {
		require.EqualValues(t, 1, m.closed.Load())
	}
}
