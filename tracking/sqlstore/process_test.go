package sqlstore_test

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/internal/sqldb"
	"github.com/millwright-ml/millwright/tracking"
	"github.com/millwright-ml/millwright/tracking/sqlstore"
)

// With childEnv set the test binary is another process that works on the file
// it names.
const (
	childEnv     = "MILLWRIGHT_TRACKING_TEST_CHILD"
	childFileEnv = "MILLWRIGHT_TRACKING_TEST_FILE"
	childRunEnv  = "MILLWRIGHT_TRACKING_TEST_RUN"

	pointsPerBatch = 100
	trainerBatches = 30
)

func TestMain(m *testing.M) {
	var err error
	switch os.Getenv(childEnv) {
	case "":
		os.Exit(m.Run())
	case "endless":
		err = childWithClient(writeForEver)
	case "trainer":
		err = childWithClient(train)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

func childWithClient(work func(context.Context, *tracking.Client) error) error {
	ctx := context.Background()
	store, err := sqlstore.Open(ctx, fileURL(os.Getenv(childFileEnv)), nil)
	if err != nil {
		return err
	}
	client := tracking.New(store, nil)
	if err := work(ctx, client); err != nil {
		return err
	}
	if err := client.Shutdown(ctx); err != nil {
		return err
	}
	return store.Close()
}

// writeForEver starts a run and logs batch after batch, and writes the number
// of each one that was acknowledged.
func writeForEver(ctx context.Context, client *tracking.Client) error {
	exp, err := client.Experiment(ctx, "crash")
	if err != nil {
		return err
	}
	run, err := client.StartRun(ctx, exp.ID, nil)
	if err != nil {
		return err
	}
	for n := 0; ; n++ {
		b := tracking.Batch{Params: map[string]string{fmt.Sprint("batch ", n): "stored"}}
		for i := range pointsPerBatch {
			b.Metrics = append(b.Metrics, tracking.Metric{Key: fmt.Sprint("m", i%3), Value: float64(n), Step: int64(n*pointsPerBatch + i)})
		}
		if err := run.LogBatch(ctx, b); err != nil {
			return err
		}
		fmt.Println(n) // unbuffered: the line is out before the next batch
	}
}

// train is a trainer that goes on with the run that its parent started.
func train(ctx context.Context, client *tracking.Client) error {
	run, err := client.Run(ctx, tracking.RunID(os.Getenv(childRunEnv)))
	if err != nil {
		return err
	}
	if err := run.Params(ctx, map[string]string{"by trainer": "1", "by both": "same"}); err != nil {
		return err
	}
	for n := range trainerBatches {
		for i := range pointsPerBatch {
			run.Metric("trainer", float64(i), int64(n*pointsPerBatch+i))
			run.Metric("both", 1, int64(n*pointsPerBatch+i))
		}
		if err := run.Flush(ctx); err != nil {
			return err
		}
	}
	return run.Finish(ctx, tracking.Finished)
}

func startChild(t *testing.T, kind, path string, run tracking.RunID) (*exec.Cmd, *bufio.Scanner) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+kind, childFileEnv+"="+path, childRunEnv+"="+string(run))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	return cmd, bufio.NewScanner(out)
}

func TestAcknowledgedBatchesSurviveKill(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "tracking.db")
	rounds := 5
	if os.Getenv("REQUIRE_REAL") == "1" {
		rounds = 50
	}
	acknowledged := 0
	for range rounds {
		cmd, lines := startChild(t, "endless", path, "")
		last := -1
		for wait := 5 + rand.IntN(40); lines.Scan(); {
			n, err := strconv.Atoi(lines.Text())
			require.NoError(t, err)
			last = n
			if n == wait { // lines already in the pipe are read below
				require.NoError(t, cmd.Process.Kill())
			}
		}
		require.Error(t, cmd.Wait(), "the child ends by the kill only")
		require.GreaterOrEqual(t, last, 5)
		acknowledged += last + 1

		db, err := sqldb.Open(t.Context(), fileURL(path), nil)
		require.NoError(t, err)
		var verdict string
		require.NoError(t, db.Read().QueryRowContext(t.Context(), `PRAGMA integrity_check`).Scan(&verdict))
		require.Equal(t, "ok", verdict)
		require.NoError(t, db.Close())

		client := tracking.New(open(t, path), nil)
		run := interruptedRun(t, client)
		info, err := run.Info(t.Context())
		require.NoError(t, err)
		points := 0
		for _, key := range []string{"m0", "m1", "m2"} {
			history, err := run.History(t.Context(), key)
			require.NoError(t, err)
			points += len(history)
		}
		for n := range last + 1 {
			require.Equal(t, "stored", info.Params[fmt.Sprint("batch ", n)], "batch %d was acknowledged", n)
		}
		// A batch that was under way is there as a whole or not at all.
		require.Equal(t, len(info.Params)*pointsPerBatch, points)
		require.NoError(t, run.Finish(t.Context(), tracking.Killed))
	}
	t.Logf("%d kills, %d acknowledged batches, none lost", rounds, acknowledged)
}

// interruptedRun finds the one run that was left running, as a program does
// that cleans up after a crash.
func interruptedRun(t *testing.T, client *tracking.Client) *tracking.Run {
	t.Helper()
	exp, err := client.Experiment(t.Context(), "crash")
	require.NoError(t, err)
	var found []tracking.RunID
	for info, err := range client.Runs(t.Context(), tracking.RunQuery{Experiments: []tracking.ExperimentID{exp.ID}, Filter: `attributes.status = 'RUNNING'`}) {
		require.NoError(t, err)
		found = append(found, info.ID)
	}
	require.Len(t, found, 1)
	run, err := client.Run(t.Context(), found[0])
	require.NoError(t, err)
	return run
}

func TestParentAndTrainerShareAFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "tracking.db")
	client := tracking.New(open(t, path), &tracking.Options{FlushEvery: time.Millisecond})
	exp, err := client.Experiment(t.Context(), "shared")
	require.NoError(t, err)
	run, err := client.StartRun(t.Context(), exp.ID, &tracking.RunOptions{Name: "one run, two processes"})
	require.NoError(t, err)

	cmd, lines := startChild(t, "trainer", path, run.ID())
	require.NoError(t, run.Params(t.Context(), map[string]string{"by parent": "1", "by both": "same"}))
	for n := range trainerBatches {
		for i := range pointsPerBatch {
			run.Metric("parent", float64(i), int64(n*pointsPerBatch+i))
			run.Metric("both", 2, int64(n*pointsPerBatch+i))
		}
		_, err := run.Info(t.Context()) // a reader beside the two writers
		require.NoError(t, err)
	}
	require.NoError(t, run.Flush(t.Context()))
	for lines.Scan() {
		t.Log(lines.Text())
	}
	require.NoError(t, cmd.Wait())

	info, err := run.Info(t.Context())
	require.NoError(t, err)
	require.Equal(t, tracking.Finished, info.Status)
	require.Equal(t, map[string]string{"by parent": "1", "by trainer": "1", "by both": "same"}, info.Params)
	for key, want := range map[string]int{"parent": 1, "trainer": 1, "both": 2} {
		points, err := run.History(t.Context(), key)
		require.NoError(t, err)
		require.Len(t, points, want*trainerBatches*pointsPerBatch, key)
	}
	require.Zero(t, run.Dropped())
	require.NoError(t, client.Shutdown(t.Context()))
}
