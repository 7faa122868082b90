package ingest

import (
	"bytes"
	"fmt"
	"path"
	"strings"

	"github.com/apache/arrow/go/v15/arrow"
)

// csvPlan is what the sample of a CSV file says about it.
type csvPlan struct {
	csvGrammar
	skip int   // Bytes before the first row.
	line int64 // On which the first row starts, from 1.
}

// planCSV finds the comma and the names of a file. empty says that there is
// nothing in it, not even a header.
func planCSV(o *Options, in *input) (p *csvPlan, empty bool, err error) {
	p = &csvPlan{line: 1}
	p.quote, p.comma = o.CSV.Quote, o.CSV.Comma
	p.null = map[string]bool{}
	for _, text := range o.CSV.Null {
		p.null[text] = true
		p.nullLen = max(p.nullLen, len(text))
	}
	data := in.sample
	if bytes.HasPrefix(data, bom) {
		p.skip = len(bom)
	}
	for range o.CSV.Skip {
		i := bytes.IndexByte(data[p.skip:], '\n')
		if i < 0 {
			return nil, false, fmt.Errorf("ingest: read %q: %d lines are to be skipped, and its first %d bytes have fewer: %w", in.name, o.CSV.Skip, len(data), ErrInvalid)
		}
		p.skip += i + 1
		p.line++
	}
	for p.skip < len(data) {
		n := blankLine(data[p.skip:])
		if n == 0 {
			break
		}
		p.skip += n
		p.line++
	}
	if p.comma == 0 {
		p.comma = p.guess(in.name, data[p.skip:], in.whole)
	}
	if o.CSV.Header != nil {
		p.names = o.CSV.Header
		p.fields = len(p.names)
		return p, false, p.check(in.name)
	}
	if p.skip == len(data) {
		return p, true, nil
	}
	if !in.whole && p.cut(data[p.skip:], false) == 0 {
		return nil, false, fmt.Errorf("ingest: read %q: line %d, the header, does not end within %d bytes: not a CSV file, or a quote that never closes: %w", in.name, p.line, len(data), ErrInvalid)
	}
	fields, side, next, reason, value := p.row(data, p.skip, nil, nil)
	if reason != "" {
		return nil, false, &RowError{File: in.name, Line: p.line, Value: value, Reason: reason}
	}
	for _, f := range fields {
		p.names = append(p.names, string(p.text(f, data, side)))
	}
	p.fields = len(p.names)
	p.line += int64(bytes.Count(data[p.skip:next], newline))
	p.skip = next
	return p, false, p.check(in.name)
}

// check says what is wrong with the names.
func (p *csvPlan) check(file string) error {
	var faults []string
	seen := map[string]bool{}
	for i, name := range p.names {
		switch {
		case name == "":
			faults = append(faults, fmt.Sprintf("column %d has no name", i+1))
		case seen[name]:
			faults = append(faults, fmt.Sprintf("column %q is there twice", name))
		}
		seen[name] = true
	}
	if len(p.names) == 0 {
		faults = append(faults, "there are no columns")
	}
	if len(faults) == 0 {
		return nil
	}
	return fmt.Errorf("ingest: read %q: its header is not usable: %s: Options.CSV.Header names the columns: %w", file, strings.Join(faults, "; "), ErrInvalid)
}

// guessRows is how many rows decide what the comma is.
const guessRows = 50

// guess takes the separator that parts the first rows into equally many fields,
// and into the most of them. Where none does, it is the comma.
func (p *csvPlan) guess(file string, data []byte, whole bool) byte {
	if strings.HasSuffix(strings.TrimSuffix(strings.TrimSuffix(path.Base(file), ".gz"), ".zst"), ".tsv") {
		return '\t'
	}
	best, most := byte(','), 1
	for _, comma := range []byte{',', '\t', ';', '|'} {
		if comma == p.quote {
			continue
		}
		g := csvGrammar{comma: comma, quote: p.quote}
		end := g.cut(data, whole)
		n, rows, even := 0, 0, true
		for pos := 0; pos < end && rows < guessRows && even; {
			if k := blankLine(data[pos:end]); k > 0 {
				pos += k
				continue
			}
			fields, _, next, reason, _ := g.row(data[:end], pos, nil, nil)
			pos = next
			rows++
			even = reason == "" && (n == 0 || n == len(fields))
			n = len(fields)
		}
		if even && n > most {
			best, most = comma, n
		}
	}
	return best
}

// sampleKinds says as what the fields of the sample can be read.
func (p *csvPlan) sampleKinds(in *input, into map[string]kinds) {
	data := in.sample[p.skip:]
	data = data[:p.cut(data, in.whole)]
	fields, side, starts, _ := p.rows(data) // What is at fault is said when it is read.
	for c, name := range p.names {
		k, known := into[name]
		if !known {
			k = anything
		}
		for r := 0; r < len(starts) && k != 0; r++ {
			f := fields[r*p.fields+c]
			text := p.text(f, data, side)
			if !p.isNull(f, text) && len(text) > 0 {
				k &= kindsOf(text)
			}
		}
		into[name] = k
	}
}

// bind makes the grammar that reads the columns of the records.
func (p *csvPlan) bind(schema *arrow.Schema, at []int, c clock) *csvGrammar {
	g := p.csvGrammar
	g.at = at
	for _, f := range schema.Fields() {
		g.cells = append(g.cells, cellFor(f.Type, c))
	}
	return &g
}
