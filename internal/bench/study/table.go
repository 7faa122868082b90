package main

import (
	"encoding/csv"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"

	"github.com/millwright-ml/millwright/dataset/profile"
)

// table is one set: the rows of the reference, and those of the windows in order.
type table struct {
	inputs    []profile.Input
	reference []row
	windows   []window
}

type window struct {
	name string
	rows []row
}

// row has the numbers and the texts of its features in the order of the inputs.
type row struct {
	numbers      []float64
	texts        []string
	score, label float64
}

// readTable reads what data.py has written.
func readTable(path string) (*table, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	t, err := parseTable(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return t, nil
}

func parseTable(from io.Reader) (*table, error) {
	in := csv.NewReader(from)
	in.ReuseRecord = true
	head, err := in.Read()
	if err != nil || len(head) < 4 || strings.Join(head[:3], " ") != "window score label" {
		return nil, fmt.Errorf("the first line is %q, want window, score, label and features: %w", head, err)
	}
	t := new(table)
	for _, name := range head[3:] {
		kind := profile.Numeric
		if strings.HasPrefix(name, "c:") {
			kind = profile.Categorical
		}
		t.inputs = append(t.inputs, profile.Input{Name: name[2:], Kind: kind})
	}
	known := map[string]string{} // One text for each category.
	for {
		fields, err := in.Read()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, err
		}
		r, err := t.parseRow(fields, known)
		if err != nil {
			return nil, err
		}
		switch last := len(t.windows) - 1; {
		case fields[0] == "":
			t.reference = append(t.reference, r)
		case last >= 0 && t.windows[last].name == fields[0]:
			t.windows[last].rows = append(t.windows[last].rows, r)
		default:
			t.windows = append(t.windows, window{strings.Clone(fields[0]), []row{r}})
		}
	}
	if len(t.reference) == 0 || len(t.windows) == 0 {
		return nil, fmt.Errorf("it has %d rows of the reference and %d windows", len(t.reference), len(t.windows))
	}
	return t, nil
}

func (t *table) parseRow(fields []string, known map[string]string) (r row, err error) {
	number := func(s string) float64 {
		if s == "" {
			return math.NaN()
		}
		v, wrong := strconv.ParseFloat(s, 64)
		if wrong != nil {
			err = wrong
		}
		return v
	}
	r.score, r.label = number(fields[1]), number(fields[2])
	for i, in := range t.inputs {
		s := fields[3+i]
		if in.Kind == profile.Numeric {
			r.numbers = append(r.numbers, number(s))
			continue
		}
		if s == "" {
			s = profile.NullText
		}
		if _, ok := known[s]; !ok {
			s = strings.Clone(s)
			known[s] = s
		}
		r.texts = append(r.texts, known[s])
	}
	return r, err
}

// shuffled is the set with its rows in an order drawn by lot, in as many windows of
// the same sizes: real rows, and certainly no drift.
func (t *table) shuffled() *table {
	all := append([]row(nil), t.reference...)
	for _, w := range t.windows {
		all = append(all, w.rows...)
	}
	rng := rand.New(rand.NewPCG(8, 9))
	rng.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	s := &table{inputs: t.inputs, reference: all[:len(t.reference)]}
	all = all[len(t.reference):]
	for _, w := range t.windows {
		s.windows = append(s.windows, window{w.name, all[:len(w.rows)]})
		all = all[len(w.rows):]
	}
	return s
}

// column returns a feature's numbers, or its categories.
func (t *table) column(rows []row, feature int) (numbers []float64, texts []string) {
	at := 0
	for _, in := range t.inputs[:feature] {
		if in.Kind == t.inputs[feature].Kind {
			at++
		}
	}
	for i := range rows {
		if t.inputs[feature].Kind == profile.Numeric {
			if v := rows[i].numbers[at]; v-v == 0 {
				numbers = append(numbers, v)
			}
		} else if s := rows[i].texts[at]; s != profile.NullText {
			texts = append(texts, s)
		}
	}
	return numbers, texts
}
