package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/dataset"
	"github.com/millwright-ml/millwright/dataset/blob/dirblob"
)

// program is the built command: the tests run it as a user does.
var program string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "quickstart")
	if err != nil {
		panic(err)
	}
	program = filepath.Join(dir, "quickstart")
	build := exec.Command("go", "build", "-o", program, ".")
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "building the quickstart:", err)
		os.Exit(1)
	}
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// process is one running quickstart.
type process struct {
	*exec.Cmd
	out, err bytes.Buffer
}

func start(t *testing.T, args ...string) *process {
	t.Helper()
	p := &process{Cmd: exec.Command(program, args...)}
	p.Stdout, p.Stderr = &p.out, &p.err
	require.NoError(t, p.Start())
	t.Cleanup(func() { _ = p.Process.Kill() })
	return p
}

// end waits for the process and returns its exit status.
func (p *process) end(t *testing.T) int {
	t.Helper()
	err := p.Wait()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		require.NoError(t, err)
	}
	return p.ProcessState.ExitCode()
}

// well runs the loop to its end and returns what it printed.
func well(t *testing.T, args ...string) string {
	t.Helper()
	p := start(t, args...)
	require.Zero(t, p.end(t), "stdout:\n%s\nstderr:\n%s", &p.out, &p.err)
	return p.out.String()
}

// fails runs a program that must fail with one sentence and this status.
func fails(t *testing.T, status int, args ...string) string {
	t.Helper()
	p := start(t, args...)
	require.Equal(t, status, p.end(t), "stdout:\n%s\nstderr:\n%s", &p.out, &p.err)
	sentence := strings.TrimSpace(p.err.String())
	require.NotContains(t, sentence, "\n", "one sentence, not a report")
	require.NotContains(t, sentence, "panic")
	return sentence
}

// TestTheWholeLoop runs the command with -serve, attacks the server, runs it
// again in the same folder, explains a prediction, and damages a model file.
func TestTheWholeLoop(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "loop")

	stdout, w := io.Pipe()
	p := &process{Cmd: exec.Command(program, "-dir", dir, "-serve")}
	p.Stdout, p.Stderr = io.MultiWriter(w, &p.out), &p.err
	require.NoError(t, p.Start())
	t.Cleanup(func() { _ = p.Process.Kill() })
	exited := make(chan error, 1)
	go func() { exited <- p.Wait(); _ = w.Close() }()
	url := waitFor(t, stdout, regexp.MustCompile(`Serving at (http://\S+) until`), &p.err)
	t.Run("bad requests", func(t *testing.T) { badRequests(t, url) })
	t.Run("metrics", func(t *testing.T) {
		body := get(t, url+"/metrics")
		require.Contains(t, body, `millwright_feature_drift_score{`)
		require.Contains(t, body, `millwright_model_info{`)
	})
	require.NoError(t, p.Process.Signal(os.Interrupt))
	go func() { _, _ = io.Copy(io.Discard, stdout) }()
	require.NoError(t, <-exited, "Ctrl-C after the loop is a good end: %s", &p.err)

	first := p.out.String()
	for _, want := range []string{
		"January 2001 becomes version 1", "held-out AUC 0.6", "exit status 0", "is FINISHED",
		"by compare-and-swap", "answers the Open Inference Protocol", "ALARM: distance drifted",
		"x 1.6093, as kilometres would be: repaired", "as version 2", "held-out flights of the last four weeks: champion AUC",
		"bit for bit", " 0 failed",
	} {
		require.Contains(t, first, want)
	}
	// The alarm comes at the end of the week in which the kilometres came.
	require.Regexp(t, `The kilometres came in the week of (\d+ \w+) and were raised at its end`, first)
	before, _, _ := strings.Cut(first, "ALARM")
	require.Equal(t, 1, strings.Count(before, " drift "), "one window drifted, and none before it")
	require.Contains(t, before, weekName(incident-1))
	require.NotContains(t, before, weekName(incident+1))

	second := well(t, "-dir", dir)
	require.Contains(t, second, "already here from an earlier run")
	require.Contains(t, second, "bit for bit")

	other := fails(t, 1, "-dir", dir, "-data", punctual(t, t.TempDir()))
	require.Contains(t, other, "another data file")

	id := regexp.MustCompile(`-explain (\S+)`).FindStringSubmatch(first)[1]
	lineage := well(t, "-dir", dir, "-explain", id)
	require.Contains(t, lineage, "bit for bit")
	require.Contains(t, fails(t, 1, "-dir", dir, "-explain", "no-such-request"), "not found")

	model := regexp.MustCompile(`model\.json +\S+ \S+ +sha256:(\w+)`).FindStringSubmatch(first)[1]
	damage(t, filepath.Join(dir, "store", "models"), model)
	sentence := fails(t, 1, "-dir", dir, "-explain", id)
	require.Contains(t, sentence, "model.json")
	require.Contains(t, sentence, model)
}

