package inttest_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/internal/inttest"
)

// TestDriftRetrain runs the example, has promtool and a real Prometheus read
// what it wrote for them, and a real browser its report.
func TestDriftRetrain(t *testing.T) {
	t.Parallel()
	promtool := inttest.Tool(t, "promtool")
	program, dir := filepath.Join(t.TempDir(), "drift-retrain"), filepath.Join(t.TempDir(), "loans")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", program, "./examples/drift-retrain")
	build.Dir = filepath.Join("..", "..")
	said, err := build.CombinedOutput()
	require.NoError(t, err, "%s", said)
	cmd := exec.CommandContext(t.Context(), program, "-dir", dir, "-serve")
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	require.NoError(t, err)
	defer func() { _ = log.Close() }()
	cmd.Stdout, cmd.Stderr = log, log
	require.NoError(t, cmd.Start())
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	defer func() { _ = cmd.Process.Kill(); <-ended }()
	eventually(t, "the end of the story", func() bool {
		text, err := os.ReadFile(log.Name())
		require.NoError(t, err)
		select {
		case err := <-ended:
			ended <- err
			t.Fatalf("it ended: %v\n%s", err, text)
		default:
		}
		return bytes.Contains(text, []byte("Going on with traffic"))
	})
	operations := filepath.Join(dir, "operations")
	for _, args := range [][]string{{"check", "rules", "--lint-fatal", filepath.Join(operations, "rules.yml")}, {"check", "config", filepath.Join(operations, "prometheus.yml")}} {
		said, err := exec.CommandContext(t.Context(), promtool, args...).CombinedOutput()
		require.NoError(t, err, "%s", said)
	}
	base := inttest.StartPrometheus(t, filepath.Join(operations, "prometheus.yml"))
	eventually(t, "the recorded drift of the fleet", func() bool {
		return len(promValues(t, base, `millwright:feature_psi:5m{model="loans", version="2"}`, "feature")) == 4
	})
	require.Equal(t, map[string]float64{"opened": 1, "promoted": 1, "refused": 0, "failed": 0}, promValues(t, base, `millwright_retrain_triggers_total`, "result"))

	browser := inttest.OpenBrowser(t)
	for _, scheme := range []string{"light", "dark"} {
		browser.Call("Emulation.setEmulatedMedia", map[string]any{"features": []any{map[string]string{"name": "prefers-color-scheme", "value": scheme}}}, nil)
		browser.Open("file://" + filepath.Join(dir, "report.html"))
		require.True(t, browser.Settle())
		text := browser.Text()
		for _, want := range []string{"loans 2", "Features, the worst first", "Over the windows", "Performance", "channel"} {
			require.Contains(t, text, want)
		}
		var page struct {
			Background      string
			Wide, Nameless  int
			Plots, Headings int
		}
		browser.Evaluate(`({
			background: getComputedStyle(document.body).backgroundColor,
			wide: document.documentElement.scrollWidth - innerWidth,
			nameless: [...document.querySelectorAll('svg')].filter(s => !(s.getAttribute('aria-label') || s.getAttribute('aria-labelledby') || s.getAttribute('aria-hidden'))).length,
			plots: [...document.querySelectorAll('svg')].filter(s => s.getBoundingClientRect().height > 10).length,
			headings: document.querySelectorAll('h1').length,
		})`, &page)
		require.Equal(t, map[string]string{"light": "rgb(255, 255, 255)", "dark": "rgb(13, 17, 23)"}[scheme], page.Background)
		require.LessOrEqual(t, page.Wide, 0, "nothing is beside the page")
		require.Zero(t, page.Nameless)
		require.Greater(t, page.Plots, 5)
		require.Equal(t, 1, page.Headings)
		faults, _ := browser.Faults()
		require.Empty(t, strings.Join(faults, "\n"))
		if folder := os.Getenv("MILLWRIGHT_SHOTS"); folder != "" { //nolint:forbidigo // For whoever wants to look.
			browser.Screenshot(filepath.Join(folder, "report-"+scheme+".png"))
		}
	}
}
