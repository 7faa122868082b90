package archtest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"go/parser"
	"go/token"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Package is what the rules need of one package of `go list -deps -json`.
type Package struct {
	ImportPath string
	Name       string
	Dir        string
	Standard   bool
	GoFiles    []string
	Imports    []string
	Module     *struct{ Path, GoVersion string }
	Error      *struct{ Err string }
}

// module is the path of the package's module; empty for the standard library.
func (p *Package) module() string {
	if p.Standard || p.Module == nil {
		return ""
	}
	return p.Module.Path
}

// Graph is a module's packages with everything that they link.
type Graph struct {
	Module   string // path of the module under test
	Packages map[string]*Package
}

// Load lists the module in dir. The target is fixed, so that the answer is the
// same on every machine.
func Load(ctx context.Context, dir string) (*Graph, error) {
	out, err := goCommand(ctx, dir, []string{"GOOS=linux", "GOARCH=amd64", "CGO_ENABLED=0", "GOWORK=off"},
		"list", "-e", "-deps", "-json=ImportPath,Name,Dir,Standard,GoFiles,Imports,Module,Error", "./...")
	if err != nil {
		return nil, err
	}
	g := &Graph{Packages: map[string]*Package{}}
	var faults []error
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p Package
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, fmt.Errorf("archtest: go list: %w", err)
		}
		if p.Error != nil {
			faults = append(faults, fmt.Errorf("archtest: %s: %s", p.ImportPath, p.Error.Err))
		}
		g.Packages[p.ImportPath] = &p
	}
	name, err := goCommand(ctx, dir, nil, "list", "-m")
	if err != nil {
		return nil, err
	}
	g.Module = strings.TrimSpace(string(name))
	return g, errors.Join(faults...)
}

// goCommand runs the go tool and returns its standard output.
func goCommand(ctx context.Context, dir string, env []string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), env...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return out, fmt.Errorf("archtest: go %s: %w\n%s", strings.Join(args, " "), err, stderr.Bytes())
	}
	return out, nil
}

// own lists the module's packages, relative to it, sorted; "." is its root.
func (g *Graph) own() []string {
	var list []string
	for path := range g.Packages {
		if rel, ok := g.relative(path); ok {
			list = append(list, rel)
		}
	}
	slices.Sort(list)
	return list
}

func (g *Graph) relative(path string) (string, bool) {
	if path == g.Module {
		return ".", true
	}
	return strings.CutPrefix(path, g.Module+"/")
}

func (g *Graph) get(rel string) *Package {
	if rel == "." {
		return g.Packages[g.Module]
	}
	return g.Packages[g.Module+"/"+rel]
}

// linked maps every module in the link set of the package to the shortest chain
// of imports that brings it in.
func (g *Graph) linked(rel string) map[string][]string {
	start := g.get(rel).ImportPath
	from := map[string]string{start: ""}
	found := map[string][]string{}
	for queue := []string{start}; len(queue) > 0; queue = queue[1:] {
		p := g.Packages[queue[0]]
		if p == nil {
			continue
		}
		if m := p.module(); m != "" && m != g.Module && found[m] == nil {
			var chain []string
			for at := queue[0]; at != ""; at = from[at] {
				chain = append(chain, at)
			}
			slices.Reverse(chain)
			found[m] = chain
		}
		for _, next := range p.Imports {
			if _, seen := from[next]; !seen {
				from[next] = queue[0]
				queue = append(queue, next)
			}
		}
	}
	return found
}

// importer names the file of the package that has the import.
func importer(p *Package, path string) string {
	for _, name := range p.GoFiles {
		f, err := parser.ParseFile(token.NewFileSet(), filepath.Join(p.Dir, name), nil, parser.ImportsOnly)
		if err != nil {
			continue
		}
		for _, spec := range f.Imports {
			if got, err := strconv.Unquote(spec.Path.Value); err == nil && got == path {
				return name
			}
		}
	}
	return "some file"
}
