package main

import (
	"encoding/json"
	"encoding/xml"
	"fmt"
	"strings"
	"text/tabwriter"
	"unicode"

	"github.com/millwright-ml/millwright/registry"
)

func versionText(n int) string {
	if n == 0 {
		return "-"
	}
	return fmt.Sprintf("v%d", n)
}

// line keeps outside text from breaking a table, or from driving a terminal.
func line(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, s)
}

func failed(d *registry.Decision) (n int) {
	for _, g := range d.Gates {
		if !g.Pass {
			n++
		}
	}
	return n
}

// outcome is the decision in a sentence.
func outcome(d *registry.Decision) string {
	switch n := failed(d); {
	case n > 0 && d.From == 0:
		return fmt.Sprintf("refused: %d of %d gates failed; nothing is %s", n, len(d.Gates), d.Alias)
	case n > 0:
		return fmt.Sprintf("refused: %d of %d gates failed; v%d stays %s", n, len(d.Gates), d.From, d.Alias)
	case d.Entry.Seq == 0:
		return fmt.Sprintf("v%d is %s already; nothing to decide", d.To, d.Alias)
	}
	return fmt.Sprintf("promoted: v%d is %s now", d.To, d.Alias)
}

func title(d *registry.Decision) string {
	return fmt.Sprintf("%s v%d to %s (%s)", d.Name, d.To, d.Alias, versionText(d.From))
}

// table is for a terminal and the log of a job.
func table(d *registry.Decision) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n%s\n\n", title(d), d.Digest)
	if len(d.Gates) > 0 {
		t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
		fmt.Fprintln(t, "  GATE\tRESULT\tDETAIL")
		for _, g := range d.Gates {
			result := "pass"
			if !g.Pass {
				result = "FAIL"
			}
			fmt.Fprintf(t, "  %s\t%s\t%s\n", line(g.Gate), result, line(g.Detail))
		}
		_ = t.Flush() // into memory
		b.WriteString("\n")
	}
	fmt.Fprintln(&b, outcome(d))
	if d.Entry.Seq > 0 {
		fmt.Fprintf(&b, "audit log: entry %d, %s\n", d.Entry.Seq, d.Entry.Hash)
	}
	return b.String()
}

// markdown is for a comment on a merge request.
func markdown(d *registry.Decision) ([]byte, error) {
	cell := strings.NewReplacer("|", `\|`, "<", "&lt;", "`", "'", "\\", `\\`)
	var b strings.Builder
	fmt.Fprintf(&b, "### %s\n\n**%s**\n\n| gate | result | detail |\n|---|---|---|\n", cell.Replace(line(title(d))), cell.Replace(line(outcome(d))))
	for _, g := range d.Gates {
		result := "pass"
		if !g.Pass {
			result = "**FAIL**"
		}
		fmt.Fprintf(&b, "| %s | %s | %s |\n", cell.Replace(line(g.Gate)), result, cell.Replace(line(g.Detail)))
	}
	fmt.Fprintf(&b, "\n`%s`, audit log entry %d\n", d.Digest, d.Entry.Seq)
	return []byte(b.String()), nil
}

type testSuite struct {
	XMLName  xml.Name   `xml:"testsuite"`
	Name     string     `xml:"name,attr"`
	Tests    int        `xml:"tests,attr"`
	Failures int        `xml:"failures,attr"`
	Cases    []testCase `xml:"testcase"`
}

type testCase struct {
	Class   string       `xml:"classname,attr"`
	Name    string       `xml:"name,attr"`
	Failure *testFailure `xml:"failure,omitempty"`
	Out     string       `xml:"system-out,omitempty"`
}

type testFailure struct {
	Message string `xml:"message,attr"`
}

// junit is the form of test reports that all CI servers display.
func junit(d *registry.Decision) ([]byte, error) {
	suite := testSuite{Name: "promotion of " + title(d), Tests: len(d.Gates), Failures: failed(d)}
	for _, g := range d.Gates {
		c := testCase{Class: d.Name + "." + d.Alias, Name: line(g.Gate)}
		if g.Pass {
			c.Out = line(g.Detail)
		} else {
			c.Failure = &testFailure{Message: line(g.Detail)}
		}
		suite.Cases = append(suite.Cases, c)
	}
	b, err := xml.MarshalIndent(suite, "", "  ")
	return append([]byte(xml.Header), append(b, '\n')...), err
}

func decisionJSON(d *registry.Decision) ([]byte, error) {
	b, err := json.MarshalIndent(struct {
		*registry.Decision
		Passed bool               `json:"passed"`
		Head   registry.AuditHead `json:"audit"`
	}{d, d.Passed(), registry.AuditHead{Seq: d.Entry.Seq, Hash: d.Entry.Hash}}, "", "  ")
	return append(b, '\n'), err
}
