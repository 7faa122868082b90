package monitor_test

import (
	"context"
	"math"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/monitor"
)

// TestEveryRowIsInOneReport has many goroutines observe while others cut,
// scrape and ask for labels that never come, which all flush the shards.
func TestEveryRowIsInOneReport(t *testing.T) {
	t.Parallel()
	for name, windowRows := range map[string]int{"cut": 0, "windows": 700} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			src := newSource(1, 3, true)
			var reported, inside atomic.Int64
			var worst atomic.Int64
			m := newMonitor(t, src.reference(t, 1000), &monitor.Options{
				WindowRows: windowRows,
				OnReport: func(r monitor.Report) {
					worst.Store(max(worst.Load(), inside.Add(1)))
					reported.Add(int64(r.Rows))
					inside.Add(-1)
				},
			})
			row := src.row(nil)
			const goroutines, each = 8, 5000
			var observers, others sync.WaitGroup
			stop := make(chan struct{})
			for g := range goroutines {
				observers.Go(func() {
					for i := range each {
						m.Observe(row, 0.5, monitor.NewID("r", g*each+i))
					}
				})
			}
			for _, f := range []func(){
				func() { _, _ = m.Cut(context.Background()) },
				func() { m.Snapshot() },
				func() { m.Label(monitor.NewID("never", 0), 1) },
			} {
				others.Go(func() {
					for {
						select {
						case <-stop:
							return
						default:
							f()
						}
					}
				})
			}
			observers.Wait()
			require.Equal(t, monitor.Matched, m.Label(monitor.NewID("r", each), 1))
			close(stop)
			others.Wait()
			require.EqualValues(t, goroutines*each, m.Snapshot().Predictions)
			require.NoError(t, m.Shutdown(t.Context()))
			require.EqualValues(t, goroutines*each, reported.Load())
			require.EqualValues(t, 1, worst.Load(), "OnReport ran concurrently")
			require.EqualValues(t, goroutines*each, m.Overall().Rows)
		})
	}
}

// TestCutSeesWhatWasObservedBefore checks the order that callers rely on: a
// row whose Observe has returned is in the window that is cut next.
func TestCutSeesWhatWasObservedBefore(t *testing.T) {
	t.Parallel()
	src := newSource(2, 2, false)
	m := newMonitor(t, src.reference(t, 100), nil)
	row := src.row(nil)
	for window, rows := range []int{1, 127, 128, 129, 1, 1000, 40_000} {
		var wg sync.WaitGroup
		for g := range 4 {
			wg.Go(func() {
				for i := g; i < rows; i += 4 {
					m.Observe(row, 0.5, monitor.ID{})
				}
			})
		}
		wg.Wait()
		r, err := m.Cut(t.Context())
		require.NoError(t, err)
		require.EqualValues(t, rows, r.Rows)
		require.Equal(t, window+1, r.Window)
		require.False(t, r.From.IsZero())
		require.False(t, r.To.Before(r.From))
	}
	_, err := m.Cut(t.Context())
	require.ErrorIs(t, err, monitor.ErrInvalid)
	require.EqualError(t, err, "monitor: cut: no row was observed since the last window: invalid")
}

// TestWindowClosesWithItsLastRow observes exactly as many rows as windows
// need, from one goroutine and from several: all windows must close without
// one more row, each with exactly its rows.
func TestWindowClosesWithItsLastRow(t *testing.T) {
	t.Parallel()
	for _, goroutines := range []int{1, 3} {
		for _, size := range []int{1, 10, 500, 3000} {
			src := newSource(3, 2, false)
			reports := make(chan monitor.Report, 100)
			m := newMonitor(t, src.reference(t, 100), &monitor.Options{
				WindowRows: size,
				OnReport:   func(r monitor.Report) { reports <- r },
			})
			row := src.row(nil)
			for window := range 3 {
				var wg sync.WaitGroup
				for g := range goroutines {
					wg.Go(func() {
						for i := g; i < size; i += goroutines {
							m.Observe(row, 0.5, monitor.ID{})
						}
					})
				}
				wg.Wait()
				r := <-reports
				require.EqualValues(t, size, r.Rows)
				require.Equal(t, window+1, r.Window)
			}
			require.NoError(t, m.Shutdown(t.Context()))
			require.Empty(t, reports)
		}
	}
}

