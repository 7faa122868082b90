package report

import (
	"embed"
	"encoding/json"
	"fmt"
	"html/template"
	"io"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/millwright-ml/millwright/internal/errs"
	"github.com/millwright-ml/millwright/monitor"
)

// ErrInvalid marks a page of which nothing can be made.
var ErrInvalid = errs.ErrInvalid

// Page is what is shown.
type Page struct {
	// Title is in its head. Default the model's name and version.
	Title string `json:"title,omitempty"`
	// Report is the one that the page is about.
	Report monitor.Report `json:"report"`
	// History are reports of the windows before, the oldest first; the last may
	// be Report itself. Default none: no curves.
	History []monitor.Report `json:"history,omitempty"`
	// Performance is that of the rows whose label has come. Default that of
	// Report, which was taken when the window was closed.
	Performance *monitor.LabelReport `json:"performance,omitempty"`
	// Fairness compares groups. Default none.
	Fairness []monitor.Fairness `json:"-"`
	// MaxFeatures is how many features are shown one by one. Default 50.
	MaxFeatures int `json:"-"`
}

// WriteJSON writes the page for programs.
func WriteJSON(w io.Writer, p Page) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	if err := e.Encode(p); err != nil {
		return fmt.Errorf("report: write json: %w", err)
	}
	return nil
}

//go:embed page.html
var files embed.FS

// WriteHTML writes the page for people. It returns ErrInvalid for a report
// without features, which no monitor makes, and what w returns.
func WriteHTML(w io.Writer, p Page) error {
	if len(p.Report.Features) == 0 {
		return fmt.Errorf("report: write html: the report has no features: %w", ErrInvalid)
	}
	t, err := template.New("page.html").Funcs(functions()).ParseFS(files, "page.html")
	if err != nil {
		return fmt.Errorf("report: write html: %w", err)
	}
	if err := t.Execute(w, newView(p)); err != nil {
		return fmt.Errorf("report: write html: %w", err)
	}
	return nil
}

func functions() template.FuncMap {
	return template.FuncMap{
		"percent": percent, "number": number, "count": count,
		"when": func(t time.Time) string {
			if t.IsZero() {
				return "unknown"
			}
			return t.UTC().Format("2006-01-02 15:04:05 UTC")
		},
		"iso":   func(t time.Time) string { return t.UTC().Format(time.RFC3339) },
		"words": func(s string) string { return strings.ReplaceAll(s, "_", " ") },
		"px":    func(v float64) string { return strconv.FormatFloat(v, 'f', 1, 64) },
		"add":   func(a, b float64) float64 { return a + b },
	}
}

func percent(v float64) string {
	switch {
	case math.IsNaN(v):
		return "–"
	case v != 0 && math.Abs(v) < 0.001:
		return "< 0.1 %"
	}
	return strconv.FormatFloat(100*v, 'f', 1, 64) + " %"
}

// number has four digits at most.
func number(v float64) string {
	switch a := math.Abs(v); {
	case math.IsNaN(v):
		return "–"
	case a != 0 && (a < 1e-3 || a >= 1e7):
		return strconv.FormatFloat(v, 'e', 2, 64)
	case a >= 1000:
		return strconv.FormatFloat(v, 'f', 0, 64)
	}
	return strconv.FormatFloat(v, 'g', 4, 64)
}

// count separates thousands.
func count(n uint64) string {
	s := strconv.FormatUint(n, 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "\u202f" + s[i:]
	}
	return s
}
