package archtest_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var (
	moduleLine = regexp.MustCompile(`(?m)^module .*$`)
	tagLine    = regexp.MustCompile(`(?m)^//go:build ([a-z0-9]+)$`)
)

// An example is there to be copied. So each is, into a module of its own, and is
// built with what this module's users get: no network, nothing of our internals.
func TestExamplesBuildOutOfTree(t *testing.T) {
	t.Parallel()
	abs, err := filepath.Abs(root)
	require.NoError(t, err)
	ours := editModule(t, root).Module.Path
	mod, err := os.ReadFile(filepath.Join(root, "go.mod"))
	require.NoError(t, err)
	sum, err := os.ReadFile(filepath.Join(root, "go.sum"))
	require.NoError(t, err)
	folders, err := filepath.Glob(filepath.Join(root, "examples", "*"))
	require.NoError(t, err)
	require.NotEmpty(t, folders)
	for _, folder := range folders {
		t.Run(filepath.Base(folder), func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "copy")
			require.NoError(t, os.CopyFS(dir, os.DirFS(folder)))
			text := moduleLine.ReplaceAllString(string(mod), "module example.com/copy")
			text += "\nrequire " + ours + " v0.0.0\n\nreplace " + ours + " => " + abs + "\n"
			require.NoError(t, os.WriteFile(filepath.Join(dir, "go.mod"), []byte(text), 0o600))
			require.NoError(t, os.WriteFile(filepath.Join(dir, "go.sum"), sum, 0o600))
			for _, tags := range append(optionalTags(t, folder), "") {
				cmd := exec.CommandContext(t.Context(), "go", "build", "-tags", tags, "-o", os.DevNull, "./...")
				cmd.Dir = dir
				cmd.Env = append(os.Environ(), "GOFLAGS="+strings.TrimSpace(os.Getenv("GOFLAGS")+" -mod=mod"), "GOPROXY=off", "GOWORK=off")
				out, err := cmd.CombinedOutput()
				require.NoError(t, err, "tags %q: %s", tags, out)
			}
		})
	}
}

// optionalTags lists the build tags that switch a file of the example on and are
// no operating system: lines such as "//go:build s3".
func optionalTags(t *testing.T, folder string) []string {
	t.Helper()
	var tags []string
	files, err := filepath.Glob(filepath.Join(folder, "*.go"))
	require.NoError(t, err)
	for _, file := range files {
		data, err := os.ReadFile(file)
		require.NoError(t, err)
		m := tagLine.FindSubmatch(data)
		if m != nil && !slices.Contains([]string{"unix", "linux", "darwin", "windows"}, string(m[1])) {
			tags = append(tags, string(m[1]))
		}
	}
	return tags
}
