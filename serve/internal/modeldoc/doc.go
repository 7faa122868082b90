// Package modeldoc reads the JSON and UBJSON documents that gradient boosting
// libraries write. Arrays of numbers, which are nearly all of such a file, stay
// where they are until they are asked for in one type.
//
// Files may be hostile: nesting and the number of values are bounded, and no
// memory is taken for a length that the file only claims.
package modeldoc

import (
	"fmt"

	"github.com/millwright-ml/millwright/internal/errs"
)

const (
	// maxDepth bounds the nesting. Trees that are written as nested objects take
	// one level for each level of theirs.
	maxDepth = 512
	// bytesPerValue bounds the values by the size of the file. Arrays of
	// numbers count as one.
	bytesPerValue = 6
	spareValues   = 4096
)

// Kind says what a Value is.
type Kind uint8

// The kinds. An array of scalars is Numbers, any other one is Array.
const (
	Absent Kind = iota
	Null
	Bool
	Number
	String
	Numbers
	Array
	Object
)

// Value is one value of a document. The zero Value is absent.
type Value struct {
	kind Kind
	elem byte   // UBJSON's type of a Number or of Numbers; 0 for JSON text
	raw  []byte // the text of a String, or the bytes of a Number or of Numbers
	keys []string
	list []Value // elements of an Array, or the values of an Object
}

// Kind returns what the value is.
func (v *Value) Kind() Kind { return v.kind }

// Has reports whether there is a value.
func (v *Value) Has() bool { return v.kind != Absent && v.kind != Null }

var absent Value

// Get follows the keys down nested objects. What is not there is Absent.
func (v *Value) Get(path ...string) *Value {
	for _, key := range path {
		next := &absent
		for i, k := range v.keys {
			if k == key {
				next = &v.list[i]
			}
		}
		v = next
	}
	return v
}

// Items returns the elements of an Array, nil for anything else and for an empty
// array.
func (v *Value) Items() []Value {
	if v.kind != Array {
		return nil
	}
	return v.list
}

// Text returns a String's text.
func (v *Value) Text() string {
	if v.kind != String {
		return ""
	}
	return string(v.raw)
}

// Parse reads a document, UBJSON or JSON.
func Parse(data []byte) (*Value, error) {
	p := &parser{data: data, left: len(data)/bytesPerValue + spareValues}
	var v *Value
	var err error
	if IsUBJSON(data) {
		u := ubjson{p}
		v, err = u.document()
	} else {
		v, err = p.document()
	}
	if err != nil {
		return nil, fmt.Errorf("byte %d: %w: %w", p.at, err, errs.ErrInvalid)
	}
	return v, nil
}

// IsUBJSON reports whether the data is an object of UBJSON: its first key begins
// with the type of its length.
func IsUBJSON(data []byte) bool {
	if len(data) < 2 || data[0] != '{' {
		return false
	}
	switch data[1] {
	case 'i', 'U', 'I', 'l', 'L', '#', '$':
		return true
	}
	return false
}
