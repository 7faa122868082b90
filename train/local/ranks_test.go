//go:build unix

package local_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/train"
	"github.com/millwright-ml/millwright/train/local"
)

const printEnv = `echo $RANK/$WORLD_SIZE $LOCAL_RANK/$LOCAL_WORLD_SIZE $GROUP_RANK $MASTER_ADDR ${MASTER_PORT:+port} ${PET_NNODES:-} ${PET_NODE_RANK:-} ${JAX_PROCESS_ID:-}`

// Each process finds what torchrun would set.
func TestRanks(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(*train.Spec)
		want   []string
	}{
		"two nodes of two": {func(s *train.Spec) { s.Nodes, s.Procs = 2, 2 }, []string{
			"0: 0/4 0/2 0 127.0.0.1 port", "1: 1/4 1/2 0 127.0.0.1 port", "2: 2/4 0/2 1 127.0.0.1 port", "3: 3/4 1/2 1 127.0.0.1 port",
		}},
		"one": {func(*train.Spec) {}, []string{"0: 0/1 0/1 0 127.0.0.1 port"}},
		"jax": {func(s *train.Spec) { s.Procs, s.Launch = 2, train.JAX }, []string{
			"0: 0/2 0/2 0 127.0.0.1 port 0", "1: 1/2 1/2 0 127.0.0.1 port 1",
		}},
		"torchrun starts its processes itself": {func(s *train.Spec) { s.Nodes, s.Procs, s.Launch = 2, 4, train.Torchrun }, []string{
			"0: / / 127.0.0.1 port 2 0", "1: / / 127.0.0.1 port 2 1",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := shell(printEnv)
			c.change(&s)
			job := submit(t, open(t, t.TempDir()), s)
			_, err := job.Wait(t.Context())
			require.NoError(t, err)
			var got []string
			for line, err := range job.Logs(t.Context(), nil) {
				require.NoError(t, err)
				got = append(got, fmt.Sprint(line.Rank, ": ", strings.Join(strings.Fields(line.Text), " ")))
			}
			slices.Sort(got)
			require.Equal(t, c.want, got)
		})
	}
}

// A process that fails ends the others, and is the one that is named.
func TestFailingRankEndsTheOthers(t *testing.T) {
	t.Parallel()
	s := shell(`[ $RANK -eq 2 ] || exec sleep 60; echo no such column >&2; exit 3`)
	s.Procs = 4
	job := submit(t, open(t, t.TempDir()), s)
	_, err := job.Wait(t.Context())
	var user *train.UserError
	require.ErrorAs(t, err, &user)
	require.Equal(t, &train.UserError{Job: job.ID(), Rank: 2, ExitCode: 3, LastLines: []string{"no such column"}}, user)
}

func TestStubbornRanksAreKilled(t *testing.T) {
	t.Parallel()
	s := shell(`trap '' TERM; echo rank $$; [ $RANK -eq 0 ] || while :; do sleep 0.1; done; while ! [ -e $DIR/go ]; do sleep 0.02; done; exit 5`)
	dir := t.TempDir()
	s.Procs, s.Grace, s.Env = 2, time.Second, map[string]string{"DIR": dir}
	job := submit(t, open(t, t.TempDir()), s)
	pids := map[int]int{}
	for line, err := range job.Logs(t.Context(), &train.LogOptions{Follow: true}) {
		require.NoError(t, err)
		pids[line.Rank] = pidOf(t, strings.TrimPrefix(line.Text, "rank "))
		if len(pids) == 2 {
			require.NoError(t, os.WriteFile(filepath.Join(dir, "go"), nil, 0o600))
			break
		}
	}
	_, err := job.Wait(t.Context())
	var user *train.UserError
	require.ErrorAs(t, err, &user)
	require.Equal(t, 0, user.Rank)
	requireGone(t, pids[1])
}

