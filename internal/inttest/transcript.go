package inttest

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// Transcript is what mlflow_scenario.py wrote down: a line for each step.
type Transcript struct {
	Steps   []string // in their order
	Results map[string]any
}

// PlayScenario runs mlflow_scenario.py against a server.
func PlayScenario(t testing.TB, url string, args ...string) *Transcript {
	t.Helper()
	path := filepath.Join(t.TempDir(), "transcript.jsonl")
	out, err := RunMLflowScript(t, "mlflow_scenario.py", append([]string{url, path}, args...)...)
	if err != nil {
		t.Fatalf("mlflow_scenario.py: %v\n%s", err, out)
	}
	tr, err := readTranscript(path)
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

func readTranscript(path string) (*Transcript, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close() //nolint:errcheck // It was only read.
	tr := &Transcript{Results: map[string]any{}}
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 64<<20)
	for lines.Scan() {
		var line struct {
			Step   string
			Result any
		}
		d := json.NewDecoder(bytes.NewReader(lines.Bytes()))
		d.UseNumber() // 1 and 1.0 are two things
		if err := d.Decode(&line); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		tr.Steps = append(tr.Steps, line.Step)
		tr.Results[line.Step] = line.Result
	}
	return tr, lines.Err()
}

// Difference is a place where two transcripts do not agree.
type Difference struct {
	Step, Field  string // Field is a path like ".info.tags.a[0]"
	Theirs, Ours any
	// The step's whole results.
	their, our any
}

func (d Difference) String() string {
	return fmt.Sprintf("%s  %s\n    MLflow:     %s\n    Millwright: %s", d.Step, d.Field, short(d.Theirs), short(d.Ours))
}

type absent struct{}

func (absent) MarshalJSON() ([]byte, error) { return []byte(`"absent"`), nil }

// Compare returns all differences, in the order of the steps.
func Compare(theirs, ours *Transcript) []Difference {
	var all []Difference
	steps := slices.Clone(theirs.Steps)
	for _, s := range ours.Steps {
		if _, ok := theirs.Results[s]; !ok {
			steps = append(steps, s)
		}
	}
	for _, step := range steps {
		a, aOK := theirs.Results[step]
		b, bOK := ours.Results[step]
		if !aOK {
			a = absent{}
		}
		if !bOK {
			b = absent{}
		}
		for _, d := range diff("", a, b) {
			d.Step, d.their, d.our = step, a, b
			all = append(all, d)
		}
	}
	return all
}

func diff(path string, a, b any) []Difference {
	switch x := a.(type) {
	case map[string]any:
		y, ok := b.(map[string]any)
		if !ok {
			break
		}
		var all []Difference
		for _, k := range keys(x, y) {
			p, pOK := x[k]
			q, qOK := y[k]
			if !pOK {
				p = absent{}
			}
			if !qOK {
				q = absent{}
			}
			all = append(all, diff(path+"."+k, p, q)...)
		}
		return all
	case []any:
		y, ok := b.([]any)
		if !ok || len(x) != len(y) {
			break
		}
		var all []Difference
		for i := range x {
			all = append(all, diff(fmt.Sprintf("%s[%d]", path, i), x[i], y[i])...)
		}
		return all
	default:
		if _, ok := b.(map[string]any); ok {
			break
		}
		if _, ok := b.([]any); ok {
			break
		}
		if a == b {
			return nil
		}
	}
	return []Difference{{Field: path, Theirs: a, Ours: b}}
}

