package serve

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/millwright-ml/millwright/internal/errs"
	"github.com/millwright-ml/millwright/serve/oip"
)

// maxID bounds a request's id, which goes into a header, logs and joins.
const maxID = 256

// maxFaults bounds how many faults one answer lists.
const maxFaults = 20

// checkName checks the parts of a URL and a header.
func checkName(f *errs.Faults, field, s string) {
	f.Check(s != "" && len(s) <= 255, "%s is %d bytes, want 1 to 255", field, len(s))
	f.Check(plain(s), "%s %.100q has control characters or is not valid UTF-8", field, s)
}

// plain reports whether s can stand in a header.
func plain(s string) bool {
	for i := range len(s) {
		if s[i] < 0x20 || s[i] >= 0x7f {
			return utf8.ValidString(s) && strings.IndexFunc(s, unicode.IsControl) < 0
		}
	}
	return true
}

// checkSignature checks what a model says of itself.
func checkSignature(f *errs.Faults, sig Signature) {
	for _, side := range []struct {
		name string
		list []oip.TensorMetadata
	}{{"input", sig.Inputs}, {"output", sig.Outputs}} {
		f.Check(len(side.list) > 0, "the signature has no %s", side.name)
		seen := make(map[string]bool)
		for _, t := range side.list {
			f.Check(t.Name != "", "an %s has no name", side.name)
			f.Check(!seen[t.Name], "%s %q is there twice", side.name, t.Name)
			f.Check(t.Datatype.HasJSON() || t.Datatype.Size() > 0, "%s %q has datatype %q, which the protocol does not have", side.name, t.Name, t.Datatype)
			for _, d := range t.Shape {
				f.Check(d >= -1, "%s %q has shape %s, want lengths of at least 0, or -1 where it varies", side.name, t.Name, shapeText(t.Shape))
			}
			seen[t.Name] = true
		}
	}
}

// sameSignature compares what the model says with what is on record, whose
// order does not matter.
func sameSignature(f *errs.Faults, want, have Signature) {
	for _, side := range []struct {
		name       string
		want, have []oip.TensorMetadata
	}{{"input", want.Inputs, have.Inputs}, {"output", want.Outputs, have.Outputs}} {
		have := newTensors(side.have)
		for _, t := range side.want {
			i := have.find(t.Name, -1)
			if i < 0 {
				f.Addf("%s %q of the recorded signature is not one of the model's: %s", side.name, t.Name, have.names())
				continue
			}
			m := have.list[i]
			f.Check(m.Datatype == t.Datatype && slices.Equal(m.Shape, t.Shape), "%s %q is %s %s, the recorded signature has %s %s",
				side.name, t.Name, m.Datatype, shapeText(m.Shape), t.Datatype, shapeText(t.Shape))
		}
		f.Check(len(side.want) == len(side.have), "the model has %d %ss, the recorded signature has %d", len(side.have), side.name, len(side.want))
	}
}

// tensors is one side of a signature, with an index by name.
type tensors struct {
	list  []oip.TensorMetadata
	index map[string]int
}

// newTensors copies the list: a signature belongs to its model.
func newTensors(list []oip.TensorMetadata) tensors {
	t := tensors{list: make([]oip.TensorMetadata, len(list)), index: make(map[string]int, len(list))}
	for i, m := range list {
		m.Shape = append([]int64{}, m.Shape...)
		t.list[i], t.index[m.Name] = m, i
	}
	return t
}

// find returns the place of the name, -1 for none. Most senders keep the order
// of the signature, so the place where it should be is tried first.
func (t *tensors) find(name string, at int) int {
	if at >= 0 && at < len(t.list) && t.list[at].Name == name {
		return at
	}
	if i, ok := t.index[name]; ok {
		return i
	}
	return -1
}

// names lists them for a message.
func (t *tensors) names() string {
	var b strings.Builder
	for i, m := range t.list {
		if i == maxFaults {
			fmt.Fprintf(&b, ", … %d in all", len(t.list))
			break
		}
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "%q", m.Name)
	}
	return b.String()
}

// faults collects what is wrong with one message. It keeps the first few and
// counts the rest, so that an answer stays short.
type faults struct {
	list []string
	more int
}

func (f *faults) addf(format string, args ...any) {
	if len(f.list) == maxFaults {
		f.more++
		return
	}
	f.list = append(f.list, fmt.Sprintf(format, args...))
}

// err returns nil or one error with all the faults in its text.
func (f *faults) err() error {
	if len(f.list) == 0 {
		return nil
	}
	if f.more > 0 {
		f.list = append(f.list, fmt.Sprintf("and %d more faults", f.more))
	}
	return errors.New(strings.Join(f.list, "; "))
}

