package rowsort

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"slices"

	"github.com/apache/arrow/go/v15/arrow"
)

const (
	// blockBytes is the unit in which memory for rows is taken.
	blockBytes = 1 << 20
	// entryBytes is what an entry costs beside its bytes.
	entryBytes = 40
	// maxRuns is how many sorted files are merged at once; each is read through
	// a buffer of runBuffer.
	maxRuns   = 128
	runBuffer = 128 << 10
)

// entry is one row in memory: the key and then the row.
type entry struct {
	prefix uint64 // The first bytes of data, to compare without touching it.
	data   []byte
	key    int
}

func (e entry) compare(o entry) int {
	if c := cmp.Compare(e.prefix, o.prefix); c != 0 {
		return c
	}
	return bytes.Compare(e.data, o.data)
}

// Sorter takes rows in any order. It holds about as many bytes as it may, and
// writes sorted files when there are more.
type Sorter struct {
	codec   *Codec
	limit   int64
	dir     string
	entries []entry
	block   []byte
	used    int64
	runs    []*run
	rows    int64
}

// NewSorter makes a sorter that holds about limit bytes, and keeps the rest in
// temporary files in dir; "" is the system's folder for them.
func NewSorter(codec *Codec, limit int64, dir string) *Sorter {
	return &Sorter{codec: codec, limit: max(limit, 2*blockBytes), dir: dir}
}

// Add takes the rows of a record, whose columns are found by name.
func (s *Sorter) Add(ctx context.Context, rec arrow.Record) error {
	enc, err := s.codec.bind(rec)
	if err != nil {
		return err
	}
	var row []byte
	for i := range int(rec.NumRows()) {
		var key int
		row, key = enc.row(row[:0], i)
		if s.used+int64(len(row)) > s.limit && len(s.entries) > 0 {
			if err := s.spill(ctx); err != nil {
				return err
			}
		}
		s.keep(row, key)
	}
	s.rows += rec.NumRows()
	return ctx.Err()
}

// Rows is the number of rows taken.
func (s *Sorter) Rows() int64 { return s.rows }

func (s *Sorter) keep(row []byte, key int) {
	if cap(s.block)-len(s.block) < len(row) {
		s.block = make([]byte, 0, max(blockBytes, len(row)))
		s.used += int64(cap(s.block))
	}
	from := len(s.block)
	s.block = append(s.block, row...)
	data := s.block[from:len(s.block):len(s.block)]
	var start [8]byte
	copy(start[:], data)
	s.entries = append(s.entries, entry{binary.BigEndian.Uint64(start[:]), data, key})
	s.used += entryBytes
}

func (s *Sorter) spill(ctx context.Context) error {
	slices.SortFunc(s.entries, entry.compare)
	r, err := writeRun(ctx, s.dir, &memoryCursor{entries: s.entries})
	if err != nil {
		return err
	}
	s.runs = append(s.runs, r)
	clear(s.entries) // The blocks go to the garbage collector.
	s.entries, s.block, s.used = s.entries[:0], nil, 0
	if len(s.runs) < maxRuns {
		return nil
	}
	merged, err := mergeRuns(s.runs)
	if err != nil {
		return err
	}
	if r, err = writeRun(ctx, s.dir, merged); err != nil {
		return errors.Join(err, merged.Close())
	}
	old := s.runs
	s.runs = []*run{r}
	return errors.Join(merged.Close(), closeRuns(old))
}

// Sort ends the adding. The result belongs to the caller, who closes it; the
// sorter is of no use any more.
func (s *Sorter) Sort() *Sorted {
	slices.SortFunc(s.entries, entry.compare)
	out := &Sorted{codec: s.codec, entries: s.entries, runs: s.runs, rows: s.rows}
	s.entries, s.block, s.runs = nil, nil, nil
	return out
}

// Close removes the temporary files of a sorter that was not asked to Sort.
func (s *Sorter) Close() error {
	err := closeRuns(s.runs)
	s.entries, s.block, s.runs = nil, nil, nil
	return err
}

// Sorted are rows in order: by key, and equal keys by their rows.
type Sorted struct {
	codec   *Codec
	entries []entry
	runs    []*run
	rows    int64
}

// Rows is the number of rows.
func (s *Sorted) Rows() int64 { return s.rows }

// Spilled tells whether temporary files were needed.
func (s *Sorted) Spilled() bool { return len(s.runs) > 0 }

// Cursor starts at the first row. Several cursors may walk side by side.
func (s *Sorted) Cursor() (Cursor, error) {
	if len(s.runs) == 0 {
		return &memoryCursor{entries: s.entries}, nil
	}
	m, err := mergeRuns(s.runs)
	if err != nil {
		return nil, err
	}
	if len(s.entries) > 0 {
		if err := m.push(&memoryCursor{entries: s.entries}); err != nil {
			return nil, errors.Join(err, m.Close())
		}
	}
	return m, nil
}

// Close removes the temporary files. Cursors must be closed before.
func (s *Sorted) Close() error {
	err := closeRuns(s.runs)
	s.entries, s.runs = nil, nil
	return err
}

// Cursor walks sorted rows.
type Cursor interface {
	// Next moves to the next row; false at the end.
	Next() (bool, error)
	// Data is the key and the row of the current row, together, valid until
	// Next. Data sorts as the rows do.
	Data() []byte
	// Key and Row are the parts of Data. When the whole row is the key, both
	// are all of it.
	Key() []byte
	Row() []byte
	Close() error
}

// parts cuts the data of a row whose key has a length.
func parts(data []byte, key int) (k, row []byte) {
	if key == len(data) {
		return data, data
	}
	return data[:key], data[key:]
}

type memoryCursor struct {
	entries []entry // From the current row on, once started.
	started bool
}

func (c *memoryCursor) Next() (bool, error) {
	if c.started && len(c.entries) > 0 {
		c.entries = c.entries[1:]
	}
	c.started = true
	return len(c.entries) > 0, nil
}

func (c *memoryCursor) Data() []byte { return c.entries[0].data }

func (c *memoryCursor) Key() []byte {
	k, _ := parts(c.entries[0].data, c.entries[0].key)
	return k
}

func (c *memoryCursor) Row() []byte {
	_, r := parts(c.entries[0].data, c.entries[0].key)
	return r
}

func (c *memoryCursor) Close() error { return nil }
