package registry

import (
	"math"
	"strconv"
	"strings"
	"unicode/utf8"
)

// The scalars of YAML and the flow collections, which are made of them.

// resolveYAML gives a plain scalar its type, by the rules of YAML 1.1 as
// PyYAML has them, but for numbers in other bases, times and binaries, which
// stay texts.
func resolveYAML(s string) any {
	switch s {
	case "", "~", "null", "Null", "NULL":
		return nil
	case "true", "True", "TRUE", "yes", "Yes", "YES", "on", "On", "ON":
		return true
	case "false", "False", "FALSE", "no", "No", "NO", "off", "Off", "OFF":
		return false
	case ".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF":
		return math.Inf(1)
	case "-.inf", "-.Inf", "-.INF":
		return math.Inf(-1)
	case ".nan", ".NaN", ".NAN":
		return math.NaN()
	}
	digits := strings.TrimLeft(s, "+-")
	if len(s)-len(digits) > 1 || digits == "" || strings.Trim(digits, "0123456789.eE+-") != "" {
		return s
	}
	if strings.Trim(digits, "0123456789") == "" {
		if n, err := strconv.ParseInt(s, 10, 64); err == nil && (digits == "0" || digits[0] != '0') {
			return n
		}
		return s
	}
	// A float has a point, and its exponent a sign.
	mantissa, exponent, scientific := strings.Cut(strings.ToLower(digits), "e")
	if !strings.Contains(mantissa, ".") || scientific && !strings.HasPrefix(exponent, "+") && !strings.HasPrefix(exponent, "-") {
		return s
	}
	if f, err := strconv.ParseFloat(s, 64); err == nil {
		return f
	}
	return s
}

// plain reads an unquoted scalar of a block.
func (p *yamlParser) plain(parent int) any {
	if first := p.lines[p.n][p.c:]; strings.IndexByte(",]}#%@`", first[0]) >= 0 || isItem(first) || isLongKey(first) {
		p.fail("%q begins a value", first[:1])
	}
	var out strings.Builder
	for at := p.c; ; {
		line := p.lines[p.n][at:]
		text, comment := line, strings.Index(line, " #")
		if comment >= 0 {
			text = line[:comment]
		}
		text = strings.Trim(text, " \t")
		if strings.Contains(text, ": ") || strings.HasSuffix(text, ":") {
			p.fail("%q has a colon, quote it", cut(text))
		}
		out.WriteString(text)
		p.n++
		empty := p.emptyLines()
		if comment >= 0 || p.n >= len(p.lines) || blank(p.lines[p.n]) || p.indent() <= parent {
			break
		}
		if at = p.indent(); at == 0 && (isMarker(p.lines[p.n], "...") || isMarker(p.lines[p.n], "---")) {
			break
		}
		out.WriteString(folded(empty))
	}
	return resolveYAML(out.String())
}

// emptyLines skips and counts the lines without content.
func (p *yamlParser) emptyLines() (n int) {
	for p.n < len(p.lines) && strings.Trim(p.lines[p.n], " \t") == "" {
		p.n++
		n++
	}
	return n
}

// folded is what a line break with n empty lines behind it stands for.
func folded(n int) string {
	if n == 0 {
		return " "
	}
	return strings.Repeat("\n", n)
}

// literal reads a scalar behind | or >.
func (p *yamlParser) literal(parent int) any {
	head := p.lines[p.n][p.c:]
	flags, _, _ := strings.Cut(head[1:], " #")
	chomp, indent := byte(0), 0
	for _, c := range []byte(strings.TrimSpace(flags)) {
		switch {
		case (c == '+' || c == '-') && chomp == 0:
			chomp = c
		case c >= '1' && c <= '9' && indent == 0:
			indent = int(c-'0') + max(parent, 0)
		default:
			p.fail("%q behind a block scalar's indicator", cut(flags))
		}
	}
	p.n++
	var lines []string
	for ; p.n < len(p.lines); p.n++ {
		line := p.lines[p.n]
		text := strings.TrimLeft(line, " ")
		own := len(line) - len(text)
		switch {
		case text == "" && (indent == 0 || own <= indent):
			lines = append(lines, "")
			continue
		case indent == 0 && own > parent:
			indent = max(own, 1)
			if own == 0 {
				p.fail("a block scalar without indentation")
			}
		}
		if indent == 0 || own < indent {
			break
		}
		lines = append(lines, line[indent:])
	}
	full := len(lines)
	for full > 0 && lines[full-1] == "" {
		full--
	}
	end := strings.Repeat("\n", len(lines)-full)
	if full > 0 {
		end = "\n" + end
	}
	switch {
	case chomp == '-' || chomp == 0 && full == 0:
		end = ""
	case chomp == 0:
		end = "\n"
	}
	return joinLiteral(lines[:full], head[0] == '>') + end
}

