package rowsort

import (
	"bufio"
	"bytes"
	"container/heap"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
)

// run is a temporary file of sorted rows.
type run struct {
	file    *os.File
	size    int64
	longest int // Bytes of the longest row: a longer one is damage.
}

// writeRun copies the rows of a cursor into a new file.
func writeRun(ctx context.Context, dir string, c Cursor) (_ *run, err error) {
	f, err := os.CreateTemp(dir, "millwright-rows-*")
	if err != nil {
		return nil, fmt.Errorf("a temporary file for sorting: %w", err)
	}
	r := &run{file: f}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("a temporary file for sorting: %w", err), r.close())
		}
	}()
	w := bufio.NewWriterSize(f, 1<<20)
	var head [2 * binary.MaxVarintLen64]byte
	for n := 0; ; n++ {
		if n%4096 == 0 && ctx.Err() != nil {
			return nil, ctx.Err()
		}
		more, err := c.Next()
		if err != nil {
			return nil, err
		}
		if !more {
			break
		}
		data := c.Data()
		used := binary.PutUvarint(head[:], uint64(len(data)))
		used += binary.PutUvarint(head[used:], uint64(len(c.Key())))
		if _, err := w.Write(head[:used]); err != nil {
			return nil, err
		}
		if _, err := w.Write(data); err != nil {
			return nil, err
		}
		r.size += int64(used + len(data))
		r.longest = max(r.longest, len(data))
	}
	return r, w.Flush()
}

func (r *run) close() error {
	return errors.Join(r.file.Close(), os.Remove(r.file.Name()))
}

func closeRuns(runs []*run) error {
	var errs []error
	for _, r := range runs {
		errs = append(errs, r.close())
	}
	return errors.Join(errs...)
}

func (r *run) cursor() *runCursor {
	// ReadAt under the section keeps several cursors on one file apart.
	return &runCursor{run: r, in: bufio.NewReaderSize(io.NewSectionReader(r.file, 0, r.size), runBuffer)}
}

type runCursor struct {
	run  *run
	in   *bufio.Reader
	data []byte
	key  int
}

func (c *runCursor) Next() (bool, error) {
	n, err := binary.ReadUvarint(c.in)
	if errors.Is(err, io.EOF) {
		return false, nil
	}
	var key uint64
	if err == nil {
		key, err = binary.ReadUvarint(c.in)
	}
	if err == nil && (n > uint64(c.run.longest) || key > n) {
		err = fmt.Errorf("a row of %d bytes with a key of %d", n, key)
	}
	if err == nil {
		if uint64(cap(c.data)) < n {
			c.data = make([]byte, n, n+n/2)
		}
		c.data, c.key = c.data[:n], int(key)
		_, err = io.ReadFull(c.in, c.data)
	}
	if err != nil {
		return false, fmt.Errorf("the temporary file %s is damaged: %w", c.run.file.Name(), err)
	}
	return true, nil
}

func (c *runCursor) Data() []byte { return c.data }

func (c *runCursor) Key() []byte {
	k, _ := parts(c.data, c.key)
	return k
}

func (c *runCursor) Row() []byte {
	_, r := parts(c.data, c.key)
	return r
}

func (c *runCursor) Close() error { return nil }

// mergeCursor walks several cursors as one. The one with the smallest row is on
// top of the heap.
type mergeCursor struct {
	heap    cursorHeap
	started bool
}

func mergeRuns(runs []*run) (*mergeCursor, error) {
	m := &mergeCursor{}
	for _, r := range runs {
		if err := m.push(r.cursor()); err != nil {
			return nil, errors.Join(err, m.Close())
		}
	}
	return m, nil
}

func (m *mergeCursor) push(c Cursor) error {
	more, err := c.Next()
	if err == nil && more {
		heap.Push(&m.heap, c)
	}
	return err
}

func (m *mergeCursor) Next() (bool, error) {
	if !m.started {
		m.started = true
		return len(m.heap) > 0, nil
	}
	if len(m.heap) == 0 {
		return false, nil
	}
	more, err := m.heap[0].Next()
	switch {
	case err != nil:
		return false, err
	case more:
		heap.Fix(&m.heap, 0)
	default:
		heap.Pop(&m.heap)
	}
	return len(m.heap) > 0, nil
}

func (m *mergeCursor) Data() []byte { return m.heap[0].Data() }
func (m *mergeCursor) Key() []byte  { return m.heap[0].Key() }
func (m *mergeCursor) Row() []byte  { return m.heap[0].Row() }

func (m *mergeCursor) Close() error {
	var errs []error
	for _, c := range m.heap {
		errs = append(errs, c.Close())
	}
	m.heap = nil
	return errors.Join(errs...)
}

type cursorHeap []Cursor

func (h cursorHeap) Len() int           { return len(h) }
func (h cursorHeap) Less(i, j int) bool { return bytes.Compare(h[i].Data(), h[j].Data()) < 0 }
func (h cursorHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *cursorHeap) Push(x any)        { *h = append(*h, x.(Cursor)) }

func (h *cursorHeap) Pop() any {
	old := *h
	last := old[len(old)-1]
	*h = old[:len(old)-1]
	return last
}
