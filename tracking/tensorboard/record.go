package tensorboard

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/millwright-ml/millwright/internal/errs"
)

// ErrInvalid tells that a file is no event file or is damaged, or that a value
// cannot be written.
var ErrInvalid = errs.ErrInvalid

const (
	// maxRecord is the largest record that is held in memory. Larger ones, as
	// graphs and images can be, are verified and skipped.
	maxRecord = 16 << 20
	// maxLength is more than any writer makes: a length beyond it is damage.
	maxLength = 1 << 32

	headerSize = 12
	footerSize = 4
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// maskedCRC is the checksum of the format: a CRC-32C that is changed so that a
// checksum of data that holds checksums is still a good one.
func maskedCRC(crc uint32) uint32 { return (crc>>15 | crc<<17) + 0xa282ead8 }

// appendRecord adds one record to b.
func appendRecord(b, data []byte) []byte {
	var length [8]byte
	binary.LittleEndian.PutUint64(length[:], uint64(len(data)))
	b = append(b, length[:]...)
	b = binary.LittleEndian.AppendUint32(b, maskedCRC(crc32.Checksum(length[:], castagnoli)))
	b = append(b, data...)
	return binary.LittleEndian.AppendUint32(b, maskedCRC(crc32.Checksum(data, castagnoli)))
}

// errTruncated: the file ends in the middle of a record.
var errTruncated = errors.New("the file ends in the middle of a record")

// recordReader reads records one after the other.
type recordReader struct {
	r      io.Reader
	offset int64  // of the record that next reads
	buf    []byte // of the record that it read last
}

// next returns the next record, which is valid until the call after it; nil
// data is a record that was skipped for its size. The error is io.EOF at the
// end, errTruncated, that of the reader, or an ErrInvalid that names the
// offset.
func (r *recordReader) next() (data []byte, err error) {
	var header [headerSize]byte
	switch n, err := io.ReadFull(r.r, header[:]); {
	case errors.Is(err, io.ErrUnexpectedEOF) && n > 0:
		return nil, errTruncated
	case err != nil:
		return nil, err
	}
	length := binary.LittleEndian.Uint64(header[:8])
	if want, have := binary.LittleEndian.Uint32(header[8:]), maskedCRC(crc32.Checksum(header[:8], castagnoli)); want != have {
		return nil, r.fault("the checksum of the length is %08x, the file says %08x: it is damaged or no event file", have, want)
	}
	if length > maxLength {
		return nil, r.fault("it has %d bytes, the limit is %d", length, uint64(maxLength))
	}
	var have uint32
	if length <= maxRecord {
		if data, err = r.read(int(length)); err != nil {
			return nil, truncated(err)
		}
		have = crc32.Checksum(data, castagnoli)
	} else {
		sum := crc32.New(castagnoli)
		if _, err := io.CopyN(sum, r.r, int64(length)); err != nil {
			return nil, truncated(err)
		}
		have = sum.Sum32()
	}
	var footer [footerSize]byte
	if _, err := io.ReadFull(r.r, footer[:]); err != nil {
		return nil, truncated(err)
	}
	if want := binary.LittleEndian.Uint32(footer[:]); want != maskedCRC(have) {
		return nil, r.fault("the checksum of its %d bytes is %08x, the file says %08x: it is damaged", length, maskedCRC(have), want)
	}
	r.offset += headerSize + int64(length) + footerSize
	return data, nil
}

// read reads n bytes. The memory grows as they come, so that a length alone
// costs none.
func (r *recordReader) read(n int) ([]byte, error) {
	const step = 64 << 10
	r.buf = r.buf[:0]
	if r.buf == nil {
		r.buf = make([]byte, 0, min(n, step))
	}
	for len(r.buf) < n {
		have := len(r.buf)
		more := min(n-have, max(step, have))
		if cap(r.buf) < have+more {
			grown := make([]byte, have, have+more)
			copy(grown, r.buf)
			r.buf = grown
		}
		r.buf = r.buf[:have+more]
		if _, err := io.ReadFull(r.r, r.buf[have:]); err != nil {
			return nil, err
		}
	}
	return r.buf, nil
}

func truncated(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errTruncated
	}
	return err
}

func (r *recordReader) fault(format string, args ...any) error {
	return fmt.Errorf("record at offset %d: %s: %w", r.offset, fmt.Sprintf(format, args...), ErrInvalid)
}