// joinLiteral puts the lines of a block scalar together.
func joinLiteral(lines []string, fold bool) string {
	if !fold {
		return strings.Join(lines, "\n")
	}
	var out strings.Builder
	for i := 0; i < len(lines); {
		out.WriteString(lines[i])
		next := i + 1
		for next < len(lines) && lines[next] == "" {
			next++
		}
		if next < len(lines) {
			odd := lines[i] == "" || strings.IndexByte(" \t", lines[i][0]) >= 0 || strings.IndexByte(" \t", lines[next][0]) >= 0
			switch {
			case odd && lines[i] != "":
				out.WriteString(strings.Repeat("\n", next-i))
			case odd: // empty lines at the beginning
				out.WriteString(strings.Repeat("\n", next-i))
			default:
				out.WriteString(folded(next - i - 1))
			}
		}
		i = next
	}
	return out.String()
}

// quoted reads a quoted scalar, which may go over several lines, indented by
// more than parent.
func (p *yamlParser) quoted(parent int) string {
	quote := p.lines[p.n][p.c]
	p.c++
	var out []byte
	for {
		var done, glued bool
		out, done, glued = p.quotedLine(out, quote)
		if done {
			return string(out)
		}
		p.n++
		empty := p.emptyLines()
		if p.n >= len(p.lines) {
			p.fail("a quoted text without an end")
		}
		line := p.lines[p.n]
		p.c = len(line) - len(strings.TrimLeft(line, " \t"))
		if p.c <= parent {
			p.fail("a quoted text goes on without indentation")
		}
		if glued {
			out = append(out, strings.Repeat("\n", empty)...)
		} else {
			out = append(out, folded(empty)...)
		}
	}
}

// quotedLine appends the rest of the present line, up to the quote; glued says
// that the line break was escaped.
func (p *yamlParser) quotedLine(out []byte, quote byte) (text []byte, done, glued bool) {
	line, kept := p.lines[p.n], len(out) // white space up to kept was escaped
	for p.c < len(line) {
		c := line[p.c]
		p.c++
		switch {
		case c == quote && quote == '\'' && p.c < len(line) && line[p.c] == quote:
			p.c++
			out = append(out, quote)
		case c == quote:
			return out, true, false
		case c == '\\' && quote == '"':
			if p.c == len(line) {
				return out, false, true
			}
			out = p.escape(out)
			kept = len(out)
		default:
			out = append(out, c)
		}
	}
	for len(out) > kept && (out[len(out)-1] == ' ' || out[len(out)-1] == '\t') {
		out = out[:len(out)-1]
	}
	return out, false, false
}

// escape appends what the escape sequence behind a backslash stands for.
func (p *yamlParser) escape(out []byte) []byte {
	line := p.lines[p.n]
	c := line[p.c]
	p.c++
	if i := strings.IndexByte("0abt\tnvfre \"/\\", c); i >= 0 {
		return append(out, "\x00\a\b\t\t\n\v\f\r\x1b \"/\\"[i])
	}
	switch c {
	case 'N':
		return append(out, "\u0085"...)
	case '_':
		return append(out, "\u00a0"...)
	case 'L':
		return append(out, "\u2028"...)
	case 'P':
		return append(out, "\u2029"...)
	}
	digits := map[byte]int{'x': 2, 'u': 4, 'U': 8}[c]
	if digits == 0 || len(line) < p.c+digits {
		p.fail("an unknown escape sequence")
	}
	n, err := strconv.ParseUint(line[p.c:p.c+digits], 16, 32)
	if err != nil || !utf8.ValidRune(rune(n)) {
		p.fail("an escape sequence that is no character")
	}
	p.c += digits
	return utf8.AppendRune(out, rune(n))
}

