package report_test

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/monitor"
	"github.com/millwright-ml/millwright/monitor/report"
)

var hour = time.Date(2026, 11, 22, 5, 0, 0, 0, time.UTC)

// drifted is a report with everything in it.
func drifted(window int, name string) monitor.Report {
	return monitor.Report{
		Model: "fraud", Version: "3", Window: window, From: hour, To: hour.Add(time.Hour), Rows: 12345, Verdict: monitor.Drift,
		Alpha: 0.001, State: monitor.StateDrift, Key: fmt.Sprintf("fraud/3/%d/0", window), Causes: []string{name + " is higher"},
		Trigger: &monitor.Trigger{Key: "fraud/3/abc/1", Opened: hour},
		Quality: []monitor.Finding{{Rule: monitor.RuleVolume, Text: "few rows"}},
		Features: []monitor.FeatureReport{
			{Name: name, Kind: "numeric", Method: "wasserstein", Score: 0.8, Floor: 0.1, Effect: 0.79, Severity: 7.9, Drifted: true, Mean: 12, RefMean: 4,
				Moved: []monitor.Move{{Values: "[12.5, 20)", Reference: 0.1, Share: 0.4}, {Values: name, Reference: 0.3}}, Rules: []string{"1 % out of range"}},
			{Name: "country", Kind: "categorical", Method: "jensen-shannon", Score: 0.01, Floor: 0.1, Severity: 0.05, PValue: 1, Adjusted: 1, UnseenTop: []string{name}},
		},
		Slices:    []monitor.SliceReport{{By: "country", Value: "de", Rows: 10, Verdict: monitor.OK}},
		Estimated: []monitor.Estimated{{Metric: "auc", Value: 0.9, Low: 0.88, High: 0.92, Reference: 0.91}},
		Labels:    monitor.LabelReport{Rows: 12345, Labelled: 1000, Coverage: 0.08, Metrics: []monitor.MetricValue{{Name: "auc", Value: 0.85, Low: 0.8, High: 0.9}, {Name: "rmse", Value: 12, Low: 11, High: 13}}},
	}
}

func html(t testing.TB, p report.Page) string {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, report.WriteHTML(&b, p))
	return b.String()
}

// wellFormed reads the page as a parser of tags does.
func wellFormed(t testing.TB, page string) {
	t.Helper()
	d := xml.NewDecoder(strings.NewReader(strings.Replace(page, "<!DOCTYPE html>", "", 1)))
	d.Strict = true
	d.AutoClose = []string{"meta"}
	d.Entity = xml.HTMLEntity
	for {
		_, err := d.Token()
		if errors.Is(err, io.EOF) {
			return
		}
		require.NoError(t, err)
	}
}

func TestHTML(t *testing.T) {
	t.Parallel()
	p := report.Page{Report: drifted(3, "amount"), History: []monitor.Report{drifted(1, "amount"), drifted(2, "amount"), drifted(3, "amount")},
		Fairness: []monitor.Fairness{{By: "country", SelectionGap: math.NaN(), Groups: []monitor.Group{{Value: "de", Rows: 3}}}}}
	page := html(t, p)
	wellFormed(t, strings.ReplaceAll(page, "<details open>", `<details open="">`))
	for _, text := range []string{
		"1 of 2 features have an alarm", "amount is higher", "fraud/3/abc/1", "few rows", "12\u202f345", "country = de", "expected",
		"[12.5, 20)", "10.0 %", "40.0 %", "not mature", `prefers-color-scheme:dark`, `<html lang="en">`, "Severity of the worst feature",
	} {
		require.Contains(t, strings.ToLower(page), strings.ToLower(text))
	}
	require.NotContains(t, page, "<script")
	require.NotContains(t, page, "ZgotmplZ", "the template found something that it had to take out")
	require.NotRegexp(t, regexp.MustCompile(`(?i)(src|href)=|url\(`), page, "nothing is fetched")
	// A picture says what it shows, or is hidden from who cannot see it.
	for _, svg := range regexp.MustCompile(`<svg [^>]*>`).FindAllString(page, -1) {
		require.Regexp(t, `aria-label="[^"]+"|aria-labelledby|aria-hidden="true"`, svg)
	}
	require.NotContains(t, page, "NaN")
	p.MaxFeatures = 1
	require.Contains(t, html(t, p), "1 more are not shown")
	require.ErrorIs(t, report.WriteHTML(io.Discard, report.Page{}), report.ErrInvalid)
}

