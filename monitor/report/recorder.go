package report

import (
	"bytes"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/millwright-ml/millwright/monitor"
)

// Recorder keeps the last reports of a monitor and serves them. It is safe for
// concurrent use.
type Recorder struct {
	keep int

	mu      sync.Mutex
	reports []monitor.Report // A ring, next the oldest once it is full.
	next    int
}

// NewRecorder returns a recorder of the last keep reports, 100 for 0.
func NewRecorder(keep int) *Recorder {
	if keep <= 0 {
		keep = 100
	}
	return &Recorder{keep: keep}
}

// Add takes a report: call it in OnReport.
func (r *Recorder) Add(report monitor.Report) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.reports) < r.keep {
		r.reports = append(r.reports, report)
		return
	}
	r.reports[r.next] = report
	r.next = (r.next + 1) % r.keep
}

// Page returns the page of the newest report, false before the first. The
// history is that of its version.
func (r *Recorder) Page() (Page, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := len(r.reports)
	if n == 0 {
		return Page{}, false
	}
	p := Page{Report: r.reports[(r.next+n-1)%n]}
	p.History = slices.Concat(r.reports[r.next:], r.reports[:r.next])
	p.History = slices.DeleteFunc(p.History, func(o monitor.Report) bool { return o.Version != p.Report.Version })
	return p, true
}

// ServeHTTP serves the page: HTML, or JSON to who asks for that (Accept) or for
// a path that ends in .json. It shows shares and categories of the data: put it
// where the metrics are, not where the world is.
func (r *Recorder) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	if req.Method != http.MethodGet && req.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "only GET", http.StatusMethodNotAllowed)
		return
	}
	p, ok := r.Page()
	if !ok {
		http.Error(w, "no window was closed yet", http.StatusNotFound)
		return
	}
	var b bytes.Buffer
	write, kind := WriteHTML, "text/html; charset=utf-8"
	if asksJSON(req) {
		write, kind = WriteJSON, "application/json"
	}
	if err := write(&b, p); err != nil {
		http.Error(w, "the report cannot be written", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", kind)
	w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Cache-Control", "no-store")
	_, _ = w.Write(b.Bytes()) // Who hung up needs no answer.
}

// asksJSON reports whether a program asks.
func asksJSON(req *http.Request) bool {
	if strings.HasSuffix(req.URL.Path, ".json") {
		return true
	}
	accept := req.Header.Get("Accept")
	return strings.Contains(accept, "application/json") && !strings.Contains(accept, "text/html")
}
