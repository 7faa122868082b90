package oip_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/millwright-ml/millwright/serve/oip"
)

// The oracle is a second decoder, on encoding/json, that is as plain as can
// be. It answers what a request means, or that it is not one.

var errOracle = errors.New("not a request")

func oracleRequest(body []byte) (*oip.InferRequest, error) {
	m, err := oracleObject(body)
	if err != nil {
		return nil, err
	}
	r := &oip.InferRequest{}
	if r.ID, err = oracleText(m["id"], true); err != nil {
		return nil, err
	}
	if r.Parameters, err = oracleParameters(m["parameters"]); err != nil {
		return nil, err
	}
	if r.BinaryOutput, _, err = oracleFlag(r.Parameters, "binary_data_output"); err != nil {
		return nil, err
	}
	r.Parameters = oracleNone(r.Parameters)
	if r.Inputs, err = oracleTensors(m["inputs"]); err != nil {
		return nil, err
	}
	list, err := oracleList(m["outputs"], true)
	for _, raw := range list {
		var o oip.RequestedOutput
		om, err := oracleObject(raw)
		if err != nil {
			return nil, err
		}
		if o.Name, err = oracleText(om["name"], false); err != nil {
			return nil, err
		}
		if o.Parameters, err = oracleParameters(om["parameters"]); err != nil {
			return nil, err
		}
		var own bool
		if o.Binary, own, err = oracleFlag(o.Parameters, "binary_data"); err != nil {
			return nil, err
		}
		if !own {
			o.Binary = r.BinaryOutput
		}
		o.Parameters = oracleNone(o.Parameters)
		r.Outputs = append(r.Outputs, o)
	}
	return r, err
}

// oracleFlag takes a boolean out of the parameters.
func oracleFlag(m map[string]any, name string) (on, set bool, err error) {
	v, set := m[name]
	if !set {
		return false, false, nil
	}
	delete(m, name)
	on, ok := v.(bool)
	if !ok {
		return false, false, errOracle
	}
	return on, true, nil
}

// oracleNone is nil for no parameters.
func oracleNone(m map[string]any) map[string]any {
	if len(m) == 0 {
		return nil
	}
	return m
}

func oracleNull(raw json.RawMessage) bool { return raw == nil || string(raw) == "null" }

// oracleObject keeps the last of repeated members, as encoding/json does for
// a map.
func oracleObject(raw []byte) (map[string]json.RawMessage, error) {
	var m map[string]json.RawMessage
	if err := json.Unmarshal(raw, &m); err != nil || m == nil {
		return nil, errOracle
	}
	return m, nil
}

func oracleList(raw json.RawMessage, optional bool) ([]json.RawMessage, error) {
	if oracleNull(raw) && optional {
		return nil, nil
	}
	var list []json.RawMessage
	if err := json.Unmarshal(raw, &list); err != nil || list == nil {
		return nil, errOracle
	}
	return list, nil
}

func oracleText(raw json.RawMessage, optional bool) (string, error) {
	if oracleNull(raw) {
		if optional {
			return "", nil
		}
		return "", errOracle
	}
	var s string
	if err := json.Unmarshal(raw, &s); err != nil {
		return "", errOracle
	}
	return s, nil
}

func oracleParameters(raw json.RawMessage) (map[string]any, error) {
	if oracleNull(raw) {
		return nil, nil
	}
	m, err := oracleObject(raw)
	if err != nil {
		return nil, err
	}
	out := map[string]any{}
	for k, v := range m {
		dec := json.NewDecoder(bytes.NewReader(v))
		dec.UseNumber()
		var a any
		if err := dec.Decode(&a); err != nil {
			return nil, errOracle
		}
		switch a := a.(type) {
		case nil:
		case string, bool:
			out[k] = a
		case json.Number:
			if i, err := a.Int64(); err == nil {
				out[k] = i
			} else if f, err := a.Float64(); err == nil {
				out[k] = f
			} else {
				return nil, errOracle
			}
		default:
			return nil, errOracle
		}
	}
	if len(out) == 0 {
		return nil, nil
	}
	return out, nil
}

func oracleTensors(raw json.RawMessage) ([]oip.Tensor, error) {
	list, err := oracleList(raw, false)
	if err != nil {
		return nil, err
	}
	out := []oip.Tensor{}
	for _, raw := range list {
		t, err := oracleTensor(raw)
		if err != nil {
			return nil, err
		}
		out = append(out, t)
	}
	return out, nil
}

func oracleTensor(raw json.RawMessage) (oip.Tensor, error) {
	var none oip.Tensor
	m, err := oracleObject(raw)
	if err != nil {
		return none, err
	}
	name, err := oracleText(m["name"], false)
	if err != nil {
		return none, err
	}
	dt, err := oracleText(m["datatype"], false)
	if err != nil {
		return none, err
	}
	dims, err := oracleList(m["shape"], false)
	if err != nil {
		return none, err
	}
	shape := []int64{}
	for _, d := range dims {
		n, err := strconv.ParseInt(string(d), 10, 64)
		if err != nil || n < 0 {
			return none, errOracle
		}
		shape = append(shape, n)
	}
	params, err := oracleParameters(m["parameters"])
	if err != nil {
		return none, err
	}
	if _, ok := params["binary_data_size"]; ok {
		return none, errOracle
	}
	var leaves []json.RawMessage
	if err := oracleFlatten(m["data"], &leaves, 0); err != nil {
		return none, err
	}
	t, err := oracleData(name, oip.Datatype(dt), shape, leaves)
	t.Parameters = params
	return t, err
}

