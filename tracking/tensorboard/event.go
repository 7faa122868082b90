package tensorboard

import (
	"encoding/binary"
	"fmt"
	"math"
)

// Field numbers of the messages Event, Summary, Summary.Value,
// SummaryMetadata, PluginData, TensorProto and TensorShapeProto.
const (
	eventWallTime = 1
	eventStep     = 2
	eventVersion  = 3
	eventSummary  = 5

	summaryValue = 1

	valueTag      = 1
	valueSimple   = 2
	valueTensor   = 8
	valueMetadata = 9

	metadataPlugin = 1
	metadataClass  = 4
	pluginName     = 1
	pluginContent  = 2

	tensorType    = 1
	tensorShape   = 2
	tensorContent = 4
	shapeDim      = 2
	dimSize       = 1
)

// The element types of a tensor that can be a scalar, with the field that holds
// values of each and the size of one in the field of raw bytes.
const (
	typeFloat  = 1
	typeDouble = 2
	typeInt32  = 3
	typeInt64  = 9
	typeBool   = 10
	typeHalf   = 19
	typeBF16   = 14

	fieldFloat  = 5
	fieldDouble = 6
	fieldInt    = 7
	fieldInt64  = 10
	fieldBool   = 11
	fieldHalf   = 13
)

// version is what the first record of every file says.
const version = "brain.Event:2"

// event is what is read of an Event.
type event struct {
	wall    float64
	step    int64
	version string
	values  []value
}

// value is what is read of a Summary.Value.
type value struct {
	tag    string
	plugin string
	number float64
	scalar bool // number is set
}

func parseEvent(msg []byte) (event, error) {
	var e event
	err := fields(msg, func(f field) error {
		switch {
		case f.is(eventWallTime, wire64):
			e.wall = math.Float64frombits(f.number)
		case f.is(eventStep, wireVarint):
			e.step = int64(f.number)
		case f.is(eventVersion, wireBytes):
			e.version = string(f.data)
		case f.is(eventSummary, wireBytes):
			return fields(f.data, func(f field) error {
				if !f.is(summaryValue, wireBytes) {
					return nil
				}
				v, err := parseValue(f.data)
				e.values = append(e.values, v)
				return err
			})
		}
		return nil
	})
	return e, err
}

func parseValue(msg []byte) (value, error) {
	var v value
	err := fields(msg, func(f field) (err error) {
		switch {
		case f.is(valueTag, wireBytes):
			v.tag = string(f.data)
		case f.is(valueSimple, wire32):
			v.number, v.scalar = float64(math.Float32frombits(uint32(f.number))), true
		case f.is(valueTensor, wireBytes):
			v.number, v.scalar, err = parseTensor(f.data)
		case f.is(valueMetadata, wireBytes):
			v.plugin, err = parsePlugin(f.data)
		}
		return err
	})
	return v, err
}

func parsePlugin(msg []byte) (name string, err error) {
	err = fields(msg, func(f field) error {
		if !f.is(metadataPlugin, wireBytes) {
			return nil
		}
		return fields(f.data, func(f field) error {
			if f.is(pluginName, wireBytes) {
				name = string(f.data)
			}
			return nil
		})
	})
	return name, err
}

// parseTensor reads a tensor of one number; false is any other tensor.
func parseTensor(msg []byte) (number float64, scalar bool, err error) {
	var kind uint64
	var raw []byte
	size := uint64(1)
	values := map[int][]field{}
	err = fields(msg, func(f field) error {
		switch {
		case f.is(tensorType, wireVarint):
			kind = f.number
		case f.is(tensorContent, wireBytes):
			raw = f.data
		case f.is(tensorShape, wireBytes):
			return fields(f.data, func(f field) error {
				if !f.is(shapeDim, wireBytes) {
					return nil
				}
				dim := uint64(0)
				err := fields(f.data, func(f field) error {
					if f.is(dimSize, wireVarint) {
						dim = f.number
					}
					return nil
				})
				if dim != 1 {
					size = 0 // not one number
				}
				return err
			})
		case f.id >= fieldFloat && f.id <= fieldHalf && len(values[f.id]) < 2:
			values[f.id] = append(values[f.id], f)
		}
		return nil
	})
	if err != nil || size != 1 {
		return 0, false, err
	}
	switch kind {
	case typeFloat:
		return one(raw, values[fieldFloat], 4, wire32, func(n uint64) float64 { return float64(math.Float32frombits(uint32(n))) })
	case typeDouble:
		return one(raw, values[fieldDouble], 8, wire64, math.Float64frombits)
	case typeInt32:
		return one(raw, values[fieldInt], 4, wireVarint, func(n uint64) float64 { return float64(int32(n)) })
	case typeInt64:
		return one(raw, values[fieldInt64], 8, wireVarint, func(n uint64) float64 { return float64(int64(n)) })
	case typeBool:
		return one(raw, values[fieldBool], 1, wireVarint, func(n uint64) float64 { return float64(min(n, 1)) })
	case typeHalf:
		return one(raw, values[fieldHalf], 2, wireVarint, func(n uint64) float64 { return half(uint16(n)) })
	case typeBF16:
		return one(raw, values[fieldHalf], 2, wireVarint, func(n uint64) float64 { return float64(math.Float32frombits(uint32(uint16(n)) << 16)) })
	}
	return 0, false, nil
}

