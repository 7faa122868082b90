package llm

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/millwright-ml/millwright/internal/errs"
	"github.com/millwright-ml/millwright/internal/httperr"
)

// maxReport is how many lines a report has at most.
const maxReport = 200_000

// CostReport is what tenants used in a time.
type CostReport struct {
	// From and To are the first and the last day, in UTC.
	From string `json:"from"`
	To   string `json:"to"`
	// Lines are in the order of days, tenants and models.
	Lines []CostLine `json:"lines"`
	// Total is their sum, without a day, a tenant and a model.
	Total CostLine `json:"total"`
	// Truncated says that there were more lines than a report has, 200,000.
	Truncated bool `json:"truncated,omitempty"`
}

// CostQuery is what a report is about. The zero value is the month so far.
type CostQuery struct {
	// From and To are days in UTC, "2026-11-22". Defaults the first of To's month,
	// and today.
	From, To string
	// Tenant is the only one to report. "" is all.
	Tenant string
}

func (q *CostQuery) resolve(now time.Time) error {
	var f errs.Faults
	day := func(name, text string, def time.Time) time.Time {
		if text == "" {
			return def
		}
		at, err := time.Parse(time.DateOnly, text)
		f.Check(err == nil, "%s is %.20q, want a day such as 2026-11-22", name, text)
		return at
	}
	to := day("to", q.To, now.UTC())
	from := day("from", q.From, time.Date(to.Year(), to.Month(), 1, 0, 0, 0, 0, time.UTC))
	q.From, q.To = from.Format(time.DateOnly), to.Format(time.DateOnly)
	f.Check(q.From <= q.To, "from is %s, which is behind to, %s", q.From, q.To)
	return f.Err("llm: cost report")
}

// Report sums up what is in the store, of all replicas, and what is in this
// process. What other replicas have not brought there yet, for CostsOptions.Every
// at most, is not in it.
func (c *Costs) Report(ctx context.Context, q CostQuery) (*CostReport, error) {
	if err := q.resolve(time.Now()); err != nil {
		return nil, err
	}
	r := &CostReport{From: q.From, To: q.To}
	// Nothing is on its way meanwhile, so that it is counted once.
	c.saving.Lock()
	defer c.saving.Unlock()
	c.mu.Lock()
	here := c.sorted(q.From, q.To)
	c.mu.Unlock()
	lines := here
	if c.o.Store != nil {
		stored, err := c.o.Store.Costs(ctx, q.From, q.To, maxReport+1)
		if err != nil {
			return nil, fmt.Errorf("llm: cost report: %w", err)
		}
		lines = mergeLines(stored, here)
	}
	for i := range lines {
		if q.Tenant != "" && lines[i].Tenant != q.Tenant {
			continue
		}
		if len(r.Lines) == maxReport {
			r.Truncated = true
			break
		}
		r.Lines = append(r.Lines, lines[i])
		r.Total.add(&lines[i])
	}
	return r, nil
}

// mergeLines adds up lines of the same key.
func mergeLines(a, b []CostLine) []CostLine {
	all := slices.Concat(a, b)
	slices.SortStableFunc(all, compareLines)
	out := all[:0]
	for i := range all {
		if n := len(out); n > 0 && compareLines(out[n-1], all[i]) == 0 {
			out[n-1].add(&all[i])
			continue
		}
		out = append(out, all[i])
	}
	return out
}

// WriteCSV writes the lines as CSV, with a header. The cost is exact, in what the
// prices are in, with nine decimals. A name that a spreadsheet would take for a
// formula has an apostrophe in front.
func (r *CostReport) WriteCSV(w io.Writer) error {
	to := csv.NewWriter(w)
	// The writer keeps its first error until Error.
	_ = to.Write([]string{"day", "tenant", "model", "requests", "errors", "input_tokens", "cached_input_tokens", "output_tokens", "cost"})
	for i := range r.Lines {
		l := &r.Lines[i]
		row := []string{l.Day, plainCell(l.Tenant), plainCell(l.Model)}
		for _, n := range [...]int64{l.Requests, l.Errors, l.Input, l.Cached, l.Output} {
			row = append(row, strconv.FormatInt(n, 10))
		}
		_ = to.Write(append(row, l.Cost.String()))
	}
	to.Flush()
	if err := to.Error(); err != nil {
		return fmt.Errorf("llm: cost report: %w", err)
	}
	return nil
}

func plainCell(s string) string {
	if s != "" && (s[0] == '=' || s[0] == '+' || s[0] == '-' || s[0] == '@' || s[0] == '\t' || s[0] == '\r') {
		return "'" + s
	}
	return s
}

// String is the amount in what the prices are in, exactly: "0.001020000".
func (n Nanos) String() string {
	sign, u := "", uint64(n)
	if n < 0 {
		sign, u = "-", -u
	}
	return fmt.Sprintf("%s%d.%09d", sign, u/1e9, u%1e9)
}

// Handler serves reports: GET with the parameters from, to and tenant as in
// CostQuery, and format=csv for CSV; JSON without. It shows what all tenants
// spent: put it where operators are, or behind a check of its caller.
func (c *Costs) Handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "use GET", http.StatusMethodNotAllowed)
			return
		}
		q := r.URL.Query()
		format := q.Get("format")
		if format != "" && format != "json" && format != "csv" {
			http.Error(w, "the format is json or csv", http.StatusBadRequest)
			return
		}
		report, err := c.Report(r.Context(), CostQuery{From: q.Get("from"), To: q.Get("to"), Tenant: q.Get("tenant")})
		if err != nil {
			// What a database says is for the operator's log.
			status, text := httperr.Status(err), "the report cannot be made now"
			if status < http.StatusInternalServerError {
				text = err.Error()
			} else {
				c.o.OnError(err)
			}
			http.Error(w, text, status)
			return
		}
		h := w.Header()
		h.Set("Cache-Control", "no-store")
		h.Set("X-Content-Type-Options", "nosniff")
		if format == "csv" {
			h.Set("Content-Type", "text/csv; charset=utf-8")
			h.Set("Content-Disposition", fmt.Sprintf("attachment; filename=%q", "costs-"+report.From+"-"+report.To+".csv"))
			_ = report.WriteCSV(w) // The client may have gone.
			return
		}
		h.Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(report) // The client may have gone.
	})
}
