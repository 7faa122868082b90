package oip

import (
	"fmt"
	"strconv"
)

// requested reads the list of requested outputs, or a null.
func (d *decoder) requested() []RequestedOutput {
	if d.null() {
		return nil
	}
	d.at("outputs")
	if !d.take('[', "an array of requested outputs") {
		return nil
	}
	d.done()
	if d.space() == ']' {
		d.i++
		return nil
	}
	var dst []RequestedOutput
	d.list = "outputs"
	for more := true; more; more = d.more(']') {
		d.index, d.name, d.named = len(dst), "", false
		if len(dst) >= d.tensorN {
			d.refuse(d.i, "the message has more than %d requested outputs", d.tensorN)
			return nil
		}
		dst = append(dst, d.output())
		if d.err != nil {
			return nil
		}
	}
	if d.err != nil {
		return nil
	}
	d.list = ""
	return dst
}

// output reads one requested output.
func (d *decoder) output() RequestedOutput {
	var out RequestedOutput
	if d.open("an object (a requested output)") {
		for more := true; more; more = d.more('}') {
			switch key := d.key(); string(key) {
			case "name":
				d.at("name")
				d.name = d.text("a string")
				d.named = d.err == nil
				d.done()
			case "parameters":
				out.Parameters = d.parameters("parameters")
			default:
				d.skip(3)
			}
		}
	}
	if d.err == nil && !d.named {
		d.refuse(d.i-1, `the requested output has no "name"`)
	}
	out.Name = d.name
	return out
}

// parameters reads an object of strings, numbers and booleans, or a null. A
// null member is an absent one.
func (d *decoder) parameters(field string) map[string]any {
	if d.null() {
		return nil
	}
	d.at(field)
	var m map[string]any
	if d.open("an object of parameters") {
		for more := true; more; more = d.more('}') {
			key := string(d.key())
			if d.err != nil {
				break
			}
			v := d.parameter()
			if d.err != nil {
				d.at(fmt.Sprintf("%s: %.40q", field, key))
				break
			}
			if v == nil {
				delete(m, key)
				continue
			}
			if m == nil {
				m = make(map[string]any)
			}
			m[key] = v
		}
	}
	d.done()
	return m
}

// parameter reads one value: an integer that fits becomes an int64, any other
// number a float64.
func (d *decoder) parameter() any {
	const want = "a string, a number or a boolean"
	switch c := d.space(); {
	case c == '"':
		return d.text(want)
	case c == 't' || c == 'f':
		return d.boolean(want)
	case c == '-' || c-'0' <= 9:
		from := d.i
		n := d.scanner.number()
		if n.end == 0 {
			return nil
		}
		d.i = n.end
		if n.whole() {
			if v, err := strconv.ParseInt(d.view(from, n.end), 10, 64); err == nil {
				return v
			}
		}
		return d.float64At(n, from)
	case d.null():
		return nil
	}
	d.fail(d.i, want)
	return nil
}
