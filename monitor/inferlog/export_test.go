package inferlog

import (
	"errors"
	"fmt"

	"github.com/millwright-ml/millwright/internal/errs"
)

// ErrFull is what a disk says that FillDisk has filled.
var ErrFull = errors.New("no space left on device")

// FillDisk gives the log a disk with room for so many more bytes.
func (l *Log) FillDisk(room int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.folder.create = func(path string) (file, error) {
		f, err := createFile(path)
		return &smallFile{f, &room}, err
	}
}

type smallFile struct {
	file
	room *int
}

func (f *smallFile) Write(p []byte) (int, error) {
	if len(p) <= *f.room {
		*f.room -= len(p)
		return f.file.Write(p)
	}
	n, err := f.file.Write(p[:*f.room])
	*f.room = 0
	return n, errors.Join(err, ErrFull)
}

// ReadSegment decodes a segment and encodes it again.
func ReadSegment(data []byte, s Schema) (again []byte, rows int, err error) {
	c, err := readSegment(data, s)
	if err != nil {
		return nil, 0, err
	}
	again = []byte(segmentMagic)
	for i := range c.batches {
		again = appendFrame(again, rowsFrame, func(dst []byte) []byte {
			return appendBatch(dst, &c.batches[i], len(s.fields()), len(s.Inputs))
		})
		// What was decoded must be fit for a chunk.
		chunk := newChunk(s, c.batches[i].key, nil)
		chunk.add(&c.batches[i])
		rec := chunk.record(s.arrow(new(errs.Faults)))
		if int(rec.NumRows()) != c.batches[i].rows {
			return nil, 0, fmt.Errorf("%d rows, want %d", rec.NumRows(), c.batches[i].rows)
		}
		rec.Release()
	}
	return again, c.rows, nil
}
