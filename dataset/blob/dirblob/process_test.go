package dirblob_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/dataset/blob"
	"github.com/millwright-ml/millwright/dataset/blob/dirblob"
)

// The tests start this test binary again as another process; these variables
// tell it what to do.
const (
	childRole = "DIRBLOB_TEST_ROLE"
	childDir  = "DIRBLOB_TEST_DIR"
	childName = "DIRBLOB_TEST_NAME"
)

func TestMain(m *testing.M) {
	var err error
	switch os.Getenv(childRole) {
	case "":
		os.Exit(m.Run())
	case "write":
		err = writeForever()
	case "race":
		err = createAll()
	case "count":
		err = countUp()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func child(t *testing.T, role, dir, name string) *exec.Cmd {
	t.Helper()
	exe, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.CommandContext(t.Context(), exe)
	cmd.Env = append(os.Environ(), childRole+"="+role, childDir+"="+dir, childName+"="+name)
	cmd.Stderr = os.Stderr
	return cmd
}

// checked is a body that says whether it is whole: its digest is its head.
func checked(n int, seed byte) []byte {
	data := bytes.Repeat([]byte{seed, byte(n), byte(n >> 8)}, n)
	sum := sha256.Sum256(data)
	return append([]byte(hex.EncodeToString(sum[:])), data...)
}

func whole(data []byte) bool {
	const head = 2 * sha256.Size
	if len(data) < head {
		return false
	}
	sum := sha256.Sum256(data[head:])
	return hex.EncodeToString(sum[:]) == string(data[:head])
}

// writeForever creates and replaces objects, and says on its output which
// creates were acknowledged.
func writeForever() error {
	s, err := dirblob.Open(os.Getenv(childDir))
	if err != nil {
		return err
	}
	ctx := context.Background()
	for i := 0; ; i++ {
		key := fmt.Sprintf("%s/%d/%d", os.Getenv(childName), i%7, i)
		body := checked(1+i*37%60_000, byte(i))
		if err := s.Create(ctx, key, bytes.NewReader(body), int64(len(body))); err != nil {
			return err
		}
		fmt.Println(key)
		if err := s.Put(ctx, "replaced", bytes.NewReader(body), -1); err != nil {
			return err
		}
		if err := increment(ctx, s); err != nil {
			return err
		}
	}
}

// TestKilledWriterLeavesWholeObjectsOnly kills a real process in mid-write, many
// times: every object that is visible is whole, and every acknowledged one is
// there.
func TestKilledWriterLeavesWholeObjectsOnly(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var acknowledged []string
	const kills = 15
	for round := range kills {
		cmd := child(t, "write", dir, fmt.Sprintf("round-%d", round))
		out, err := cmd.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, cmd.Start())
		lines := bufio.NewScanner(out)
		// Another number of writes in each round, so that the kill falls
		// elsewhere; then what was printed before it took effect.
		for range 1 + round*2 {
			require.True(t, lines.Scan(), "the writer ended by itself")
			acknowledged = append(acknowledged, lines.Text())
		}
		require.NoError(t, cmd.Process.Kill())
		for lines.Scan() {
			acknowledged = append(acknowledged, lines.Text())
		}
		require.Error(t, cmd.Wait())
	}

	s := open(t, dir)
	visible := map[string]bool{}
	for fi, err := range s.List(t.Context(), "") {
		require.NoError(t, err)
		data, err := blob.ReadAll(t.Context(), s, fi.Name(), 1<<20)
		require.NoError(t, err)
		if fi.Name() == counter {
			_, err := strconv.Atoi(string(data))
			require.NoError(t, err)
			continue
		}
		require.True(t, whole(data), "%s is not whole (%d bytes)", fi.Name(), len(data))
		visible[fi.Name()] = true
	}
	require.GreaterOrEqual(t, len(acknowledged), kills)
	for _, key := range acknowledged {
		require.True(t, visible[key], "%s was acknowledged and is gone", key)
	}
}

const raceKeys = 60

// createAll races for every key and prints those it won.
func createAll() error {
	s, err := dirblob.Open(os.Getenv(childDir))
	if err != nil {
		return err
	}
	// All start when the last one is up: the parent closes their inputs.
	if _, err := bufio.NewReader(os.Stdin).ReadString('\n'); err != nil {
		return err
	}
	name := os.Getenv(childName)
	for i := range raceKeys {
		key := fmt.Sprintf("race/%d", i)
		err := s.Create(context.Background(), key, strings.NewReader(name), int64(len(name)))
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err != nil {
			return err
		}
		fmt.Println(key)
	}
	return nil
}

func TestRacingProcesses(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	const processes = 4
	type racer struct {
		cmd *exec.Cmd
		out bytes.Buffer
	}
	racers := make([]*racer, processes)
	var starts []func() error
	for i := range racers {
		r := &racer{cmd: child(t, "race", dir, fmt.Sprintf("process-%d", i))}
		r.cmd.Stdout = &r.out
		in, err := r.cmd.StdinPipe()
		require.NoError(t, err)
		starts = append(starts, func() error { _, err := in.Write([]byte("go\n")); return err })
		require.NoError(t, r.cmd.Start())
		racers[i] = r
	}
	for _, start := range starts {
		require.NoError(t, start())
	}
	winner := map[string]string{}
	for i, r := range racers {
		require.NoError(t, r.cmd.Wait())
		for key := range strings.Lines(r.out.String()) {
			key = strings.TrimSpace(key)
			require.NotContains(t, winner, key, "two processes both won")
			winner[key] = fmt.Sprintf("process-%d", i)
		}
	}
	require.Len(t, winner, raceKeys)
	s := open(t, dir)
	for key, name := range winner {
		data, err := blob.ReadAll(t.Context(), s, key, 100)
		require.NoError(t, err)
		require.Equal(t, name, string(data))
	}
}
