package main

import (
	"bytes"
	"fmt"
	"strings"
)

// Measures of a picture, in pixels.
const (
	pictureWidth  = 860
	plotLeft      = 150
	plotTop       = 24
	plotHeight    = 130
	laneHeight    = 20
	pictureMargin = 16
)

// picture draws a set: what the model did, and below it in which windows each tool
// raised something.
func picture(r *result) []byte {
	o := r.real
	lanes := []struct {
		name string
		on   func(*seen) bool
	}{
		{"Millwright", (*seen).alarm},
		{"PSI above 0.2", func(s *seen) bool { return s.psi > 0 }},
		{"Evidently, a column", func(s *seen) bool { return s.evidently > 0 }},
		{"Evidently, half", func(s *seen) bool { return 2*s.evidently >= o.features }},
		{"NannyML", func(s *seen) bool { return s.nannyml > 0 }},
	}
	height := plotTop + plotHeight + (len(lanes)+2)*laneHeight
	step := float64(pictureWidth-plotLeft-pictureMargin) / float64(len(o.windows))
	low, high := o.reference.Low, o.reference.High
	for _, s := range o.windows {
		low, high = min(low, s.metric.Low), max(high, s.metric.High)
	}
	x := func(i int) float64 { return plotLeft + (float64(i)+0.5)*step }
	y := func(v float64) float64 { return plotTop + plotHeight*(high-v)/max(high-low, 1e-9) }
	var b bytes.Buffer
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="12">`+"\n", pictureWidth, height)
	fmt.Fprintf(&b, `<rect width="%d" height="%d" fill="#fff"/>`+"\n", pictureWidth, height)
	fmt.Fprintf(&b, `<text x="8" y="16">%s by window, with 95 %% intervals; the band is the reference</text>`+"\n", strings.ToUpper(o.metric))
	fmt.Fprintf(&b, `<rect x="%d" y="%.1f" width="%d" height="%.1f" fill="#cde"/>`+"\n", plotLeft, y(o.reference.High), pictureWidth-plotLeft-pictureMargin, y(o.reference.Low)-y(o.reference.High))
	for _, v := range []float64{low, high} {
		fmt.Fprintf(&b, `<text x="%d" y="%.1f" text-anchor="end">%s</text>`+"\n", plotLeft-8, y(v)+4, short(v))
	}
	for i, s := range o.windows {
		colour := "#567"
		if s.change < 0 {
			colour = "#b22"
		}
		fmt.Fprintf(&b, `<line x1="%.1[1]f" x2="%.1[1]f" y1="%.1[2]f" y2="%.1[3]f" stroke="%[4]s"/><circle cx="%.1[1]f" cy="%.1[5]f" r="2.5" fill="%[4]s"/>`+"\n",
			x(i), y(s.metric.Low), y(s.metric.High), colour, y(s.metric.Value))
	}
	for n, lane := range lanes {
		at := plotTop + plotHeight + (n+1)*laneHeight
		fmt.Fprintf(&b, `<text x="%d" y="%d" text-anchor="end">%s</text>`+"\n", plotLeft-8, at+4, lane.name)
		for i := range o.windows {
			fill := "#e4e8ec"
			if lane.on(&o.windows[i]) {
				fill = "#d97706"
			}
			fmt.Fprintf(&b, `<rect x="%.1f" y="%d" width="%.1f" height="12" fill="%s"/>`+"\n", x(i)-step*0.45, at-6, step*0.9, fill)
		}
	}
	every := max(len(o.windows)/10, 1)
	for i := 0; i < len(o.windows); i += every {
		fmt.Fprintf(&b, `<text x="%.1f" y="%d" text-anchor="middle">%s</text>`+"\n", x(i), height-8, o.windows[i].name)
	}
	b.WriteString("</svg>\n")
	return b.Bytes()
}
