package oip

import (
	"math"
	"strings"
)

// tensors reads a list of tensors into dst.
func (d *decoder) tensors(list string, dst []Tensor) []Tensor {
	d.at(list)
	if !d.take('[', "an array of tensors") {
		return nil
	}
	d.done()
	if d.space() == ']' {
		d.i++
		return dst
	}
	d.list, d.index = list, 0
	for more := true; more; more = d.more(']') {
		if len(dst) >= d.tensorN {
			d.refuse(d.i, "the message has more than %d tensors", d.tensorN)
			return nil
		}
		dst = append(dst, Tensor{})
		d.index = len(dst) - 1
		d.tensor(&dst[d.index])
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

// tensor reads one tensor.
func (d *decoder) tensor(t *Tensor) {
	dataAt, readAt := -1, -1
	d.name, d.named, d.claimed = "", false, claim{}
	var h head
	d.head(&h)
	if h.have&haveName != 0 {
		d.name, d.named = d.keepName(h.name), true
	}
	t.Datatype, t.Shape = h.datatype, h.shape
	shaped, more := h.have&haveShape != 0, h.more
	if h.data {
		dataAt, readAt = d.i, d.i
		d.data(t)
		more = d.more('}')
	}
	for ; more; more = d.more('}') {
		switch key := d.key(); string(key) {
		case "name":
			d.at("name")
			d.name = d.nameText()
			d.named = d.err == nil
			d.done()
		case "datatype":
			d.at("datatype")
			t.Datatype = d.datatype()
			d.done()
		case "shape":
			d.at("shape")
			t.Shape, shaped = d.shape(), true
			d.done()
		case "parameters":
			t.Parameters = d.parameters("parameters", binarySize)
		case "data":
			d.space()
			dataAt = d.i
			// Without datatype and shape the data waits: what it is
			// decides how it is read.
			if t.Datatype == "" || !shaped || readAt >= 0 {
				d.at("data")
				d.skip(3)
				d.done()
				break
			}
			readAt = d.i
			d.data(t)
		default:
			d.skip(3)
		}
	}
	if d.err != nil {
		return
	}
	d.required(t, shaped, dataAt >= 0 || d.claimed.set)
	if d.err != nil {
		return
	}
	t.Name = d.name
	if d.claimed.set {
		if dataAt >= 0 {
			d.refuse(dataAt, `the tensor has both "data" and binary_data_size, want one of them`)
			return
		}
		d.binary(t)
		d.left -= int64(t.Len())
		return
	}
	if readAt != dataAt || !t.typed() {
		after := d.i
		d.i = dataAt
		d.data(t)
		if d.err != nil {
			return
		}
		d.i = after
	}
	t.fault = d.form(t.Shape)
	d.left -= int64(t.Len())
}

// required refuses a tensor that lacks a member, naming all of them.
func (d *decoder) required(t *Tensor, shaped, data bool) {
	if d.named && t.Datatype != "" && shaped && data {
		return
	}
	var missing []string
	for _, m := range []struct {
		name string
		have bool
	}{{"name", d.named}, {"datatype", t.Datatype != ""}, {"shape", shaped}, {"data", data}} {
		if !m.have {
			missing = append(missing, `"`+m.name+`"`)
		}
	}
	d.refuse(d.i-1, "the tensor has no %s", strings.Join(missing, ", "))
}

// data reads the data at d.i for the tensor's datatype and shape, whose size
// is checked before memory is set aside.
func (d *decoder) data(t *Tensor) {
	if d.err != nil {
		return
	}
	d.at("data")
	if !t.Datatype.HasJSON() {
		d.refuse(d.i, "%s has no form in JSON, send it as binary tensor data, or as FP32", t.Datatype)
		return
	}
	n, ok := d.room(t)
	if !ok {
		return
	}
	// An element takes two bytes of text at least.
	d.start(element(t.Datatype), d.left, min(n, int64(len(d.b)-d.i)/2+1))
	if t.data = d.read(t.Datatype, d.boxes()); d.err == nil {
		d.done()
	}
}

// room returns the number of elements of the tensor's shape, and refuses more
// than the limit allows.
func (d *decoder) room(t *Tensor) (int64, bool) {
	n, ok := elements(t.Shape)
	if !ok || n > d.left {
		d.refuse(d.i, "shape %s is too large, the limit leaves %d elements for this tensor", shapeText(t.Shape), d.left)
		return 0, false
	}
	return n, true
}

// boxes returns where the data of the tensor that is read goes, nil for memory
// of its own.
func (d *decoder) boxes() *boxes {
	if d.memory == nil {
		return nil
	}
	return &d.memory.slot(d.index).own
}

// datatype reads the name of a datatype.
func (d *decoder) datatype() Datatype {
	at := d.i
	b := d.bytes("a string")
	if d.err != nil {
		return ""
	}
	switch string(b) {
	case "FP32":
		return FP32
	case "FP64":
		return FP64
	case "INT64":
		return INT64
	case "INT32":
		return INT32
	case "BYTES":
		return BYTES
	case "BOOL":
		return BOOL
	case "INT8":
		return INT8
	case "INT16":
		return INT16
	case "UINT8":
		return UINT8
	case "UINT16":
		return UINT16
	case "UINT32":
		return UINT32
	case "UINT64":
		return UINT64
	case "FP16":
		return FP16
	case "BF16":
		return BF16
	default:
		d.refuse(at, "%.40q is not a datatype, want BOOL, UINT8 to UINT64, INT8 to INT64, FP16, BF16, FP32, FP64 or BYTES", b)
	}
	return ""
}

// shape reads the dimensions.
func (d *decoder) shape() []int64 {
	from := len(d.dims)
	if !d.take('[', "an array of dimensions") {
		return nil
	}
	if d.space() == ']' {
		d.i++
		return []int64{}
	}
	for more := true; more; more = d.more(']') {
		const want = "a dimension, an integer of at least 0"
		d.want = want
		n := d.array.number()
		if n.end == 0 {
			return nil
		}
		d.dims = append(d.dims, int64(d.magnitude(n, 0, math.MaxInt64)))
		if len(d.dims)-from > maxDepth {
			d.refuse(d.i, "the shape has more than %d dimensions", maxDepth)
		}
		if d.err != nil {
			return nil
		}
		d.i = n.end
	}
	return d.dims[from:len(d.dims):len(d.dims)]
}