// TestKilledAnywhere kills the loop at random moments and starts it again, in four
// folders beside each other, since a kill in an empty one meets other states: no
// start may fail, and the last one must end well. With REQUIRE_REAL=1 each kill
// is followed by a run to the end.
func TestKilledAnywhere(t *testing.T) {
	t.Parallel()
	base := t.TempDir()
	begin := time.Now()
	well(t, "-dir", filepath.Join(base, "whole"))
	whole := time.Since(begin)
	seed := uint64(time.Now().UnixNano())
	t.Logf("a whole run takes %v; seed %d", whole, seed)
	for folder := range uint64(4) {
		t.Run(fmt.Sprint(folder), func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(base, fmt.Sprint("killed-", folder))
			random := rand.New(rand.NewPCG(seed, folder))
			for i := range 5 {
				killOnce(t, dir, i, time.Duration(random.Int64N(int64(whole))))
			}
			require.Contains(t, well(t, "-dir", dir), "bit for bit")
		})
	}
}

// killOnce starts the loop and kills it some time after.
func killOnce(t *testing.T, dir string, i int, after time.Duration) {
	t.Helper()
	ring3 := os.Getenv("REQUIRE_REAL") != ""
	if !ring3 {
		after /= 3 // most states are in the first third, and this ring is a quick one
	}
	p := start(t, "-dir", dir)
	timer := time.AfterFunc(after, func() { _ = p.Process.Kill() })
	status := p.end(t)
	timer.Stop()
	require.Contains(t, []int{-1, 0}, status, "start %d, to be killed after %v, failed by itself:\n%s\n%s", i, after, &p.out, &p.err)
	if ring3 {
		well(t, "-dir", dir)
	}
}

// TestTrainerKilled kills the trainer each time that it is started: once is no
// failure, the launcher takes it for one of the machine.
func TestTrainerKilled(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "trainer")
	p := start(t, "-dir", dir)
	ended := make(chan struct{})
	var killed sync.WaitGroup
	killed.Go(func() {
		for {
			select {
			case <-ended:
				return
			case <-time.After(time.Millisecond):
				for _, pid := range trainers(dir) {
					_ = syscall.Kill(pid, syscall.SIGKILL)
				}
			}
		}
	})
	status := p.end(t)
	close(ended)
	killed.Wait()
	require.Equal(t, 1, status, "stdout:\n%s\nstderr:\n%s", &p.out, &p.err)
	require.Contains(t, p.err.String(), "killed")
	require.Contains(t, p.err.String(), "nothing was registered")
}

