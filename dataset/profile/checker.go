package profile

import (
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/millwright-ml/millwright/internal/errs"
)

// Class says which checks a column's values can take.
type Class string

// The classes of columns.
const (
	Number Class = "number" // Also booleans, as 0 and 1.
	Text   Class = "text"
	Time   Class = "time"   // As Unix seconds.
	Other  Class = "other"  // Binary values.
	Nested Class = "nested" // Lists, maps and structs: their type and their nulls are checked.
)

// Field is one column of the rows to check.
type Field struct {
	Name  string
	Type  string // As Arrow prints it.
	Class Class
}

// Values are those of one column in one batch of rows. Only the functions of its
// class need to be there; none is called for a null.
type Values struct {
	Len   int
	Nulls int
	Null  func(i int) bool
	Float func(i int) float64 // Of numbers and times.
	Text  func(i int) string  // Of text; it may be a view that ends with the batch.
	// Key appends what two rows have in common when their values are equal, and
	// only then. Unique needs it.
	Key func(i int, to []byte) []byte
	// Show writes a value of any class for an example.
	Show func(i int) string
}

// CheckOptions bound what a Checker keeps.
type CheckOptions struct {
	// Examples is how many failing rows are kept for each expectation. The
	// default is 5, -1 keeps none: examples are values of the data.
	Examples int
	// MaxKeys is for how many rows the keys that shall be unique are held in memory,
	// as hashes; it costs about 24 bytes a row, and 12 more while the memory grows. Of
	// more rows they go to a temporary file, 16 bytes a row. The default is 16
	// million.
	MaxKeys int
	// TempDir is where that file goes, as it is: not encrypted. The default is the
	// system's folder for them.
	TempDir string
	// Now is the time that a fresh column is measured from. The default is the
	// time of Finish.
	Now time.Time
	// Reference gives the profile that a drift is measured from, for the text of
	// Expectation.Against; nil when there is none, which passes. The default
	// gives none.
	Reference func(against string) (*Table, error)
	// Before is the profile of the rows that are there already, for expectations
	// of the whole version. The default is none.
	Before *Table
}

const (
	defaultExamples = 5
	defaultMaxKeys  = 16 << 20
	maxShown        = 100 // Bytes of an example.
)

// Checker holds rows against expectations while they stream past. It is for one
// goroutine. What it keeps is bounded: a few examples, and the hashes of the
// columns that are to be unique, of which too many go to a temporary file that
// Finish removes.
type Checker struct {
	o      CheckOptions
	fields []Field
	rules  []*rule
	rows   uint64
}

// rule is an expectation with its columns found, and its count so far.
type rule struct {
	Expectation
	columns  []int // In the batches.
	class    Class
	pattern  *regexp.Regexp
	texts    map[string]struct{}
	numbers  map[float64]struct{}
	verdicts map[string]bool // Of texts that were matched lately.
	keys     *keySet
	scratch  []byte

	result Result
	nulls  uint64
	wrong  string // Fails whatever the values are.
}

// NewChecker prepares expectations for rows with the given columns. Everything
// that is wrong with them is reported at once, as an ErrInvalid; only a column
// that a check of type asks for may be missing, which that check reports.
func NewChecker(fields []Field, list []Expectation, opts *CheckOptions) (*Checker, error) {
	c := &Checker{fields: fields}
	if opts != nil {
		c.o = *opts
	}
	if c.o.Examples == 0 {
		c.o.Examples = defaultExamples
	}
	if c.o.MaxKeys <= 0 {
		c.o.MaxKeys = defaultMaxKeys
	}
	var f errs.Faults
	for i, e := range list {
		what := fmt.Sprintf("expectation %d (%s)", i+1, e)
		e.faults(&f, what)
		c.rules = append(c.rules, c.bind(e, what, &f))
	}
	if err := f.Err("profile: check"); err != nil {
		return nil, err
	}
	return c, nil
}

