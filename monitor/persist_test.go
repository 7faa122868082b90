package monitor_test

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/dataset/profile"
	"github.com/millwright-ml/millwright/monitor"
)

// memory is a store that can be read, damaged and made to fail.
type memory struct {
	mu   sync.Mutex
	data []byte
	err  error
}

func (s *memory) Load(context.Context) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.data == nil {
		return nil, fs.ErrNotExist
	}
	return s.data, s.err
}

func (s *memory) Save(_ context.Context, data []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return s.err
	}
	s.data = data
	return nil
}

func persistent(store monitor.Store, version string) *monitor.Options {
	return &monitor.Options{
		Model: "m", Version: version, Store: store, SaveEvery: -1, SliceBy: []string{"colour"},
		Spans:  []monitor.Span{{Name: "long", Windows: 3}},
		Policy: monitor.Policy{K: 2, N: 3, MinRows: 100},
	}
}

// stripped is a report without its times and the last digits of its numbers,
// which depend on where the blocks of rows ended.
func stripped(t testing.TB, r monitor.Report) string {
	t.Helper()
	data, err := json.Marshal(r)
	require.NoError(t, err)
	var v map[string]any
	require.NoError(t, json.Unmarshal(data, &v))
	var strip func(v any)
	strip = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			delete(v, "from")
			delete(v, "to")
			delete(v, "opened")
			for k, x := range v {
				if f, ok := x.(float64); ok && math.Abs(f) < 1e6 {
					v[k] = math.Round(f * 1e9)
				}
				strip(x)
			}
		case []any:
			for _, x := range v {
				strip(x)
			}
		}
	}
	strip(v)
	data, err = json.Marshal(v)
	require.NoError(t, err)
	return string(data)
}

// TestRestartChangesNothing plays the same traffic to a monitor that lives on
// and to one that is killed, by not being shut down, and restored every few
// rows: all reports are the same.
func TestRestartChangesNothing(t *testing.T) {
	t.Parallel()
	src := newSource(60, 2, true)
	ref := src.reference(t, 5000)
	store := monitor.Dir(filepath.Join(t.TempDir(), "state"))
	steady := newMonitor(t, ref, persistent(nil, "1"))
	mortal, err := monitor.New(ref, persistent(store, "1"))
	require.NoError(t, err)
	require.ErrorIs(t, mortal.Restore(t.Context()), monitor.ErrNotFound)
	n := 0
	for window := range 12 {
		src.shift = []float64{0}
		if window > 7 {
			src.shift[0] = 1
		}
		for i := range 300 {
			row, s := src.row(nil), src.score()
			for _, m := range []*monitor.Monitor{steady, mortal} {
				m.Observe(row, s, monitor.NewID("r", n))
				if n > 40 && n%3 == 0 {
					require.Equal(t, monitor.Matched, m.Label(monitor.NewID("r", n-40), float64(n%2)))
				}
			}
			n++
			if i%97 == 50 {
				require.NoError(t, mortal.Save(t.Context()))
				mortal, err = monitor.New(ref, persistent(store, "1"))
				require.NoError(t, err)
				require.NoError(t, mortal.Restore(t.Context()))
			}
		}
		want, err := steady.Cut(t.Context())
		require.NoError(t, err)
		got, err := mortal.Cut(t.Context())
		require.NoError(t, err)
		require.Equal(t, stripped(t, want), stripped(t, got))
		require.Equal(t, undelayed(steady), undelayed(mortal))
		require.Positive(t, mortal.Snapshot().Labels.Delay)
		require.Equal(t, steady.Overall().AUC, mortal.Overall().AUC)
	}
	require.Equal(t, monitor.StateDrift, steady.Snapshot().Report.State)
	require.EqualValues(t, n, mortal.Snapshot().Predictions)
	require.NoError(t, mortal.Shutdown(t.Context()))
}

