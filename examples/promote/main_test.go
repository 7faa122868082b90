package main

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/registry"
)

// built is the program as a user has it, and a folder with its demo.
type built struct {
	program, dir, demo string
	out                string // of the demo
}

func build(t *testing.T) *built {
	t.Helper()
	b := &built{dir: t.TempDir()}
	b.program = filepath.Join(b.dir, "bin", "promote")
	if runtime.GOOS == "windows" {
		b.program += ".exe"
	}
	out, err := exec.CommandContext(t.Context(), "go", "build", "-o", b.program, ".").CombinedOutput()
	require.NoError(t, err, "%s", out)
	b.demo = filepath.Join(b.dir, "demo")
	b.out = b.run(t, exitOK, "demo", "-dir", b.demo)
	return b
}

// run runs the program on the demo's registry and returns what it printed.
func (b *built) run(t *testing.T, status int, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), b.program, args...)
	cmd.Dir, cmd.Env = b.dir, b.env()
	out, err := cmd.CombinedOutput()
	exit, failed := errors.AsType[*exec.ExitError](err)
	if !failed {
		require.NoError(t, err)
	}
	have := exitOK
	if failed {
		have = exit.ExitCode()
	}
	require.Equal(t, status, have, "%s", out)
	return string(out)
}

func (b *built) env(more ...string) []string {
	return append(append(os.Environ(), "PROMOTE_STORE=sqlite:"+filepath.ToSlash(filepath.Join(b.demo, "registry.db")),
		"PROMOTE_FILES="+filepath.Join(b.demo, "files")), more...)
}

func TestPromote(t *testing.T) {
	t.Parallel()
	b := build(t)
	for _, want := range []string{
		"delivery v1 to champion (-)", "and there is no champion", "promoted: v1 is champion now",
		"promoted: v2 is champion now",
		"delivery v3 to champion (v2)", "metric rmse                FAIL    rmse is 25.", "golden outputs             FAIL    case 1 of 5: off by 0.",
		"approvals (1)              pass    1 of 1, by ann", "refused: 3 of 7 gates failed; v2 stays champion",
		"champion is rolled back from v2 to v1", "The audit log is whole: 7 entries",
	} {
		require.Contains(t, b.out, want)
	}
	require.Contains(t, b.run(t, exitFailed, "demo", "-dir", b.demo), "has a registry already")

	policy := filepath.Join(b.demo, "gates.json")
	promoteTo := func(version string, more ...string) []string {
		return append([]string{"run", "-model", "delivery", "-version", version, "-policy", policy, "-by", "ci"}, more...)
	}
	reports := []string{"-junit", "promote.xml", "-markdown", "promote.md", "-json", "promote.json"}
	out := b.run(t, exitRefused, promoteTo("3", reports...)...)
	require.Contains(t, out, "refused: 3 of 7 gates failed; v1 stays champion")
	text, err := os.ReadFile(filepath.Join(b.dir, "promote.xml"))
	require.NoError(t, err)
	var suite testSuite
	require.NoError(t, xml.Unmarshal(text, &suite))
	require.Equal(t, 3, suite.Failures)
	require.Len(t, suite.Cases, 7)
	require.Contains(t, suite.Cases[0].Failure.Message, "want at most 20")
	text, err = os.ReadFile(filepath.Join(b.dir, "promote.md"))
	require.NoError(t, err)
	require.Contains(t, string(text), "| golden outputs | **FAIL** | case 1 of 5")
	text, err = os.ReadFile(filepath.Join(b.dir, "promote.json"))
	require.NoError(t, err)
	var decision struct {
		registry.Decision
		Passed bool               `json:"passed"`
		Audit  registry.AuditHead `json:"audit"`
	}
	require.NoError(t, json.Unmarshal(text, &decision))
	require.False(t, decision.Passed)
	require.EqualValues(t, 8, decision.Audit.Seq)

	require.Contains(t, b.run(t, exitOK, promoteTo("2")...), "promoted: v2 is champion now")
	require.Contains(t, b.run(t, exitOK, promoteTo("2")...), "v2 is champion already; nothing to decide")
	require.Contains(t, b.run(t, exitOK, "verify", "-head", "head.json"), "the audit log is whole: 9 entries")
	require.Contains(t, b.run(t, exitOK, "approve", "-model", "delivery", "-version", "3", "-by", "bob"), "bob approved delivery v3")
	rollback := []string{"rollback", "-model", "delivery", "-by", "ann", "-expect", "2", "-reason", "slow"}
	require.Contains(t, b.run(t, exitOK, rollback...), "champion of delivery is back at v1, from v2")
	require.Contains(t, b.run(t, exitConflict, rollback...), "the alias moved to v1, expected v2")
	require.Regexp(t, `11 .* rollback +champion +v2 +v1 +ann +slow`, b.run(t, exitOK, "history", "-model", "delivery"))
	require.Contains(t, b.run(t, exitOK, "verify", "-head", "head.json"), "11 entries")
	require.NoError(t, os.WriteFile(filepath.Join(b.dir, "head.json"), []byte(`{"seq":40,"hash":"x"}`), 0o600))
	require.Contains(t, b.run(t, exitFailed, "verify", "-head", "head.json"), "entry 12: it is missing, entry 40 was known")

	require.Contains(t, b.run(t, exitFailed, promoteTo("9")...), "has no version 9, its newest is 3")
	require.Contains(t, b.run(t, exitUsage, "run"), "run needs -model, -version, -by")
	require.Contains(t, b.run(t, exitUsage), "promote run ")
	require.Contains(t, b.run(t, exitOK, "-h"), "Exit status")
	require.Contains(t, b.run(t, exitUsage, "verify", "x"), `unexpected argument "x"`)
}

