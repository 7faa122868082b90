package ingest

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/apache/arrow/go/v15/arrow/array"
)

// csvGrammar reads CSV. A quote opens a field only at its start; elsewhere it is
// a character like others. Empty lines are no rows.
type csvGrammar struct {
	comma, quote byte
	null         map[string]bool
	nullLen      int      // Of the longest.
	fields       int      // Of a row.
	names        []string // Of the fields.
	at           []int    // The field of each column of the records.
	cells        []cellParser
}

// field is where a value of a row lies in a block.
type field struct {
	from, to int32 // In the block, or in the side buffer when escaped.
	quoted   bool
	escaped  bool // It had doubled quotes, and stands in the side buffer.
}

func (g *csvGrammar) cut(data []byte, last bool) int {
	if last {
		return len(data)
	}
	// Every line break ends a row unless it is in quotes.
	from := 0 // Start of a field, not in quotes.
	for {
		q := bytes.IndexByte(data[from:], g.quote)
		if q < 0 {
			break
		}
		q += from
		if q > 0 && data[q-1] != g.comma && data[q-1] != '\n' {
			from = q + 1
			continue
		}
		end, _ := g.closing(data, q+1)
		if end < 0 {
			return g.lastRow(data)
		}
		from = end + 1
	}
	if i := bytes.LastIndexByte(data[from:], '\n'); i >= 0 {
		return from + i + 1
	}
	// The row that is cut off has a quote in it.
	return g.lastRow(data)
}

// lastRow is where the last row of data starts, walking from its start.
func (g *csvGrammar) lastRow(data []byte) int {
	row := 0
	for pos := 0; pos < len(data); {
		if data[pos] == g.quote && (pos == 0 || data[pos-1] == g.comma || data[pos-1] == '\n') {
			end, _ := g.closing(data, pos+1)
			if end < 0 {
				return row
			}
			pos = end + 1
			continue
		}
		if data[pos] == '\n' {
			row = pos + 1
		}
		pos++
	}
	return row
}

// closing finds the quote that ends a field which starts at from; -1 when it is
// not in data. A quote that is the last byte may be the first of two.
func (g *csvGrammar) closing(data []byte, from int) (end int, escaped bool) {
	for {
		q := bytes.IndexByte(data[from:], g.quote)
		if q < 0 {
			return -1, escaped
		}
		q += from
		if q+1 < len(data) && data[q+1] == g.quote {
			escaped = true
			from = q + 2
			continue
		}
		return q, escaped
	}
}

// rows parts a block into fields. Rows with another number of fields get the
// right number, and a fault.
func (g *csvGrammar) rows(data []byte) (fields []field, side []byte, starts []int32, faults []rowFault) {
	fields = make([]field, 0, len(data)/8+g.fields)
	for pos := 0; pos < len(data); {
		if n := blankLine(data[pos:]); n > 0 {
			pos += n
			continue
		}
		first := len(fields)
		start := pos
		starts = append(starts, int32(start))
		var reason, value string
		fields, side, pos, reason, value = g.row(data, pos, fields, side)
		if n := len(fields) - first; reason == "" && n != g.fields {
			reason = fmt.Sprintf("the row has %d fields, the header %d", n, g.fields)
		}
		if reason != "" {
			faults = append(faults, rowFault{row: len(starts) - 1, at: start, value: value, reason: reason})
			fields = fields[:min(len(fields), first+g.fields)]
			for len(fields) < first+g.fields {
				fields = append(fields, field{})
			}
		}
	}
	return fields, side, starts, faults
}

// row parts one row.
func (g *csvGrammar) row(data []byte, pos int, fields []field, side []byte) (_ []field, _ []byte, next int, reason, value string) {
	for {
		f := field{from: int32(pos), to: int32(pos)}
		if pos < len(data) && data[pos] == g.quote {
			end, escaped := g.closing(data, pos+1)
			if end < 0 {
				return fields, side, len(data), "opens a quote that never closes", excerpt(data[pos:])
			}
			f = field{from: int32(pos + 1), to: int32(end), quoted: true}
			if escaped {
				f.from, f.escaped = int32(len(side)), true
				side = appendUnquoted(side, data[pos+1:end], g.quote)
				f.to = int32(len(side))
			}
			at := pos
			pos = end + 1
			if pos+1 < len(data) && data[pos] == '\r' && data[pos+1] == '\n' {
				pos++
			}
			if pos < len(data) && data[pos] != g.comma && data[pos] != '\n' {
				stop := pos
				if i := bytes.IndexByte(data[pos:], '\n'); i >= 0 {
					pos += i + 1
				} else {
					pos = len(data)
				}
				return append(fields, f), side, pos, "goes on behind its closing quote", excerpt(data[at:min(stop+1, len(data))])
			}
		} else {
			for pos < len(data) && data[pos] != g.comma && data[pos] != '\n' {
				pos++
			}
			f.to = int32(pos)
			if (pos == len(data) || data[pos] == '\n') && f.to > f.from && data[f.to-1] == '\r' {
				f.to--
			}
		}
		fields = append(fields, f)
		if pos >= len(data) {
			return fields, side, pos, "", ""
		}
		pos++
		if data[pos-1] == '\n' {
			return fields, side, pos, "", ""
		}
	}
}

// blankLine is the length of an empty line at the start of data, 0 when there is
// none.
func blankLine(data []byte) int {
	switch {
	case data[0] == '\n':
		return 1
	case data[0] == '\r' && (len(data) == 1 || data[1] == '\n'):
		return min(2, len(data))
	}
	return 0
}

func appendUnquoted(dst, text []byte, quote byte) []byte {
	for {
		i := bytes.IndexByte(text, quote)
		if i < 0 {
			return append(dst, text...)
		}
		dst = append(dst, text[:i+1]...)
		text = text[min(i+2, len(text)):]
	}
}

func (g *csvGrammar) text(f field, data, side []byte) []byte {
	if f.escaped {
		data = side
	}
	return data[f.from:f.to]
}

// parse goes column by column, so that the type is looked at once a column.
func (g *csvGrammar) parse(data []byte, b *array.RecordBuilder) []rowFault {
	fields, side, starts, faults := g.rows(data)
	rows := len(starts)
	var bad []bool // Nil while no row is.
	mark := func(row int) {
		if bad == nil {
			bad = make([]bool, rows)
		}
		bad[row] = true
	}
	for _, f := range faults {
		mark(f.row)
	}
	for c, at := range g.at {
		out := b.Field(c)
		out.Reserve(rows)
		parse := g.cells[c]
		for r := range rows {
			f := fields[r*g.fields+at]
			text := g.text(f, data, side)
			if bad != nil && bad[r] || g.isNull(f, text) {
				out.AppendNull()
				continue
			}
			if f.quoted && len(text) == 0 && !isText(out) {
				out.AppendNull()
				continue
			}
			if reason := parse(out, text); reason != "" {
				settle(out, r+1)
				mark(r)
				faults = append(faults, rowFault{row: r, at: int(starts[r]), column: g.names[at], value: excerpt(text), reason: reason})
			}
		}
	}
	slices.SortFunc(faults, func(a, b rowFault) int { return a.row - b.row })
	return faults
}

func (g *csvGrammar) isNull(f field, text []byte) bool {
	return !f.quoted && len(text) <= g.nullLen && g.null[string(text)]
}

func isText(b array.Builder) bool {
	switch b.(type) {
	case *array.StringBuilder, *array.BinaryBuilder:
		return true
	}
	return false
}