// TestShutdownKeepsTheOpenWindow checks that no row is missing between two
// processes that take over from each other.
func TestShutdownKeepsTheOpenWindow(t *testing.T) {
	t.Parallel()
	src := newSource(61, 1, true)
	ref := src.reference(t, 500)
	store := &memory{}
	var rows uint64
	for i := range 5 {
		opts := persistent(store, "1")
		opts.WindowRows = 1000
		opts.OnReport = func(r monitor.Report) { rows += r.Rows }
		m, err := monitor.New(ref, opts)
		require.NoError(t, err)
		if i > 0 {
			require.NoError(t, m.Restore(t.Context()))
		}
		for range 730 {
			m.Observe(src.row(nil), 0.5, monitor.ID{})
		}
		if i > 0 {
			require.ErrorIs(t, m.Restore(t.Context()), monitor.ErrInvalid, "after the first row")
		}
		require.NoError(t, m.Shutdown(t.Context()))
		s := m.Snapshot()
		require.EqualValues(t, 730*(i+1), s.Predictions)
		require.EqualValues(t, 730*(i+1), rows+s.WindowRows)
	}
	require.EqualValues(t, 3000, rows)
}

func TestRestoreFaults(t *testing.T) {
	t.Parallel()
	src := newSource(62, 2, true)
	ref := src.reference(t, 500)
	store := &memory{}
	m := newMonitor(t, ref, persistent(store, "1"))
	play(t, m, src, 300, 0, 0, 0, 0)
	require.NoError(t, m.Save(t.Context()))
	fresh := func(ref *profile.Reference, version string) *monitor.Monitor {
		return newMonitor(t, ref, persistent(store, version))
	}
	require.ErrorIs(t, fresh(ref, "2").Restore(t.Context()), monitor.ErrConflict)
	require.ErrorIs(t, fresh(newSource(63, 2, true).reference(t, 500), "1").Restore(t.Context()), monitor.ErrConflict)
	good := store.data
	for _, bad := range [][]byte{{}, []byte("MWMSTAT1"), good[:len(good)-1], good[1:], append(append([]byte(nil), good...), 0)} {
		store.data = bad
		require.ErrorIs(t, fresh(ref, "1").Restore(t.Context()), monitor.ErrInvalid)
	}
	for i := 0; i < len(good); i += 37 {
		store.data = append([]byte(nil), good...)
		store.data[i] ^= 0x10
		other := fresh(ref, "1")
		require.Error(t, other.Restore(t.Context()), "a bit at %d", i)
		require.Zero(t, other.Snapshot().Predictions)
	}
	store.data, store.err = good, errors.New("disk full")
	require.ErrorIs(t, m.Save(t.Context()), store.err)
	require.ErrorIs(t, fresh(ref, "1").Restore(t.Context()), store.err)
	store.err = nil
	require.ErrorIs(t, newMonitor(t, ref, nil).Restore(t.Context()), monitor.ErrInvalid)
	require.ErrorIs(t, newMonitor(t, ref, nil).Save(t.Context()), monitor.ErrInvalid)
	again := fresh(ref, "1")
	require.NoError(t, again.Restore(t.Context()))
	require.EqualValues(t, 1200, again.Snapshot().Predictions)
}

// TestDirReplacesAsAWhole leaves what a kill would, and a folder that is none.
func TestDirReplacesAsAWhole(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "a", "b")
	d := monitor.Dir(path)
	_, err := d.Load(t.Context())
	require.ErrorIs(t, err, fs.ErrNotExist)
	require.NoError(t, d.Save(t.Context(), []byte("one")))
	require.NoError(t, os.WriteFile(filepath.Join(path, "monitor.state.123.new"), []byte("half"), 0o600))
	require.NoError(t, d.Save(t.Context(), []byte("two")))
	data, err := d.Load(t.Context())
	require.NoError(t, err)
	require.Equal(t, "two", string(data))
	left, err := os.ReadDir(path)
	require.NoError(t, err)
	require.Len(t, left, 1)
	file := filepath.Join(path, "monitor.state")
	require.Error(t, monitor.Dir(file).Save(t.Context(), nil), "a file is no folder")
}
