package faults_test

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/dataset/blob"
	"github.com/millwright-ml/millwright/dataset/blob/blobtest"
	"github.com/millwright-ml/millwright/dataset/blob/blobtest/faults"
)

// A wrapper without a rule is the store it wraps.
func TestConformance(t *testing.T) {
	t.Parallel()
	blobtest.Run(t, func(*testing.T) blob.Store { return faults.New(new(blob.Mem), nil) })
}

func create(s blob.Store, key, text string) error {
	return s.Create(context.Background(), key, strings.NewReader(text), int64(len(text)))
}

func read(t *testing.T, s blob.Store, key string) (string, error) {
	t.Helper()
	r, err := s.Get(t.Context(), key, 0, -1)
	if err != nil {
		return "", err
	}
	defer r.Close()
	data, err := io.ReadAll(r)
	return string(data), err
}

func TestWrites(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		fault   faults.Fault
		kind    error
		written bool
	}{
		"lost reply":      {faults.LostReply(), os.ErrDeadlineExceeded, true},
		"lost request":    {faults.LostRequest(), os.ErrDeadlineExceeded, false},
		"won but refused": {faults.WonButRefused(), fs.ErrExist, true},
		"412":             {faults.Status(412), fs.ErrExist, false},
		"409":             {faults.Status(409), faults.ErrUnavailable, false},
		"503":             {faults.Status(503), faults.ErrUnavailable, false},
		"403":             {faults.Status(403), fs.ErrPermission, false},
		"error":           {faults.Error(io.ErrClosedPipe), io.ErrClosedPipe, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := new(blob.Mem)
			s := faults.New(m, nil)
			s.Inject(faults.Rule{Op: faults.Create, Key: "log/", Skip: 1, Fault: c.fault})
			require.NoError(t, create(s, "other", "x"))
			require.NoError(t, create(s, "log/0", "x"))
			err := create(s, "log/1", "x")
			require.ErrorIs(t, err, c.kind)
			require.ErrorIs(t, err, faults.ErrInjected)
			_, statErr := m.Stat(t.Context(), "log/1")
			require.Equal(t, c.written, statErr == nil)
			require.NoError(t, create(s, "log/2", "x"), "one hit only")
			require.Equal(t, 1, s.Hits())
		})
	}
}

func TestBodies(t *testing.T) {
	t.Parallel()
	s := faults.New(new(blob.Mem), nil)
	require.NoError(t, create(s, "k", "0123456789"))
	for _, c := range []struct {
		fault faults.Fault
		want  string
		err   error
	}{
		{faults.Truncate(4), "0123", io.ErrUnexpectedEOF},
		{faults.Truncate(10), "0123456789", nil},
		{faults.Cut(4), "0123", nil},
		{faults.Flip(2), "0133456789", nil},
		{faults.Slow(3, time.Microsecond), "0123456789", nil},
		{faults.Status(404), "", fs.ErrNotExist},
	} {
		s.Inject(faults.Rule{Op: faults.Get, Fault: c.fault})
		have, err := read(t, s, "k")
		require.Equal(t, c.want, have)
		require.ErrorIs(t, err, c.err)
	}
	have, err := read(t, s, "k")
	require.NoError(t, err)
	require.Equal(t, "0123456789", have)
}

func TestClockConditionsAndDoor(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	stop := errors.New("killed here")
	var seen []string
	s := faults.New(new(blob.Mem), &faults.Options{
		Record: true,
		Before: func(c faults.Call) error {
			if c.Key == "door" {
				return stop
			}
			return nil
		},
		After: func(c faults.Call, err error) {
			if c.Op.Writes() && err == nil {
				seen = append(seen, c.Key)
			}
		},
	})
	require.NoError(t, create(s, "a", "1"))
	require.ErrorIs(t, create(s, "door", "1"), stop)
	require.Equal(t, []string{"a"}, seen)

	s.Skew(-48 * time.Hour)
	fi, err := s.Stat(ctx, "a")
	require.NoError(t, err)
	require.WithinDuration(t, time.Now().Add(-48*time.Hour), fi.ModTime(), time.Hour)
	for fi, err := range s.List(ctx, "") {
		require.NoError(t, err)
		require.WithinDuration(t, time.Now().Add(-48*time.Hour), fi.ModTime(), time.Hour)
	}

	require.ErrorIs(t, create(s, "a", "2"), fs.ErrExist)
	s.Unconditional(true)
	require.NoError(t, create(s, "a", "2"))
	tag, err := blob.Swap(ctx, s, "a", strings.NewReader("3"), 1, "wrong")
	require.NoError(t, err)
	require.NotEmpty(t, tag)
	require.Equal(t, 4, s.Count(faults.Create))
	s.Calm()
	require.Empty(t, s.Calls())
	require.ErrorIs(t, create(s, "a", "2"), fs.ErrExist)
}

func TestShakeIsRepeatable(t *testing.T) {
	t.Parallel()
	run := func() (failed []int) {
		s := faults.New(new(blob.Mem), nil)
		s.Shake(42, 0.3, faults.Status(503), faults.LostRequest())
		for i := range 100 {
			if create(s, strings.Repeat("k", i+1), "x") != nil {
				failed = append(failed, i)
			}
		}
		return failed
	}
	first := run()
	require.Equal(t, first, run())
	require.InDelta(t, 30, len(first), 15)
}

func TestHangEndsWithTheContext(t *testing.T) {
	t.Parallel()
	s := faults.New(new(blob.Mem), nil)
	s.Inject(faults.Rule{Fault: faults.Hang()})
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	_, err := s.Stat(ctx, "k")
	require.ErrorIs(t, err, context.DeadlineExceeded)
}
