package search

import (
	"regexp"
	"slices"
	"strings"
)

// Entity says what a key names.
type Entity string

// The entities. Each grammar knows some of them.
const (
	Attribute     Entity = "attribute"      // a field of the entry itself, Key is its canonical name
	Metric        Entity = "metric"         // the latest value of a metric
	Param         Entity = "parameter"      // a param
	Tag           Entity = "tag"            // a tag
	Dataset       Entity = "dataset"        // of a run's inputs: Key is "name", "digest" or "context"
	Metadata      Entity = "metadata"       // of a trace
	Span          Entity = "span"           // of a trace's spans: Key is "name", "type", "status" or "content"
	SpanAttribute Entity = "span attribute" // of a trace's spans, Key is the attribute
	Feedback      Entity = "feedback"       // a valid assessment of a trace, Key is its name
	Expectation   Entity = "expectation"    // the same
	Issue         Entity = "issue"          // an issue that a trace shows: Key is "id"
)

// Op is a comparison.
type Op string

// The comparisons.
const (
	Equal        Op = "="
	NotEqual     Op = "!="
	Greater      Op = ">"
	GreaterEqual Op = ">="
	Less         Op = "<"
	LessEqual    Op = "<="
	Like         Op = "LIKE"
	ILike        Op = "ILIKE"
	RLike        Op = "RLIKE"
	In           Op = "IN"
	NotIn        Op = "NOT IN"
	IsNull       Op = "IS NULL"
	IsNotNull    Op = "IS NOT NULL"
)

// Clause is one comparison of a filter.
type Clause struct {
	Entity Entity
	Key    string
	Op     Op
	// Numeric tells which of the fields holds the value: Number when it is
	// true, else List for In and NotIn, Text for the other operators, and none
	// for IsNull and IsNotNull.
	Numeric bool
	Number  float64
	Text    string
	List    []string
	Pos     int // 1-based position, in characters, of the key in the filter

	regexp *regexp.Regexp // of RLike, nil in a Clause that was not parsed
}

// MatchText reports whether a text that is there satisfies the clause. A
// numeric clause matches no text.
func (c *Clause) MatchText(s string) bool {
	switch c.Op {
	case IsNotNull:
		return true
	case IsNull:
		return false
	}
	if c.Numeric {
		return false
	}
	switch c.Op {
	case Equal:
		return s == c.Text
	case NotEqual:
		return s != c.Text
	case Like:
		return matchLike(s, c.Text)
	case ILike:
		return matchLike(lowerASCII(s), lowerASCII(c.Text))
	case RLike:
		re := c.regexp
		if re == nil {
			var err error
			if re, err = regexp.Compile(c.Text); err != nil {
				return false
			}
		}
		return re.MatchString(s)
	case In:
		return slices.Contains(c.List, s)
	case NotIn:
		return !slices.Contains(c.List, s)
	}
	return false
}

// MatchNumber reports whether a number that is there satisfies the clause. NaN
// is unequal to every number and neither below nor above it. A clause that is
// not numeric matches no number.
func (c *Clause) MatchNumber(f float64) bool {
	switch c.Op {
	case IsNotNull:
		return true
	case IsNull:
		return false
	}
	if !c.Numeric {
		return false
	}
	switch c.Op {
	case Equal:
		return f == c.Number
	case NotEqual:
		return f != c.Number
	case Greater:
		return f > c.Number
	case GreaterEqual:
		return f >= c.Number
	case Less:
		return f < c.Number
	case LessEqual:
		return f <= c.Number
	}
	return false
}

// MatchAbsent reports whether an entry without the key satisfies the clause:
// only IS NULL does, "!=" and NOT IN do not.
func (c *Clause) MatchAbsent() bool { return c.Op == IsNull }

// Order is one key of an order.
type Order struct {
	Entity Entity
	Key    string
	Desc   bool
}

// LikePart is a piece of a LIKE pattern: exactly one of its fields is set.
type LikePart struct {
	Literal string
	One     bool // "_": any one character
	Many    bool // "%": any characters, also none
}

// LikeParts takes a pattern of LIKE or ILIKE apart. A backslash takes the
// meaning from a following '%', '_' or backslash; before anything else it is a
// character like others. Neighbouring literals are one part, and so are
// neighbouring "%".
func LikeParts(pattern string) []LikePart {
	var parts []LikePart
	var literal strings.Builder
	flush := func() {
		if literal.Len() > 0 {
			parts = append(parts, LikePart{Literal: literal.String()})
			literal.Reset()
		}
	}
	for i := 0; i < len(pattern); i++ {
		switch c := pattern[i]; c {
		case '%':
			flush()
			if len(parts) == 0 || !parts[len(parts)-1].Many {
				parts = append(parts, LikePart{Many: true})
			}
		case '_':
			flush()
			parts = append(parts, LikePart{One: true})
		case '\\':
			if i+1 < len(pattern) && (pattern[i+1] == '%' || pattern[i+1] == '_' || pattern[i+1] == '\\') {
				i++
			}
			literal.WriteByte(pattern[i])
		default:
			literal.WriteByte(c)
		}
	}
	flush()
	return parts
}
