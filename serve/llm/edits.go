package llm

import (
	"cmp"
	"slices"
	"strconv"
)

func sortEdits(edits []edit) {
	slices.SortStableFunc(edits, func(a, b edit) int { return cmp.Compare(a.at.from, b.at.from) })
}

// askUsage makes the upstream count the tokens of a stream.
func (c *call) askUsage() edit {
	f := &c.f
	switch {
	case !f.usageAt.empty():
		return edit{f.usageAt, "true"}
	case f.optionsNone:
		return edit{f.options, `{"include_usage":true}`}
	case !f.options.empty():
		return edit{span{f.options.from + 1, f.options.from + 1}, `"include_usage":true,`}
	}
	return edit{span{f.open, f.open}, `"stream_options":{"include_usage":true},`}
}

// bound makes the request ask for no more tokens than that.
func (c *call) bound(edits []edit, most int) []edit {
	text := strconv.Itoa(most)
	prefer := 0 // The name that every server knows.
	if c.x.Operation == Responses {
		prefer = 2
	}
	set := false
	for _, m := range c.f.maxes {
		if m.at.empty() || m.n < 0 {
			continue
		}
		set = true
		if m.n > most {
			edits = append(edits, edit{m.at, text})
		}
	}
	if set {
		return edits
	}
	if at := c.f.maxes[prefer].at; !at.empty() {
		return append(edits, edit{at, text})
	}
	return append(edits, edit{span{c.f.open, c.f.open}, `"` + known[maxFirst+prefer] + `":` + text + `,`})
}