// oracleFlatten lists the scalars of nested arrays. All arrays of a level must
// have one length, and the scalars one depth.
func oracleFlatten(raw json.RawMessage, leaves *[]json.RawMessage, depth int) error {
	lengths, scalars := map[int]int{}, -1
	var walk func(raw json.RawMessage, level int) error
	walk = func(raw json.RawMessage, level int) error {
		list, err := oracleList(raw, false)
		if err != nil {
			return err
		}
		if n, ok := lengths[level]; ok && n != len(list) {
			return errOracle
		}
		lengths[level] = len(list)
		arrays := 0
		for _, e := range list {
			if e[0] == '[' {
				arrays++
			}
		}
		if arrays == 0 {
			if scalars >= 0 && scalars != level {
				return errOracle
			}
			scalars = level
			*leaves = append(*leaves, list...)
			return nil
		}
		if arrays != len(list) || scalars >= 0 && level >= scalars {
			return errOracle
		}
		for _, e := range list {
			if err := walk(e, level+1); err != nil {
				return err
			}
		}
		return nil
	}
	return walk(raw, depth)
}

func oracleData(name string, dt oip.Datatype, shape []int64, leaves []json.RawMessage) (oip.Tensor, error) {
	switch dt {
	case oip.BOOL:
		return oracleElements(name, shape, leaves, oip.NewBOOL)
	case oip.UINT8:
		return oracleElements(name, shape, leaves, oip.NewUINT8)
	case oip.UINT16:
		return oracleElements(name, shape, leaves, oip.NewUINT16)
	case oip.UINT32:
		return oracleElements(name, shape, leaves, oip.NewUINT32)
	case oip.UINT64:
		return oracleElements(name, shape, leaves, oip.NewUINT64)
	case oip.INT8:
		return oracleElements(name, shape, leaves, oip.NewINT8)
	case oip.INT16:
		return oracleElements(name, shape, leaves, oip.NewINT16)
	case oip.INT32:
		return oracleElements(name, shape, leaves, oip.NewINT32)
	case oip.INT64:
		return oracleElements(name, shape, leaves, oip.NewINT64)
	case oip.FP32:
		return oracleElements(name, shape, leaves, oip.NewFP32)
	case oip.FP64:
		return oracleElements(name, shape, leaves, oip.NewFP64)
	case oip.BYTES:
		return oracleElements(name, shape, leaves, oip.NewStrings)
	}
	return oip.Tensor{}, errOracle
}

func oracleElements[T any](name string, shape []int64, leaves []json.RawMessage, construct func(string, []int64, []T) oip.Tensor) (oip.Tensor, error) {
	out := make([]T, len(leaves))
	for i, raw := range leaves {
		// encoding/json takes null for anything, and refuses -0 for unsigned.
		if string(raw) == "null" {
			return oip.Tensor{}, errOracle
		}
		if string(raw) == "-0" && strings.Contains(fmt.Sprintf("%T", out), "uint") {
			raw = json.RawMessage("0")
		}
		if err := json.Unmarshal(raw, &out[i]); err != nil {
			return oip.Tensor{}, errOracle
		}
	}
	return construct(name, shape, out), nil
}

// sameTensor compares to the last bit, minus zero included.
func sameTensor(a, b *oip.Tensor) error {
	if a.Name != b.Name || a.Datatype != b.Datatype || fmt.Sprint(a.Shape) != fmt.Sprint(b.Shape) ||
		fmt.Sprintf("%#v", a.Parameters) != fmt.Sprintf("%#v", b.Parameters) {
		return fmt.Errorf("got %#v, want %#v", a, b)
	}
	if a.Len() != b.Len() {
		return fmt.Errorf("got %d elements, want %d", a.Len(), b.Len())
	}
	for i, v := range a.FP32() {
		if math.Float32bits(v) != math.Float32bits(b.FP32()[i]) {
			return fmt.Errorf("element %d: got %v, want %v", i, v, b.FP32()[i])
		}
	}
	for i, v := range a.FP64() {
		if math.Float64bits(v) != math.Float64bits(b.FP64()[i]) {
			return fmt.Errorf("element %d: got %v, want %v", i, v, b.FP64()[i])
		}
	}
	if got, want := fmt.Sprintf("%v", a.Data()), fmt.Sprintf("%v", b.Data()); got != want {
		return fmt.Errorf("got data %s, want %s", got, want)
	}
	return nil
}

func sameRequest(a, b *oip.InferRequest) error {
	if a.ID != b.ID || fmt.Sprintf("%#v", a.Parameters) != fmt.Sprintf("%#v", b.Parameters) ||
		fmt.Sprintf("%#v", a.Outputs) != fmt.Sprintf("%#v", b.Outputs) ||
		a.BinaryOutput != b.BinaryOutput || len(a.Inputs) != len(b.Inputs) {
		return fmt.Errorf("got %#v, want %#v", a, b)
	}
	for i := range a.Inputs {
		if err := sameTensor(&a.Inputs[i], &b.Inputs[i]); err != nil {
			return fmt.Errorf("input %d: %w", i, err)
		}
	}
	return nil
}

// repeats reports whether an object of a valid text has a member twice.
func repeats(dec *json.Decoder) bool {
	tok, err := dec.Token()
	if err != nil {
		return false
	}
	open, ok := tok.(json.Delim)
	if !ok {
		return false
	}
	seen, twice := map[any]bool{}, false
	for dec.More() {
		if open == '{' {
			key, err := dec.Token()
			if err != nil {
				return twice
			}
			twice = twice || seen[key]
			seen[key] = true
		}
		twice = repeats(dec) || twice
	}
	_, _ = dec.Token()
	return twice
}
