package ingest

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/apache/arrow/go/v15/arrow"
)

// inferText finds the schema of text files of one format, whose first is open.
func (o *Options) inferText(first *input, files []source) (*arrow.Schema, error) {
	inputs := []*input{first}
	defer func() {
		for _, in := range inputs[1:] {
			in.close()
		}
	}()
	// The others are spread evenly, so that a change over the years is seen.
	sampled := min(len(files), o.SampleFiles)
	for i := 1; i < sampled; i++ {
		var unread atomic.Int64 // They are read again when their turn comes.
		in, err := o.openInput(files[i*(len(files)-1)/(sampled-1)], &unread)
		if err != nil {
			return nil, err
		}
		if in.format != first.format {
			in.close()
			continue
		}
		inputs = append(inputs, in)
	}
	if first.format == CSV {
		return o.inferCSV(inputs)
	}
	return o.inferJSON(inputs)
}

func (o *Options) inferCSV(inputs []*input) (*arrow.Schema, error) {
	var names []string
	seen := map[string]kinds{}
	for _, in := range inputs {
		p, empty, err := planCSV(o, in)
		if err != nil {
			return nil, err
		}
		if empty {
			continue
		}
		if names == nil {
			names = p.names
		}
		p.sampleKinds(in, seen)
	}
	if names == nil {
		return nil, fmt.Errorf("ingest: read %q: it is empty, without as much as a header: give a Schema: %w", inputs[0].name, ErrInvalid)
	}
	return o.chosen(inputs[0].name, names, func(name string) (arrow.DataType, bool, string) {
		t, local := typeOf(seen[name])
		return t, local, ""
	})
}

func (o *Options) inferJSON(inputs []*input) (*arrow.Schema, error) {
	root := newShape()
	root.fields = map[string]*shape{}
	rows := 0
	t := &jsonText{}
	for _, in := range inputs {
		for i, line := range lines(in) {
			if line = bytes.TrimSpace(line); len(line) == 0 {
				continue
			}
			t.data, t.pos = line, 0
			reason := "is not a JSON object"
			switch {
			case t.peek() == '{':
				reason = root.learn(t, 0)
			case t.peek() == '[':
				reason = "is a JSON array, want one object a line: jq -c '.[]' makes them"
			}
			rows++
			if t.space(); reason == "" && t.pos < len(line) {
				reason = "follows the object on its line"
			}
			if reason != "" && o.BadRows == nil {
				return nil, &RowError{File: in.name, Row: int64(rows), Line: int64(i + 1), Value: excerpt(line), Reason: reason}
			}
		}
	}
	if len(root.order) == 0 {
		return nil, fmt.Errorf("ingest: read %q: its first %d bytes have no row with a value: give a Schema: %w", inputs[0].name, len(inputs[0].sample), ErrInvalid)
	}
	return o.chosen(inputs[0].name, root.order, func(name string) (arrow.DataType, bool, string) {
		return root.fields[name].dataType()
	})
}

// chosen makes the schema of the columns asked for.
func (o *Options) chosen(file string, names []string, infer func(string) (arrow.DataType, bool, string)) (*arrow.Schema, error) {
	wanted := names
	if len(o.Columns) > 0 {
		wanted = o.Columns
	}
	var faults []string
	fields := make([]arrow.Field, 0, len(wanted))
	for _, name := range wanted {
		if !slices.Contains(names, name) {
			faults = append(faults, fmt.Sprintf("there is no column %q", name))
			continue
		}
		t, given := o.Types[name]
		if !given {
			var local bool
			var why string
			switch t, local, why = infer(name); {
			case why != "":
				faults = append(faults, fmt.Sprintf("column %q%s: give its type in Options.Types, or leave it out with Options.Columns", name, spaced(why)))
			case local && o.Location == nil:
				faults = append(faults, fmt.Sprintf("column %q has times without a zone: say in Options.Location where its clock stood, time.UTC for one", name))
			}
		}
		fields = append(fields, arrow.Field{Name: name, Type: t, Nullable: true})
	}
	for _, name := range slices.Sorted(maps.Keys(o.Types)) {
		if !slices.Contains(wanted, name) {
			faults = append(faults, fmt.Sprintf("a type is given for column %q, which is not there", name))
		}
	}
	if len(faults) > 0 {
		return nil, fmt.Errorf("ingest: read %q: %s: %w", file, strings.Join(faults, "; "), ErrInvalid)
	}
	return arrow.NewSchema(fields, nil), nil
}

// spaced puts a space before a reason that does not go on with a path.
func spaced(why string) string {
	if strings.HasPrefix(why, ".") || strings.HasPrefix(why, "[") {
		return why
	}
	return " " + why
}

// place finds the columns of the records among the names of a file.
func (o *Options) place(file string, schema *arrow.Schema, names []string) ([]int, error) {
	at := make(map[string]int, len(names))
	var faults []string
	for i, name := range names {
		if _, twice := at[name]; twice {
			faults = append(faults, fmt.Sprintf("column %q is there twice", name))
		}
		at[name] = i
	}
	out := make([]int, 0, len(schema.Fields()))
	for _, f := range schema.Fields() {
		i, ok := at[f.Name]
		if !ok {
			faults = append(faults, fmt.Sprintf("column %q is missing", f.Name))
			continue
		}
		out = append(out, i)
		delete(at, f.Name)
	}
	if !o.IgnoreUnknown && len(o.Columns) == 0 {
		for _, name := range names {
			if _, left := at[name]; left {
				faults = append(faults, fmt.Sprintf("column %q is not one of the records: Options.IgnoreUnknown skips it", name))
				delete(at, name)
			}
		}
	}
	if len(faults) > 0 {
		return nil, fmt.Errorf("ingest: read %q: its columns are others: %s: %w", file, strings.Join(faults, "; "), ErrInvalid)
	}
	return out, nil
}
