package fleet_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/dataset/blob"
	"github.com/millwright-ml/millwright/dataset/blob/blobtest/faults"
	"github.com/millwright-ml/millwright/dataset/profile"
	"github.com/millwright-ml/millwright/monitor"
	"github.com/millwright-ml/millwright/monitor/fleet"
)

// row is one prediction; whole numbers, so that sums are exact in any order.
func row(rng *rand.Rand, shift float64) []float64 {
	return []float64{float64(rng.IntN(1000)) + shift, float64(rng.IntN(3))}
}

func reference(t testing.TB) *profile.Reference {
	rng := rand.New(rand.NewPCG(1, 2))
	var amount, plan, score profile.Column
	for range 4000 {
		r := row(rng, 0)
		amount.AddFloat(r[0])
		plan.AddString([]string{"a", "b", "c"}[int(r[1])])
		score.AddFloat(float64(rng.IntN(100)))
	}
	wholeScore := score.Bins(0)
	wholeScore.Shift = 50
	whole := amount.Bins(0)
	whole.Shift = 500 // Sums of whole numbers are exact.
	ref := profile.NewReference([]profile.Feature{{Name: "amount", Bins: whole}, {Name: "plan", Bins: plan.Bins(0)}}, wholeScore)
	for range 4000 {
		require.NoError(t, ref.Observe(row(rng, 0), float64(rng.IntN(100))))
	}
	return ref
}

func watch(t testing.TB, ref *profile.Reference) *monitor.Monitor {
	m, err := monitor.New(ref, &monitor.Options{Model: "churn/eu", Version: "3"})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, m.Shutdown(context.Background())) })
	return m
}

func publisher(t testing.TB, m *monitor.Monitor, s blob.Store) *fleet.Publisher {
	p, err := fleet.NewPublisher(m, &fleet.PublisherOptions{Replica: "pod 1", Store: s})
	require.NoError(t, err)
	return p
}

func evaluator(t testing.TB, ref *profile.Reference, source fleet.Source, s blob.Store, opts *fleet.Options) *fleet.Evaluator {
	if opts == nil {
		opts = &fleet.Options{}
	}
	opts.Store = s
	opts.Monitor = monitor.Options{Model: "churn/eu", Version: "3", Policy: monitor.Policy{K: 1, N: 1}}
	e, err := fleet.New(ref, source, opts)
	require.NoError(t, err)
	return e
}

// TestMergedEqualsOneProcess has three replicas and one process see the same
// rows, window by window, through the store and through the peers' handlers.
func TestMergedEqualsOneProcess(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	ref, rng := reference(t), rand.New(rand.NewPCG(3, 4))
	s := new(blob.Mem)
	single, err := monitor.New(ref, &monitor.Options{Model: "churn/eu", Version: "3", Policy: monitor.Policy{K: 1, N: 1}})
	require.NoError(t, err)
	var replicas []*monitor.Monitor
	var publishers []*fleet.Publisher
	var urls []string
	for range 3 {
		m := watch(t, ref)
		p := publisher(t, m, s)
		server := httptest.NewServer(p.Handler(func(r *http.Request) error {
			if r.Header.Get("Authorization") != "Bearer secret" {
				return errors.New("no")
			}
			return nil
		}))
		t.Cleanup(server.Close)
		replicas, publishers, urls = append(replicas, m), append(publishers, p), append(urls, server.URL)
	}
	list := func(context.Context) ([]string, error) { return urls, nil }
	token := func(r *http.Request) error { r.Header.Set("Authorization", "Bearer secret"); return nil }
	stored := evaluator(t, ref, fleet.FromStore(s, ""), s, nil)
	asked := evaluator(t, ref, fleet.FromPeers(list, nil, token), new(blob.Mem), nil)
	barred := evaluator(t, ref, fleet.FromPeers(list, nil, nil), new(blob.Mem), nil)
	for window := range 5 {
		shift := 0.0
		if window > 2 {
			shift = 700
		}
		for range 3000 {
			r, score := row(rng, shift), float64(rng.IntN(100))
			single.Observe(r, score, monitor.ID{})
			replicas[rng.IntN(3)].Observe(r, score, monitor.ID{})
		}
		for _, p := range publishers {
			require.NoError(t, p.Publish(ctx))
		}
		want, err := single.Cut(ctx)
		require.NoError(t, err)
		for name, e := range map[string]*fleet.Evaluator{"store": stored, "peers": asked} {
			got, err := e.Evaluate(ctx)
			require.NoError(t, err)
			require.Equal(t, want.Key, got.Key, name) // A digest of all counts.
			require.Equal(t, want.Features, got.Features, name)
			require.Equal(t, want.Score, got.Score)
			require.Equal(t, want.State, got.State)
			require.Equal(t, want.Causes, got.Causes)
			if shift > 0 {
				require.Equal(t, monitor.StateDrift, got.State)
				require.Equal(t, want.Trigger.Key, got.Trigger.Key)
			}
			_, err = e.Evaluate(ctx)
			require.ErrorIs(t, err, fleet.ErrNotFound, "the same snapshots again")
		}
	}
	require.Equal(t, fleet.Stats{Processes: 3, Rows: 15_000}, stored.Stats())
	_, err = barred.Evaluate(ctx)
	require.ErrorIs(t, err, fleet.ErrNotFound)
	require.Equal(t, 3, barred.Stats().Failed)
	require.NoError(t, single.Shutdown(ctx))
}

