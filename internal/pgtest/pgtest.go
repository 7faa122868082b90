package pgtest

import (
	"cmp"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
)

// owner owns the databases; its password is not asked for.
const owner = "millwright"

// shared is the server of this test process.
type shared struct {
	once   sync.Once
	server *Server
	err    error
}

var process shared

func (s *shared) get(t testing.TB) *Server {
	t.Helper()
	bin := installed(t)
	s.once.Do(func() { s.server, s.err = start(bin, Options{}) })
	if s.err != nil {
		t.Fatalf("start PostgreSQL: %v", s.err)
	}
	return s.server
}

// URL returns the URL of a fresh empty database, which is dropped when the
// test ends.
func URL(t testing.TB) string {
	t.Helper()
	return process.get(t).URL(t)
}

// SchemaURL returns a URL for a client of Go's pgx that sees one fresh empty
// schema (by its search_path) in a database that others share. It takes a
// hundredth of the time of a database of its own, for tests that need many.
func SchemaURL(t testing.TB) string {
	t.Helper()
	s := process.get(t)
	name := fmt.Sprintf("schema%d", databases.Add(1))
	if err := execute(s.Addr(), "postgres", "CREATE SCHEMA "+name); err != nil {
		t.Fatalf("create a schema: %v", err)
	}
	return fmt.Sprintf("postgres://%s@%s/postgres?sslmode=disable&search_path=%s", owner, s.Addr(), name)
}

// Options of Start. The zero value is ready, and so is a nil pointer.
type Options struct {
	// Fsync makes commits survive a power cut, as a server in use is set up.
	Fsync bool
	// Settings are more of the server's, like "max_connections": "20".
	Settings map[string]string
}

// Start starts a server for this test alone, which ends with it.
func Start(t testing.TB, opts *Options) *Server {
	t.Helper()
	var o Options
	if opts != nil {
		o = *opts
	}
	s, err := start(installed(t), o)
	if err != nil {
		t.Fatalf("start PostgreSQL: %v", err)
	}
	t.Cleanup(s.remove)
	return s
}

var databases atomic.Int64

// URL returns the URL of a fresh empty database of this server, which is
// dropped when the test ends and the server still runs.
func (s *Server) URL(t testing.TB) string {
	t.Helper()
	name := fmt.Sprintf("test%d", databases.Add(1))
	if err := execute(s.Addr(), "postgres", "CREATE DATABASE "+name+" TEMPLATE template0"); err != nil {
		t.Fatalf("create a database: %v", err)
	}
	t.Cleanup(func() {
		// A server that a test has killed has nothing to drop.
		_ = execute(s.Addr(), "postgres", "DROP DATABASE "+name+" WITH (FORCE)")
	})
	return fmt.Sprintf("postgres://%s@%s/%s?sslmode=disable", owner, s.Addr(), name)
}

// installed returns the folder of the server's programs.
func installed(t testing.TB) string {
	t.Helper()
	reason := ""
	if !supported {
		reason = "PostgreSQL is started on Unix systems only"
	} else if bin := findBin(); bin != "" {
		return bin
	} else {
		reason = "PostgreSQL is not installed: apt-get install postgresql, or set MILLWRIGHT_POSTGRES_BIN to the folder of initdb and postgres"
	}
	if env("REQUIRE_REAL") == "1" {
		t.Fatal(reason)
	}
	t.Skip(reason)
	return ""
}

func findBin() string {
	var dirs []string
	if dir := env("MILLWRIGHT_POSTGRES_BIN"); dir != "" {
		return dir // its absence shows at the start
	}
	if path, err := exec.LookPath("initdb"); err == nil {
		dirs = append(dirs, filepath.Dir(path))
	}
	packaged, _ := filepath.Glob("/usr/lib/postgresql/*/bin") // the pattern is right
	slices.SortFunc(packaged, func(a, b string) int {
		return cmp.Or(cmp.Compare(len(b), len(a)), cmp.Compare(b, a)) // all supported versions have two digits
	})
	dirs = append(dirs, packaged...)
	if cache := env("MILLWRIGHT_CACHE"); cache != "" {
		dirs = append(dirs, filepath.Join(cache, "bin"))
	}
	for _, dir := range dirs {
		if isFile(filepath.Join(dir, "initdb")) && isFile(filepath.Join(dir, "postgres")) {
			return dir
		}
	}
	return ""
}

// env reads what the documentation of this package names.
func env(name string) string {
	return os.Getenv(name) //nolint:forbidigo // it runs in tests only, whose settings come from the environment
}

func isFile(path string) bool {
	st, err := os.Stat(path)
	return err == nil && st.Mode().IsRegular()
}
