package main

import (
	"fmt"
	"io"
	"strings"
)

// What is aimed at, on one core where nothing else is said.
const (
	aimWrite   = 240.0 // MB of Arrow a second, written as zstd.
	aimRead    = 800.0 // The same, read.
	aimRatio   = 0.9   // Of the best of the four, in every row.
	aimLog     = 5.0   // Times the best of the others, at commits and opens.
	aimNew     = 5.0   // % of new bytes after one row was inserted.
	aimArrow15 = 4.0   // Times Arrow v15 at writing columns with nulls.
	aimResume  = 2.0   // Times the early resume that the late one may take.
)

// aims says of every aim whether the figures meet it, and of one that was not
// measured nothing.
func (r *results) aims(to io.Writer) error {
	var err error
	say := func(met bool, format string, args ...any) {
		verdict := "missed"
		if met {
			verdict = "met"
		}
		if err == nil {
			_, err = fmt.Fprintf(to, "%-6s  %s\n", verdict, fmt.Sprintf(format, args...))
		}
	}
	early := 0.0
	for _, l := range r.lines {
		own := l.value[oursName]
		for name, aim := range map[string]float64{"write features": aimWrite, "read features": aimRead} {
			if l.name == name && l.cores == 1 {
				say(own >= aim, "%s on one core at %.0f MB/s of Arrow, want %.0f", name, own, aim)
			}
		}
		if v15 := l.value[arrow15Name]; v15 > 0 && l.name == "write nullable" && l.cores == 1 {
			say(own >= aimArrow15*v15, "%s at %.1f times Arrow v15, want %.0f", l.name, own/v15, aimArrow15)
		}
		switch {
		case l.unit == "%":
			say(own <= aimNew, "%s: %.1f %%, want at most %.0f", l.name, own, aimNew)
			continue
		case strings.HasPrefix(l.name, "resume at 1 "):
			early = own
		case strings.HasPrefix(l.name, "resume at 99") && early > 0:
			say(own <= aimResume*early, "resume in constant time, %d cores: %.2f ms early and %.2f ms late", l.cores, early, own)
		}
		ratio, ok := l.ratio()
		if !ok || strings.HasPrefix(l.name, "size of") {
			continue
		}
		want := aimRatio
		if l.unit == "ms" {
			want = aimLog
		}
		say(ratio >= want, "%s, %d cores: %.2f times the best of the others, want %.1f", l.name, l.cores, ratio, want)
	}
	return err
}
