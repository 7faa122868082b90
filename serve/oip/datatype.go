package oip

import "fmt"

// Datatype is an element type of the protocol, spelled as on the wire.
type Datatype string

// The datatypes. FP16 and BF16 travel as binary tensor data and over gRPC: the
// protocol gives them no JSON form.
const (
	BOOL   Datatype = "BOOL"
	UINT8  Datatype = "UINT8"
	UINT16 Datatype = "UINT16"
	UINT32 Datatype = "UINT32"
	UINT64 Datatype = "UINT64"
	INT8   Datatype = "INT8"
	INT16  Datatype = "INT16"
	INT32  Datatype = "INT32"
	INT64  Datatype = "INT64"
	FP16   Datatype = "FP16"
	BF16   Datatype = "BF16"
	FP32   Datatype = "FP32"
	FP64   Datatype = "FP64"
	BYTES  Datatype = "BYTES"
)

// HasJSON reports whether tensors of this datatype can travel as JSON. It is
// false for FP16, BF16 and for names that are not a datatype.
func (d Datatype) HasJSON() bool {
	switch d {
	case BOOL, UINT8, UINT16, UINT32, UINT64, INT8, INT16, INT32, INT64, FP32, FP64, BYTES:
		return true
	}
	return false
}

// Size returns the bytes of one element of the datatype in binary tensor data,
// 0 for BYTES, whose elements vary, and for names that are not a datatype.
func (d Datatype) Size() int {
	switch d {
	case BOOL, UINT8, INT8:
		return 1
	case UINT16, INT16, FP16, BF16:
		return 2
	case UINT32, INT32, FP32:
		return 4
	case UINT64, INT64, FP64:
		return 8
	}
	return 0
}

// known reports whether the name is a datatype.
func (d Datatype) known() bool { return d == BYTES || d.Size() > 0 }

// Check returns an ErrInvalid for a name that is not a datatype.
func (d Datatype) Check() error {
	if d.known() {
		return nil
	}
	return malformed(fmt.Sprintf("%.40q is not a datatype, want BOOL, UINT8 to UINT64, INT8 to INT64, FP16, BF16, FP32, FP64 or BYTES", string(d)))
}