// noRows is the number of rows before a tensor with rows was seen.
const noRows = -1

// checkRequest compares a request with the signature and returns its number of
// rows, noRows when no input has any. The error lists everything.
func (v *deployed) checkRequest(req *oip.InferRequest) (rows int64, err error) {
	var f faults
	if len(req.ID) > maxID || !plain(req.ID) {
		f.addf("the id is %d bytes, want at most %d and no control characters", len(req.ID), maxID)
	}
	c := comparison{side: "input", want: &v.inputs, rows: noRows, rowsOf: -1}
	c.compare(&f, req.Inputs)
	for i, o := range req.Outputs {
		if v.outputs.find(o.Name, i) < 0 {
			f.addf("the requested output %.100q is not one of the model's: %s", o.Name, v.outputs.names())
		} else if slices.ContainsFunc(req.Outputs[:i], func(p oip.RequestedOutput) bool { return p.Name == o.Name }) {
			f.addf("output %q is requested twice", o.Name)
		}
	}
	return c.rows, f.err()
}

// checkResponse compares a model's answer with its signature, and its number
// of rows with the request's. Outputs that were not asked for may be missing.
func (v *deployed) checkResponse(req *oip.InferRequest, resp *oip.InferResponse, rows int64) error {
	var f faults
	some := len(req.Outputs) > 0
	c := comparison{side: "output", want: &v.outputs, rows: rows, rowsOf: -1, some: some}
	c.compare(&f, resp.Outputs)
	for _, o := range req.Outputs {
		if resp.Output(o.Name) == nil {
			f.addf("output %q is missing", o.Name)
		}
	}
	return f.err()
}

// comparison compares one side of a message with the signature.
type comparison struct {
	side string
	want *tensors
	// rows is the number of rows that every tensor whose first dimension
	// varies must have, noRows until the first of them has set it; rowsOf is
	// the place of that one, -1 when it came from the request.
	rows   int64
	rowsOf int
	// some says that tensors of the signature may be missing.
	some bool
}

func (c *comparison) compare(f *faults, have []oip.Tensor) {
	var room [64]bool
	seen := room[:]
	if len(c.want.list) > len(room) {
		seen = make([]bool, len(c.want.list))
	}
	found := 0
	for i := range have {
		t := &have[i]
		at := c.want.find(t.Name, i)
		switch {
		case at < 0:
			f.addf("%s %.100q is not one of the model's: %s", c.side, t.Name, c.want.names())
		case seen[at]:
			f.addf("%s %q is there twice", c.side, t.Name)
		default:
			seen[at] = true
			found++
			c.tensor(f, t, at)
		}
	}
	if found == len(c.want.list) || c.some {
		return
	}
	for i, m := range c.want.list {
		if !seen[i] {
			f.addf("%s %q is missing", c.side, m.Name)
		}
	}
}

// tensor compares one tensor with its place in the signature.
func (c *comparison) tensor(f *faults, t *oip.Tensor, at int) {
	m := &c.want.list[at]
	if t.Datatype != m.Datatype {
		f.addf("%s %q has datatype %s, want %s", c.side, t.Name, t.Datatype, m.Datatype)
	}
	if err := t.Check(); err != nil {
		f.addf("%s %q: %v", c.side, t.Name, err)
	}
	if !fits(t.Shape, m.Shape) {
		f.addf("%s %q has shape %s, want %s", c.side, t.Name, shapeText(t.Shape), shapeText(m.Shape))
		return
	}
	if len(m.Shape) == 0 || m.Shape[0] != -1 {
		return
	}
	switch n := t.Shape[0]; {
	case n == 0:
		f.addf("%s %q has no rows", c.side, t.Name)
	case c.rows == noRows:
		c.rows, c.rowsOf = n, at
	case c.rows == n:
	case c.rowsOf < 0:
		f.addf("%s %q has %d rows, the request has %d", c.side, t.Name, n, c.rows)
	default:
		f.addf("%s %q has %d rows, %s %q has %d", c.side, t.Name, n, c.side, c.want.list[c.rowsOf].Name, c.rows)
	}
}

// fits reports whether a shape is one that the signature allows.
func fits(have, want []int64) bool {
	if len(have) != len(want) {
		return false
	}
	for i, d := range want {
		if d != -1 && d != have[i] {
			return false
		}
	}
	return true
}

// shapeText writes a shape as it looks in JSON.
func shapeText(shape []int64) string {
	return strings.ReplaceAll(fmt.Sprint(shape), " ", ",")
}