// TestLostReplica loses one replica without a word; another starts anew under
// its name, one writes rubbish, and one is of another version.
func TestLostReplica(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	ref, rng := reference(t), rand.New(rand.NewPCG(5, 6))
	s := new(blob.Mem)
	e := evaluator(t, ref, fleet.FromStore(s, ""), s, nil)
	observe := func(m *monitor.Monitor, n int) {
		for range n {
			m.Observe(row(rng, 0), 1, monitor.ID{})
		}
	}
	evaluate := func(want uint64) {
		r, err := e.Evaluate(ctx)
		require.NoError(t, err)
		require.Equal(t, want, r.Rows)
	}
	a, b := watch(t, ref), watch(t, ref)
	pa, pb := publisher(t, a, s), publisher(t, b, s)
	observe(a, 500)
	observe(b, 300)
	require.NoError(t, pa.Publish(ctx))
	require.NoError(t, pb.Publish(ctx))
	observe(b, 50) // Killed before it is published.
	evaluate(800)
	again := watch(t, ref)
	observe(again, 70)
	observe(a, 30)
	require.NoError(t, publisher(t, again, s).Publish(ctx))
	require.NoError(t, pa.Publish(ctx))
	evaluate(100)

	newer, err := monitor.New(ref, &monitor.Options{Model: "churn/eu", Version: "4"})
	require.NoError(t, err)
	observe(newer, 10)
	require.NoError(t, publisher(t, newer, s).Publish(ctx))
	require.NoError(t, newer.Shutdown(ctx))
	rubbish := []byte("rubbish")
	for info, err := range s.List(ctx, "monitor/m-") {
		require.NoError(t, err)
		require.NoError(t, s.Put(ctx, info.Name()+"x", readerOf(rubbish), int64(len(rubbish))))
		break
	}
	observe(a, 7)
	require.NoError(t, pa.Publish(ctx))
	evaluate(7)
	require.Equal(t, fleet.Stats{Processes: 3, Failed: 1, Rows: 907}, e.Stats())

	// A state that cannot be kept is a window that was not decided.
	f := faults.New(s, nil)
	broken := evaluator(t, ref, fleet.FromStore(s, ""), f, nil)
	observe(a, 9)
	require.NoError(t, pa.Publish(ctx))
	f.Inject(faults.Rule{Op: faults.Swap, Times: 1, Fault: faults.Error(errors.New("down"))})
	_, err = broken.Evaluate(ctx)
	require.ErrorContains(t, err, "down")
	// And one of which only the reply was lost was decided.
	f.Inject(faults.Rule{Op: faults.Swap, Times: 1, Fault: faults.LostReply()})
	_, err = broken.Evaluate(ctx)
	require.Error(t, err)
	_, err = broken.Evaluate(ctx)
	require.ErrorIs(t, err, fleet.ErrNotFound)
	require.EqualValues(t, 916, broken.Stats().Rows)
}

// TestTwoEvaluatorsRace has several evaluate the same stream as fast as they
// can: each row is in exactly one decided window, and windows are numbered
// without gaps.
func TestTwoEvaluatorsRace(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	ref, rng := reference(t), rand.New(rand.NewPCG(7, 8))
	s := new(blob.Mem)
	var mu sync.Mutex
	rows, windows := uint64(0), map[int]bool{}
	var evaluators []*fleet.Evaluator
	for range 3 {
		evaluators = append(evaluators, evaluator(t, ref, fleet.FromStore(s, ""), s, &fleet.Options{OnReport: func(r monitor.Report) {
			mu.Lock()
			defer mu.Unlock()
			rows += r.Rows
			if windows[r.Window] {
				t.Errorf("window %d was decided twice", r.Window)
			}
			windows[r.Window] = true
		}}))
	}
	m := watch(t, ref)
	p := publisher(t, m, s)
	stop := make(chan struct{})
	var racing sync.WaitGroup
	for _, e := range evaluators {
		racing.Go(func() {
			for {
				_, err := e.Evaluate(ctx)
				if err != nil && !errors.Is(err, fleet.ErrConflict) && !errors.Is(err, fleet.ErrNotFound) {
					t.Error(err)
				}
				select {
				case <-stop:
					return
				default:
				}
			}
		})
	}
	for range 40 {
		for range 25 {
			m.Observe(row(rng, 0), 1, monitor.ID{})
		}
		require.NoError(t, p.Publish(ctx))
	}
	close(stop)
	racing.Wait()
	if _, err := evaluators[0].Evaluate(ctx); err != nil {
		require.ErrorIs(t, err, fleet.ErrNotFound)
	}
	require.EqualValues(t, 1000, rows)
	for n := range len(windows) {
		require.True(t, windows[n+1], "window %d", n+1)
	}
}

