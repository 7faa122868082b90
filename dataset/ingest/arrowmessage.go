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
	budget *budget
	last   *ipc.Message
}

// maxArrowHeader bounds the description of one batch.
const maxArrowHeader = 16 << 20

// Message returns the next message, which is valid until the one after; io.EOF
// at the end.
func (m *arrowMessages) Message() (*ipc.Message, error) {
	m.Release()
	var word [4]byte
	if _, err := io.ReadFull(m.r, word[:]); err != nil {
		if errors.Is(err, io.EOF) {
			return nil, io.EOF // A stream may end without its mark.
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
