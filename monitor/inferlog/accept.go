package inferlog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
)

// accept puts a batch into the chunk of its partition. The caller holds l.mu,
// which accept releases while it waits for room.
func (l *Log) accept(b *batch) {
	if l.closing {
		l.refuse(b.rows, "the log is shut down")
		return
	}
	if b.size > chunkBytes || b.rows > l.opts.MaxBuffered {
		l.refuse(b.rows, "the buffer is full: the rows are too large or too many for it")
		return
	}
	if !l.fits(b) && !l.makeRoom(b) {
		reason := "the buffer is full: the store is too slow or failing"
		if l.closing {
			reason = "the log is shut down"
		}
		l.refuse(b.rows, reason)
		return
	}
	c := l.chunkFor(b)
	if l.folder != nil {
		c = l.journal(c, b)
	}
	c.add(b)
	l.batches++
	c.touched = l.batches
	l.stats.Observed += uint64(b.rows)
	l.stats.Pending += uint64(b.rows)
	l.memory += b.rows
	l.size += b.size
	l.begin()
	if c.rows >= l.opts.FlushRows {
		l.seal(c)
		l.signal()
	}
}

// fits reports whether there is room in memory.
func (l *Log) fits(b *batch) bool {
	return l.memory+b.rows <= l.opts.MaxBuffered && l.size+b.size <= bufferedBytes
}

// makeRoom does what Options.Overflow says. The caller holds l.mu, which
// makeRoom releases while it waits.
func (l *Log) makeRoom(b *batch) bool {
	l.sealAll() // Or nobody would write them.
	l.signal()
	switch l.opts.Overflow {
	case Block:
		for !l.fits(b) && !l.closing {
			// What others have put in meanwhile must be written, too.
			l.sealAll()
			l.begin()
			l.signal()
			l.room.Wait()
		}
		return !l.closing
	case Spill:
		l.park(b)
	}
	return l.fits(b)
}

// park frees the memory of chunks that are on disk, until the batch fits.
func (l *Log) park(b *batch) {
	for i, c := range slices.Backward(l.sealed) {
		if l.fits(b) {
			return
		}
		if c == l.writing || c.parked || c.segment == nil {
			continue
		}
		l.memory -= c.rows
		l.size -= c.size
		// Whoever reads the old one reads on: it does not change.
		l.sealed[i] = &chunk{
			key: c.key, schema: c.schema, app: c.app, number: c.number, seq: c.seq, rows: c.rows, parked: true, path: c.segment.path, segment: c.segment,
		}
	}
}

// chunkFor returns the open chunk of the partition, and seals one to make
// place for it.
func (l *Log) chunkFor(b *batch) *chunk {
	for _, c := range l.open {
		if c.key != b.key {
			continue
		}
		if c.rows == 0 || c.size+b.size <= chunkBytes {
			return c
		}
		l.seal(c)
		l.signal()
		break
	}
	if len(l.open) >= openChunks {
		l.seal(slices.MinFunc(l.open, func(x, y *chunk) int { return int(x.touched - y.touched) }))
		l.signal()
	}
	c := newChunk(l.schema, b.key, l.before)
	c.touched = l.batches
	l.open = append(l.open, c)
	if l.folder != nil {
		var err error
		if c.segment, err = l.folder.segment(l.app); err != nil {
			l.fault(err)
		} else {
			l.stats.SpilledBytes += c.segment.size
		}
	}
	return c
}

// journal writes the batch to the chunk's segment. Where that fails the chunk
// ends, and the batch goes into one that is in memory only.
func (l *Log) journal(c *chunk, b *batch) *chunk {
	if c.segment == nil {
		return c
	}
	l.frame = appendFrame(l.frame[:0], rowsFrame, func(dst []byte) []byte {
		return appendBatch(dst, b, len(c.columns), len(l.schema.Inputs))
	})
	err := error(nil)
	if l.stats.SpilledBytes+int64(len(l.frame)) > l.opts.SpillBytes {
		err = fmt.Errorf("the files have reached %d bytes", l.opts.SpillBytes)
	} else {
		err = c.segment.write(l.frame)
	}
	if err == nil {
		l.stats.SpilledBytes += int64(len(l.frame))
		return c
	}
	l.fault(err)
	if c.rows > 0 {
		l.seal(c)
		l.signal()
		c = newChunk(l.schema, b.key, nil)
		l.open = append(l.open, c)
		return c
	}
	l.unspill(c)
	return c
}

// fault notes why the disk is not used. A disk that fails does so for each
// chunk; one message until it is told is enough.
func (l *Log) fault(err error) {
	if len(l.faults) == 0 {
		l.faults = append(l.faults, fmt.Errorf("inferlog: spill rows of %q, which are in memory only: %w", l.name, err))
		l.signal()
	}
}

// unspill removes the chunk's segment.
func (l *Log) unspill(c *chunk) {
	if c.segment == nil {
		return
	}
	l.stats.SpilledBytes -= c.segment.size
	if err := c.segment.remove(); err != nil {
		l.faults = append(l.faults, fmt.Errorf("inferlog: remove a file of written rows of %q, which may be tried again: %w", l.name, err))
	}
	c.segment = nil
}

// seal ends an open chunk.
func (l *Log) seal(c *chunk) {
	l.open = slices.DeleteFunc(l.open, func(o *chunk) bool { return o == c })
	if c.rows == 0 {
		l.unspill(c)
		return
	}
	l.before = c
	l.enqueue(c)
}

// enqueue gives a chunk its place, and what its commit is known by where it has
// not got that yet.
func (l *Log) enqueue(c *chunk) {
	l.seq++
	c.seq = l.seq
	if c.app == "" {
		c.app, c.number = l.app, c.seq
	}
	if s := c.segment; s != nil && !s.sealed {
		frame := appendFrame(nil, sealFrame, func(dst []byte) []byte {
			return binary.AppendUvarint(appendText(dst, c.app), uint64(c.number))
		})
		if err := s.write(frame); err != nil {
			// Written rows must not come back after a crash: better no file.
			err = errors.Join(err, l.keepInMemory(c))
			l.fault(err)
		} else {
			s.sealed = true
			l.stats.SpilledBytes += int64(len(frame))
		}
	}
	l.sealed = append(l.sealed, c)
}

// keepInMemory gives up a chunk's segment. One whose rows are there alone
// stays: without a seal, a crash right behind its commit repeats it.
func (l *Log) keepInMemory(c *chunk) error {
	if c.parked {
		return nil
	}
	l.stats.SpilledBytes -= c.segment.size
	err := c.segment.remove()
	c.segment = nil
	return err
}

func (l *Log) sealAll() {
	for len(l.open) > 0 {
		l.seal(l.open[0])
	}
}
