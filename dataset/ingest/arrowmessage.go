package ingest

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/millwright-ml/millwright/dataset/internal/ipccheck"
)

// arrowMessages reads the messages of an Arrow stream for the Arrow library.
// The library allocates whatever a message claims to hold, before it looks
// whether it is there; so claims are checked here.
type arrowMessages struct {
	r      io.Reader
	file   bool        // A file ends with its mark, a stream may do without.
	at     io.ReaderAt // nil reads from r; else the blocks are read, after the schema.
	blocks []ipccheck.Block
	schema []byte
	budget *budget
	last   *ipc.Message
}

// maxArrowHeader bounds the description of one batch.
const maxArrowHeader = 16 << 20

// Message returns the next message, which is valid until the one after; io.EOF
// at the end.
func (m *arrowMessages) Message() (*ipc.Message, error) {
	m.Release()
	if m.at != nil {
		switch {
		case m.schema != nil:
			m.last = ipc.NewMessage(memory.NewBufferBytes(m.schema), memory.NewBufferBytes(nil))
			m.schema = nil
			return m.last, nil
		case len(m.blocks) == 0:
			return nil, io.EOF
		}
		m.r = io.NewSectionReader(m.at, m.blocks[0].Offset, m.blocks[0].Length)
		m.blocks = m.blocks[1:]
	}
	var word [4]byte
	if _, err := io.ReadFull(m.r, word[:]); err != nil {
		if errors.Is(err, io.EOF) && !m.file {
			return nil, io.EOF
		}
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return nil, fmt.Errorf("start of a message: %w", err)
	}
	size := binary.LittleEndian.Uint32(word[:])
	if size == 0xffffffff {
		if err := m.fill(word[:]); err != nil {
			return nil, err
		}
		size = binary.LittleEndian.Uint32(word[:])
	}
	if size == 0 {
		return nil, io.EOF
	}
	if size < 8 || size > maxArrowHeader {
		return nil, fmt.Errorf("a message has a description of %d bytes, want 8 to %d", size, maxArrowHeader)
	}
	meta := make([]byte, size)
	if err := m.fill(meta); err != nil {
		return nil, err
	}
	body, err := ipccheck.Message(meta)
	if err != nil {
		return nil, err
	}
	if body < 0 || body > m.budget.left {
		return nil, fmt.Errorf("a message claims %d bytes of values: Options.MaxBytes allows %d", body, m.budget.limit)
	}
	values, err := m.body(body)
	if err != nil {
		return nil, err
	}
	m.last = ipc.NewMessage(memory.NewBufferBytes(meta), memory.NewBufferBytes(values))
	return m.last, nil
}

// firstBody is how much is allocated for values on a mere claim.
const firstBody = 1 << 20

// body reads the values of a message. Memory grows with what is there.
func (m *arrowMessages) body(size int64) ([]byte, error) {
	values := m.budget.Allocate(int(min(size, firstBody)))
	for n := 0; ; {
		if err := m.fill(values[n:]); err != nil {
			return nil, err
		}
		if n = len(values); int64(n) == size {
			return values, nil
		}
		values = m.budget.Reallocate(int(min(size, 2*int64(n))), values)
	}
}

func (m *arrowMessages) fill(p []byte) error {
	_, err := io.ReadFull(m.r, p)
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return err
}

// Release drops the last message.
func (m *arrowMessages) Release() {
	if m.last != nil {
		m.last.Release()
		m.last = nil
	}
}

// Retain is there for the interface: the reader is the only owner.
func (m *arrowMessages) Retain() {}

// newArrowMessages finds the messages of a file or a stream. A file that can be
// read at offsets is read by its footer: Polars writes files whose first message
// is no message. Any other is the stream between the marks.
func newArrowMessages(in *input, b *budget) (*arrowMessages, error) {
	m := &arrowMessages{r: in.rest, budget: b}
	if head, _ := peek(in.rest, len(fileMark)); string(head) != fileMark {
		return m, nil
	}
	m.file = true
	if in.at == nil || in.size < 0 {
		_, err := io.CopyN(io.Discard, in.rest, int64(len(fileMark)))
		return m, err
	}
	const end = 4 + 6 // The length of the footer, and the mark without its padding.
	tail := make([]byte, end)
	if in.size < int64(len(fileMark)+end) {
		return nil, io.ErrUnexpectedEOF
	}
	if _, err := in.at.ReadAt(tail, in.size-end); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	size := int64(binary.LittleEndian.Uint32(tail))
	if string(tail[4:]) != fileMark[:6] || size > maxArrowHeader || size > in.size-int64(len(fileMark)+end) {
		return nil, errors.New("it has no footer")
	}
	footer := make([]byte, size)
	if _, err := in.at.ReadAt(footer, in.size-end-size); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	m.at = in.at
	var err error
	m.schema, m.blocks, err = ipccheck.Footer(footer, in.size)
	return m, err
}
