package grafana

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// RuleFile returns a file for Prometheus's rule_files.
func RuleFile(opts *Options) ([]byte, error) {
	groups, err := Rules(opts)
	if err != nil {
		return nil, err
	}
	var y writer
	y.line(0, "# Written by monitor/grafana: change its options, not this file.")
	y.groups(0, groups)
	return y.Bytes(), nil
}

// PrometheusRule returns the rules as an object of the Prometheus operator.
func PrometheusRule(opts *Options) ([]byte, error) {
	o, err := opts.withDefaults()
	if err != nil {
		return nil, err
	}
	groups, err := Rules(opts)
	if err != nil {
		return nil, err
	}
	var y writer
	y.object(&o, "PrometheusRule")
	y.groups(2, groups)
	return y.Bytes(), nil
}

// ServiceMonitor returns the object that has the operator's Prometheus scrape
// the services.
func ServiceMonitor(opts *Options) ([]byte, error) {
	o, err := opts.withDefaults()
	if err != nil {
		return nil, err
	}
	var y writer
	y.object(&o, "ServiceMonitor")
	y.line(2, "selector:")
	y.texts(4, "matchLabels", o.Selector)
	y.line(2, "endpoints:")
	y.line(4, "- port: %s", quote(o.Port))
	y.line(6, "path: %s", quote(o.Path))
	y.line(6, "interval: %s", seconds(o.Interval))
	return y.Bytes(), nil
}

// writer writes YAML.
type writer struct{ strings.Builder }

func (y *writer) Bytes() []byte { return []byte(y.String()) }

func (y *writer) line(indent int, format string, args ...any) {
	y.WriteString(strings.Repeat(" ", indent))
	fmt.Fprintf(y, format, args...)
	y.WriteByte('\n')
}

// texts writes a map of texts in the order of its keys, nothing for an empty
// one.
func (y *writer) texts(indent int, name string, m map[string]string) {
	if len(m) == 0 {
		return
	}
	y.line(indent, "%s:", name)
	for _, k := range slices.Sorted(maps.Keys(m)) {
		y.line(indent+2, "%s: %s", quoteKey(k), quote(m[k]))
	}
}

func (y *writer) object(o *Options, kind string) {
	y.line(0, "apiVersion: monitoring.coreos.com/v1")
	y.line(0, "kind: %s", kind)
	y.line(0, "metadata:")
	y.line(2, "name: %s", quote(o.Name))
	if o.Namespace != "" {
		y.line(2, "namespace: %s", quote(o.Namespace))
	}
	y.texts(2, "labels", o.ObjectLabels)
	y.line(0, "spec:")
}

func (y *writer) groups(indent int, groups []Group) {
	y.line(indent, "groups:")
	for _, g := range groups {
		y.line(indent+2, "- name: %s", quote(g.Name))
		y.line(indent+4, "interval: %s", seconds(g.Interval))
		y.line(indent+4, "rules:")
		for _, r := range g.Rules {
			if r.Record != "" {
				y.line(indent+6, "- record: %s", quote(r.Record))
			} else {
				y.line(indent+6, "- alert: %s", quote(r.Alert))
			}
			y.line(indent+8, "expr: |-")
			for line := range strings.Lines(r.Expr) {
				y.line(indent+10, "%s", strings.TrimSuffix(line, "\n"))
			}
			if r.For > 0 {
				y.line(indent+8, "for: %s", seconds(r.For))
			}
			y.texts(indent+8, "labels", r.Labels)
			y.texts(indent+8, "annotations", r.Annotations)
		}
	}
}

// quote makes a text a scalar. JSON's strings are YAML's.
func quote(s string) string {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(strings.ToValidUTF8(s, "\uFFFD")) // A text always has a form.
	return strings.TrimSuffix(b.String(), "\n")
}

// quoteKey leaves alone what no reader of YAML takes for anything but a text.
func quoteKey(s string) string {
	switch s {
	case "app", "severity", "summary", "description", "runbook_url":
		return s
	}
	return quote(s)
}