// one reads the one number of a tensor, which is in the raw bytes, or in a
// field, there alone or in a packed list of one.
func one(raw []byte, list []field, size, wire int, number func(uint64) float64) (float64, bool, error) {
	if len(raw) > 0 {
		return fixed(raw, size, number)
	}
	if len(list) == 0 { // zero may be left out
		return number(0), true, nil
	}
	if len(list) > 1 {
		return 0, false, nil
	}
	f := list[0]
	switch {
	case f.wire == wire:
		return number(f.number), true, nil
	case f.wire != wireBytes:
		return 0, false, nil
	case wire == wireVarint:
		n, width := binary.Uvarint(f.data)
		if width <= 0 {
			return 0, false, errProto
		}
		return number(n), width == len(f.data), nil
	}
	return fixed(f.data, size, number)
}

func fixed(data []byte, size int, number func(uint64) float64) (float64, bool, error) {
	if len(data) != size {
		return 0, false, nil
	}
	var bits [8]byte
	copy(bits[:], data)
	return number(binary.LittleEndian.Uint64(bits[:])), true, nil
}

// half widens a 16 bit float.
func half(h uint16) float64 {
	sign, exponent, fraction := h>>15, int(h>>10&0x1f), float64(h&0x3ff)
	v := math.Ldexp(1+fraction/1024, exponent-15)
	switch {
	case exponent == 0:
		v = math.Ldexp(fraction/1024, -14)
	case exponent == 0x1f && fraction == 0:
		v = math.Inf(1)
	case exponent == 0x1f:
		return math.NaN()
	}
	if sign == 1 {
		v = -v
	}
	return v
}

// appendEvent writes an Event that holds one message or text.
func appendEvent[T ~string | ~[]byte](b []byte, wall float64, step int64, id int, content T) []byte {
	b = appendDouble(b, eventWallTime, wall)
	if step != 0 {
		b = appendVarint(b, eventStep, uint64(step))
	}
	return appendBytes(b, id, content)
}

// appendScalar writes a Summary of one number: in the form that all readers
// know, of 32 bits, or as a tensor of 64.
func appendScalar(b []byte, tag string, number float64, exact bool) []byte {
	v := appendBytes(nil, valueTag, tag)
	if !exact {
		v = appendFloat(v, valueSimple, float32(number))
		return appendBytes(b, summaryValue, v)
	}
	t := appendVarint(nil, tensorType, typeDouble)
	t = appendBytes(t, tensorShape, "")
	t = appendBytes(t, tensorContent, binary.LittleEndian.AppendUint64(nil, math.Float64bits(number)))
	v = appendBytes(v, valueTensor, t)
	v = appendBytes(v, valueMetadata, metadata("scalars", nil))
	return appendBytes(b, summaryValue, v)
}

// metadata writes a SummaryMetadata; class 1 is a scalar.
func metadata(plugin string, content []byte) []byte {
	p := appendBytes(nil, pluginName, plugin)
	if content == nil {
		return appendVarint(appendBytes(nil, metadataPlugin, p), metadataClass, 1)
	}
	return appendBytes(nil, metadataPlugin, appendBytes(p, pluginContent, content))
}

// checkTag checks the name of a scalar that is to be written.
func checkTag(tag string) error {
	if tag == "" || len(tag) > 4096 {
		return fmt.Errorf("tensorboard: tag of %d bytes, want 1 to 4096: %w", len(tag), ErrInvalid)
	}
	return nil
}
