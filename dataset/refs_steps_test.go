//go:build unix

package dataset_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/dataset"
	"github.com/millwright-ml/millwright/dataset/blob"
	"github.com/millwright-ml/millwright/dataset/blob/blobtest/faults"
)

// refOperation is one way to change branches and tags.
type refOperation struct {
	name string
	run  func(t testing.TB, d *dataset.Dataset) error
	// already is what a repeat of the operation reports that had happened.
	already error
}

func mergeFrom(into, from string, opts *dataset.MergeOptions) func(testing.TB, *dataset.Dataset) error {
	return func(_ testing.TB, d *dataset.Dataset) error {
		ctx := context.Background()
		b, err := d.OpenBranch(ctx, into)
		if err != nil {
			return err
		}
		v, err := d.Resolve(ctx, from)
		if err != nil {
			return err
		}
		_, err = b.Merge(ctx, v, opts)
		return err
	}
}

var refOperations = []refOperation{
	{"tag", func(_ testing.TB, d *dataset.Dataset) error {
		v, err := d.Version(context.Background(), 1)
		if err != nil {
			return err
		}
		return d.Tag(context.Background(), "new", v, nil)
	}, dataset.ErrExists},
	{"delete tag", func(_ testing.TB, d *dataset.Dataset) error {
		return d.DeleteTag(context.Background(), "old")
	}, dataset.ErrNotFound},
	{"create branch", func(_ testing.TB, d *dataset.Dataset) error {
		v, err := d.Version(context.Background(), 1)
		if err == nil {
			_, err = d.CreateBranch(context.Background(), "new", v)
		}
		return err
	}, dataset.ErrExists},
	{"delete branch", func(_ testing.TB, d *dataset.Dataset) error {
		return d.DeleteBranch(context.Background(), "dev")
	}, dataset.ErrNotFound},
	{"append to branch", func(t testing.TB, d *dataset.Dataset) error {
		b, err := d.OpenBranch(context.Background(), "dev")
		if err == nil {
			_, err = b.Append(context.Background(), rows{50: {5, "app"}}.reader(t), &dataset.CommitOptions{App: "etl", AppVersion: 1})
		}
		return err
	}, nil},
	{"fast-forward", mergeFrom("idle", "main", nil), nil},
	{"merge by file", mergeFrom("main", "more", nil), nil},
	{"merge by row", mergeFrom("main", "dev", &dataset.MergeOptions{Key: []string{"id"}}), nil},
}

// prepareRefs makes a table with branches that went different ways.
func prepareRefs(t testing.TB, s blob.Store) {
	ctx := context.Background()
	d := create(t, s, "t", keyed)
	v := appendRows(t, d.Branch, rows{1: {1, "x"}, 2: {2, "x"}, 3: {3, "x"}})
	require.NoError(t, d.Tag(ctx, "old", v, nil))
	for _, name := range []string{"dev", "idle", "more"} {
		b, err := d.CreateBranch(ctx, name, v)
		require.NoError(t, err)
		switch name {
		case "dev":
			set(t, b, 1, cells{10, "dev"})
		case "more":
			appendRows(t, b, rows{30: {30, "more"}})
		}
	}
	set(t, d.Branch, 2, cells{20, "main"})
}

