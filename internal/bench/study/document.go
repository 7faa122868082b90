package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"
)

// tally is in how many windows each tool raised something.
type tally struct{ windows, worse, ours, psi, evidently, half, nannyml int }

// sum counts the windows that where is true of.
func (o *outcome) sum(where func(*seen) bool) (t tally) {
	add := func(n *int, yes bool) {
		if yes {
			*n++
		}
	}
	for i := range o.windows {
		s := &o.windows[i]
		if !where(s) {
			continue
		}
		t.windows++
		add(&t.worse, s.change < 0)
		add(&t.ours, s.alarm())
		add(&t.psi, s.psi > 0)
		add(&t.evidently, s.evidently > 0)
		add(&t.half, 2*s.evidently >= o.features)
		add(&t.nannyml, s.nannyml > 0)
	}
	return t
}

func every(*seen) bool   { return true }
func worse(s *seen) bool { return s.change < 0 }

// write writes the document.
func write(to io.Writer, list []result) error {
	var b strings.Builder
	b.WriteString(preface)
	b.WriteString("\n## In short\n\n")
	row := func(cells ...string) { b.WriteString("| " + strings.Join(cells, " | ") + " |\n") }
	n := func(v, of int) string { return fmt.Sprintf("%d of %d", v, of) }
	for _, part := range []struct {
		title string
		of    func(r *result) tally
	}{
		{"Windows in which something was raised", func(r *result) tally { return r.real.sum(every) }},
		{"Of the windows in which the model had become worse", func(r *result) tally { return r.real.sum(worse) }},
		{"Of the windows in which it had not", func(r *result) tally { return r.real.sum(func(s *seen) bool { return !worse(s) }) }},
		{"False alarms: the same rows in an order drawn by lot", func(r *result) tally { return r.control.sum(every) }},
	} {
		b.WriteString(part.title + ":\n\n")
		row("set", "Millwright", "a PSI above 0.2", "Evidently, a column", "Evidently, half the columns", "NannyML, a feature")
		row("---", "---", "---", "---", "---", "---")
		var all tally
		for i := range list {
			t := part.of(&list[i])
			row(list[i].name, n(t.ours, t.windows), n(t.psi, t.windows), n(t.evidently, t.windows), n(t.half, t.windows), n(t.nannyml, t.windows))
			all.windows += t.windows
			all.ours, all.psi, all.evidently, all.half, all.nannyml = all.ours+t.ours, all.psi+t.psi, all.evidently+t.evidently, all.half+t.half, all.nannyml+t.nannyml
		}
		row("all", n(all.ours, all.windows), n(all.psi, all.windows), n(all.evidently, all.windows), n(all.half, all.windows), n(all.nannyml, all.windows))
		b.WriteString("\n")
	}
	b.WriteString("Triggers that the monitor opened, each with a cause:")
	for i := range list {
		fmt.Fprintf(&b, " %s %d", list[i].name, len(list[i].real.triggers))
		if i < len(list)-1 {
			b.WriteString(",")
		}
	}
	b.WriteString(".\n\n" + reading)
	for i := range list {
		list[i].section(&b)
	}
	b.WriteString(sources(list))
	_, err := io.WriteString(to, b.String())
	return err
}

func (r *result) section(b *strings.Builder) {
	o := r.real
	fmt.Fprintf(b, "\n## %s\n\n%s\n\n", r.title, r.about)
	fmt.Fprintf(b, "%d rows, %d features, %d windows. On the reference the %s is %s (%s to %s).\n\n", o.rows, o.features, len(o.windows),
		strings.ToUpper(o.metric), short(o.reference.Value), short(o.reference.Low), short(o.reference.High))
	fmt.Fprintf(b, "![%s](study-drift/%s.svg)\n\n", r.title, r.name)
	switch len(o.triggers) {
	case 0:
		b.WriteString("No trigger opened.")
	default:
		for i := range o.windows {
			if s := &o.windows[i]; s.opened {
				fmt.Fprintf(b, "A trigger opened with the window %s: %s.", s.name, s.cause)
				break
			}
		}
		if more := o.triggers[1:]; len(more) > 0 {
			fmt.Fprintf(b, " It ended, and others opened with %s.", strings.Join(more, ", "))
		}
	}
	fmt.Fprintf(b, " %s\n\n", r.found)
	b.WriteString("By window: what the monitor found, the metric and what was expected of it without labels, and how many features each of the others raised.\n\n")
	fmt.Fprintf(b, "| window | rows | drifted | over a limit | state | %s | expected | PSI | Evidently | NannyML |\n", strings.ToUpper(o.metric))
	b.WriteString("| --- | ---: | --- | --- | --- | --- | --- | ---: | ---: | ---: |\n")
	for i := range o.windows {
		s := &o.windows[i]
		estimate, change := "", ""
		if s.estimate == s.estimate {
			estimate = short(s.estimate)
		}
		switch {
		case s.change < 0:
			change = " worse"
		case s.change > 0:
			change = " better"
		}
		state := string(s.state)
		if s.verdict == "insufficient" {
			state = "too few rows"
		}
		if s.opened {
			state += ", trigger"
		}
		fmt.Fprintf(b, "| %s | %d | %s | %s | %s | %s%s | %s | %d | %d | %d |\n", s.name, s.rows, names(s.drifted), names(s.limits), state,
			short(s.metric.Value), change, estimate, s.psi, s.evidently, s.nannyml)
	}
}

// names lists features, the first three by name.
func names(list []string) string {
	const shown = 3
	if len(list) <= shown {
		return strings.Join(list, ", ")
	}
	return strings.Join(list[:shown], ", ") + fmt.Sprintf(" and %d more", len(list)-shown)
}

func short(v float64) string { return strconv.FormatFloat(v, 'g', 3, 64) }

func sources(list []result) string {
	var b strings.Builder
	b.WriteString("\n## Sources\n\n| set | package | data, licence |\n| --- | --- | --- |\n")
	for _, r := range list {
		fmt.Fprintf(&b, "| %s | %s | %s |\n", r.name, r.from, r.licence)
	}
	return b.String()
}
