package archtest_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/internal/archtest"
)

// What the README tells people to type must exist: the targets, the programs and
// their flags. The quickstart's own test runs it.
func TestDocumentedCommands(t *testing.T) {
	t.Parallel()
	abs, err := filepath.Abs(root)
	require.NoError(t, err)
	sh := &archtest.Shell{Root: abs, Module: editModule(t, root).Module.Path, Temp: t.TempDir()}
	for _, name := range []string{"README.md", "CONTRIBUTING.md"} {
		blocks, err := archtest.Commands(filepath.Join(root, name))
		require.NoError(t, err)
		require.NotEmpty(t, blocks, "%s has no sh block", name)
		for _, b := range blocks {
			if err := sh.Check(t.Context(), b.Command); err != nil {
				t.Errorf("%s:%d: %v", name, b.Line, err)
			}
		}
	}
}

func TestCommands(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "x.md")
	text := "make no\n```sh\n# why\n  make test\n\ngo run ./x \\\n  -serve\n```\n```go\nfunc\n```\n```sh\nmake\n```\n"
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	blocks, err := archtest.Commands(path)
	require.NoError(t, err)
	require.Equal(t, []archtest.Block{{4, "make test"}, {6, "go run ./x -serve"}, {13, "make"}}, blocks)
	require.NoError(t, os.WriteFile(path, []byte("```sh\nmake\n"), 0o600))
	_, err = archtest.Commands(path)
	require.ErrorContains(t, err, "not closed")
}

func TestShell(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"Makefile":  "FUZZTIME ?= 1s\ntest: ## x\n\tgo test ./...\n",
		"go.mod":    "module example.com/m\n\ngo 1.26\n",
		"cmd/a.go":  "package main\n\nimport \"flag\"\n\nfunc main() {\n\tflag.Bool(\"serve\", false, \"\")\n\tflag.Parse()\n}\n",
		"lib/b.go":  "package lib\n",
		"bad/c.go":  "package main\n\nimport \"os\"\n\nfunc main() { os.Exit(1) }\n",
		"none/d.md": "",
	} {
		path := filepath.Join(dir, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	}
	sh := &archtest.Shell{Root: dir, Module: "example.com/m", Temp: t.TempDir()}
	for command, want := range map[string]string{
		"make":                                    "",
		"make test FUZZTIME=1m  # long":           "",
		"CI=true make test":                       "",
		"go run ./cmd -serve":                     "",
		"go run ./cmd -h":                         "",
		"go run -tags s3 ./cmd -serve":            "",
		"go test -race ./...":                     "",
		"go vet ./lib":                            "",
		"go get example.com/m@latest":             "",
		"git clone https://example.com/m":         "",
		"cd m":                                    "",
		"make tset":                               "no target tset",
		"make test TIME=1":                        "no setting TIME",
		"go run ./cmd --sevre":                    "no flag -sevre, it has [serve]",
		"go run ./gone":                           "directory not found",
		"go run ./bad":                            "exit status 1",
		"go run example.com/x@latest":             "want a package of this tree",
		"go test -rase ./...":                     "go test has no flag -rase",
		"go get example.com/other":                "another module",
		"git clone https://example.com/other.git": "another repository",
		"cd x":       "no command that this test knows",
		"frobnicate": "no command that this test knows",
	} {
		err := sh.Check(t.Context(), command)
		if want == "" {
			require.NoError(t, err, command)
			continue
		}
		require.ErrorContains(t, err, want, fmt.Sprintf("%q", command))
	}
}