// TestLease has candidates take turns: never two at once, and another one
// follows when the holder ends or is cut off.
func TestLease(t *testing.T) {
	t.Parallel()
	f := faults.New(new(blob.Mem), nil)
	var mu sync.Mutex
	leading, most := 0, 0
	led := make(chan int, 100)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	stops := map[int]context.CancelFunc{}
	var candidates sync.WaitGroup
	for i := range 3 {
		own, stop := context.WithCancel(ctx)
		stops[i] = stop
		l, err := fleet.NewLease(f, "churn.lease", &fleet.LeaseOptions{Duration: 600 * time.Millisecond})
		require.NoError(t, err)
		candidates.Go(func() {
			err := l.Run(own, func(ctx context.Context) error {
				mu.Lock()
				leading++
				most = max(most, leading)
				mu.Unlock()
				led <- i
				<-ctx.Done()
				mu.Lock()
				leading--
				mu.Unlock()
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	first := <-led
	stops[first]() // An orderly end: the lease is given back.
	second := <-led
	require.NotEqual(t, first, second)
	// Cut off: nobody can write for longer than the lease lasts.
	f.Inject(faults.Rule{Op: faults.Swap, Times: 8, Fault: faults.Error(errors.New("cut off"))})
	<-led
	cancel()
	candidates.Wait()
	require.Equal(t, 1, most)
	require.Zero(t, leading)
}

func TestOptionsAreChecked(t *testing.T) {
	t.Parallel()
	_, err := fleet.New(nil, nil, &fleet.Options{Every: -1, Monitor: monitor.Options{WindowRows: 1}})
	require.ErrorIs(t, err, fleet.ErrInvalid)
	for _, want := range []string{"the source is nil", "Store is nil", "Every is -1ns", "which are for rows"} {
		require.ErrorContains(t, err, want)
	}
	_, err = fleet.NewPublisher(nil, &fleet.PublisherOptions{Every: -1})
	require.ErrorContains(t, err, "the monitor is nil")
	_, err = fleet.NewLease(nil, "", &fleet.LeaseOptions{Duration: -1})
	require.ErrorContains(t, err, "the store is nil")
	p, err := fleet.NewPublisher(watch(t, reference(t)), nil)
	require.NoError(t, err)
	require.ErrorIs(t, p.Publish(t.Context()), fleet.ErrInvalid)
}

// FuzzSnapshot decodes snapshots: an error, or one that is the same when it is
// encoded again.
func FuzzSnapshot(f *testing.F) {
	ref := reference(f)
	s := new(blob.Mem)
	m := watch(f, ref)
	m.Observe([]float64{1, 2}, 3, monitor.ID{})
	require.NoError(f, publisher(f, m, s).Publish(f.Context()))
	for info, err := range s.List(f.Context(), "") {
		require.NoError(f, err)
		data, err := blob.ReadAll(f.Context(), s, info.Name(), 1<<20)
		require.NoError(f, err)
		f.Add(data)
	}
	f.Add([]byte(fmt.Sprint("MWFLEET1", "....")))
	f.Fuzz(func(t *testing.T, data []byte) {
		var snapshot fleet.Snapshot
		if err := snapshot.UnmarshalBinary(data); err != nil {
			require.ErrorIs(t, err, fleet.ErrInvalid)
			return
		}
		again, err := snapshot.MarshalBinary()
		require.NoError(t, err)
		var same fleet.Snapshot
		require.NoError(t, same.UnmarshalBinary(again))
		require.Equal(t, snapshot, same)
		_, _ = snapshot.Counts(ref) // Whatever it says, it returns.
	})
}

// A peer that stalls costs its own snapshot: the round goes on to the next.
func TestStalledPeer(t *testing.T) {
	t.Parallel()
	asked := make(chan string, 2)
	handler := func(name string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			asked <- name
			if name == "stalled" {
				<-r.Context().Done()
			}
			w.WriteHeader(http.StatusNotFound)
		}
	}
	var urls []string
	for _, name := range []string{"stalled", "next"} {
		server := httptest.NewServer(handler(name))
		t.Cleanup(server.Close)
		urls = append(urls, server.URL)
	}
	source := fleet.FromPeers(func(context.Context) ([]string, error) { return urls, nil }, &http.Client{Timeout: time.Second}, nil)
	var failed []error
	require.NoError(t, source.Snapshots(t.Context(), "m", "1", func(*fleet.Snapshot) { t.Error("nobody has one") }, func(err error) { failed = append(failed, err) }))
	require.Len(t, failed, 2)
	require.ErrorIs(t, failed[0], context.DeadlineExceeded)
	require.Equal(t, "stalled", <-asked)
	require.Equal(t, "next", <-asked)
}
