package train

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"strings"
	"time"
)

const (
	reportPrefix = "##millwright "
	// MaxReport is the most bytes that a report's line has.
	MaxReport = 4 << 10
)

// Report is what a training process says of its progress: one line
// "##millwright {json}" on the standard output of rank 0, which launchers take
// out of the logs. Package train/checkpoint prints it.
type Report struct {
	Step    int64              `json:"step,omitempty"`
	Total   int64              `json:"total,omitempty"` // steps in all; 0 when it is not known
	Metrics map[string]float64 `json:"metrics,omitempty"`
	// Checkpoint is one that was completed just now, or that the attempt goes on
	// from.
	Checkpoint *CheckpointRef `json:"checkpoint,omitempty"`
}

// ParseReport takes the report out of a line of output, and false when the line
// holds none.
func ParseReport(line string) (Report, bool) {
	text, ok := strings.CutPrefix(line, reportPrefix)
	if !ok || len(line) > MaxReport {
		return Report{}, false
	}
	var r Report
	if err := json.Unmarshal([]byte(text), &r); err != nil || r.Step < 0 || r.Total < 0 {
		return Report{}, false
	}
	if c := r.Checkpoint; c != nil && (c.URI == "" || c.Step < 0) {
		return Report{}, false
	}
	return r, true
}

// Line is the report as a line of output, without the line break. Metrics that
// are no finite numbers are left out, as JSON has none; ErrInvalid when the line
// would be longer than MaxReport.
func (r Report) Line() (string, error) {
	finite := make(map[string]float64, len(r.Metrics))
	for name, v := range r.Metrics {
		if !math.IsNaN(v) && !math.IsInf(v, 0) {
			finite[name] = v
		}
	}
	r.Metrics = finite
	var b bytes.Buffer
	b.WriteString(reportPrefix)
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(r); err != nil {
		return "", fmt.Errorf("train: report: %w: %w", err, ErrInvalid)
	}
	line := strings.TrimSuffix(b.String(), "\n")
	if len(line) > MaxReport {
		return "", fmt.Errorf("train: report of step %d has %d bytes, want at most %d: %w", r.Step, len(line), MaxReport, ErrInvalid)
	}
	if _, ok := ParseReport(line); !ok {
		return "", fmt.Errorf("train: report of step %d: a count is negative, or the checkpoint has no URI: %w", r.Step, ErrInvalid)
	}
	return line, nil
}

// Add takes a report into the progress. Reports are added in the order in which
// they were printed.
func (p *Progress) Add(r Report, at time.Time, attempt int) {
	p.Time, p.Attempt = at, attempt
	if r.Step > 0 || len(r.Metrics) > 0 {
		p.Step = r.Step
	}
	if r.Total > 0 {
		p.Total = r.Total
	}
	if len(r.Metrics) > 0 {
		merged := make(map[string]float64, len(p.Metrics)+len(r.Metrics)) // callers may hold the old one
		maps.Copy(merged, p.Metrics)
		maps.Copy(merged, r.Metrics)
		p.Metrics = merged
	}
	if r.Checkpoint != nil {
		ref := *r.Checkpoint
		p.Checkpoint = &ref
	}
}
