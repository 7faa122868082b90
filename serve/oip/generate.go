package oip

import (
	"slices"
	"unicode/utf8"
)

// DecodeGenerate reads the body of POST …/generate and …/generate_stream for a
// model with the inputs: a JSON object whose members are "id", "parameters" and
// the inputs by their names, each a scalar or an array. A scalar, and an array
// that is nested less deeply than the input's shape, get dimensions of 1 in
// front. Another member that is a scalar counts as a parameter; any else is an
// ErrInvalid.
func DecodeGenerate(body []byte, inputs []TensorMetadata, limits *Limits) (*InferRequest, error) {
	d := newDecoder(body, JSONOnly, limits)
	defer d.release()
	r := &InferRequest{}
	extra := map[string]any{}
	if d.open("an object") {
		for more := true; more; more = d.more('}') {
			switch key := d.key(); string(key) {
			case "id":
				r.ID = d.optionalText("id")
			case "parameters":
				r.Parameters = d.parameters("parameters", nothing)
			default:
				d.generated(r, string(key), inputs, extra)
			}
		}
	}
	if err := d.finish("oip: decode generate request", "", true); err != nil {
		return nil, err
	}
	if len(extra) > 0 && r.Parameters == nil {
		r.Parameters = map[string]any{}
	}
	for k, v := range extra {
		// What is spelled out counts.
		if _, ok := r.Parameters[k]; !ok {
			r.Parameters[k] = v
		}
	}
	return r, nil
}

// generated reads a member that is an input or a parameter.
func (d *decoder) generated(r *InferRequest, name string, inputs []TensorMetadata, extra map[string]any) {
	if d.err != nil {
		return
	}
	d.at(clipName(name))
	defer d.done()
	at := slices.IndexFunc(inputs, func(m TensorMetadata) bool { return m.Name == name })
	if at < 0 {
		if c := d.space(); c == '[' || c == '{' {
			d.refuse(d.i, "it is not one of the model's inputs, and too much for a parameter")
			return
		}
		if v := d.parameter(); v != nil {
			extra[name] = v
		}
		return
	}
	m := inputs[at]
	if r.Input(name) != nil {
		d.refuse(d.i, "the input is there twice")
		return
	}
	t := Tensor{Name: name, Datatype: m.Datatype}
	if !m.Datatype.HasJSON() {
		d.refuse(d.i, "%s has no form in JSON", m.Datatype)
		return
	}
	if d.null() {
		return
	}
	var nested []int64
	if d.space() == '[' {
		d.start(element(t.Datatype), d.left, min(d.left, int64(len(d.b)-d.i)/2+1, 64))
		t.data = d.read(t.Datatype, nil)
		nested = d.array.dims[1 : max(d.leaf, 1)+1]
	} else {
		d.scalar(&t)
	}
	if d.err != nil {
		return
	}
	for range len(m.Shape) - len(nested) {
		t.Shape = append(t.Shape, 1)
	}
	t.Shape = append(t.Shape, nested...)
	d.left -= int64(t.Len())
	r.Inputs = append(r.Inputs, t)
}

// scalar reads one element, as an array that has no brackets.
func (d *decoder) scalar(t *Tensor) {
	from := d.i
	d.skip(1)
	if d.err != nil {
		return
	}
	text := slices.Concat([]byte("["), d.b[from:d.i], []byte("]"))
	outer, end := d.b, d.i
	d.b, d.i = text, 0
	d.start(element(t.Datatype), d.left, 1)
	t.data = d.read(t.Datatype, nil)
	d.b, d.i = outer, end
	if d.err != nil {
		d.err.at += from - 1
	}
}

// clipName shortens a member's name for a message.
func clipName(name string) string {
	const most = 64
	if len(name) > most {
		return name[:most] + "…"
	}
	return name
}

// AppendGenerated appends one response of …/generate or one event of
// …/generate_stream to dst: a JSON object with the model's name and version, the
// id, and each output by its name, a scalar where it has one element and a flat
// array otherwise.
func AppendGenerated(dst []byte, r *InferResponse) ([]byte, error) {
	e := encoder{b: append(dst, '{')}
	e.text("model_name", r.ModelName)
	if r.ModelVersion != "" {
		e.text("model_version", r.ModelVersion)
	}
	if r.ID != "" {
		e.text("id", r.ID)
	}
	e.parameters(r.Parameters, "", claim{})
	for i := range r.Outputs {
		e.generated(i, &r.Outputs[i])
	}
	e.close('}')
	b, _, err := e.finish(dst, nil, "oip: encode generate response")
	return b, err
}

// generated writes an output as a member.
func (e *encoder) generated(i int, t *Tensor) {
	switch t.Name {
	case "model_name", "model_version", "id", "parameters":
		e.refuse("outputs[%d] %q: the name belongs to the response itself", i, t.Name)
		return
	}
	if err := t.Check(); err != nil {
		e.refuse("outputs[%d] %q: %v", i, t.Name, err)
		return
	}
	if !t.Datatype.HasJSON() {
		e.refuse("outputs[%d] %q: %s has no form in JSON", i, t.Name, t.Datatype)
		return
	}
	e.name(t.Name)
	if t.Len() == 1 {
		e.data(t)
		return
	}
	e.b = append(e.b, '[')
	e.data(t)
	e.close(']')
	e.b = append(e.b, ',')
}

// name writes the name of a member.
func (e *encoder) name(name string) {
	if !utf8.ValidString(name) {
		e.refuse("the name %q is not valid UTF-8, which JSON requires", name)
	}
	e.b = append(appendString(e.b, name), ':')
}