// TestSlowOnReportLosesNothing keeps the callback busy for so long that the
// queue of blocks and the list of closed windows are full.
func TestSlowOnReportLosesNothing(t *testing.T) {
	t.Parallel()
	src := newSource(4, 2, false)
	entered, leave := make(chan struct{}, 1), make(chan struct{})
	var rows, windows int
	m := newMonitor(t, src.reference(t, 100), &monitor.Options{
		WindowRows: 200,
		OnReport: func(r monitor.Report) {
			rows += int(r.Rows)
			windows++
			select {
			case entered <- struct{}{}:
			default:
			}
			<-leave
		},
	})
	row := src.row(nil)
	for range 200 {
		m.Observe(row, 0.5, monitor.ID{})
	}
	<-entered
	for range 20_000 {
		m.Observe(row, 0.5, monitor.ID{})
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := m.Cut(ctx)
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorIs(t, m.Shutdown(ctx), context.Canceled)
	m.Observe(row, 0.5, monitor.ID{})
	close(leave)
	require.NoError(t, m.Shutdown(t.Context()), "a shutdown that ran out of time can be repeated")
	require.NoError(t, m.Shutdown(t.Context()))
	require.Equal(t, 20_200, rows)
	require.Equal(t, 6, windows, "one being reported, four waiting, the rest in one")
	s := m.Snapshot()
	require.EqualValues(t, 20_200, s.Predictions)
	require.EqualValues(t, 1, s.Dropped)
	_, err = m.Cut(t.Context())
	require.ErrorIs(t, err, monitor.ErrClosed)
	require.ErrorIs(t, m.Reset(src.reference(t, 100), "2"), monitor.ErrClosed)
}

// TestCutAndResetStartAFullWindow checks that rows which a block was promised
// and did not take are not missing from the next window.
func TestCutAndResetStartAFullWindow(t *testing.T) {
	t.Parallel()
	src := newSource(12, 2, false)
	ref := src.reference(t, 100)
	reports := make(chan monitor.Report, 10)
	m := newMonitor(t, ref, &monitor.Options{WindowRows: 1000, OnReport: func(r monitor.Report) { reports <- r }})
	row := src.row(nil)
	observe := func(n int) {
		for range n {
			m.Observe(row, 0.5, monitor.ID{})
		}
	}
	want := func(n int) { require.EqualValues(t, n, (<-reports).Rows) }
	observe(7)
	_, err := m.Cut(t.Context())
	require.NoError(t, err)
	want(7)
	observe(1000)
	want(1000)
	observe(300)
	m.Snapshot() // Flushes the shards.
	observe(100)
	require.NoError(t, m.Reset(ref, "2"))
	want(400)
	observe(1000)
	want(1000)
	_, err = m.Cut(t.Context())
	require.ErrorIs(t, err, monitor.ErrInvalid, "nothing is left")
}

func TestObserveRejectsAndEncodes(t *testing.T) {
	t.Parallel()
	src := newSource(5, 1, true)
	m := newMonitor(t, src.reference(t, 1000), &monitor.Options{Policy: monitor.Policy{MinRows: 1}})
	m.Observe(nil, 0, monitor.ID{})
	m.Observe([]float64{1, 2, 3}, 0, monitor.ID{})
	require.Equal(t, 0.0, m.EncodeString(1, "red"))
	require.Equal(t, 2.0, m.EncodeString(1, "blue"))
	unseen := m.EncodeString(1, "mauve")
	require.Equal(t, 3.0, unseen)
	require.Equal(t, unseen, m.EncodeString(1, ""))
	for _, feature := range []int{-1, 0, 2} {
		require.True(t, math.IsNaN(m.EncodeString(feature, "red")))
		require.True(t, math.IsNaN(m.Encoder().CategoryBytes(feature, []byte("red"))))
		require.False(t, m.Encoder().Categorical(feature))
	}
	require.True(t, m.Encoder().Categorical(1))
	require.Equal(t, 1.0, m.Encoder().CategoryBytes(1, []byte("green")))
	require.Equal(t, unseen, m.Encoder().CategoryBytes(1, nil))
	require.Equal(t, []string{"", "f00", "colour", ""}, []string{m.Encoder().Name(-1), m.Encoder().Name(0), m.Encoder().Name(1), m.Encoder().Name(2)})
	require.Equal(t, 2, m.Encoder().Len())
	m.Observe([]float64{math.NaN(), unseen}, math.NaN(), monitor.NewID("a", 0))
	m.Observe([]float64{math.Inf(1), math.NaN()}, 0.5, monitor.NewID("a", 1))
	m.Observe([]float64{1e9, 0}, 0.5, monitor.ID{})
	m.Observe([]float64{-1e9, 17.5}, 0.5, monitor.ID{})
	r, err := m.Cut(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, 4, r.Rows)
	require.EqualValues(t, 2, m.Snapshot().Rejected)
	byName := map[string]monitor.FeatureReport{}
	for _, f := range r.Features {
		byName[f.Name] = f
	}
	number, colour := byName["f00"], byName["colour"]
	require.Equal(t, 0.25, number.Nulls)
	require.Equal(t, 0.25, number.NonFinite)
	require.Equal(t, 0.5, number.OutOfRange)
	require.InDelta(t, 0, number.Mean, 1e-6)
	require.Equal(t, 0.25, colour.Nulls)
	require.Equal(t, 0.5, colour.Unseen)
	require.Equal(t, 0.25, r.Score.Nulls)
	require.Equal(t, monitor.Unknown, m.Label(monitor.NewID("a", 0), 1), "a NaN score is not kept")
	require.Equal(t, monitor.Matched, m.Label(monitor.NewID("a", 1), 1))
}

func TestReset(t *testing.T) {
	t.Parallel()
	src := newSource(6, 2, false)
	reports := make(chan monitor.Report, 10)
	m := newMonitor(t, src.reference(t, 1000), &monitor.Options{
		Model: "m", Version: "1", OnReport: func(r monitor.Report) { reports <- r },
	})
	for i := range 600 {
		m.Observe(src.row(nil), 0.9, monitor.NewID("old", i))
	}
	_, err := m.Cut(t.Context())
	require.NoError(t, err)
	require.NotNil(t, m.Snapshot().Report)
	require.Equal(t, 1, (<-reports).Window)
	for i := range 50 {
		m.Observe(src.row(nil), 0.9, monitor.NewID("old", 600+i))
	}

	wider := newSource(7, 3, false)
	before := m.Encoder()
	require.NoError(t, m.Reset(wider.reference(t, 1000), "2"))
	require.NotSame(t, before, m.Encoder())
	require.Same(t, m.Encoder(), m.Encoder())
	rest := <-reports
	require.Equal(t, "1", rest.Version)
	require.EqualValues(t, 50, rest.Rows)
	require.Equal(t, 2, rest.Window)
	s := m.Snapshot()
	require.Equal(t, "2", s.Version)
	require.Equal(t, 3, s.Window)
	require.Nil(t, s.Report, "the report of a version that is gone")

	m.Observe(src.row(nil), 0.5, monitor.ID{})
	m.Observe(wider.row(nil), 0.9, monitor.NewID("new", 0))
	require.EqualValues(t, 1, m.Snapshot().Rejected)
	// Labels go to the version and the window of their prediction.
	require.Equal(t, monitor.Matched, m.Label(monitor.NewID("old", 620), 1))
	require.Zero(t, m.Overall().Labelled)
	require.Equal(t, monitor.Matched, m.Label(monitor.NewID("new", 0), 1))
	require.EqualValues(t, 1, m.Overall().Labelled)
	require.EqualValues(t, 1, m.Overall().Rows)
	p, err := m.Performance(2)
	require.NoError(t, err)
	require.EqualValues(t, 1, p.Labelled)

	r, err := m.Cut(t.Context())
	require.NoError(t, err)
	require.Equal(t, "2", r.Version)
	require.Equal(t, 3, r.Window)
	require.Len(t, r.Features, 3)
}

// TestResetUnderLoad swaps references of different widths while both kinds of
// rows are observed: each row is reported, or counted as rejected.
func TestResetUnderLoad(t *testing.T) {
	t.Parallel()
	var reported atomic.Int64
	two, three := newSource(8, 2, false), newSource(9, 3, false)
	narrow, wide := two.reference(t, 200), three.reference(t, 200)
	m := newMonitor(t, narrow, &monitor.Options{
		WindowRows: 300, OnReport: func(r monitor.Report) { reported.Add(int64(r.Rows)) },
	})
	rows := [][]float64{two.row(nil), three.row(nil)}
	var observers sync.WaitGroup
	for g := range 4 {
		observers.Go(func() {
			for range 5000 {
				m.Observe(rows[g&1], 0.5, monitor.ID{})
			}
		})
	}
	for i := range 50 {
		ref, version := wide, "wide"
		if i&1 == 1 {
			ref, version = narrow, "narrow"
		}
		require.NoError(t, m.Reset(ref, version))
	}
	observers.Wait()
	require.NoError(t, m.Shutdown(t.Context()))
	s := m.Snapshot()
	require.EqualValues(t, 20_000, s.Predictions+s.Rejected)
	require.EqualValues(t, s.Predictions, reported.Load())
}

// TestOnReportMayReset promotes from within the callback, as an application
// that retrains at once would.
func TestOnReportMayReset(t *testing.T) {
	t.Parallel()
	src := newSource(10, 1, false)
	ref := src.reference(t, 100)
	var m *monitor.Monitor
	var versions []string
	m = newMonitor(t, ref, &monitor.Options{Version: "1", OnReport: func(r monitor.Report) {
		versions = append(versions, r.Version)
		if len(versions) == 1 {
			if err := m.Reset(ref, "2"); err != nil {
				versions = append(versions, err.Error())
			}
			m.Snapshot()
			m.Label(monitor.NewID("none", 0), 1)
		}
	}})
	for range 2 {
		m.Observe([]float64{1}, 0.5, monitor.ID{})
		_, err := m.Cut(t.Context())
		require.NoError(t, err)
	}
	require.Equal(t, []string{"1", "2"}, versions)
}

func TestNewReportsEveryFault(t *testing.T) {
	t.Parallel()
	_, err := monitor.New(nil, nil)
	require.EqualError(t, err, "monitor: reference: it is nil: invalid")
	ref := newSource(1, 2, false).reference(t, 10)
	ref.Features[1].Name = "f00"
	ref.Features[0].Bins.AddNull()
	_, err = monitor.New(ref, nil)
	require.ErrorIs(t, err, monitor.ErrInvalid)
	require.EqualError(t, err, `monitor: reference: feature "f00" has counted 11 rows of 10; feature "f00" is there twice: invalid`)
	_, err = monitor.New(ref, &monitor.Options{
		WindowRows: -1, LabelTTL: -2, MaxPending: -2, Policy: monitor.Policy{Alpha: 1, MinRows: -1, Numeric: -0.5, NullShare: math.NaN()},
	})
	require.EqualError(t, err, "monitor: options: WindowRows is -1, want 0 or more; LabelTTL is -2ns, want 0 or more, or -1 for no limit; "+
		"MaxPending is -2, want 0 or more, or -1 for none; Policy.Alpha is 1, want above 0 and below 1; Policy.MinRows is -1, want 0 or more; "+
		"Policy.Numeric is -0.5, want 0 or more, or -1 for off; Policy.NullShare is NaN, want 0 or more, or -1 for off: invalid")
}

func TestObserveAllocatesNothing(t *testing.T) {
	src := newSource(11, 32, true)
	m := newMonitor(t, src.reference(t, 1000), &monitor.Options{MaxPending: 1 << 12})
	row := src.row(nil)
	i := 0
	observe := func() {
		for range 128 {
			m.Observe(row, 0.5, monitor.NewID("request", i))
			i++
		}
	}
	for range 100 {
		observe()
	}
	// Less than one allocation in 128 rows: the average is an integer.
	require.Zero(t, testing.AllocsPerRun(200, observe))
	require.Zero(t, testing.AllocsPerRun(100, func() { m.EncodeString(32, "mauve") }))
	require.Zero(t, testing.AllocsPerRun(100, func() { m.Label(monitor.NewID("request", i-1), 1) }))
}