// What was read is not repeated, what was not is not lost, from whichever line on.
func TestLogsGoOnAfterACursor(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := shell(`for i in 1 2 3; do echo "out $RANK $MILLWRIGHT_ATTEMPT $i"; echo "err $i" >&2; done; echo '##millwright {"step":1}'; exit 1`)
	s.Procs, s.Retry.User = 2, 2
	job := submit(t, open(t, dir), s)
	_, err := job.Wait(t.Context())
	require.Error(t, err)
	read := func(o train.LogOptions) (lines []train.Line) {
		for line, err := range job.Logs(t.Context(), &o) {
			require.NoError(t, err)
			lines = append(lines, line)
		}
		return lines
	}
	// Of rank 1 a report is a line as any other; the exit of one rank may end the
	// other before it has printed everything.
	all := read(train.LogOptions{})
	require.NotEmpty(t, all)
	key := func(lines []train.Line) (keys []string) {
		for _, l := range lines {
			keys = append(keys, l.Source()+" "+l.Text)
			require.False(t, l.Rank == 0 && strings.HasPrefix(l.Text, "##"), l.Text)
		}
		slices.Sort(keys)
		return keys
	}
	for i, line := range all {
		rest := read(train.LogOptions{After: line.Cursor, Follow: true})
		require.Equal(t, key(all), key(append(slices.Clone(all[:i+1]), rest...)), "after line %d (%s)", i, line.Cursor)
	}
	one := 1
	for _, l := range read(train.LogOptions{Rank: &one}) {
		require.Equal(t, 1, l.Rank)
	}
	require.Equal(t, all[len(all)-4:], read(train.LogOptions{Tail: 4}))
	require.Equal(t, all, read(train.LogOptions{Tail: 1000}))
	require.Empty(t, read(train.LogOptions{Since: time.Now().Add(time.Hour)}))
	for _, bad := range []string{"x", "-1", "0;a", "0;a=b", "0;0.0.stdout=-1"} {
		for _, err := range job.Logs(t.Context(), &train.LogOptions{After: bad}) {
			require.ErrorIs(t, err, train.ErrInvalid, bad)
		}
	}
}

func TestTailThenFollow(t *testing.T) {
	t.Parallel()
	gate := mkfifo(t)
	job := submit(t, open(t, t.TempDir()), spec("gated", gate, "10"))
	readUntil(t, job, "line 4")
	var got []string
	for line, err := range job.Logs(t.Context(), &train.LogOptions{Follow: true, Tail: 2}) {
		require.NoError(t, err)
		got = append(got, line.Text)
		if line.Text == "line 4" {
			openGate(t, gate)
		}
	}
	require.Equal(t, []string{"line 3", "line 4", "line 5", "line 6", "line 7", "line 8", "line 9"}, got)
}

func TestSecrets(t *testing.T) {
	t.Parallel()
	dir, secrets := t.TempDir(), t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(secrets, "s3"), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(secrets, "s3", "token"), []byte("hunter2\n"), 0o600))
	l, err := local.Open(dir, &local.Options{Secrets: secrets})
	require.NoError(t, err)
	s := shell(`[ "${#TOKEN}" -eq 7 ]`)
	s.Secrets = []train.Secret{{Env: "TOKEN", Name: "s3", Key: "token"}}
	job := submit(t, l, s)
	_, err = job.Wait(t.Context())
	require.NoError(t, err)
	require.NoError(t, filepath.WalkDir(filepath.Join(dir, job.ID()), func(path string, _ os.DirEntry, err error) error {
		data, _ := os.ReadFile(path)
		require.NotContains(t, string(data), "hunter2", path)
		return err
	}))
	for want, secret := range map[string]train.Secret{
		"no such file":  {Env: "TOKEN", Name: "s3", Key: "other"},
		"secret x/y":    {Env: "TOKEN", Name: "x", Key: "y"},
		"is set by the": {Env: "RANK", Name: "s3", Key: "token"},
	} {
		s.Secrets[0] = secret
		_, err = l.Submit(t.Context(), s, nil)
		require.ErrorIs(t, err, train.ErrInvalid)
		require.ErrorContains(t, err, want)
	}
}

