package dataset_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/dataset"
	"github.com/millwright-ml/millwright/dataset/blob"
	"github.com/millwright-ml/millwright/dataset/blob/blobtest/faults"
	"github.com/millwright-ml/millwright/dataset/filter"
)

// operation is one way to change a table, from the rows 1 2 3 and 10 11 12 in
// nine versions, so that the commit which is watched writes a checkpoint too.
type operation struct {
	name string
	run  func(t testing.TB, d *dataset.Dataset, opts *dataset.CommitOptions) (*dataset.Version, error)
	want []int64
}

var ctx0 = context.Background()

var operations = []operation{
	{"append", func(t testing.TB, d *dataset.Dataset, opts *dataset.CommitOptions) (*dataset.Version, error) {
		return d.Append(ctx0, numbers(t, 20, 21), opts)
	}, []int64{1, 2, 3, 10, 11, 12, 20, 21}},
	{"append the same rows", func(t testing.TB, d *dataset.Dataset, opts *dataset.CommitOptions) (*dataset.Version, error) {
		return d.Append(ctx0, numbers(t, 1, 2, 3), opts)
	}, []int64{1, 2, 3, 10, 11, 12, 1, 2, 3}},
	{"overwrite", func(t testing.TB, d *dataset.Dataset, opts *dataset.CommitOptions) (*dataset.Version, error) {
		return d.Overwrite(ctx0, numbers(t, 7), opts)
	}, []int64{7}},
	{"overwrite some", func(t testing.TB, d *dataset.Dataset, opts *dataset.CommitOptions) (*dataset.Version, error) {
		o := *opts
		o.Where = filter.Ge("n", 11)
		return d.Overwrite(ctx0, numbers(t, 15), &o)
	}, []int64{1, 2, 3, 10, 15}},
	{"delete", func(_ testing.TB, d *dataset.Dataset, opts *dataset.CommitOptions) (*dataset.Version, error) {
		return d.Delete(ctx0, filter.In("n", 2, 11), opts)
	}, []int64{1, 3, 10, 12}},
	{"evolve", func(_ testing.TB, d *dataset.Dataset, opts *dataset.CommitOptions) (*dataset.Version, error) {
		return d.Evolve(ctx0, arrow.NewSchema([]arrow.Field{small.Field(0), {Name: "m", Type: arrow.BinaryTypes.String, Nullable: true}}, nil), opts)
	}, []int64{1, 2, 3, 10, 11, 12}},
	{"restore", func(_ testing.TB, d *dataset.Dataset, opts *dataset.CommitOptions) (*dataset.Version, error) {
		v, err := d.Version(ctx0, 1)
		if err != nil {
			return nil, err
		}
		return d.Restore(ctx0, v, opts)
	}, []int64{1, 2, 3}},
}

// prepare makes the table that the operations change.
func prepare(t testing.TB, s blob.Store) {
	d := create(t, s, "n", small)
	fill(t, d, []int64{1, 2, 3}, []int64{10, 11, 12})
	for i := range int64(6) {
		fill(t, d, []int64{100 + i})
	}
	_, err := d.Delete(ctx0, filter.Ge("n", 100), nil)
	require.NoError(t, err)
}

// clone copies a store.
func clone(t testing.TB, s blob.Store) blob.Store {
	out := &blob.Mem{}
	for info, err := range s.List(ctx0, "") {
		require.NoError(t, err)
		data, err := blob.ReadAll(ctx0, s, info.Name(), 1<<20)
		require.NoError(t, err)
		require.NoError(t, out.Put(ctx0, info.Name(), bytes.NewReader(data), -1))
	}
	return out
}

// watched are all operations where the real components are met, else those that
// show every kind of write.
func watched() []operation {
	if os.Getenv("REQUIRE_REAL") == "1" {
		return operations
	}
	return slices.DeleteFunc(slices.Clone(operations), func(op operation) bool {
		return op.name != "append the same rows" && op.name != "overwrite some"
	})
}

// once makes the operation a producer's write, which happens once.
func once(name string) *dataset.CommitOptions {
	return &dataset.CommitOptions{App: name, AppVersion: 1, Message: "watched"}
}