var calls = regexp.MustCompile(`(?m)(?:"\$\w+"/)?promote (?:run|verify) -.*$`)

// The commands of the templates, run by a shell as CI would, on the demo.
func TestTemplates(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("there is no sh")
	}
	b := build(t)
	policy, err := os.ReadFile(filepath.Join(b.demo, "gates.json"))
	require.NoError(t, err)
	bin := filepath.Dir(b.program)
	for name, count := range map[string]int{"gitlab-ci.yml": 2, "Jenkinsfile": 1, "azure-pipelines.yml": 1} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile(filepath.Join("ci", name))
			require.NoError(t, err)
			require.NotContains(t, string(text), "\t")
			found := calls.FindAllString(string(text), -1)
			require.Len(t, found, count)
			for _, call := range found {
				dir := t.TempDir()
				require.NoError(t, os.WriteFile(filepath.Join(dir, "gates.json"), policy, 0o600))
				key, err := os.ReadFile(filepath.Join(b.demo, "trainer.pub"))
				require.NoError(t, err)
				require.NoError(t, os.WriteFile(filepath.Join(dir, "trainer.pub"), key, 0o600))
				cmd := exec.CommandContext(t.Context(), "sh", "-c", strings.TrimSuffix(call, "')"))
				cmd.Dir = dir
				cmd.Env = b.env("PATH="+bin+":"+os.Getenv("PATH"), "GOBIN="+bin, "BINARIES="+bin, "MODEL=delivery", "VERSION=3",
					"GITLAB_USER_LOGIN=ann", "CI_PIPELINE_URL=https://ci/1", "BUILD_URL=https://ci/1", "BUILD_REQUESTEDFOR=Ann", "BUILD_BUILDID=1")
				var out bytes.Buffer
				cmd.Stdout, cmd.Stderr = &out, &out
				err = cmd.Run()
				if strings.Contains(call, "verify") {
					require.NoError(t, err, "%s", &out)
					require.FileExists(t, filepath.Join(dir, "audit-head.json"))
					continue
				}
				exit, ok := errors.AsType[*exec.ExitError](err)
				require.True(t, ok, "%s", &out)
				require.Equal(t, exitRefused, exit.ExitCode(), "%s", &out)
				require.FileExists(t, filepath.Join(dir, "promote.xml"))
			}
		})
	}
}

func TestPolicyFaults(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		``:                        "EOF",
		`{}`:                      "has no gates",
		`{"gates":[]} {}`:         "something follows its end",
		`{"gates":[{"gates":1}]}`: `unknown field "gates"`,
		`{"gates":[{"gate":"metrics"},{"gate":"golden"}]}`:                      `the policy's gate 1: "metrics" is no gate: want metric, champion, signature, profile, golden, signed or approvals` + "\n" + `the policy's gate 2: "golden" needs command`,
		`{"gates":[{"gate":"metric","metric":"auc"}]}`:                          "at_least or at_most",
		`{"gates":[{"gate":"metric","metric":"auc","at_leats":1}]}`:             "unknown field",
		`{"gates":[{"gate":"champion","metric":"auc","dataset":{"name":"x"}}]}`: "with its digest",
		`{"gates":[{"gate":"signed"}]}`:                                         "needs keys",
		`{"gates":[{"gate":"signed","keys":["none.pub"]}]}`:                     "none.pub",
		`{"gates":[{"gate":"signed","keys":["gates.json"]}]}`:                   `want a PEM block "PUBLIC KEY"`,
		`{"gates":[{"gate":"approvals"}]}`:                                      "a count of 1 or more",
	} {
		path := filepath.Join(t.TempDir(), "gates.json")
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		p, err := readPolicy(path)
		if err == nil {
			_, err = p.gates(filepath.Dir(path))
		}
		require.ErrorContains(t, err, want, text)
	}
}

func TestTablesHoldOutsideText(t *testing.T) {
	t.Parallel()
	d := &registry.Decision{Name: "m", Alias: "champion", To: 2, Gates: []registry.GateResult{
		{Gate: "a|b\x1b[31m", Verdict: registry.Verdict{Detail: "two\nlines <b>\x00 `x`"}},
	}}
	require.NotContains(t, table(d), "\x1b")
	require.Contains(t, table(d), "two lines")
	text, err := markdown(d)
	require.NoError(t, err)
	require.Contains(t, string(text), `| a\|b [31m | **FAIL** | two lines &lt;b>  'x' |`)
	text, err = junit(d)
	require.NoError(t, err)
	require.NoError(t, xml.Unmarshal(text, new(testSuite)))
}
