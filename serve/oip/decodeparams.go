package oip

import (
	"fmt"
	"math"
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
	if d.memory != nil {
		dst = d.memory.outputs[:0]
	}
	d.own = d.own[:0]
	d.list = "outputs"
	for more := true; more; more = d.more(']') {
		d.index, d.name, d.named = len(dst), "", false
		if len(dst) >= d.tensorN {
			d.refuse(d.i, "the message has more than %d requested outputs", d.tensorN)
			return nil
		}
		d.claimed = claim{}
		dst = append(dst, d.output())
		if d.err != nil {
			return nil
		}
		dst[len(dst)-1].Binary = d.claimed.on
		d.own = append(d.own, d.claimed.set)
	}
	if d.err != nil {
		return nil
	}
	d.list = ""
	if d.memory != nil {
		d.memory.outputs = dst
	}
	return dst
}

// output reads one requested output.
func (d *decoder) output() RequestedOutput {
	var out RequestedOutput
	if d.open("an object (a requested output)") {
		more := true
		if name, i := plainMember(d.b, d.i, `"name"`); i > 0 {
			d.name, d.named, d.i = d.keepName(name), true, i
			more = d.more('}')
		}
		for ; more; more = d.more('}') {
			switch key := d.key(); string(key) {
			case "name":
				d.at("name")
				d.name = d.nameText()
				d.named = d.err == nil
				d.done()
			case "parameters":
				out.Parameters = d.parameters("parameters", binaryData)
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

// special is the parameter of the binary extension that an object can have. It
// is read into a field instead of the map.
type special int

const (
	nothing      special = iota
	binaryOutput         // Of a request: the form of all outputs.
	binarySize           // Of a tensor: the length of its data behind the JSON.
	binaryData           // Of a requested output: its form.
)

// claim is what such a parameter says.
type claim struct {
	set  bool
	on   bool
	size int64
}

// special reads the value of the parameter if it is the one, and reports
// whether it was. A value of null is an absent one.
func (d *decoder) special(kind special, key []byte) bool {
	switch {
	case kind == binarySize && string(key) == "binary_data_size":
		if d.null() {
			d.claimed = claim{}
			return true
		}
		if d.claimed.set {
			// Two readers that take different ones of two sizes cut the
			// tensors at different places.
			d.refuse(d.i, "binary_data_size is there twice")
			return true
		}
		d.want = "an integer of at least 0"
		if n := d.array.number(); n.end > 0 {
			d.claimed = claim{set: true, size: int64(d.magnitude(n, 0, math.MaxInt64))}
			d.i = n.end
		}
	case kind == binaryOutput && string(key) == "binary_data_output":
		d.all = claim{}
		if !d.null() {
			d.all = claim{set: true, on: d.boolean("true or false")}
		}
	case kind == binaryData && string(key) == "binary_data":
		d.claimed = claim{}
		if !d.null() {
			d.claimed = claim{set: true, on: d.boolean("true or false")}
		}
	default:
		return false
	}
	return true
}

// parameters reads an object of strings, numbers and booleans, or a null. A
// null member is an absent one.
func (d *decoder) parameters(field string, kind special) map[string]any {
	// Of a repeated member the last counts, but see special.
	switch kind {
	case binaryOutput:
		d.all = claim{}
	case binaryData:
		d.claimed = claim{}
	}
	if d.null() {
		return nil
	}
	d.at(field)
	var m map[string]any
	if d.open("an object of parameters") {
		for more := true; more; more = d.more('}') {
			name := d.key()
			if d.err == nil && d.special(kind, name) {
				if d.err != nil {
					d.at(field)
				}
				continue
			}
			key := string(name)
			if d.err != nil {
				break
			}
			v := d.parameter()
			if d.err != nil {
				d.at(fmt.Sprintf("%s: %.40q", field, key))
				break
			}
			if v == nil {
				if delete(m, key); len(m) == 0 {
					m = nil
				}
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
