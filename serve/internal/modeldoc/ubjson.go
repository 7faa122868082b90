package modeldoc

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// ubjson reads Universal Binary JSON, draft 12, as XGBoost writes it.
type ubjson struct{ *parser }

func (u ubjson) document() (*Value, error) {
	marker, err := u.marker()
	if err != nil {
		return nil, err
	}
	v, err := u.value(marker)
	if err != nil {
		return nil, err
	}
	if u.at != len(u.data) {
		return nil, errors.New("something follows the document")
	}
	return &v, nil
}

// marker takes the next type marker, over the no-ops.
func (u ubjson) marker() (byte, error) {
	for u.at < len(u.data) {
		c := u.data[u.at]
		u.at++
		if c != 'N' {
			return c, nil
		}
	}
	return 0, errEnd
}

// take takes n bytes.
func (u ubjson) take(n uint64) ([]byte, error) {
	if n > uint64(len(u.data)-u.at) {
		return nil, errEnd
	}
	raw := u.data[u.at : u.at+int(n)]
	u.at += int(n)
	return raw, nil
}

// width is the number of bytes of a scalar type, 0 for what is not one.
func width(marker byte) uint64 {
	switch marker {
	case 'i', 'U', 'C':
		return 1
	case 'I':
		return 2
	case 'l', 'd':
		return 4
	case 'L', 'D':
		return 8
	}
	return 0
}

// size reads a length.
func (u ubjson) size() (uint64, error) {
	marker, err := u.marker()
	if err != nil {
		return 0, err
	}
	if width(marker) == 0 || marker == 'd' || marker == 'D' || marker == 'C' {
		return 0, fmt.Errorf("%q in the place of a length", marker)
	}
	raw, err := u.take(width(marker))
	if err != nil {
		return 0, err
	}
	n := integer(marker, raw)
	if n < 0 {
		return 0, fmt.Errorf("the length %d", n)
	}
	return uint64(n), nil
}

// integer reads a whole number, big endian.
func integer(marker byte, raw []byte) int64 {
	switch marker {
	case 'i':
		return int64(int8(raw[0]))
	case 'U', 'C':
		return int64(raw[0])
	case 'I':
		return int64(int16(binary.BigEndian.Uint16(raw)))
	case 'l':
		return int64(int32(binary.BigEndian.Uint32(raw)))
	}
	return int64(binary.BigEndian.Uint64(raw))
}

func (u ubjson) value(marker byte) (Value, error) {
	if err := u.count(); err != nil {
		return Value{}, err
	}
	switch marker {
	case 'Z':
		return Value{kind: Null}, nil
	case 'T':
		return Value{kind: Bool, raw: []byte("true")}, nil
	case 'F':
		return Value{kind: Bool, raw: []byte("false")}, nil
	case 'S', 'H':
		n, err := u.size()
		if err != nil {
			return Value{}, err
		}
		raw, err := u.take(n)
		return Value{kind: String, raw: raw}, err
	case '[', '{':
		if u.depth++; u.depth > maxDepth {
			return Value{}, errDeep
		}
		v, err := u.container(marker == '{')
		u.depth--
		return v, err
	}
	if width(marker) == 0 {
		return Value{}, fmt.Errorf("the type %q", marker)
	}
	raw, err := u.take(width(marker))
	return Value{kind: Number, elem: marker, raw: raw}, err
}

// container reads an array or an object, whose type and length may be given.
func (u ubjson) container(object bool) (Value, error) {
	var elem byte
	counted, n := false, uint64(0)
	if u.at < len(u.data) && u.data[u.at] == '$' {
		u.at++
		c, err := u.marker()
		if err != nil {
			return Value{}, err
		}
		elem = c
		if u.at >= len(u.data) || u.data[u.at] != '#' {
			return Value{}, errors.New("a container with a type and without a length")
		}
	}
	if u.at < len(u.data) && u.data[u.at] == '#' {
		u.at++
		size, err := u.size()
		if err != nil {
			return Value{}, err
		}
		counted, n = true, size
	}
	if !object && width(elem) > 0 {
		if n > uint64(len(u.data)) {
			return Value{}, errEnd
		}
		raw, err := u.take(n * width(elem))
		return Value{kind: Numbers, elem: elem, raw: raw}, err
	}
	if n > uint64(u.left) {
		return Value{}, errValues
	}
	v := Value{kind: Array}
	if object {
		v.kind = Object
	}
	for i := uint64(0); !counted || i < n; i++ {
		if !counted {
			end, err := u.ended(object)
			if err != nil || end {
				return v, err
			}
		}
		if err := u.member(&v, elem, object); err != nil {
			return v, err
		}
	}
	return v, nil
}

// ended takes the end marker if it comes next.
func (u ubjson) ended(object bool) (bool, error) {
	for u.at < len(u.data) && u.data[u.at] == 'N' {
		u.at++
	}
	if u.at >= len(u.data) {
		return false, errEnd
	}
	end := byte(']')
	if object {
		end = '}'
	}
	if u.data[u.at] != end {
		return false, nil
	}
	u.at++
	return true, nil
}

// member reads an element, with its key in an object.
func (u ubjson) member(v *Value, elem byte, object bool) error {
	if object {
		n, err := u.size()
		if err != nil {
			return err
		}
		key, err := u.take(n)
		if err != nil {
			return err
		}
		v.keys = append(v.keys, string(key))
	}
	marker := elem
	if marker == 0 {
		m, err := u.marker()
		if err != nil {
			return err
		}
		marker = m
	}
	element, err := u.value(marker)
	v.list = append(v.list, element)
	return err
}
