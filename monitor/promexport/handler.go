package promexport

import (
	"bytes"
	"errors"
	"math"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"

	"github.com/millwright-ml/millwright/monitor/metrics"
)

// Handler serves the monitors to Prometheus in its text format, and rest, which
// may be nil, with them. It is what registering the collectors and serving them
// by promhttp comes to, at a fraction of the cost: the text of each series is
// made once, and a scrape adds the numbers. rest must not have the same
// collectors.
func Handler(rest prometheus.Gatherer, collectors ...*Collector) http.Handler {
	h := &handler{rest: rest, collectors: collectors, heads: make([][]byte, len(metrics.All()))}
	for i, m := range metrics.All() {
		name := metrics.Prefix + "_" + m.Name
		help := strings.NewReplacer(`\`, `\\`, "\n", `\n`).Replace(m.Help)
		h.heads[i] = []byte("# HELP " + name + " " + help + "\n# TYPE " + name + " " + typeOf(m.Kind) + "\n")
	}
	h.pages.New = func() any { return &page{lines: make([][]byte, len(h.heads))} }
	return h
}

var errNil = errors.New("promexport: collect: the monitor is nil")

type handler struct {
	rest       prometheus.Gatherer
	collectors []*Collector
	heads      [][]byte
	pages      sync.Pool // Of *page.
}

// page is the text of one scrape, by metric: the format wants all series of a
// metric together, whichever model they are of.
type page struct {
	lines [][]byte
	text  bytes.Buffer
}

// ServeHTTP implements http.Handler.
func (h *handler) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	p := h.pages.Get().(*page)
	defer h.pages.Put(p)
	if err := h.write(p); err != nil {
		http.Error(w, "cannot gather all metrics: "+err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", string(expfmt.NewFormat(expfmt.TypeTextPlain)))
	_, _ = w.Write(p.text.Bytes()) // Who hung up needs no answer.
}

func (h *handler) write(p *page) error {
	for i := range p.lines {
		p.lines[i] = p.lines[i][:0]
	}
	p.text.Reset()
	var failed error
	for _, c := range h.collectors {
		if c == nil || c.reader == nil {
			return errNil
		}
		c.read(func(s *handle, v *metrics.Sample) {
			if s.err != nil {
				failed = s.err
				return
			}
			p.lines[v.Metric] = appendLine(p.lines[v.Metric], s, v)
		})
	}
	if failed != nil {
		return failed
	}
	for i, lines := range p.lines {
		if len(lines) > 0 {
			p.text.Write(h.heads[i])
			p.text.Write(lines)
		}
	}
	if h.rest == nil {
		return nil
	}
	families, err := h.rest.Gather()
	if err != nil {
		return err
	}
	for _, f := range families {
		if _, err := expfmt.MetricFamilyToText(&p.text, f); err != nil {
			return err
		}
	}
	return nil
}

func appendLine(b []byte, s *handle, v *metrics.Sample) []byte {
	if s.kind != metrics.Summary {
		return append(appendNumber(append(b, s.line...), v.Value), '\n')
	}
	// The name ends where the labels begin, of which there is at least one.
	name, labels, _ := bytes.Cut(s.line, []byte("{"))
	for _, part := range []struct {
		suffix string
		number float64
	}{{"_sum{", v.Value}, {"_count{", float64(v.Count)}} {
		b = append(append(append(b, name...), part.suffix...), labels...)
		b = append(appendNumber(b, part.number), '\n')
	}
	return b
}

func appendNumber(b []byte, v float64) []byte {
	if v >= 0 && v < 1<<53 && v == math.Trunc(v) {
		return strconv.AppendUint(b, uint64(v), 10) // What most of them are, and cheaper.
	}
	switch {
	case v > math.MaxFloat64:
		return append(b, "+Inf"...)
	case v < -math.MaxFloat64:
		return append(b, "-Inf"...)
	}
	return strconv.AppendFloat(b, v, 'g', -1, 64)
}

// lineOf is a series in the text format with the space before its number.
func lineOf(name string, pairs []*dto.LabelPair) []byte {
	escape := strings.NewReplacer(`\`, `\\`, "\n", `\n`, `"`, `\"`)
	b := []byte(name)
	for i, p := range pairs {
		sep := byte(',')
		if i == 0 {
			sep = '{'
		}
		b = append(append(b, sep), p.GetName()...)
		b = append(append(append(b, `="`...), escape.Replace(p.GetValue())...), '"')
	}
	return append(b, "} "...)
}

func typeOf(k metrics.Kind) string {
	switch k {
	case metrics.Counter:
		return "counter"
	case metrics.Summary:
		return "summary"
	}
	return "gauge"
}