// flow reads [a, b] or {a: b}, which may go over several lines.
func (p *yamlParser) flow() any {
	p.enter()
	defer func() { p.depth-- }()
	open := p.lines[p.n][p.c]
	p.c++
	if open == '[' {
		list := []any{}
		for !p.closes(']') {
			list = append(list, p.flowValue())
			p.comma(']')
		}
		return list
	}
	m := map[string]any{}
	for !p.closes('}') {
		if rest := p.lines[p.n][p.c:]; isLongKey(rest) {
			p.c++
		}
		key := p.key(p.flowValue())
		var v any
		if p.flowSpace() == ':' {
			p.c++
			if c := p.flowSpace(); c != ',' && c != '}' {
				v = p.flowValue()
			}
		}
		p.put(m, key, v)
		p.comma('}')
	}
	return m
}

// flowSpace goes to the next byte that is no white space and returns it.
func (p *yamlParser) flowSpace() byte {
	for p.n < len(p.lines) {
		line := p.lines[p.n]
		rest := strings.TrimLeft(line[p.c:], " \t")
		at := len(line) - len(rest)
		if rest != "" && (rest[0] != '#' || at > 0 && line[at-1] != ' ' && line[at-1] != '\t') {
			p.c = at
			return rest[0]
		}
		p.n++
		p.c = 0
	}
	p.fail("a bracket that is not closed")
	return 0
}

// closes reports whether the collection ends here, and goes behind the end.
func (p *yamlParser) closes(end byte) bool {
	if p.flowSpace() != end {
		return false
	}
	p.c++
	return true
}

func (p *yamlParser) comma(end byte) {
	switch p.flowSpace() {
	case ',':
		p.c++
	case end:
	default:
		p.fail("no comma between two values")
	}
}

func (p *yamlParser) flowValue() any {
	p.count(1)
	switch c := p.flowSpace(); c {
	case '[', '{':
		return p.flow()
	case '"', '\'':
		return p.quoted(-1)
	case '*':
		return p.alias()
	case '&':
		name := p.name()
		before := p.nodes
		if strings.IndexByte("&*", p.flowSpace()) >= 0 {
			p.fail("an anchor before an alias or another anchor")
		}
		v := p.flowValue()
		p.anchors[name] = yamlAnchor{value: v, nodes: p.nodes - before}
		return v
	case '!', '|', '>', '%', '@', '`', ',', ']', '}', '#', '?':
		p.fail("%q begins a value", string(c))
	}
	return resolveYAML(p.flowPlain())
}

// flowPlain reads an unquoted scalar of a flow collection.
func (p *yamlParser) flowPlain() string {
	var out strings.Builder
	for {
		line := p.lines[p.n]
		end := p.c
		for end < len(line) && strings.IndexByte(",[]{}", line[end]) < 0 {
			if line[end] == ':' && (end+1 == len(line) || strings.IndexByte(" ,[]{}", line[end+1]) >= 0) ||
				line[end] == '#' && end > 0 && line[end-1] == ' ' {
				break
			}
			end++
		}
		text := strings.TrimRight(line[p.c:end], " \t")
		if text == "" && out.Len() == 0 {
			p.fail("a value is missing")
		}
		out.WriteString(text)
		p.c = end
		if end < len(line) {
			return out.String()
		}
		p.n++
		empty := p.emptyLines()
		p.c = 0
		switch c := p.flowSpace(); c {
		case ',', '[', ']', '{', '}', '#':
			return out.String()
		case ':':
			if rest := p.lines[p.n][p.c+1:]; rest == "" || rest[0] == ' ' {
				return out.String()
			}
		}
		out.WriteString(folded(empty))
	}
}
