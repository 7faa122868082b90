package registrytest

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/registry"
	"github.com/millwright-ml/millwright/registry/webhook"
)

// events makes n models that are told of.
func events(tb testing.TB, s registry.Store, n int) {
	tb.Helper()
	for i := range n {
		_, err := s.CreateModel(tb.Context(), registry.Model{Name: fmt.Sprintf("m-%d", i), Created: at(i)})
		require.NoError(tb, err)
	}
}

func testQueue(t *testing.T, h Harness) {
	ctx, s := t.Context(), both(t, h.New(t))
	r := hook(t, s, 1, webhook.ModelCreated)
	events(t, s, 3)
	l := claim(t, s, "w1", 10)
	ids, err := s.Claim(ctx, "w2", at(109), at(300), 10)
	require.NoError(t, err)
	require.Empty(t, ids, "another holds it")

	got, list, err := s.Pending(ctx, l, 2)
	require.NoError(t, err)
	require.Equal(t, r, got)
	require.Len(t, list, 2)
	require.Equal(t, at(0), list[0].Time)
	held, err := s.Settle(ctx, l, list[0].Number, webhook.Outcome{Delivered: true, Time: at(11)})
	require.NoError(t, err)
	require.True(t, held)
	held, err = s.Settle(ctx, l, list[1].Number, webhook.Outcome{Error: "503", Time: at(12)})
	require.NoError(t, err)
	require.True(t, held)
	_, again, err := s.Pending(ctx, l, 5)
	require.NoError(t, err)
	require.Len(t, again, 2)
	list[1].Attempts, list[1].LastError = 1, "503"
	require.Equal(t, list[1], again[0], "it stays first")

	// Released until later, then free for all.
	require.NoError(t, s.Release(ctx, l, at(13), at(50)))
	ids, err = s.Claim(ctx, "w2", at(49), at(300), 10)
	require.NoError(t, err)
	require.Empty(t, ids)
	l2 := claim(t, s, "w2", 50)

	// A worker that lost its lease may still say how its attempt ended, and no
	// more.
	_, _, err = s.Pending(ctx, l, 5)
	require.ErrorIs(t, err, webhook.ErrConflict)
	require.NoError(t, s.Release(ctx, l, at(51), at(51)))
	held, err = s.Settle(ctx, l, again[0].Number, webhook.Outcome{Delivered: true, Time: at(52)})
	require.NoError(t, err)
	require.False(t, held)
	_, list, err = s.Pending(ctx, l2, 5)
	require.NoError(t, err)
	require.Equal(t, again[1:], list)

	// A lease that is not prolonged ends.
	l3 := claim(t, s, "w3", 150)
	held, err = s.Settle(ctx, l3, list[0].Number, webhook.Outcome{Delivered: true, Time: at(151)})
	require.NoError(t, err)
	require.True(t, held)
	_, list, err = s.Pending(ctx, l3, 5)
	require.NoError(t, err)
	require.Empty(t, list)
	require.NoError(t, s.Release(ctx, l3, at(152), at(152)))
	ids, err = s.Claim(ctx, "w4", at(500), at(600), 10)
	require.NoError(t, err)
	require.Empty(t, ids, "there is nothing to do")
}

// testQueueChanged changes a webhook that is being served.
func testQueueChanged(t *testing.T, h Harness) {
	ctx, s := t.Context(), both(t, h.New(t))
	r := hook(t, s, 1, webhook.ModelCreated)
	events(t, s, 3)
	l := claim(t, s, "w1", 10)
	_, list, err := s.Pending(ctx, l, 3)
	require.NoError(t, err)
	url := "https://example.org"
	_, err = s.UpdateWebhook(ctx, r.ID, webhook.RecordUpdate{URL: &url, Time: at(20)})
	require.NoError(t, err)
	held, err := s.Settle(ctx, l, list[0].Number, webhook.Outcome{Error: "refused", Time: at(21)})
	require.NoError(t, err)
	require.False(t, held, "the worker must read the webhook again")
	require.NoError(t, s.Release(ctx, l, at(22), at(1000)))
	l = claim(t, s, "w2", 23)
	got, list, err := s.Pending(ctx, l, 3)
	require.NoError(t, err)
	require.Equal(t, url, got.URL)
	require.Len(t, list, 3)

	require.NoError(t, s.DeleteWebhook(ctx, r.ID))
	held, err = s.Settle(ctx, l, list[0].Number, webhook.Outcome{Delivered: true, Time: at(24)})
	require.NoError(t, err)
	require.False(t, held)
	require.NoError(t, s.Release(ctx, l, at(25), at(25)))
}

