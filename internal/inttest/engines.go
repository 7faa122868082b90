package inttest

import (
	"bufio"
	"bytes"
	"encoding/json"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// Engines are the foreign engines that read Delta tables, as read_engines.py
// calls them.
func Engines() []string {
	return []string{"deltalake", "pandas", "polars", "duckdb", "clickhouse", "spark"}
}

// EngineRead asks an engine for one version of one table.
type EngineRead struct {
	Key     string `json:"key"`
	Table   string `json:"table"`
	Version *int64 `json:"version"`         // nil for the latest.
	Expect  string `json:"expect"`          // The Arrow IPC file with the rows that must come.
	Where   []any  `json:"where,omitempty"` // Column, operator, value.
	// Condition is a filter in the SQL of the engines that it names.
	Condition map[string]string `json:"condition,omitempty"`
}

// EngineAnswer is what came of one read.
type EngineAnswer struct {
	Key     string
	Rows    int
	Columns map[string]string // "" for a column that is as it must be.
	Error   string
}

// NullsAsEmpty is what is said of a column whose only fault it is.
const NullsAsEmpty = "nulls come as empty values"

// Fault is "" when the engine read what it had to.
func (a EngineAnswer) Fault() string {
	if a.Error != "" {
		return a.Error
	}
	var empty, wrong []string
	for _, name := range slices.Sorted(maps.Keys(a.Columns)) {
		switch fault := a.Columns[name]; fault {
		case "":
		case NullsAsEmpty:
			empty = append(empty, name+": "+fault)
		default:
			wrong = append(wrong, name+": "+fault)
		}
	}
	return strings.Join(append(empty, wrong...), "; ")
}

// EnginePython is the interpreter of the environment with the foreign engines.
func EnginePython(t testing.TB) string {
	t.Helper()
	return provisioned(t, "the Python environment of the foreign engines", filepath.Join("engines-venv", "bin", "python"))
}

// ReadWith has an engine read, all in one process, and returns the engine's
// version and the answers by key. S3 may be nil.
func ReadWith(t testing.TB, engine string, s3 *S3, reads []EngineRead) (version string, answers map[string]EngineAnswer) {
	t.Helper()
	python := EnginePython(t)
	plan := map[string]any{"reads": reads}
	if s3 != nil {
		plan["s3"] = map[string]string{"endpoint": strings.TrimPrefix(s3.Endpoint, "http://"), "key": s3.AccessKey, "secret": s3.SecretKey}
	}
	if engine == "spark" {
		plan["spark"], plan["jars"] = spark(t)
	}
	input, err := json.Marshal(plan)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), python, filepath.Join(repository(t), "internal", "inttest", "testdata", "read_engines.py"), engine)
	var stdout, stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(input), &stdout, &stderr
	cmd.Env, cmd.Dir, cmd.WaitDelay = append(os.Environ(), "PYTHONDONTWRITEBYTECODE=1"), t.TempDir(), 10*time.Second
	began := time.Now()
	err = cmd.Run()
	if state := cmd.ProcessState; state != nil {
		t.Logf("%s: %d reads in %.1f s, %.1f s of the processor", engine, len(reads), time.Since(began).Seconds(), (state.UserTime() + state.SystemTime()).Seconds())
	}
	lines := bufio.NewScanner(&stdout)
	lines.Buffer(nil, 1<<20)
	answers = map[string]EngineAnswer{}
	for lines.Scan() {
		var said struct {
			Engine string
			EngineAnswer
		}
		if err := json.Unmarshal(lines.Bytes(), &said); err != nil {
			t.Fatalf("%s answered %q: %v", engine, lines.Bytes(), err)
		}
		if said.Engine != "" {
			version = said.Engine
			continue
		}
		answers[said.Key] = said.EngineAnswer
	}
	if err != nil || len(answers) != len(reads) {
		t.Fatalf("%s gave %d answers to %d reads: %v\n%s", engine, len(answers), len(reads), err, stderr.String())
	}
	return version, answers
}

// spark is the folder of Spark and the jars that teach it the format.
func spark(t testing.TB) (home, jars string) {
	t.Helper()
	home = provisioned(t, "Spark", "spark")
	delta, err := filepath.Glob(filepath.Join(home, "delta", "*.jar"))
	if err != nil || len(delta) == 0 {
		t.Fatalf("there are no jars in %s: %v", home, err)
	}
	return home, strings.Join(delta, ",")
}