// stateOf reads a table: what each branch and each tag shows. A deep look reads
// every version of every branch on the way.
func stateOf(t testing.TB, s blob.Store, deep bool) string {
	ctx := context.Background()
	d, err := dataset.New(s, nil).Open(ctx, "t")
	require.NoError(t, err)
	var lines []string
	for b, err := range d.Branches(ctx) {
		require.NoError(t, err)
		lines = append(lines, fmt.Sprintf("branch %s %v", b.Name(), readRows(t, latest(t, b))))
		if !deep {
			continue
		}
		for v, err := range b.Log(ctx) {
			require.NoError(t, err)
			full, err := v.Load(ctx)
			require.NoError(t, err)
			require.Len(t, readRows(t, full), int(full.Rows))
		}
	}
	for tag, err := range d.Tags(ctx) {
		require.NoError(t, err)
		v, err := d.Resolve(ctx, "tags/"+tag.Name)
		require.NoError(t, err)
		lines = append(lines, fmt.Sprintf("tag %s %v", tag.Name, readRows(t, v)))
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

func openTable(t testing.TB, s blob.Store) *dataset.Dataset {
	d, err := dataset.New(s, nil).Open(context.Background(), "t")
	require.NoError(t, err)
	return d
}

// outcomes are the states before and after the operation.
func (op refOperation) outcomes(t testing.TB) (before, after string) {
	s := &blob.Mem{}
	prepareRefs(t, s)
	before = stateOf(t, s, true)
	require.NoError(t, op.run(t, openTable(t, s)))
	after = stateOf(t, s, true)
	require.NotEqual(t, before, after)
	return before, after
}

// settle repeats an operation of which nobody knows whether it happened.
func (op refOperation) settle(t testing.TB, s blob.Store, before, after, where string) {
	now := stateOf(t, s, false)
	require.Contains(t, []string{before, after}, now, where)
	if err := op.run(t, openTable(t, s)); err != nil {
		require.ErrorIs(t, err, op.already, where)
		require.Equal(t, after, now, where)
	}
	require.Equal(t, after, stateOf(t, s, false), where)
}

// Each call of the store fails once, in each way: an operation that reports
// success has happened, one that reports an error happened whole or not at all.
func TestRefsSurviveEveryFaultAtEveryStep(t *testing.T) {
	t.Parallel()
	ways := map[string]faults.Fault{
		"lost reply": faults.LostReply(), "lost request": faults.LostRequest(), "won but refused": faults.WonButRefused(),
		"409": faults.Status(409), "412": faults.Status(412), "503": faults.Status(503), "truncated": faults.Truncate(9),
	}
	for _, op := range refOperations {
		t.Run(op.name, func(t *testing.T) {
			t.Parallel()
			before, after := op.outcomes(t)
			prepared := &blob.Mem{}
			prepareRefs(t, prepared)
			for step := 0; ; step++ {
				hit := false
				for i, way := range slices.Sorted(maps.Keys(ways)) {
					if !some(i + step) {
						continue // Each way comes at every fourth step.
					}
					fault, where := ways[way], fmt.Sprintf("%s at step %d", way, step)
					inner := clone(t, prepared)
					s := faults.New(inner, nil)
					d := openTable(t, s)
					s.Inject(faults.Rule{Skip: step, Times: 1, Fault: fault})
					err := op.run(t, d)
					hit = hit || s.Hits() > 0
					s.Calm()
					if err == nil {
						require.Equal(t, after, stateOf(t, inner, false), where)
						continue
					}
					op.settle(t, inner, before, after, where+": "+err.Error())
				}
				if !hit {
					require.GreaterOrEqual(t, step, 1)
					return
				}
			}
		})
	}
}

// TestKilledRefs is not a test by itself: it is the process that
// TestRefsSurviveKillAtEveryStep kills, before its nth write.
func TestKilledRefs(t *testing.T) {
	where, ok := os.LookupEnv("DATASET_TEST_KILL_REFS")
	if !ok {
		return // This process is the parent.
	}
	dir, rest, _ := strings.Cut(where, "|")
	name, nth, _ := strings.Cut(rest, "|")
	left, err := strconv.Atoi(nth)
	require.NoError(t, err)
	s := faults.New(folder(t, dir), &faults.Options{Before: func(c faults.Call) error {
		if c.Op.Writes() {
			if left--; left == 0 {
				_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
				select {}
			}
		}
		return nil
	}})
	for _, op := range refOperations {
		if op.name == name {
			require.NoError(t, op.run(t, openTable(t, s)))
		}
	}
}

func TestRefsSurviveKillAtEveryStep(t *testing.T) {
	t.Parallel()
	first := t.TempDir()
	prepareRefs(t, folder(t, first))
	for _, op := range refOperations {
		t.Run(op.name, func(t *testing.T) {
			t.Parallel()
			before, after := op.outcomes(t)
			for nth := 1; ; nth++ {
				if nth > 1 && !some(nth) {
					continue
				}
				dir := t.TempDir()
				require.NoError(t, os.CopyFS(dir, os.DirFS(first)))
				child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestKilledRefs$")
				child.Env = append(os.Environ(), fmt.Sprintf("DATASET_TEST_KILL_REFS=%s|%s|%d", dir, op.name, nth))
				out, err := child.CombinedOutput()
				s := folder(t, dir)
				if err == nil {
					require.Equal(t, after, stateOf(t, s, true))
					require.Greater(t, nth, 1, "the child was never killed")
					return
				}
				var exit *exec.ExitError
				require.True(t, errors.As(err, &exit) && exit.Sys().(syscall.WaitStatus).Signaled(), string(out))
				op.settle(t, s, before, after, fmt.Sprintf("killed before write %d", nth))
			}
		})
	}
}
