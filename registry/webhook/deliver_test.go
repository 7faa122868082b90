package webhook_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/registry/webhook"
)

func TestDelivers(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	s, _ := openStore(t)
	h := newHooks(t, s, local())
	to := receive(t, nil)
	made, err := h.Create(ctx, draft(to.URL+"/hook?x=1", webhook.ModelCreated))
	require.NoError(t, err)
	require.True(t, made.Signed)
	_, err = h.Create(ctx, webhook.Draft{Name: "plain", URL: to.URL, Events: []webhook.Event{webhook.AliasSet}})
	require.NoError(t, err)
	for n := range 5 {
		model(t, s, fmt.Sprintf("m-%d", n)) // queued before anyone delivers
	}
	require.NoError(t, h.Start())
	require.NoError(t, h.Start())
	to.await(t, 5)
	for n := range 40 {
		model(t, s, fmt.Sprintf("n-%02d", n))
	}
	ids := map[string]bool{}
	var names []string
	for _, r := range to.await(t, 45) {
		require.NoError(t, webhook.Verify(r.header, []byte(r.body), secret, 0))
		require.ErrorIs(t, webhook.Verify(r.header, []byte(r.body+" "), secret, 0), webhook.ErrInvalid)
		require.ErrorIs(t, webhook.Verify(r.header, []byte(r.body), "other", 0), webhook.ErrInvalid)
		require.Equal(t, "application/json", r.header.Get("Content-Type"))
		ids[r.header.Get(webhook.HeaderID)] = true
		var body struct {
			Entity, Action string
			Data           struct{ Name string }
		}
		require.NoError(t, json.Unmarshal([]byte(r.body), &body))
		require.Equal(t, "registered_model.created", body.Entity+"."+body.Action)
		names = append(names, body.Data.Name)
	}
	require.Len(t, ids, 45)
	require.IsIncreasing(t, names, "in the order of what happened")
	until(t, "the queue is empty", func() bool {
		b, err := h.Backlog(ctx, made.ID)
		return err == nil && b == webhook.Backlog{}
	})
}

func TestTriesAgain(t *testing.T) {
	t.Parallel()
	s, _ := openStore(t)
	h := newHooks(t, s, local())
	codes := []int{503, 500, 429, 408, 425, 0}
	to := receive(t, func(n int, w http.ResponseWriter, _ *http.Request) {
		switch {
		case n > len(codes):
		case codes[n-1] == 0:
			conn, _, err := http.NewResponseController(w).Hijack()
			if err == nil {
				conn.Close() // without an answer
			}
		default:
			w.WriteHeader(codes[n-1])
		}
	})
	_, err := h.Create(t.Context(), draft(to.URL, webhook.ModelCreated))
	require.NoError(t, err)
	require.NoError(t, h.Start())
	model(t, s, "first")
	model(t, s, "second")
	list := to.await(t, len(codes)+2)
	first := list[0].header.Get(webhook.HeaderID)
	for i, r := range list {
		require.NoError(t, webhook.Verify(r.header, []byte(r.body), secret, 0))
		late := i == len(list)-1
		require.Equal(t, late, first != r.header.Get(webhook.HeaderID), "an event keeps its id")
		require.Equal(t, late, strings.Contains(r.body, "second"), "a later event waits")
	}
}

func TestGivesUp(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	s, _ := openStore(t)
	h := newHooks(t, s, local())
	var target *receiver
	to := receive(t, func(n int, w http.ResponseWriter, r *http.Request) {
		switch n {
		case 1:
			http.Error(w, "no", http.StatusBadRequest)
		case 2:
			http.Redirect(w, r, target.URL, http.StatusTemporaryRedirect)
		}
	})
	target = receive(t, nil)
	made, err := h.Create(ctx, draft(to.URL, webhook.ModelCreated))
	require.NoError(t, err)
	require.NoError(t, h.Start())
	for n := range 3 {
		model(t, s, fmt.Sprintf("m-%d", n))
	}
	to.await(t, 3)
	require.Empty(t, target.await(t, 0), "redirects are not followed")
	until(t, "two have failed", func() bool {
		b, err := h.Backlog(ctx, made.ID)
		return err == nil && b == webhook.Backlog{Failed: 2}
	})
	var failed []webhook.Delivery
	for d, err := range h.Failed(ctx, made.ID) {
		require.NoError(t, err)
		failed = append(failed, d)
	}
	require.Len(t, failed, 2)
	require.Contains(t, failed[0].LastError, "400")
	require.Contains(t, failed[1].LastError, "redirects are not followed")
	n, err := h.Requeue(ctx, made.ID)
	require.NoError(t, err)
	require.Equal(t, 2, n)
	list := to.await(t, 5)
	require.Equal(t, list[0].header.Get(webhook.HeaderID), list[3].header.Get(webhook.HeaderID))
}

// Events that no one takes are given up when they are too old, and one that
// fails keeps its webhook's others waiting only so long.
func TestMaxAge(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	s, _ := openStore(t)
	o := local()
	o.MaxAge = time.Millisecond
	h := newHooks(t, s, o)
	to := receive(t, func(_ int, w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) })
	made, err := h.Create(ctx, draft(to.URL, webhook.ModelCreated))
	require.NoError(t, err)
	require.NoError(t, h.Start())
	model(t, s, "m-1")
	until(t, "given up", func() bool {
		b, err := h.Backlog(ctx, made.ID)
		return err == nil && b == webhook.Backlog{Failed: 1}
	})
}

