package profile

import (
	"bufio"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"runtime"
	"slices"
)

// keyParts is how many parts the hashes on disk are cut into, by their first
// bits: one part at a time is read back.
const keyParts = 64

const keyBytes = 16 // A hash and a row.

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// keySpill is a temporary file of hashes and the rows they came first in. Where the
// system allows it the file has no name, and so never stays behind.
type keySpill struct {
	dir      string
	file     *os.File
	named    bool
	size     int64
	sections []keySection
	cleanup  runtime.Cleanup
}

// keySection is a part of what was written at once. No hash is in it twice.
type keySection struct {
	part  int
	at    int64
	count int64
	sum   uint32
}

// summed is a writer at a place of a file that sums what it writes.
type summed struct {
	io.Writer
	sum uint32
}

func (w *summed) Write(p []byte) (int, error) {
	w.sum = crc32.Update(w.sum, castagnoli, p)
	return w.Writer.Write(p)
}

func (k *keySpill) open() error {
	f, err := os.CreateTemp(k.dir, "millwright-keys-*")
	if err != nil {
		return err
	}
	k.file = f
	if os.Remove(f.Name()) != nil {
		k.named = true
		k.cleanup = runtime.AddCleanup(k, func(f *os.File) { _ = errors.Join(f.Close(), os.Remove(f.Name())) }, f)
	}
	return nil
}

func (k *keySpill) close() {
	if k.file == nil {
		return
	}
	_ = k.file.Close() // Nobody needs it any more.
	if k.named {
		k.cleanup.Stop()
		_ = os.Remove(k.file.Name())
	}
	k.file = nil
}

// write writes what each yields, in parts.
func (k *keySpill) write(each func(func(hash uint64, row int64))) error {
	if k.file == nil {
		if err := k.open(); err != nil {
			return fmt.Errorf("profile: uniqueness of more rows than MaxKeys needs a temporary file: %w", err)
		}
	}
	var counts [keyParts]int64
	each(func(hash uint64, _ int64) { counts[hash>>58]++ })
	var to [keyParts]*bufio.Writer
	var sums [keyParts]*summed
	first := len(k.sections)
	for part, n := range counts {
		if n == 0 {
			continue
		}
		sums[part] = &summed{Writer: io.NewOffsetWriter(k.file, k.size)}
		to[part] = bufio.NewWriterSize(sums[part], 16<<10)
		k.sections = append(k.sections, keySection{part: part, at: k.size, count: n})
		k.size += n * keyBytes
	}
	var failed error
	var pair [keyBytes]byte
	each(func(hash uint64, row int64) {
		binary.LittleEndian.PutUint64(pair[:], hash)
		binary.LittleEndian.PutUint64(pair[8:], uint64(row))
		if _, err := to[hash>>58].Write(pair[:]); err != nil {
			failed = err
		}
	})
	for i := first; i < len(k.sections); i++ {
		s := &k.sections[i]
		failed = errors.Join(failed, to[s.part].Flush())
		s.sum = sums[s.part].sum
	}
	if failed != nil {
		return fmt.Errorf("profile: temporary file for uniqueness: %w", failed)
	}
	return nil
}

type keyRow struct {
	hash uint64
	row  int64
}

// repeats calls f with every row whose hash another section has with an earlier
// row, or as known.
func (k *keySpill) repeats(f func(row int64)) error {
	var rows []keyRow
	var buf []byte
	for part := range keyParts {
		rows = rows[:0]
		for _, s := range k.sections {
			if s.part != part {
				continue
			}
			buf = slices.Grow(buf[:0], int(s.count)*keyBytes)[:int(s.count)*keyBytes]
			if _, err := k.file.ReadAt(buf, s.at); err != nil {
				return fmt.Errorf("profile: temporary file for uniqueness: %w", err)
			}
			if sum := crc32.Checksum(buf, castagnoli); sum != s.sum {
				return errors.New("profile: the temporary file for uniqueness was damaged: check the disk")
			}
			for at := 0; at < len(buf); at += keyBytes {
				rows = append(rows, keyRow{binary.LittleEndian.Uint64(buf[at:]), int64(binary.LittleEndian.Uint64(buf[at+8:]))})
			}
		}
		slices.SortFunc(rows, func(a, b keyRow) int {
			return cmp.Or(cmp.Compare(a.hash, b.hash), cmp.Compare(a.row, b.row))
		})
		for i := 1; i < len(rows); i++ {
			// Of a hash the first is new, unless it was known: then none is.
			if rows[i].hash == rows[i-1].hash && rows[i].row >= 0 {
				f(rows[i].row)
			}
		}
	}
	return nil
}