func TestOrdinaryReport(t *testing.T) {
	t.Parallel()
	r := monitor.Report{Rows: 3, Verdict: monitor.Insufficient, Features: []monitor.FeatureReport{{Name: "a"}}}
	page := html(t, report.Page{Report: r, History: []monitor.Report{r, r}})
	require.Contains(t, page, "Too few rows to decide")
	require.NotContains(t, page, "Performance</h2>")
	r.Verdict = monitor.OK
	require.Contains(t, html(t, report.Page{Title: "T", Report: r}), "<title>T: No drift</title>")
}

func TestJSON(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	require.NoError(t, report.WriteJSON(&b, report.Page{Report: drifted(3, "amount")}))
	var p report.Page
	require.NoError(t, json.Unmarshal(bytes.ReplaceAll(b.Bytes(), []byte(`"severity": null`), []byte(`"severity": 0`)), &p))
	require.Equal(t, "fraud/3/3/0", p.Report.Key)
}

func TestRecorder(t *testing.T) {
	t.Parallel()
	r := report.NewRecorder(2)
	get := func(path, accept string) *httptest.ResponseRecorder {
		req := httptest.NewRequest("GET", path, nil)
		req.Header.Set("Accept", accept)
		w := httptest.NewRecorder()
		r.ServeHTTP(w, req)
		return w
	}
	require.Equal(t, 404, get("/", "").Code)
	for window := range 4 {
		r.Add(drifted(window, "amount"))
	}
	p, ok := r.Page()
	require.True(t, ok)
	require.Equal(t, 3, p.Report.Window)
	require.Len(t, p.History, 2)
	require.Equal(t, 2, p.History[0].Window)
	w := get("/", "text/html,application/json")
	require.Equal(t, "text/html; charset=utf-8", w.Header().Get("Content-Type"))
	require.Contains(t, w.Header().Get("Content-Security-Policy"), "default-src 'none'")
	require.Equal(t, "application/json", get("/report.json", "").Header().Get("Content-Type"))
	require.True(t, json.Valid(get("/", "application/json").Body.Bytes()))
	post := httptest.NewRecorder()
	r.ServeHTTP(post, httptest.NewRequest("POST", "/", nil))
	require.Equal(t, 405, post.Code)
	next := drifted(5, "amount")
	next.Version = "4"
	r.Add(next)
	p, _ = r.Page()
	require.Len(t, p.History, 1, "of its version")
}

// FuzzHTML gives names as they come from data: nothing of them is markup.
func FuzzHTML(f *testing.F) {
	for _, s := range []string{"amount", `<script>alert(1)</script>`, `"><img src=x onerror=alert(1)>`, "a\x00b\xff", "{{.}}", "]]>", "</title>", strings.Repeat("ü", 300)} {
		f.Add(s)
	}
	plain := len(regexp.MustCompile(`<[a-z]`).FindAllString(html(f, report.Page{Report: drifted(1, "amount")}), -1))
	f.Fuzz(func(t *testing.T, name string) {
		r := drifted(1, name)
		r.Model, r.Version = "fraud", "3"
		page := html(t, report.Page{Report: r})
		require.Len(t, regexp.MustCompile(`<[a-z]`).FindAllString(page, -1), plain, "as many tags as ever")
	})
}

func ExampleWriteHTML() {
	var page bytes.Buffer
	err := report.WriteHTML(&page, report.Page{Report: drifted(7, "amount")})
	fmt.Println(regexp.MustCompile(`<title>.*</title>`).FindString(page.String()), err)
	// Output: <title>fraud 3: 1 of 2 features have an alarm</title> <nil>
}

// A recorder sits beside what acts on reports.
func ExampleRecorder() {
	recorder := report.NewRecorder(0)
	options := monitor.Options{OnReport: recorder.Add}
	options.OnReport(drifted(1, "amount"))
	w := httptest.NewRecorder()
	recorder.ServeHTTP(w, httptest.NewRequest("GET", "/monitor/report.json", nil))
	fmt.Println(w.Code, w.Header().Get("Content-Type"))
	// Output: 200 application/json
}
