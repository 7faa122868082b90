package oip

// Most tensors are written the same way: name, shape and datatype in some order,
// then the data, without white space or with Python's blanks. The head of such a
// tensor is read here, with all that is at hand in registers. Whatever is written
// in another way, or is wrong, is left to the reader that knows all of the grammar.

// head is what was read of a tensor.
type head struct {
	name     []byte
	datatype Datatype
	shape    []int64
	have     uint8
	// data says that the value of "data" is next, else more whether a member is.
	data, more bool
}

// The members of a tensor that were read.
const (
	haveName = 1 << iota
	haveShape
	haveDatatype
)

// head reads the members of a tensor up to its data, or to the first that is written
// in another way, which is then the next to be read.
func (d *decoder) head(h *head) {
	if !d.open("an object (a tensor)") {
		return
	}
	h.more = true
	b, i := d.b, d.i
	for {
		// The shortest member that a tensor ends with is longer than this.
		if i+9 > len(b) {
			return
		}
		member := haveName
		switch word := b[i : i+8]; {
		case string(word[:6]) == `"name"`:
			if h.name, i = plainText(b, colon(b, i+6)); i == 0 {
				return
			}
		case string(word[:7]) == `"shape"`:
			member = haveShape
			from := len(d.dims)
			if i = d.plainShape(colon(b, i+7)); i == 0 {
				d.dims = d.dims[:from]
				return
			}
			h.shape = d.dims[from:len(d.dims):len(d.dims)]
		case string(word) == `"datatyp` && b[i+8] == 'e':
			member = haveDatatype
			if h.datatype, i = plainDatatype(b, quoteColon(b, i+9)); i == 0 {
				return
			}
		case string(word[:6]) == `"data"` && h.have == haveName|haveShape|haveDatatype:
			if i = colon(b, i+6); i > 0 {
				d.i, h.data = i, true
			}
			return
		default:
			return
		}
		h.have |= uint8(member)
		if d.i = i; i >= len(b) || b[i] != ',' {
			h.more = d.more('}')
			return
		}
		i = blank(b, i+1)
		d.i = i
	}
}

// blank skips one blank at b[i].
func blank(b []byte, i int) int {
	if i < len(b) && b[i] == ' ' {
		i++
	}
	return i
}

// colon skips a colon and a blank, and returns 0 where there is none.
func colon(b []byte, i int) int {
	if i >= len(b) || b[i] != ':' {
		return 0
	}
	return blank(b, i+1)
}

// quoteColon is colon behind the quote that ends a key.
func quoteColon(b []byte, i int) int {
	if i >= len(b) || b[i] != '"' {
		return 0
	}
	return colon(b, i+1)
}

// plainText reads a string of plain ASCII without escapes at b[i], and returns 0 for
// any other. Zero is never where a string begins.
func plainText(b []byte, i int) ([]byte, int) {
	if i == 0 || i >= len(b) || b[i] != '"' {
		return nil, 0
	}
	i++
	for from := i; i < len(b); i++ {
		switch c := b[i]; {
		case c == '"':
			return b[from:i], i + 1
		case c < 0x20 || c >= 0x80 || c == '\\':
			return nil, 0
		}
	}
	return nil, 0
}

// plainMember reads a member that is a plain string, if the key with its quotes is
// at b[i].
func plainMember(b []byte, i int, key string) ([]byte, int) {
	end := i + len(key)
	if end > len(b) || string(b[i:end]) != key {
		return nil, 0
	}
	return plainText(b, colon(b, end))
}

// plainShape reads an array of one dimension or more at d.b[i] behind d.dims.
func (d *decoder) plainShape(i int) int {
	b, from := d.b, len(d.dims)
	if i == 0 || i >= len(b) || b[i] != '[' {
		return 0
	}
	for {
		i++
		start, n := i, int64(0)
		for i < len(b) && b[i]-'0' <= 9 {
			n = n*10 + int64(b[i]-'0')
			i++
		}
		// Eighteen digits fit.
		if i == start || i-start > 18 || i >= len(b) || i > start+1 && b[start] == '0' {
			return 0
		}
		if d.dims = append(d.dims, n); len(d.dims)-from > maxDepth {
			return 0
		}
		switch b[i] {
		case ']':
			return i + 1
		case ',':
			if i+1 < len(b) && b[i+1] == ' ' {
				i++
			}
		default:
			return 0
		}
	}
}

// plainDatatype reads the name of a datatype that has a form in JSON at b[i].
func plainDatatype(b []byte, i int) (Datatype, int) {
	text, end := plainText(b, i)
	switch string(text) {
	case "FP32":
		return FP32, end
	case "FP64":
		return FP64, end
	case "INT64":
		return INT64, end
	case "INT32":
		return INT32, end
	case "BYTES":
		return BYTES, end
	case "BOOL":
		return BOOL, end
	}
	return "", 0
}