func TestPlan(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	l, err := local.Open(dir, &local.Options{NvidiaSMI: "-", Prices: train.Prices{Currency: "EUR", CPUHour: 2}})
	require.NoError(t, err)
	s := shell("exit 0")
	s.Image, s.Resources.CPU, s.Deadline, s.Nodes = "example/train:1", 1, 30*time.Minute, 2
	p, err := l.Plan(t.Context(), s, &train.SubmitOptions{Key: "k"})
	require.NoError(t, err)
	require.Equal(t, "process", p.Backend)
	require.Empty(t, p.Faults)
	require.Empty(t, p.Existing)
	require.Contains(t, strings.Join(p.Warnings, "\n"), "the image is not used")
	require.Contains(t, strings.Join(p.Warnings, "\n"), "the 2 nodes are all this machine")
	require.Equal(t, train.Cost{Currency: "EUR", PerHour: 4, Max: 2, Deadline: 30 * time.Minute}, p.Cost)
	require.Len(t, p.Manifests, 1)
	require.Contains(t, p.Manifests[0].YAML, `"processes": 2`)
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Empty(t, entries, "a plan writes nothing")

	job, err := l.Submit(t.Context(), s, &train.SubmitOptions{Key: "k"})
	require.NoError(t, err)
	_, err = job.Wait(t.Context())
	require.NoError(t, err)
	p, err = l.Plan(t.Context(), s, &train.SubmitOptions{Key: "k"})
	require.NoError(t, err)
	require.Equal(t, p.Manifests[0].Name, p.Existing)

	bad := s
	bad.Command, bad.Dir, bad.Launch = []string{"no-such-tool"}, "", train.MPI
	bad.GPU.Count, bad.GPU.Types = 4, []string{"H100"}
	bad.Volumes = []train.Volume{{Path: "/data", Claim: "data"}, {Path: "/tmp", HostPath: "/tmp"}, {Path: "/dev/shm", Scratch: -1, Memory: true}}
	bad.Secrets = []train.Secret{{Env: "A", Name: "a", Key: "b"}}
	p, err = l.Plan(t.Context(), bad, &train.SubmitOptions{Key: "k"})
	require.NoError(t, err)
	faults := strings.Join(p.Faults, "\n")
	for _, want := range []string{
		`"no-such-tool" is not in PATH`, "launch is mpi", "8 of one type that fits are wanted, this machine has no GPUs",
		"volumes[0]", "secret a/b", "has that key and another spec",
	} {
		require.Contains(t, faults, want)
	}
	require.NotContains(t, faults, "volumes[1]")
	_, err = l.Submit(t.Context(), bad, nil)
	require.ErrorIs(t, err, train.ErrInvalid)
	require.ErrorIs(t, err, train.ErrUnsupported)
	_, err = l.Plan(t.Context(), train.Spec{}, nil)
	require.ErrorIs(t, err, train.ErrInvalid)
}

// A cap on the cost is a deadline.
func TestMaxCost(t *testing.T) {
	t.Parallel()
	l, err := local.Open(t.TempDir(), &local.Options{Prices: train.Prices{Currency: "EUR", CPUHour: 3600}})
	require.NoError(t, err)
	s := shell("sleep 60")
	s.Resources.CPU, s.MaxCost, s.Grace = 1, 1, -1
	_, err = submit(t, l, s).Wait(t.Context())
	var deadline *train.DeadlineError
	require.ErrorAs(t, err, &deadline)
	require.Equal(t, time.Second, deadline.Deadline)
	_, err = open(t, t.TempDir()).Submit(t.Context(), s, nil)
	require.ErrorIs(t, err, train.ErrInvalid)
	require.ErrorContains(t, err, "do not say what this job costs")
}
