//go:build unix

package checkpoint_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/train"
	"github.com/millwright-ml/millwright/train/checkpoint"
)

// The Python module knows as the package does what an earlier start saved, whose
// attempt had the same number.
func TestPythonResumesTheSameAttempt(t *testing.T) {
	t.Parallel()
	python, err := exec.LookPath("python3")
	if err != nil {
		if os.Getenv("REQUIRE_REAL") != "" {
			t.Fatal("there is no python3")
		}
		t.Skip("there is no python3")
	}
	dir := t.TempDir()
	save(t, keeper(t, checkpoint.Options{URI: dir}, train.EnvJobID, "j", train.EnvAttempt, "1", train.EnvResumes, "1", train.EnvStart, "pod-1"), 10)
	const script = `
import io
import millwright_checkpoint as mw
job = {"MILLWRIGHT_JOB_ID": "j"}
for env in (
    {"MILLWRIGHT_ATTEMPT": "1", "MILLWRIGHT_RESUMES": "1", "MILLWRIGHT_START": "pod-1"},
    {"MILLWRIGHT_ATTEMPT": "2", "MILLWRIGHT_START": "pod-1", "TORCHELASTIC_RESTART_COUNT": "1"},
    {"MILLWRIGHT_ATTEMPT": "2", "MILLWRIGHT_START": "pod-2"},
    {"MILLWRIGHT_ATTEMPT": "0", "MILLWRIGHT_START": "pod-2"},
    {"MILLWRIGHT_ATTEMPT": "0", "MILLWRIGHT_START": "pod-2", "GROUP_RANK": "1", "RANK": "1"},
    {"MILLWRIGHT_ATTEMPT": "2"},
):
    kept = mw.open("DIR", env=dict(job, **env), out=io.StringIO(), on_signal=False)
    print(kept.latest().step if kept.latest() else "none")
kept = mw.open("DIR", env=dict(job, MILLWRIGHT_START="pod-3", GROUP_RANK="1"), out=io.StringIO(), on_signal=False)
kept._began -= 3600
print(kept.latest().step if kept.latest() else "none")
`
	run := exec.Command(python, "-B", "-c", strings.ReplaceAll(script, "DIR", dir))
	run.Dir = "."
	out, err := run.CombinedOutput()
	require.NoError(t, err, string(out))
	require.Equal(t, []string{"none", "10", "10", "10", "10", "none", "none"}, strings.Fields(string(out)))
}