func keys(maps ...map[string]any) []string {
	var all []string
	for _, m := range maps {
		for k := range m {
			all = append(all, k)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// short is a value as the table of differences writes it.
func short(v any) string {
	const most = 120
	var buf bytes.Buffer
	e := json.NewEncoder(&buf)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return err.Error()
	}
	s := strings.TrimSuffix(buf.String(), "\n")
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "…"
	}
	return s
}

// outcome is a step's result in a few words: its status and error code.
func outcome(v any) string {
	m, ok := v.(map[string]any)
	if !ok {
		return short(v)
	}
	var parts []string
	for _, k := range []string{"status", "error_code", "exception"} {
		if x, ok := m[k]; ok && x != nil {
			parts = append(parts, fmt.Sprint(x))
		}
	}
	if len(parts) == 0 {
		return short(v)
	}
	return strings.Join(parts, " ")
}

// Allowed is a row of the table in docs/mlflow-differences.md.
type Allowed struct {
	Line               int
	Servers            []string // names of the pairs of servers that it speaks of; empty: all
	Step, Field        *regexp.Regexp
	Whole              bool // Field is "-": the step's outcome is compared, not a field
	Theirs, Ours, Text string
}

// AllowedDifferences reads the table.
func AllowedDifferences(t testing.TB) []*Allowed {
	t.Helper()
	const columns = 6
	path := filepath.Join(repository(t), "docs", "mlflow-differences.md")
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var all []*Allowed
	for i, line := range strings.Split(string(data), "\n") {
		cells := strings.Split(strings.ReplaceAll(line, `\|`, "\x00"), "|")
		if len(cells) != columns+2 || !strings.Contains(cells[2], "`") {
			continue
		}
		for j := range cells {
			cells[j] = strings.ReplaceAll(strings.Trim(strings.TrimSpace(cells[j]), "`"), "\x00", "|")
		}
		a := &Allowed{Line: i + 1, Theirs: cells[4], Ours: cells[5], Text: cells[6], Whole: cells[3] == "-"}
		if cells[1] != "all" {
			a.Servers = strings.Fields(strings.ReplaceAll(cells[1], ",", " "))
		}
		a.Step, a.Field = glob(cells[2]), glob(cells[3])
		if a.Text == "" {
			t.Fatalf("%s:%d: the difference has no reason", path, i+1)
		}
		all = append(all, a)
	}
	if len(all) == 0 {
		t.Fatalf("%s has no table of differences", path)
	}
	return all
}

// glob is a pattern in which * stands for any text.
func glob(pattern string) *regexp.Regexp {
	return regexp.MustCompile(`(?s)^` + strings.ReplaceAll(regexp.QuoteMeta(pattern), `\*`, `.*`) + `$`)
}

// SpeaksOf reports whether the row is about this pair of servers.
func (a *Allowed) SpeaksOf(server string) bool {
	return len(a.Servers) == 0 || slices.Contains(a.Servers, server)
}

// Covers reports whether the row lists the difference. "…" stands for any
// value, and at a value's end for its rest.
func (a *Allowed) Covers(d Difference) bool {
	if !a.Step.MatchString(d.Step) {
		return false
	}
	if a.Whole {
		return value(a.Theirs, outcome(d.their)) && value(a.Ours, outcome(d.our))
	}
	return a.Field.MatchString(d.Field) && value(a.Theirs, short(d.Theirs)) && value(a.Ours, short(d.Ours))
}

func value(want, got string) bool {
	if rest, ok := strings.CutSuffix(want, "…"); ok {
		return strings.HasPrefix(got, rest)
	}
	return want == got
}

// Only is the transcript without the parts that the other one did not play.
func (tr *Transcript) Only(other *Transcript) *Transcript {
	part := func(step string) string { name, _, _ := strings.Cut(step, "/"); return name }
	played := map[string]bool{}
	for _, s := range other.Steps {
		played[part(s)] = true
	}
	only := &Transcript{Results: tr.Results}
	for _, s := range tr.Steps {
		if played[part(s)] {
			only.Steps = append(only.Steps, s)
		}
	}
	return only
}

// Write writes the transcript to a file, for a person to look at.
func (tr *Transcript) Write(path string) error {
	var buf bytes.Buffer
	e := json.NewEncoder(&buf)
	e.SetEscapeHTML(false)
	for _, s := range tr.Steps {
		if err := e.Encode(map[string]any{"step": s, "result": tr.Results[s]}); err != nil {
			return err
		}
	}
	return os.WriteFile(path, buf.Bytes(), 0o600)
}