// check tells that the table is in order: the rows are those before or behind
// the operation, and every version up to now can be read.
func (op operation) check(t testing.TB, s blob.Store, done bool) {
	d, err := dataset.New(s, nil).Open(ctx0, "n")
	require.NoError(t, err)
	n := 0
	var latest *dataset.Version
	for v, err := range d.Log(ctx0) {
		require.NoError(t, err)
		full, err := v.Load(ctx0)
		require.NoError(t, err)
		if latest == nil {
			latest = full
		}
		if v.Message == "watched" {
			n++
		}
	}
	rows := readNumbers(t, latest)
	if done {
		require.Equal(t, op.want, rows, op.name)
		require.Equal(t, 1, n, "%s happened %d times", op.name, n)
		return
	}
	require.LessOrEqual(t, n, 1)
	if n == 1 {
		require.Equal(t, op.want, rows, op.name)
	} else {
		require.Equal(t, []int64{1, 2, 3, 10, 11, 12}, rows, op.name)
	}
}

// TestEveryFaultAtEveryStep lets each call of the store fail once, in each way.
func TestEveryFaultAtEveryStep(t *testing.T) {
	t.Parallel()
	ways := map[string]faults.Fault{
		"lost reply": faults.LostReply(), "lost request": faults.LostRequest(), "won but refused": faults.WonButRefused(),
		"409": faults.Status(409), "412": faults.Status(412), "503": faults.Status(503), "cut": faults.Cut(9), "truncated": faults.Truncate(9),
	}
	if os.Getenv("REQUIRE_REAL") != "1" {
		// The other ways differ in what they say, not in what they do.
		for _, way := range []string{"won but refused", "lost request", "409", "412", "503", "truncated"} {
			delete(ways, way)
		}
	}
	prepared := &blob.Mem{}
	prepare(t, prepared)
	for _, op := range watched() {
		t.Run(op.name, func(t *testing.T) {
			t.Parallel()
			for step := 0; ; step++ {
				hit := false
				for way, fault := range ways {
					inner := clone(t, prepared)
					s := faults.New(inner, nil)
					d, err := dataset.New(s, nil).Open(ctx0, "n")
					require.NoError(t, err)
					s.Inject(faults.Rule{Skip: step, Times: 1, Fault: fault})
					v, err := op.run(t, d, once(op.name))
					hit = hit || s.Hits() > 0
					s.Calm()
					if err == nil {
						require.EqualValues(t, 10, v.Number, "%s, %s at step %d", op.name, way, step)
						op.check(t, inner, true)
						continue
					}
					op.check(t, inner, false)
					// The same call again, on the same handle, does it.
					_, err = op.run(t, d, once(op.name))
					require.NoError(t, err, "%s, %s at step %d", op.name, way, step)
					op.check(t, inner, true)
				}
				if !hit {
					require.GreaterOrEqual(t, step, 3)
					return
				}
			}
		})
	}
}

// TestKilledOperation is not a test by itself: it is the process that
// TestKillAtEveryStep kills, before its nth write.
func TestKilledOperation(t *testing.T) {
	where, ok := os.LookupEnv("DATASET_TEST_KILL")
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
	d, err := dataset.New(s, nil).Open(ctx0, "n")
	require.NoError(t, err)
	for _, op := range operations {
		if op.name == name {
			_, err := op.run(t, d, once(op.name))
			require.NoError(t, err)
		}
	}
}

func TestKillAtEveryStep(t *testing.T) {
	t.Parallel()
	for _, op := range watched() {
		t.Run(op.name, func(t *testing.T) {
			t.Parallel()
			for nth := 1; ; nth++ {
				if nth > 1 && !some(nth) {
					continue
				}
				dir := t.TempDir()
				s := folder(t, dir)
				prepare(t, s)
				child := exec.Command(os.Args[0], "-test.run=^TestKilledOperation$")
				child.Env = append(os.Environ(), fmt.Sprintf("DATASET_TEST_KILL=%s|%s|%d", dir, op.name, nth))
				out, err := child.CombinedOutput()
				if err == nil {
					op.check(t, s, true)
					require.Greater(t, nth, 2, "the child was never killed")
					return
				}
				var exit *exec.ExitError
				require.True(t, errors.As(err, &exit) && exit.Sys().(syscall.WaitStatus).Signaled(), string(out))
				op.check(t, s, false)
				_, err = op.run(t, open(t, s), once(op.name))
				require.NoError(t, err)
				op.check(t, s, true)
			}
		})
	}
}
