package sqlstore

import (
	"encoding/binary"
	"errors"
	"slices"

	"github.com/millwright-ml/millwright/tracking"
)

// A row of mw_metric_log holds the points of one batch in the order in which
// they came, column by column: a version byte, the number of points, then all
// key ids, all steps, all times (each as the difference to the one before, in
// variable length) and all values (8 bytes). That costs about 11 bytes and a
// few nanoseconds a point; what is kept for long is packed by the block codec.
const logVersion = 1

// minLogPoint is the least that a point takes: three one-byte numbers and the
// value. It bounds what a damaged blob makes the decoder allocate.
const minLogPoint = 3 + 8

var errDamagedLog = errors.New("a row of mw_metric_log is damaged")

// encodeLog packs the metrics, whose key ids are given, and counts the
// different keys.
func encodeLog(metrics []tracking.Metric, ids []int64) (data []byte, nKeys int) {
	data = make([]byte, 0, 16+len(metrics)*14)
	data = append(data, logVersion)
	data = binary.AppendUvarint(data, uint64(len(metrics)))
	prev := int64(0)
	for _, id := range ids {
		data = binary.AppendVarint(data, id-prev)
		prev = id
	}
	prev = 0
	for i := range metrics {
		data = binary.AppendVarint(data, metrics[i].Step-prev) // wraps around, and back
		prev = metrics[i].Step
	}
	prev = 0
	for i := range metrics {
		ms := metrics[i].Time.UnixMilli()
		data = binary.AppendVarint(data, ms-prev)
		prev = ms
	}
	for i := range metrics {
		data = binary.LittleEndian.AppendUint64(data, newPoint(&metrics[i]).bits())
	}
	return data, countDistinct(ids)
}

func countDistinct(ids []int64) int {
	switch {
	case len(ids) == 0:
		return 0
	case len(ids) == 1:
		return 1
	}
	sorted := slices.Clone(ids)
	slices.Sort(sorted)
	return len(slices.Compact(sorted))
}

// keyPoint is a point with the id of its key.
type keyPoint struct {
	key int64
	point
}

// logHead returns the number of points of a blob, bounded by its length, and
// the columns.
func logHead(data []byte) (n int, columns []byte, ok bool) {
	if len(data) == 0 || data[0] != logVersion {
		return 0, nil, false
	}
	size, used := binary.Uvarint(data[1:])
	if used <= 0 || size > uint64(len(data)/minLogPoint) {
		return 0, nil, false
	}
	return int(size), data[1+used:], true
}

// sizeOfLog is the number of points of a blob, 0 of a damaged one.
func sizeOfLog(data []byte) int {
	n, _, _ := logHead(data)
	return n
}

// decodeLog appends the points of a blob to out.
func decodeLog(out []keyPoint, data []byte) ([]keyPoint, error) {
	n, data, ok := logHead(data)
	if !ok {
		return out, errDamagedLog
	}
	first := len(out)
	out = slices.Grow(out, n)[:first+n]
	added := out[first:]
	column := func(set func(i int, v int64)) bool {
		v := int64(0)
		for i := range n {
			delta, used := binary.Varint(data)
			if used <= 0 {
				return false
			}
			data = data[used:]
			v += delta
			set(i, v)
		}
		return true
	}
	ok = column(func(i int, v int64) { added[i].key = v }) &&
		column(func(i int, v int64) { added[i].step = v }) &&
		column(func(i int, v int64) { added[i].tsMS = v })
	if !ok || len(data) != 8*n {
		return out[:first], errDamagedLog
	}
	for i := range added {
		added[i].point = pointFromBits(added[i].tsMS, added[i].step, binary.LittleEndian.Uint64(data[8*i:]))
	}
	return out, nil
}