// testOneClaim has many workers claim many webhooks at once.
func testOneClaim(t *testing.T, h Harness) {
	ctx, s := t.Context(), both(t, h.New(t))
	for n := range 10 {
		hook(t, s, n, webhook.ModelCreated)
	}
	events(t, s, 1)
	stores := []Both{s}
	if h.Second != nil {
		stores = append(stores, both(t, h.Second(t, s)))
	}
	var mu sync.Mutex
	owners := map[string]int{}
	var wg sync.WaitGroup
	for i := range 6 {
		wg.Go(func() {
			for range 4 {
				ids, err := stores[i%len(stores)].Claim(ctx, fmt.Sprintf("w%d", i), at(10), at(20), 3)
				mu.Lock()
				if err != nil {
					t.Errorf("claim: %v", err)
				}
				for _, id := range ids {
					owners[id]++
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	require.LessOrEqual(t, len(owners), 10)
	for id, n := range owners {
		require.Equal(t, 1, n, id)
	}
	// Whatever came of those who looked at the same ones: the rest is there.
	rest, err := s.Claim(ctx, "last", at(10), at(20), 100)
	require.NoError(t, err)
	require.Len(t, rest, 10-len(owners))
}

func testHookFailed(t *testing.T, h Harness) {
	ctx, s := t.Context(), both(t, h.New(t))
	r := hook(t, s, 1, webhook.ModelCreated)
	events(t, s, 3)
	l := claim(t, s, "w", 10)
	_, list, err := s.Pending(ctx, l, 3)
	require.NoError(t, err)
	for _, d := range list[:2] {
		held, err := s.Settle(ctx, l, d.Number, webhook.Outcome{Failed: true, Error: "400", Time: at(11)})
		require.NoError(t, err)
		require.True(t, held)
	}
	failed, err := s.Failed(ctx, r.ID, 0, 1)
	require.NoError(t, err)
	want := list[0]
	want.Attempts, want.LastError, want.FailedAt = 1, "400", at(11)
	require.Equal(t, []webhook.Delivery{want}, failed)
	failed, err = s.Failed(ctx, r.ID, want.Number, 5)
	require.NoError(t, err)
	require.Len(t, failed, 1)
	b, err := s.Backlog(ctx, r.ID)
	require.NoError(t, err)
	require.Equal(t, webhook.Backlog{Pending: 1, Failed: 2, Oldest: at(2)}, b)

	n, err := s.Requeue(ctx, r.ID, at(30))
	require.NoError(t, err)
	require.Equal(t, 2, n)
	_, again, err := s.Pending(ctx, l, 5)
	require.NoError(t, err)
	require.Len(t, again, 3)
	require.Equal(t, list[2], again[0])
	require.Equal(t, list[0].EventID, again[1].EventID, "the receiver knows it by this")
	require.Equal(t, list[0].Body, again[1].Body)
	require.Equal(t, at(30), again[1].Time)
	require.Zero(t, again[1].Attempts)
	n, err = s.Requeue(ctx, r.ID, at(31))
	require.NoError(t, err)
	require.Zero(t, n)
}

func testSweep(t *testing.T, h Harness) {
	ctx, s := t.Context(), both(t, h.New(t))
	a, b := hook(t, s, 1, webhook.ModelCreated), hook(t, s, 2, webhook.ModelCreated)
	events(t, s, 6) // at 0 to 5
	sweep := func(l webhook.Limits) {
		t.Helper()
		for more := true; more; {
			var err error
			more, err = s.Sweep(ctx, l)
			require.NoError(t, err)
		}
	}
	backlog := func(id string) webhook.Backlog {
		t.Helper()
		out, err := s.Backlog(ctx, id)
		require.NoError(t, err)
		return out
	}
	sweep(webhook.Limits{Now: at(10), Expire: at(0), Pending: 6, Forget: at(0)})
	require.Equal(t, webhook.Backlog{Pending: 6, Oldest: at(0)}, backlog(a.ID))
	sweep(webhook.Limits{Now: at(10), Expire: at(2), Pending: 6, Forget: at(0)})
	require.Equal(t, webhook.Backlog{Pending: 4, Failed: 2, Oldest: at(2)}, backlog(a.ID))
	sweep(webhook.Limits{Now: at(20), Expire: at(2), Pending: 3, Forget: at(0)})
	require.Equal(t, webhook.Backlog{Pending: 3, Failed: 3, Oldest: at(3)}, backlog(b.ID))
	failed, err := s.Failed(ctx, b.ID, 0, 10)
	require.NoError(t, err)
	require.Len(t, failed, 3)
	require.Equal(t, at(20), failed[2].FailedAt)
	require.NotEmpty(t, failed[0].LastError)
	require.NotEqual(t, failed[0].LastError, failed[2].LastError)
	sweep(webhook.Limits{Now: at(30), Expire: at(2), Pending: 3, Forget: at(11)})
	require.Equal(t, webhook.Backlog{Pending: 3, Failed: 1, Oldest: at(3)}, backlog(a.ID))
}

func testQueued(t *testing.T, h Harness) {
	s := both(t, h.New(t))
	waker, ok := s.(webhook.Waker)
	if !ok {
		return
	}
	hook(t, s, 1, webhook.ModelCreated)
	ring := waker.Queued()
	_, err := s.CreateVersion(t.Context(), bare("fraud", 1), "")
	require.NoError(t, err)
	select {
	case <-ring:
	case <-time.After(10 * time.Second):
		t.Fatal("nobody was woken")
	}
}