func (c *Checker) bind(e Expectation, what string, f *errs.Faults) *rule {
	r := &rule{Expectation: e}
	r.result.Expectation = e
	if e.Check == CheckRows {
		return r
	}
	for _, name := range append([]string{e.Column}, e.And...) {
		at := slices.IndexFunc(c.fields, func(f Field) bool { return f.Name == name })
		switch {
		case at >= 0:
			r.columns = append(r.columns, at)
		case e.Check == CheckType:
			r.wrong = "there is no such column"
		default:
			f.Addf("%s: there is no column %q", what, name)
		}
	}
	if len(r.columns) != 1+len(e.And) {
		return r
	}
	field := c.fields[r.columns[0]]
	r.class = field.Class
	needs := func(classes ...Class) {
		f.Check(slices.Contains(classes, r.class), "%s: the column is %s, which such a check cannot take", what, field.Type)
	}
	switch e.Check {
	case CheckRange:
		needs(Number, Time)
	case CheckMean:
		needs(Number)
	case CheckFresh:
		needs(Time)
	case CheckDistinct, CheckDrift:
		needs(Number, Text, Time)
	case CheckType:
		if field.Type != e.Type {
			r.wrong = fmt.Sprintf("the column is %s", field.Type)
		}
	case CheckUnique:
		for _, at := range r.columns {
			f.Check(c.fields[at].Class != Nested, "%s: column %q is %s, which such a check cannot take", what, c.fields[at].Name, c.fields[at].Type)
		}
		r.keys = &keySet{limit: c.o.MaxKeys, dir: c.o.TempDir}
	case CheckMatch:
		needs(Text)
		r.pattern, _ = regexp.Compile(e.Pattern) // Its fault is reported already.
		r.verdicts = map[string]bool{}
	case CheckSet:
		needs(Number, Text)
		r.learnSet(what, f)
	}
	return r
}

func (r *rule) learnSet(what string, f *errs.Faults) {
	if r.class == Text {
		r.texts = make(map[string]struct{}, len(r.Values))
		for _, v := range r.Values {
			r.texts[v] = struct{}{}
		}
		return
	}
	r.numbers = make(map[float64]struct{}, len(r.Values))
	for _, text := range r.Values {
		v, err := strconv.ParseFloat(text, 64)
		if b, wrong := strconv.ParseBool(text); err != nil && wrong == nil {
			v, err = 0, nil
			if b {
				v = 1
			}
		}
		f.Check(err == nil, "%s: %q is not a number", what, text)
		r.numbers[v] = struct{}{}
	}
}

