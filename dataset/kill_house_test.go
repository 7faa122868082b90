//go:build unix

package dataset_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/dataset"
	"github.com/millwright-ml/millwright/dataset/blob"
	"github.com/millwright-ml/millwright/dataset/blob/blobtest/faults"
)

// housework is an operation that a process is killed in, before each of its
// writes.
type housework struct {
	name    string
	prepare func(t testing.TB, dir string)
	// state is what the table shows.
	state func(t testing.TB, s blob.Store) map[string][]string
	run   func(s blob.Store) error
	// check looks at what the killed process left, and has another do it.
	check func(t testing.TB, dir string, before map[string][]string, where string)
}

// age makes everything in a folder a day older.
func age(t testing.TB, dir string) {
	err := filepath.WalkDir(dir, func(p string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		return os.Chtimes(p, time.Time{}, info.ModTime().Add(-day))
	})
	require.NoError(t, err)
}

// collects makes a table with versions that are not kept, and collects as often
// as said, a day after each other.
func collects(times int) func(t testing.TB, dir string) {
	return func(t testing.TB, dir string) {
		ctx := context.Background()
		s := folder(t, dir)
		members(t, s)
		d := openMembers(t, s)
		require.NoError(t, d.DeleteTag(ctx, "with"))
		require.NoError(t, d.DeleteBranch(ctx, "dev"))
		_, err := d.Delete(ctx, forget, nil)
		require.NoError(t, err)
		age(t, dir)
		for range times {
			_, err := d.Collect(ctx, apply(-1))
			require.NoError(t, err)
			age(t, dir)
		}
	}
}

func collected(t testing.TB, dir string, before map[string][]string, where string) {
	ctx := context.Background()
	s := folder(t, dir)
	whole := func() {
		d := openMembers(t, s)
		got, err := mails(t, newestOf(t, d))
		require.NoError(t, err, where)
		require.Equal(t, before["main"], got, where)
		report, err := d.Verify(ctx, nil)
		require.NoError(t, err, where)
		require.True(t, report.OK(), "%s: %v", where, report.Damage)
	}
	whole()
	var report *dataset.CollectReport
	for range 4 {
		var err error
		report, err = openMembers(t, s).Collect(ctx, apply(-1))
		require.NoError(t, err, where)
		whole()
		age(t, dir)
	}
	require.Equal(t, report.Used, report.Objects, where)
}

var houseworks = []housework{
	{
		name:    "erase",
		prepare: func(t testing.TB, dir string) { members(t, folder(t, dir)) },
		state:   contents,
		run: func(s blob.Store) error {
			d, err := dataset.New(s, nil).Open(context.Background(), "m")
			if err == nil {
				_, err = d.Erase(context.Background(), forget, nil)
			}
			return err
		},
		check: resumed,
	},
	{
		name: "resumed erase",
		prepare: func(t testing.TB, dir string) {
			s := folder(t, dir)
			members(t, s)
			kit := faults.New(s, nil)
			kit.Inject(faults.Rule{Op: faults.Create, Key: "_mlops/gc/", Times: -1, Fault: faults.LostRequest()})
			_, err := openMembers(t, kit).Erase(context.Background(), forget, nil)
			require.Error(t, err)
		},
		state: contents,
		run: func(s blob.Store) error {
			d, err := dataset.New(s, nil).Open(context.Background(), "m")
			if err == nil {
				_, err = d.Erase(context.Background(), nothing, &dataset.EraseOptions{Resume: true})
			}
			return err
		},
		check: resumed,
	},
	{"collect that condemns", collects(0), newestMails, collectOnce, collected},
	{"collect that deletes", collects(1), newestMails, collectOnce, collected},
	{"collect that forgets", collects(2), newestMails, collectOnce, collected},
	{"adopt", strangers, everyNumber, func(s blob.Store) error {
		return changing(s, func(d *dataset.Dataset) (*dataset.Version, error) { return d.Adopt(ctx0, nil) })
	}, func(t testing.TB, dir string, before map[string][]string, where string) {
		repeats(t, dir, before, where, func(d *dataset.Dataset) (*dataset.Version, error) { return d.Adopt(ctx0, nil) })
	}},
	{"compact", func(t testing.TB, dir string) { prepare(t, folder(t, dir)) }, everyNumber, func(s blob.Store) error {
		return changing(s, func(d *dataset.Dataset) (*dataset.Version, error) { return d.Compact(ctx0, nil) })
	}, func(t testing.TB, dir string, before map[string][]string, where string) {
		repeats(t, dir, before, where, func(d *dataset.Dataset) (*dataset.Version, error) { return d.Compact(ctx0, nil) })
	}},
}

func newestMails(t testing.TB, s blob.Store) map[string][]string {
	got, err := mails(t, newestOf(t, openMembers(t, s)))
	require.NoError(t, err)
	return map[string][]string{"main": got}
}

// strangers makes a table to which another engine appended twice.
func strangers(t testing.TB, dir string) {
	s := folder(t, dir)
	prepare(t, s)
	foreignAppend(t, s, 10, "a.parquet", "a.parquet", `{"numRecords":2}`, 20, 21)
	foreignAppend(t, s, 11, "b.parquet", "b.parquet", `{"numRecords":1}`, 22)
}

// everyNumber reads all versions of the table n.
func everyNumber(t testing.TB, s blob.Store) map[string][]string {
	out := map[string][]string{}
	for v, err := range open(t, s).Log(ctx0) {
		require.NoError(t, err)
		v, err = v.Load(ctx0)
		require.NoError(t, err)
		out[fmt.Sprint(v.Number)] = []string{fmt.Sprint(readNumbers(t, v))}
	}
	return out
}