// trainers are the processes that train in a folder. The trainer lives a second
// or less, so they are looked for without starting a program where that can be.
func trainers(dir string) (pids []int) {
	const sought = "quickstart\x00train\x00-dir\x00"
	all, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil || len(all) == 0 {
		out, _ := exec.Command("pgrep", "-f", "quickstart train -dir "+dir).Output() // an error is that there is none
		for text := range strings.FieldsSeq(string(out)) {
			if pid, err := strconv.Atoi(text); err == nil {
				pids = append(pids, pid)
			}
		}
		return pids
	}
	for _, path := range all {
		line, err := os.ReadFile(path)
		if err == nil && strings.Contains(string(line), sought+dir) {
			if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path))); err == nil {
				pids = append(pids, pid)
			}
		}
	}
	return pids
}

func TestTrainerExits1(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	sentence := fails(t, 1, "-dir", filepath.Join(dir, "loop"), "-data", punctual(t, dir))
	require.Contains(t, sentence, "nothing was registered")
	require.Contains(t, sentence, "only one class")
}

func TestBadSurroundings(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	require.NoError(t, os.WriteFile(file, []byte("not Parquet"), 0o644))
	truncated := filepath.Join(dir, "truncated.parquet")
	require.NoError(t, os.WriteFile(truncated, sample[:len(sample)/2], 0o644))
	flipped := bytes.Clone(sample)
	for i := len(flipped) / 3; i < len(flipped)/3+64; i++ {
		flipped[i] ^= 0xff
	}
	corrupt := filepath.Join(dir, "corrupt.parquet")
	require.NoError(t, os.WriteFile(corrupt, flipped, 0o644))
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = ln.Close() }) // after the parallel subtests

	loop := filepath.Join(dir, "loop")
	for _, c := range []struct {
		name   string
		status int
		want   string
		args   []string
	}{
		{"missing data file", 1, "no such file", []string{"-data", filepath.Join(dir, "none.parquet")}},
		{"data file that is not Parquet", 1, "not a Parquet file", []string{"-data", file}},
		{"truncated data file", 1, "truncated.parquet", []string{"-data", truncated}},
		{"corrupt data file", 1, "corrupt.parquet", []string{"-data", corrupt}},
		{"folder is a file", 1, "-dir", []string{"-dir", file}},
		{"folder not writable", 1, "-dir", []string{"-dir", "/proc/millwright"}},
		{"port in use", 1, "another program", []string{"-addr", ln.Addr().String()}},
		{"store not linked", 1, "-tags s3", []string{"-store", "s3://bucket/x"}},
		{"explain in an empty folder", 1, "no earlier run", []string{"-dir", dir, "-explain", "x"}},
		{"stray argument", 2, "unexpected argument", []string{"now"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			args := c.args
			if !strings.Contains(strings.Join(args, " "), "-dir") {
				args = append([]string{"-dir", loop + strings.ReplaceAll(c.name, " ", "-")}, args...)
			}
			require.Contains(t, fails(t, c.status, args...), c.want)
		})
	}
}

func TestFolderInUse(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	release, err := lockFolder(dir)
	require.NoError(t, err)
	defer release()
	require.Contains(t, fails(t, 1, "-dir", dir), "in use by another run")
}

func TestCtrlC(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "ctrl-c")
	p := start(t, "-dir", dir)
	require.Eventually(t, func() bool {
		_, err := os.Stat(filepath.Join(dir, "millwright.db"))
		return err == nil
	}, 20*time.Second, time.Millisecond)
	require.NoError(t, p.Process.Signal(syscall.SIGINT))
	require.Equal(t, 130, p.end(t), "%s", &p.err)
	require.Contains(t, p.err.String(), "run it again to go on")
}

