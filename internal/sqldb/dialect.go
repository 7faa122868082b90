package sqldb

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
)

// Dialect is the SQL that a database speaks. Statements are written once, with
// the parameters ? or ?1, ?2, … of SQLite, in the common part of both
// languages; the methods give the few pieces that differ.
type Dialect string

// The dialects.
const (
	SQLite   Dialect = "sqlite"
	Postgres Dialect = "postgres"
)

// In is the condition that expr is one of a list, which is one parameter made
// by Ints or Texts, however long it is.
func (d Dialect) In(expr string) string {
	if d == Postgres {
		return expr + " = ANY(?)"
	}
	return expr + " IN (SELECT value FROM json_each(?))"
}

// Each is a FROM item with the one column value: the entries of a list
// parameter made by Ints, under the alias as.
func (d Dialect) Each(as string) string {
	if d == Postgres {
		return "unnest(CAST(? AS bigint[])) AS " + as + "(value)"
	}
	return "json_each(?) AS " + as
}

// EachText is Each for a parameter made by Texts.
func (d Dialect) EachText(as string) string {
	if d == Postgres {
		return "unnest(CAST(? AS text[])) AS " + as + "(value)"
	}
	return "json_each(?) AS " + as
}

// Ints is the parameter of In and Each.
func (d Dialect) Ints(list []int64) any {
	if d == Postgres {
		return slices.Clone(list)
	}
	out := make([]byte, 0, 8*len(list)+2)
	out = append(out, '[')
	for i, n := range list {
		if i > 0 {
			out = append(out, ',')
		}
		out = strconv.AppendInt(out, n, 10)
	}
	return string(append(out, ']'))
}

// Texts is the parameter of In and EachText. The texts are valid UTF-8 without NUL.
func (d Dialect) Texts(list []string) any {
	if d == Postgres {
		return slices.Clone(list)
	}
	if list == nil {
		list = []string{}
	}
	out, _ := json.Marshal(list) // cannot fail for strings
	return string(out)
}

// Lock is appended to the SELECT of a row that the transaction is about to
// change: others that do the same wait for its end, readers and rows that
// refer to it do not. In SQLite the transaction has the whole file already.
func (d Dialect) Lock() string {
	if d == Postgres {
		return " FOR NO KEY UPDATE"
	}
	return ""
}

// Like is the condition that expr matches an SQL pattern, and its one
// argument. '%' stands for any text, '_' for one character; a backslash before
// one of these two, or before a backslash, takes away its meaning, and is
// itself anywhere else. Letters are compared as they are.
//
// SQLite's own LIKE ignores case unless a connection is set up otherwise, so
// there the pattern becomes one for GLOB.
func (d Dialect) Like(expr, pattern string) (cond, arg string) {
	if d == Postgres {
		return expr + ` LIKE ? ESCAPE '\'`, likePattern(pattern)
	}
	return expr + " GLOB ?", globPattern(pattern)
}

// ILike is Like without regard to the case of the letters A to Z; others are
// compared as they are, since the databases do not agree about them.
func (d Dialect) ILike(expr, pattern string) (cond, arg string) {
	return d.Like("lower("+expr+")", LowerASCII(pattern))
}

// scanPattern takes a pattern apart: wild is '%', '_', or 0 for the literal
// byte c.
func scanPattern(pattern string, part func(wild, c byte)) {
	for i := 0; i < len(pattern); i++ {
		switch c := pattern[i]; {
		case c == '%' || c == '_':
			part(c, 0)
		case c == '\\' && i+1 < len(pattern) && strings.IndexByte(`%_\`, pattern[i+1]) >= 0:
			i++
			part(0, pattern[i])
		default:
			part(0, c)
		}
	}
}

// Literals are the texts between the '%' and '_' of a pattern, the first of which
// is empty when the pattern begins with one of them.
func Literals(pattern string) []string {
	var out []string
	var b []byte
	scanPattern(pattern, func(wild, c byte) {
		if wild == 0 {
			b = append(b, c)
			return
		}
		out, b = append(out, string(b)), b[:0]
	})
	return append(out, string(b))
}

func likePattern(pattern string) string {
	var b strings.Builder
	scanPattern(pattern, func(wild, c byte) {
		switch {
		case wild != 0:
			b.WriteByte(wild)
		case strings.IndexByte(`%_\`, c) >= 0:
			b.WriteByte('\\')
			b.WriteByte(c)
		default:
			b.WriteByte(c)
		}
	})
	return b.String()
}

func globPattern(pattern string) string {
	var b strings.Builder
	scanPattern(pattern, func(wild, c byte) {
		switch {
		case wild == '%':
			b.WriteByte('*')
		case wild == '_':
			b.WriteByte('?')
		case strings.IndexByte("*?[", c) >= 0:
			b.WriteByte('[')
			b.WriteByte(c)
			b.WriteByte(']')
		default:
			b.WriteByte(c)
		}
	})
	return b.String()
}

// LowerASCII is what lower() does in SQLite, and in PostgreSQL on a column of
// COLLATE "C".
func LowerASCII(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'A' && r <= 'Z' {
			return r + ('a' - 'A')
		}
		return r
	}, s)
}

// rebind writes the parameters ? and ?1 as $1, outside of quoted text and
// comments.
func rebind(query string) string {
	var b strings.Builder
	b.Grow(len(query) + 16)
	next := 1
	for i := 0; i < len(query); i++ {
		c := query[i]
		switch {
		case c == '\'' || c == '"':
			end := i + 1
			for end < len(query) && query[end] != c {
				end++
			}
			end = min(end, len(query)-1)
			b.WriteString(query[i : end+1])
			i = end
		case c == '-' && strings.HasPrefix(query[i:], "--"):
			end := strings.IndexByte(query[i:], '\n')
			if end < 0 {
				return b.String()
			}
			i += end
			b.WriteByte('\n')
		case c == '?':
			end := i + 1
			for end < len(query) && query[end] >= '0' && query[end] <= '9' {
				end++
			}
			b.WriteByte('$')
			if end > i+1 {
				b.WriteString(query[i+1 : end])
			} else {
				b.WriteString(strconv.Itoa(next))
				next++
			}
			i = end - 1
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}