func changing(s blob.Store, f func(d *dataset.Dataset) (*dataset.Version, error)) error {
	d, err := dataset.New(s, nil).Open(ctx0, "n")
	if err == nil {
		_, err = f(d)
	}
	return err
}

// repeats does again what a killed process did not finish: no version changes, and
// the newest shows the same rows.
func repeats(t testing.TB, dir string, before map[string][]string, where string, f func(d *dataset.Dataset) (*dataset.Version, error)) {
	s := folder(t, dir)
	newest := before[fmt.Sprint(len(before)-1)]
	same := func() {
		now := everyNumber(t, s)
		require.LessOrEqual(t, len(now), len(before)+1, where)
		require.Equal(t, newest, now[fmt.Sprint(len(now)-1)], where)
		for n, rows := range before {
			require.Equal(t, rows, now[n], "%s: version %s", where, n)
		}
	}
	same()
	v, err := f(open(t, s))
	require.NoError(t, err, where)
	require.EqualValues(t, len(before), v.Number, where)
	require.NotEmpty(t, v.Digest)
	same()
	report, err := open(t, s).Verify(ctx0, nil)
	require.NoError(t, err, where)
	require.True(t, report.OK(), "%s: %v", where, report.Damage)
}

func collectOnce(s blob.Store) error {
	d, err := dataset.New(s, nil).Open(context.Background(), "m")
	if err == nil {
		_, err = d.Collect(context.Background(), apply(-1))
	}
	return err
}

// resumed finishes an erase: it needs the condition only when nothing was found
// yet, and nothing when it was over.
func resumed(t testing.TB, dir string, before map[string][]string, where string) {
	ctx := context.Background()
	s := folder(t, dir)
	for name, list := range contents(t, s) {
		if was, ok := before[name]; ok && !slices.Equal(was, list) {
			require.Equal(t, without(was), without(list), "%s: %s", where, name)
		}
	}
	d := openMembers(t, s)
	_, err := d.Erase(ctx, nothing, &dataset.EraseOptions{Resume: true})
	if errors.Is(err, dataset.ErrNotFound) {
		_, err = d.Erase(ctx, forget, nil)
	}
	require.NoError(t, err, where)
	erased(t, s, before)
}

// TestKilledHousework is not a test by itself: it is the process that
// TestHouseworkSurvivesKillAtEveryStep kills, before its nth write.
func TestKilledHousework(t *testing.T) {
	where, ok := os.LookupEnv("DATASET_TEST_KILL_HOUSE")
	if !ok {
		return // This process is the parent.
	}
	parts := strings.Split(where, "|")
	left, err := strconv.Atoi(parts[2])
	require.NoError(t, err)
	s := faults.New(folder(t, parts[0]), &faults.Options{Before: func(c faults.Call) error {
		if c.Op.Writes() {
			if left--; left == 0 {
				_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
				select {}
			}
		}
		return nil
	}})
	at := slices.IndexFunc(houseworks, func(h housework) bool { return h.name == parts[1] })
	require.NoError(t, houseworks[at].run(s))
}

var varying = regexp.MustCompile(`[0-9a-f]{16,}`)

// steps are the writes of an operation: of each kind the first, of half of the
// kinds where no real components are met, and all with DATASET_TEST_ALL_STEPS.
func (h housework) steps(t testing.TB, dir string) map[int]string {
	var mu sync.Mutex
	all, seen, n := map[int]string{}, map[string]bool{}, 0
	s := faults.New(folder(t, dir), &faults.Options{Before: func(c faults.Call) error {
		if !c.Op.Writes() {
			return nil
		}
		mu.Lock()
		defer mu.Unlock()
		n++
		name := fmt.Sprintf("%s %s", c.Op, varying.ReplaceAllString(c.Key, "#"))
		fraction := 2
		if detector {
			fraction = 5
		}
		every := os.Getenv("DATASET_TEST_ALL_STEPS") == "1"
		if kind := len(seen); every || !seen[name] && (kind%fraction == 0 || os.Getenv("REQUIRE_REAL") == "1") {
			all[n] = name
		}
		seen[name] = true
		return nil
	}})
	require.NoError(t, h.run(s))
	return all
}

func copyFolder(t testing.TB, from string) string {
	dir := t.TempDir()
	require.NoError(t, filepath.WalkDir(from, func(p string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, p)
		if err != nil || e.IsDir() {
			return errors.Join(err, os.MkdirAll(filepath.Join(dir, rel), 0o755))
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		data, err := os.ReadFile(p)
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, rel), data, 0o644)
		}
		return errors.Join(err, os.Chtimes(filepath.Join(dir, rel), time.Time{}, info.ModTime()))
	}))
	return dir
}

func TestHouseworkSurvivesKillAtEveryStep(t *testing.T) {
	t.Parallel()
	for _, h := range houseworks {
		t.Run(h.name, func(t *testing.T) {
			t.Parallel()
			first := t.TempDir()
			h.prepare(t, first)
			before := h.state(t, folder(t, first))
			steps := h.steps(t, copyFolder(t, first))
			require.NotEmpty(t, steps)
			for nth, step := range steps {
				where := fmt.Sprintf("killed before write %d, %s", nth, step)
				dir := copyFolder(t, first)
				child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestKilledHousework$")
				child.Env = append(os.Environ(), fmt.Sprintf("DATASET_TEST_KILL_HOUSE=%s|%s|%d", dir, h.name, nth))
				out, err := child.CombinedOutput()
				var exit *exec.ExitError
				require.True(t, errors.As(err, &exit) && exit.Sys().(syscall.WaitStatus).Signaled(), "%s: %s", where, out)
				h.check(t, dir, before, where)
			}
		})
	}
}
