package servetest

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/millwright-ml/millwright/serve/oip"
)

// Status is how a check has ended.
type Status string

// The statuses of a check.
const (
	// Pass: the server does what the protocol says.
	Pass Status = "pass"
	// Warn: it does what the protocol allows and clients do not expect.
	Warn Status = "warn"
	// Fail: it does what the protocol rules out.
	Fail Status = "fail"
	// Skip: the server does not offer it, or the options lack what it needs.
	Skip Status = "skip"
)

// Result is one check.
type Result struct {
	// Part groups the checks: "health", "infer", "errors", or the name of an
	// extension.
	Part string `json:"part"`
	// Name says what is checked.
	Name   string `json:"name"`
	Status Status `json:"status"`
	// Detail says what was found instead, or why it was skipped.
	Detail string `json:"detail,omitempty"`
	// Duration is the time it took, in nanoseconds in JSON.
	Duration time.Duration `json:"duration_ns"`
}

// Report is what Check has found.
type Report struct {
	// URL is the base URL that was asked.
	URL string `json:"url"`
	// Server is what the server says of itself.
	Server oip.ServerMetadata `json:"server"`
	// Model and Version are those that were asked.
	Model   string `json:"model"`
	Version string `json:"version,omitempty"`
	// Start is when the first question was asked.
	Start   time.Time `json:"start"`
	Results []Result  `json:"results"`
}

// Count returns the number of checks with the status.
func (r *Report) Count(s Status) int {
	n := 0
	for i := range r.Results {
		if r.Results[i].Status == s {
			n++
		}
	}
	return n
}

// WriteTable writes the report as a table in Markdown.
func (r *Report) WriteTable(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s at %s, model %s: %d pass, %d warn, %d fail, %d skip\n\n",
		r.Server.Name, r.Server.Version, r.URL, r.Model, r.Count(Pass), r.Count(Warn), r.Count(Fail), r.Count(Skip))
	b.WriteString("| part | check | | detail |\n|---|---|---|---|\n")
	for i := range r.Results {
		c := &r.Results[i]
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", c.Part, c.Name, c.Status, cell(c.Detail))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// WriteMatrix writes several reports side by side, a column each, as a table in
// Markdown: the checks in the order of the first report. The names head the
// columns.
func WriteMatrix(w io.Writer, names []string, reports []*Report) error {
	var b strings.Builder
	b.WriteString("| part | check |")
	for _, n := range names {
		b.WriteString(" " + cell(n) + " |")
	}
	b.WriteString("\n|---|---|" + strings.Repeat("---|", len(names)) + "\n")
	if len(reports) > 0 {
		for i := range reports[0].Results {
			c := &reports[0].Results[i]
			fmt.Fprintf(&b, "| %s | %s |", c.Part, c.Name)
			for _, r := range reports {
				b.WriteString(" " + string(r.status(c.Part, c.Name)) + " |")
			}
			b.WriteString("\n")
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// status returns that of a check, Skip where there is none.
func (r *Report) status(part, name string) Status {
	for i := range r.Results {
		if r.Results[i].Part == part && r.Results[i].Name == name {
			return r.Results[i].Status
		}
	}
	return Skip
}

// cell makes a text fit into a table.
func cell(s string) string {
	const most = 200
	s = strings.NewReplacer("|", `\|`, "\n", " ", "\r", " ").Replace(s)
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "…"
	}
	return s
}
