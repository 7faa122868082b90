package archtest_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/internal/archtest"
)

func TestFiles(t *testing.T) {
	t.Parallel()
	faults, err := archtest.CheckFiles(os.DirFS(root))
	require.NoError(t, err)
	if len(faults) > 0 {
		t.Error(strings.Join(faults, "\n"))
	}
}

func TestCheckFilesRefuses(t *testing.T) {
	t.Parallel()
	long := &fstest.MapFile{Data: []byte(strings.Repeat("\n", archtest.MaxLines+1))}
	faults, err := archtest.CheckFiles(fstest.MapFS{
		"a/good.go":          {},
		"a/util.go":          {},
		"a/misc_test.go":     {},
		"common/x.go":        {},
		"a/long.go":          long,
		"a/long.txt":         long,
		"testdata/a/util.go": {},
		".cache/a/util.go":   {},
	})
	require.NoError(t, err)
	require.Equal(t, []string{
		"a/long.go: has 501 lines, want at most 500: give each idea its file",
		"a/misc_test.go: name it after what is in it",
		"a/util.go: name it after what is in it",
		"common: name it after what is in it",
	}, faults)
}

func TestDocs(t *testing.T) {
	t.Parallel()
	g, err := tree()
	require.NoError(t, err)
	faults, err := archtest.CheckDocs(g)
	require.NoError(t, err)
	if len(faults) > 0 {
		t.Error(strings.Join(faults, "\n"))
	}
}

func TestCheckDocsRefuses(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"go.mod":          "module m\n\ngo 1.26\n",
		"good/a.go":       "// Package good is.\npackage good\n",
		"good/a_test.go":  "package good_test\n\nimport \"fmt\"\n\nfunc Example() {\n\tfmt.Println(1)\n\t// Output: 1\n}\n",
		"bare/a.go":       "package bare\n",
		"bare/a_test.go":  "package bare_test\n\nfunc Example() {}\n",
		"twice/a.go":      "// Package twice is.\npackage twice\n",
		"twice/b.go":      "// Package twice is.\npackage twice\n",
		"internal/x/a.go": "// Package x is.\npackage x\n",
		"kittest/a.go":    "// Package kittest is.\npackage kittest\n",
		"examples/e/a.go": "// Command e is.\npackage main\n\nfunc main() {}\n",
	} {
		path := filepath.Join(dir, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	}
	g, err := archtest.Load(t.Context(), dir)
	require.NoError(t, err)
	faults, err := archtest.CheckDocs(g)
	require.NoError(t, err)
	require.Equal(t, []string{
		"bare: has 0 package comments [], want one",
		`bare: has no Example with an "// Output:" comment`,
		"twice: has 2 package comments [a.go b.go], want one",
		`twice: has no Example with an "// Output:" comment`,
	}, faults)
}

// A replace works for us and for nobody who imports us.
func TestModuleReplacesNothing(t *testing.T) {
	t.Parallel()
	require.Empty(t, editModule(t, root).Replace)
}

type moduleFile struct {
	Module  struct{ Path string }
	Go      string
	Replace []json.RawMessage
}

func editModule(t *testing.T, dir string) moduleFile {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "mod", "edit", "-json")
	cmd.Dir = dir
	out, err := cmd.Output()
	require.NoError(t, err)
	var m moduleFile
	require.NoError(t, json.Unmarshal(out, &m))
	return m
}