// badRequests sends what a broken or hostile client might.
func badRequests(t *testing.T, url string) {
	infer := url + "/v2/models/flights-late/infer"
	good := `{"inputs":[{"name":"origin","datatype":"BYTES","shape":[1],"data":["ATL"]},{"name":"destination","datatype":"BYTES","shape":[1],"data":["LAX"]},` +
		`{"name":"distance","datatype":"FP64","shape":[1],"data":[1946]},{"name":"hour","datatype":"INT64","shape":[1],"data":[8]},{"name":"weekday","datatype":"INT64","shape":[1],"data":[0]}]}`
	for _, c := range []struct {
		name, url, body string
		status          int
		want            string
	}{
		{"good", infer, good, 200, `"model_version"`},
		{"wrong shape", infer, strings.Replace(good, `"shape":[1],"data":[8]`, `"shape":[2],"data":[8]`, 1), 400, "hour"},
		{"wrong type", infer, strings.Replace(good, `[1946]`, `["far"]`, 1), 400, "distance"},
		{"wrong datatype", infer, strings.Replace(good, `FP64`, `FP32`, 1), 400, "FP64"},
		{"overflowing shape", infer, strings.Replace(good, `"shape":[1],"data":[1946]`, `"shape":[4611686018427387904,4],"data":[1946]`, 1), 400, "distance"},
		{"missing input", infer, `{"inputs":[]}`, 400, "origin"},
		{"unknown model", url + "/v2/models/none/infer", good, 404, "none"},
		{"unknown version", url + "/v2/models/flights-late/versions/999/infer", good, 404, "999"},
		{"truncated JSON", infer, good[:len(good)/2], 400, "error"},
		{"not JSON", infer, "hello", 400, "error"},
		{"empty", infer, "", 400, "error"},
		{"100 MB", infer, strings.Repeat(" ", 100<<20), 413, "error"},
		{"good after all", infer, good, 200, `"late"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, c.url, strings.NewReader(c.body))
			require.NoError(t, err)
			resp, err := http.DefaultClient.Do(req)
			require.NoError(t, err)
			defer func() { _ = resp.Body.Close() }()
			body, err := io.ReadAll(resp.Body)
			require.NoError(t, err)
			require.Equal(t, c.status, resp.StatusCode, "%s", body)
			require.Contains(t, string(body), c.want)
		})
	}
}

func get(t *testing.T, url string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	require.NoError(t, err)
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, resp.StatusCode)
	return string(body)
}

// waitFor reads r until the pattern has come and returns its first group.
func waitFor(t *testing.T, r io.Reader, pattern *regexp.Regexp, stderr fmt.Stringer) string {
	t.Helper()
	var seen []byte
	buf := make([]byte, 4096)
	for {
		n, err := r.Read(buf)
		seen = append(seen, buf[:n]...)
		if m := pattern.FindSubmatch(seen); m != nil {
			return string(m[1])
		}
		require.NoError(t, err, "ended without %s:\n%s\n%s", pattern, seen, stderr)
	}
}

// damage flips a byte of the object below dir whose name starts with prefix.
func damage(t *testing.T, dir, prefix string) {
	t.Helper()
	found := false
	require.NoError(t, filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || !strings.HasPrefix(d.Name(), prefix) {
			return err
		}
		found = true
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		data[len(data)/2] ^= 1
		if err := os.Chmod(path, 0o644); err != nil {
			return err
		}
		return os.WriteFile(path, data, 0o644)
	}))
	require.True(t, found, "no object %s… below %s", prefix, dir)
}

// punctual writes a Parquet file of flights that all arrive on time.
func punctual(t *testing.T, dir string) string {
	t.Helper()
	flights, _, err := importFlights("")
	require.NoError(t, err)
	for i := range flights {
		flights[i].Delay = 0
	}
	store, err := dirblob.Open(filepath.Join(dir, "store"))
	require.NoError(t, err)
	defer func() { _ = store.Close() }()
	ds, err := dataset.New(store, nil).Create(context.Background(), "punctual", flightSchema, nil)
	require.NoError(t, err)
	r, err := records(flights)
	require.NoError(t, err)
	defer r.Release()
	v, err := ds.Append(context.Background(), r, nil)
	require.NoError(t, err)
	require.Len(t, v.Files, 1)
	return filepath.Join(dir, "store", "punctual", filepath.FromSlash(v.Files[0].Path))
}