// Another process delivers what one that died had queued and claimed.
func TestOutlivesItsProcess(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	s, url := openStore(t)
	to := receive(t, nil)
	_, err := newHooks(t, s, local()).Create(ctx, draft(to.URL, webhook.ModelCreated))
	require.NoError(t, err)
	model(t, s, "m")
	at := time.Now().UTC().Truncate(time.Microsecond)
	ids, err := s.Claim(ctx, "died", at, at.Add(200*time.Millisecond), 1)
	require.NoError(t, err)
	require.Len(t, ids, 1)
	h := newHooks(t, reopen(t, url), local())
	require.NoError(t, h.Start())
	to.await(t, 1)
	require.GreaterOrEqual(t, time.Since(at), 200*time.Millisecond)
}

// Two processes deliver, each event once and in order.
func TestSeveralWorkers(t *testing.T) {
	t.Parallel()
	s, url := openStore(t)
	to := receive(t, nil)
	for _, s := range []webhook.Store{s, reopen(t, url), reopen(t, url)} {
		o := local()
		o.Poll, o.Workers = time.Millisecond, 2
		require.NoError(t, newHooks(t, s, o).Start())
	}
	h := newHooks(t, s, local())
	for range 3 {
		_, err := h.Create(t.Context(), draft(to.URL, webhook.ModelCreated))
		require.NoError(t, err)
	}
	const events = 30
	for n := range events {
		model(t, s, fmt.Sprintf("m-%02d", n))
	}
	list := to.await(t, 3*events)
	require.Len(t, list, 3*events)
	times := map[string]int{}
	for _, r := range list {
		times[r.header.Get(webhook.HeaderID)]++
	}
	require.Len(t, times, 3*events)
}

func TestShutdown(t *testing.T) {
	t.Parallel()
	s, _ := openStore(t)
	h := newHooks(t, s, local())
	require.NoError(t, h.Shutdown(t.Context()), "never started")
	require.NoError(t, h.Shutdown(t.Context()))
	require.ErrorIs(t, h.Start(), webhook.ErrClosed)

	h = newHooks(t, s, local())
	going := make(chan struct{})
	to := receive(t, func(n int, w http.ResponseWriter, r *http.Request) {
		if n == 1 {
			close(going)
			<-r.Context().Done()
		}
	})
	made, err := h.Create(t.Context(), draft(to.URL, webhook.ModelCreated))
	require.NoError(t, err)
	require.NoError(t, h.Start())
	model(t, s, "m")
	<-going
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, h.Shutdown(ended), context.Canceled)
	require.NoError(t, h.Shutdown(t.Context()))
	b, err := h.Backlog(t.Context(), made.ID)
	require.NoError(t, err)
	require.Equal(t, 1, b.Pending, "what was broken off is not lost")

	// The next one has it at once: the lease was given back.
	next := newHooks(t, s, local())
	require.NoError(t, next.Start())
	list := to.await(t, 2)
	require.Equal(t, list[0].header.Get(webhook.HeaderID), list[1].header.Get(webhook.HeaderID))
}

func TestSlowAndEndlessReceivers(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	s, _ := openStore(t)
	o := local()
	o.Timeout = 100 * time.Millisecond
	h := newHooks(t, s, o)
	slow := receive(t, func(_ int, _ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	endless := receive(t, func(_ int, w http.ResponseWriter, r *http.Request) {
		text := []byte(strings.Repeat("x", 1<<16))
		for r.Context().Err() == nil {
			if _, err := w.Write(text); err != nil {
				return
			}
		}
	})
	a, err := h.Create(ctx, draft(slow.URL, webhook.ModelCreated))
	require.NoError(t, err)
	got, err := h.Test(ctx, a.ID, "")
	require.NoError(t, err)
	require.False(t, got.Delivered)
	require.Contains(t, got.Error, "in time")
	b, err := h.Create(ctx, draft(endless.URL, webhook.ModelCreated))
	require.NoError(t, err)
	got, err = h.Test(ctx, b.ID, "")
	require.NoError(t, err)
	require.True(t, got.Delivered)
	require.Len(t, got.Body, 16<<10)
}

func TestTest(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	s, _ := openStore(t)
	h := newHooks(t, s, local())
	to := receive(t, func(n int, w http.ResponseWriter, _ *http.Request) {
		if n == 1 {
			w.WriteHeader(http.StatusTeapot)
		}
		_, _ = w.Write([]byte("answer"))
	})
	made, err := h.Create(ctx, draft(to.URL, webhook.VersionCreated, webhook.AliasSet))
	require.NoError(t, err)
	got, err := h.Test(ctx, made.ID, "")
	require.NoError(t, err)
	require.Equal(t, webhook.TestResult{Status: 418, Body: "answer", Error: got.Error}, got)
	require.Contains(t, got.Error, "418")
	for _, e := range webhook.Events() {
		got, err := h.Test(ctx, made.ID, e)
		require.NoError(t, err)
		require.Equal(t, webhook.TestResult{Delivered: true, Status: 200, Body: "answer"}, got)
	}
	list := to.await(t, 1+len(webhook.Events()))
	for i, e := range append([]webhook.Event{webhook.VersionCreated}, webhook.Events()...) {
		require.NoError(t, webhook.Verify(list[i].header, []byte(list[i].body), secret, 0))
		var body struct {
			Entity, Action string
			Data           map[string]any
		}
		require.NoError(t, json.Unmarshal([]byte(list[i].body), &body))
		if i > 0 { // the first is whichever event comes first by name
			require.Equal(t, string(e), body.Entity+"."+body.Action)
		}
		require.NotEmpty(t, body.Data["name"])
	}
	_, err = h.Test(ctx, made.ID, "bogus.created")
	require.ErrorIs(t, err, webhook.ErrInvalid)
	_, err = h.Test(ctx, "absent", "")
	require.ErrorIs(t, err, webhook.ErrNotFound)
}
