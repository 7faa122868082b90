package inttest_test

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/internal/inttest"
	"github.com/millwright-ml/millwright/internal/pgtest"
)

// TestMLflowSession plays one session of the unmodified Python client against
// upstream's server and ours and compares what the client got, field by field.
// docs/mlflow-differences.md lists what may differ, and that must.
func TestMLflowSession(t *testing.T) {
	t.Parallel()
	inttest.MLflowPython(t)
	allowed := inttest.AllowedDifferences(t)
	servers := []struct {
		name  string
		start func(t *testing.T) *inttest.MLflow
		args  []string
	}{
		{"sqlite", func(t *testing.T) *inttest.MLflow { return inttest.StartServer(t, "") }, nil},
		{"postgres", func(t *testing.T) *inttest.MLflow { return inttest.StartServer(t, pgtest.URL(t)) }, nil},
		{"s3", func(t *testing.T) *inttest.MLflow {
			s3 := inttest.StartVersityGW(t)
			env := []string{
				"AWS_ENDPOINT_URL=" + s3.Endpoint, "AWS_REGION=us-east-1",
				"AWS_ACCESS_KEY_ID=" + s3.AccessKey, "AWS_SECRET_ACCESS_KEY=" + s3.SecretKey,
			}
			return inttest.StartServerWith(t, env, "", "--artifacts-destination", "s3://"+s3.NewBucket(t)+"/mlflow")
		}, []string{"--steps", "runs,models,wire,registry"}},
	}
	var theirs, theirFolder, ourFolder *inttest.Transcript
	ours := make([]*inttest.Transcript, len(servers))
	// Clients that write their files themselves, to a folder that they and the
	// server share.
	folder := func(t *testing.T, start func(testing.TB, string, ...string) *inttest.MLflow) *inttest.Transcript {
		t.Parallel()
		root := "file://" + filepath.Join(t.TempDir(), "shared")
		server := start(t, "", "--default-artifact-root", root, "--no-serve-artifacts")
		return inttest.PlayScenario(t, server.URL, "--root", root, "--steps", "runs,models,registry")
	}
	t.Run("play", func(t *testing.T) {
		t.Run("theirs", func(t *testing.T) {
			t.Parallel()
			theirs = inttest.PlayScenario(t, inttest.StartMLflow(t, "").URL)
		})
		for i, s := range servers {
			t.Run(s.name, func(t *testing.T) {
				t.Parallel()
				ours[i] = inttest.PlayScenario(t, s.start(t).URL, s.args...)
			})
		}
		t.Run("folder of theirs", func(t *testing.T) { theirFolder = folder(t, inttest.StartMLflow) })
		t.Run("folder of ours", func(t *testing.T) { ourFolder = folder(t, inttest.StartServer) })
	})
	if t.Failed() {
		return
	}
	require.Greater(t, len(theirs.Steps), 1400)
	check := newDifferences(allowed)
	for i, s := range servers {
		t.Run(s.name, func(t *testing.T) { check.compare(t, s.name, theirs.Only(ours[i]), ours[i]) })
	}
	t.Run("folder", func(t *testing.T) { check.compare(t, "folder", theirFolder, ourFolder) })
	check.stale(t)
}

// differences compares with the table, and remembers which rows it needed.
type differences struct {
	allowed []*inttest.Allowed
	mu      sync.Mutex
	used    map[*inttest.Allowed]bool
	played  map[string]bool
}

func newDifferences(allowed []*inttest.Allowed) *differences {
	return &differences{allowed: allowed, used: map[*inttest.Allowed]bool{}, played: map[string]bool{}}
}

func (d *differences) compare(t *testing.T, server string, theirs, ours *inttest.Transcript) {
	t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	d.played[server] = true
	found := inttest.Compare(theirs, ours)
	var unlisted []string
	for _, one := range found {
		listed := false
		for _, a := range d.allowed {
			if a.SpeaksOf(server) && a.Covers(one) {
				listed, d.used[a] = true, true
			}
		}
		if !listed {
			unlisted = append(unlisted, one.String())
		}
	}
	t.Logf("%d steps, %d fields differ, %d of them unlisted", len(ours.Steps), len(found), len(unlisted))
	if dir := os.Getenv("MILLWRIGHT_TRANSCRIPTS"); dir != "" { //nolint:forbidigo // The test run's own setting.
		require.NoError(t, theirs.Write(filepath.Join(dir, server+"-mlflow.jsonl")))
		require.NoError(t, ours.Write(filepath.Join(dir, server+"-millwright.jsonl")))
	}
	if len(unlisted) > 0 {
		t.Errorf("differences that docs/mlflow-differences.md does not list:\n%s", strings.Join(unlisted, "\n"))
	}
}

// stale fails for rows that nothing needed any more.
func (d *differences) stale(t *testing.T) {
	t.Helper()
	for _, a := range d.allowed {
		if !d.used[a] && (len(a.Servers) == 0 || d.played[a.Servers[0]]) {
			t.Errorf("docs/mlflow-differences.md:%d lists a difference that there is not: %s", a.Line, a.Text)
		}
	}
}
