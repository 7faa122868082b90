package archtest

import (
	"bufio"
	"bytes"
	"fmt"
	"go/ast"
	"go/doc"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// MaxLines is the most lines that one Go file has.
const MaxLines = 500

// vague names say nothing about what is in a file or a package.
var vague = []string{"common", "misc", "util", "utils"}

// CheckFiles walks the tree for files and folders with vague names, and for Go
// files that are too long.
func CheckFiles(root fs.FS) ([]string, error) {
	var faults []string
	err := fs.WalkDir(root, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && path != "." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata") {
			return fs.SkipDir
		}
		base := strings.TrimSuffix(d.Name(), ".go")
		isGo := base != d.Name() && !d.IsDir()
		if (isGo || d.IsDir()) && slices.Contains(vague, strings.TrimSuffix(base, "_test")) {
			faults = append(faults, fmt.Sprintf("%s: name it after what is in it", path))
		}
		if !isGo {
			return nil
		}
		data, err := fs.ReadFile(root, path)
		if err != nil {
			return err
		}
		if n := bytes.Count(data, []byte("\n")); n > MaxLines {
			faults = append(faults, fmt.Sprintf("%s: has %d lines, want at most %d: give each idea its file", path, n, MaxLines))
		}
		return nil
	})
	return faults, err
}

// CheckDocs looks for exactly one package comment in each package, and for a
// runnable Example with its output in each public one. Conformance kits, whose
// names end in "test", need a *testing.T and have their callers as examples.
func CheckDocs(g *Graph) ([]string, error) {
	var faults []string
	for _, rel := range g.own() {
		p := g.get(rel)
		var docs []string
		for _, name := range p.GoFiles {
			f, err := parser.ParseFile(token.NewFileSet(), filepath.Join(p.Dir, name), nil, parser.PackageClauseOnly|parser.ParseComments)
			if err != nil {
				return nil, err
			}
			if f.Doc != nil {
				docs = append(docs, name)
			}
		}
		if len(docs) != 1 {
			faults = append(faults, fmt.Sprintf("%s: has %d package comments %v, want one", rel, len(docs), docs))
		}
		if p.Name == "main" || !isPublic(rel) || strings.HasSuffix(p.Name, "test") {
			continue
		}
		n, err := runnableExamples(p.Dir)
		if err != nil {
			return nil, err
		}
		if n == 0 {
			faults = append(faults, fmt.Sprintf("%s: has no Example with an \"// Output:\" comment", rel))
		}
	}
	return faults, nil
}

func runnableExamples(dir string) (int, error) {
	paths, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
	if err != nil {
		return 0, err
	}
	var files []*ast.File
	for _, path := range paths {
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ParseComments)
		if err != nil {
			return 0, err
		}
		files = append(files, f)
	}
	n := 0
	for _, ex := range doc.Examples(files...) {
		if ex.Output != "" {
			n++
		}
	}
	return n, nil
}

// Block is a command of a fenced sh block in a Markdown file.
type Block struct {
	Line    int // where it is
	Command string
}

// Commands reads the commands out of the sh blocks of a Markdown file. Comments
// and empty lines are left out, continued lines are joined.
func Commands(path string) ([]Block, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var list []Block
	inside, continued := false, false
	scan := bufio.NewScanner(f)
	for n := 1; scan.Scan(); n++ {
		line := strings.TrimSpace(scan.Text())
		switch {
		case !inside:
			inside = line == "```sh"
		case line == "```":
			inside, continued = false, false
		case line == "" || strings.HasPrefix(line, "#"):
		default:
			text, more := strings.CutSuffix(line, "\\")
			if continued {
				last := &list[len(list)-1]
				last.Command += " " + strings.TrimSpace(text)
			} else {
				list = append(list, Block{Line: n, Command: strings.TrimSpace(text)})
			}
			continued = more
		}
	}
	if inside {
		return nil, fmt.Errorf("archtest: %s: a sh block is not closed", path)
	}
	return list, scan.Err()
}
