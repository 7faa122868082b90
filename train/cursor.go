package train

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	maxCursor        = 1 << 20
	maxCursorSources = 1 << 14
)

// Cursor is how far each source of a job's merged log was read: the streams of
// each process and attempt. Line.Cursor is its text. The zero value is the
// beginning. It is for launchers; readers of logs pass the text on.
type Cursor struct {
	// Attempt is the first attempt that was not read to its end.
	Attempt int
	marks   map[string]mark
}

// mark is a position in a source: in files a number of bytes, on clusters a time
// and how many lines of that very time were read.
type mark struct {
	at, n  int64
	replay int64 // lines of the time at that a source repeated since Reopen
}

// Source names the source of a line.
func (l Line) Source() string {
	return strconv.Itoa(l.Attempt) + "." + strconv.Itoa(l.Rank) + "." + l.Stream
}

// ParseCursor reads the text of a cursor. ErrInvalid when it is none.
func ParseCursor(text string) (*Cursor, error) {
	c := &Cursor{}
	if text == "" {
		return c, nil
	}
	bad := func() (*Cursor, error) {
		return nil, fmt.Errorf("train: cursor %.40q: not the Cursor of a Line: %w", text, ErrInvalid)
	}
	if len(text) > maxCursor {
		return bad()
	}
	head, rest, _ := strings.Cut(text, ";")
	n, err := strconv.Atoi(head)
	if err != nil || n < 0 {
		return bad()
	}
	c.Attempt = n
	for part := range strings.SplitSeq(rest, ";") {
		if part == "" && rest == "" {
			break
		}
		name, pos, ok := strings.Cut(part, "=")
		at, count, _ := strings.Cut(pos, "+")
		if !ok || name == "" || len(c.marks) >= maxCursorSources {
			return bad()
		}
		var m mark
		if m.at, err = strconv.ParseInt(at, 10, 64); err != nil || m.at < 0 {
			return bad()
		}
		if count != "" {
			if m.n, err = strconv.ParseInt(count, 10, 64); err != nil || m.n < 0 {
				return bad()
			}
		}
		c.set(name, m)
	}
	return c, nil
}

// String is the text that ParseCursor reads.
func (c *Cursor) String() string {
	b := strconv.AppendInt(make([]byte, 0, 16+24*len(c.marks)), int64(c.Attempt), 10)
	for _, name := range slices.Sorted(maps.Keys(c.marks)) {
		m := c.marks[name]
		b = append(append(append(b, ';'), name...), '=')
		b = strconv.AppendInt(b, m.at, 10)
		if m.n > 0 {
			b = strconv.AppendInt(append(b, '+'), m.n, 10)
		}
	}
	return string(b)
}

func (c *Cursor) set(source string, m mark) {
	if c.marks == nil {
		c.marks = map[string]mark{}
	}
	c.marks[source] = m
}

// Offset is how many bytes of a source were read.
func (c *Cursor) Offset(source string) int64 { return c.marks[source].at }

// SetOffset says how many bytes of a source were read.
func (c *Cursor) SetOffset(source string, n int64) { c.set(source, mark{at: n}) }

// Reopen says that a source is read again, and from when on its lines must be
// asked for. Zero: from its beginning.
func (c *Cursor) Reopen(source string) time.Time {
	m, ok := c.marks[source]
	if !ok {
		return time.Time{}
	}
	m.replay = 0
	c.set(source, m)
	return time.Unix(0, m.at)
}

// Pass reports whether the line of a source that is stamped with times was not
// read before, and counts it as read. A source gives its lines in order, and
// after Reopen may repeat those from the time that it returned on, and earlier.
func (c *Cursor) Pass(source string, at time.Time) bool {
	m, ok := c.marks[source]
	t := at.UnixNano()
	switch {
	case !ok || t > m.at:
		c.set(source, mark{at: t, n: 1, replay: 1})
		return true
	case t < m.at:
		return false
	}
	m.replay++
	fresh := m.replay > m.n
	m.n = max(m.n, m.replay)
	c.set(source, m)
	return fresh
}

// Finish says that every source of the attempts up to this one was read to its
// end, which makes the text shorter.
func (c *Cursor) Finish(attempt int) {
	c.Attempt = max(c.Attempt, attempt+1)
	for name := range c.marks {
		number, _, _ := strings.Cut(name, ".")
		if n, err := strconv.Atoi(number); err == nil && n < c.Attempt {
			delete(c.marks, name)
		}
	}
}

// Covers reports whether the line, by its own Cursor, was read before.
func (c *Cursor) Covers(l Line) bool {
	if l.Attempt < c.Attempt {
		return true
	}
	have, ok := c.marks[l.Source()]
	if !ok {
		return false
	}
	own, err := ParseCursor(l.Cursor)
	if err != nil {
		return false
	}
	m, ok := own.marks[l.Source()]
	return ok && (m.at < have.at || m.at == have.at && m.n <= have.n)
}