// Needs lists the columns whose values are looked at, by their place, each once.
func (c *Checker) Needs() []int {
	var out []int
	for _, r := range c.rules {
		if r.byRow() || r.Check == CheckNulls {
			out = append(out, r.columns...)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// Keys lists the columns that are to be unique in the whole version: those of
// the rows that are there already are given to Known, before or after Add.
func (c *Checker) Keys() []string {
	var out []string
	for _, r := range c.rules {
		if r.Check == CheckUnique && r.Whole {
			out = append(append(out, r.Column), r.And...)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// Add checks a batch of rows. values gives the column at a place of the fields,
// one of Needs, and is called once for each.
func (c *Checker) Add(rows int, values func(column int) Values) {
	batch := make(map[int]Values, len(c.fields))
	for _, at := range c.Needs() {
		batch[at] = values(at)
	}
	for _, r := range c.rules {
		if len(r.columns) == 0 || !r.byRow() && r.Check != CheckNulls {
			continue
		}
		v := batch[r.columns[0]]
		r.nulls += uint64(v.Nulls)
		switch r.Check {
		case CheckNulls:
			r.showNulls(c, v)
		case CheckUnique:
			of := make([]Values, len(r.columns))
			for i, at := range r.columns {
				of[i] = batch[at]
			}
			r.unique(c, rows, of)
		default:
			r.each(c, v)
		}
	}
	c.rows += uint64(rows)
}

// Known takes in keys of rows that are there already; values gives a column by
// its name, one of Keys.
func (c *Checker) Known(rows int, values func(column string) Values) {
	for _, r := range c.rules {
		if r.Check != CheckUnique || !r.Whole {
			continue
		}
		of := []Values{values(r.Column)}
		for _, name := range r.And {
			of = append(of, values(name))
		}
		for i := range rows {
			if hash, ok := r.hash(of, i); ok {
				r.keys.know(hash)
			}
		}
	}
}

// each holds the values of one column against a rule.
func (r *rule) each(c *Checker, v Values) {
	lo, hi := math.Inf(-1), math.Inf(1)
	if r.Min != nil {
		lo = *r.Min
	}
	if r.Max != nil {
		hi = *r.Max
	}
	r.result.Checked += uint64(v.Len - v.Nulls)
	for i := range v.Len {
		if v.Nulls > 0 && v.Null(i) {
			continue
		}
		var ok bool
		switch {
		case r.Check == CheckRange:
			x := v.Float(i)
			ok = x >= lo && x <= hi // Which NaN is not.
		case r.Check == CheckMatch:
			ok = r.matches(v.Text(i))
		case r.numbers != nil:
			_, ok = r.numbers[v.Float(i)]
		default:
			_, ok = r.texts[v.Text(i)]
		}
		if !ok {
			r.fail(c, i, v)
		}
	}
}

// maxVerdicts bounds how many texts a pattern's answers are remembered for:
// where a column has few different values each is matched once.
const maxVerdicts = 1024

func (r *rule) matches(text string) bool {
	ok, known := r.verdicts[text]
	if !known {
		ok = r.pattern.MatchString(text)
		if len(r.verdicts) < maxVerdicts && len(text) <= maxCategoryLen {
			r.verdicts[strings.Clone(text)] = ok
		}
	}
	return ok
}

func (r *rule) unique(c *Checker, rows int, of []Values) {
	for i := range rows {
		hash, ok := r.hash(of, i)
		if !ok {
			continue
		}
		r.result.Checked++
		if fresh := r.keys.add(hash, c.rows+uint64(i)); !fresh {
			r.fail(c, i, of...)
		}
	}
}

// hash is that of the values of a row; ok is false when one is null: SQL, too,
// takes no null for equal to another. The hash of a single number is never that
// of another number; two texts share one by a chance of 2^-64.
func (r *rule) hash(of []Values, i int) (hash uint64, ok bool) {
	r.scratch = r.scratch[:0]
	for k := range of {
		if of[k].Nulls > 0 && of[k].Null(i) {
			return 0, false
		}
		from := len(r.scratch)
		r.scratch = of[k].Key(i, r.scratch)
		if len(of) > 1 {
			// The length tells ("a", "bc") from ("ab", "c").
			n := len(r.scratch) - from
			r.scratch = append(r.scratch, byte(n), byte(n>>8), byte(n>>16), byte(n>>24))
		}
	}
	return hashKey(r.scratch), true
}

func (r *rule) showNulls(c *Checker, v Values) {
	r.result.Checked += uint64(v.Len)
	r.result.Failed += uint64(v.Nulls)
	for i := 0; i < v.Len && v.Nulls > 0 && len(r.result.Examples) < c.o.Examples; i++ {
		if v.Null(i) {
			r.result.Examples = append(r.result.Examples, Example{Row: c.rows + uint64(i), Value: "null"})
		}
	}
}

// fail counts a row and keeps it as an example.
func (r *rule) fail(c *Checker, i int, of ...Values) {
	r.result.Failed++
	if len(r.result.Examples) >= c.o.Examples {
		return
	}
	var text strings.Builder
	for k, v := range of {
		if k > 0 {
			text.WriteString(", ")
		}
		text.WriteString(shown(v.Show(i)))
	}
	r.result.Examples = append(r.result.Examples, Example{Row: c.rows + uint64(i), Value: text.String()})
}

// shown is a copy of the start of a text, in valid UTF-8.
func shown(s string) string {
	if len(s) > maxShown {
		s = s[:maxShown]
		return strings.ToValidUTF8(s, "") + "…"
	}
	return strings.ToValidUTF8(strings.Clone(s), "\uFFFD")
}
