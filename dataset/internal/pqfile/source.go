package pqfile

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"sync"

	"github.com/apache/arrow-go/v18/arrow/memory"
)

// Segment is a part of a file that is in memory.
type Segment struct {
	Off  int64
	Data []byte
}

// segments are the parts of a file that are in memory, as the library wants to
// read them.
type segments struct {
	size  int64
	parts []Segment // By offset.
	pos   int64
}

// source shows the parts and the tail of the file.
func (f *File) source(parts []Segment) *segments {
	all := append(slices.Clone(parts), Segment{f.tailAt, f.tail})
	slices.SortFunc(all, func(a, b Segment) int {
		switch {
		case a.Off < b.Off:
			return -1
		case a.Off > b.Off:
			return 1
		}
		return len(a.Data) - len(b.Data)
	})
	return &segments{size: f.size, parts: all}
}

// view is n bytes from off on, without a copy.
func (s *segments) view(off, n int64) ([]byte, error) {
	for _, p := range s.parts {
		if off >= p.Off && off+n <= p.Off+int64(len(p.Data)) {
			from := off - p.Off
			return p.Data[from : from+n : from+n], nil
		}
	}
	return nil, fmt.Errorf("bytes %d to %d of the file were not fetched", off, off+n)
}

func (s *segments) ReadAt(b []byte, off int64) (int, error) {
	if off < 0 {
		return 0, fs.ErrInvalid
	}
	for _, p := range s.parts {
		if off < p.Off || off >= p.Off+int64(len(p.Data)) {
			continue
		}
		n := copy(b, p.Data[off-p.Off:])
		if n == len(b) {
			return n, nil
		}
		more, err := s.ReadAt(b[n:], off+int64(n))
		return n + more, err
	}
	if off >= s.size {
		return 0, io.EOF
	}
	return 0, fmt.Errorf("byte %d of the file was not fetched", off)
}

func (s *segments) Read(b []byte) (int, error) {
	n, err := s.ReadAt(b, s.pos)
	s.pos += int64(n)
	if n > 0 && errors.Is(err, io.EOF) {
		err = nil
	}
	return n, err
}

func (s *segments) Seek(off int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		off += s.pos
	case io.SeekEnd:
		off += s.size
	}
	if off < 0 {
		return 0, fs.ErrInvalid
	}
	s.pos = off
	return off, nil
}

func bufferPool() *sync.Pool {
	return &sync.Pool{New: func() any { return memory.NewResizableBuffer(memory.DefaultAllocator) }}
}
