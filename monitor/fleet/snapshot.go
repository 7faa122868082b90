package fleet

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"github.com/millwright-ml/millwright/dataset/profile"
	"github.com/millwright-ml/millwright/internal/errs"
)

// The kinds of errors of this package, for errors.Is.
var (
	// ErrInvalid: options or a snapshot that cannot be used.
	ErrInvalid = errs.ErrInvalid
	// ErrConflict: another evaluator has decided meanwhile.
	ErrConflict = errs.ErrConflict
	// ErrNotFound: no replica has observed anything since the last evaluation.
	ErrNotFound = errs.ErrNotFound
	// ErrForbidden: a peer does not let this process read its snapshot.
	ErrForbidden = errors.New("forbidden")
)

// A snapshot is snapshotMagic, the fields of Snapshot, and a CRC-32C of all
// before it.
const (
	snapshotMagic = "MWFLEET1"
	maxSnapshot   = 64 << 20
	maxName       = 1024
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Snapshot is what one process had counted at one moment.
type Snapshot struct {
	Model, Version string
	// Reference is the digest of the reference that it counts over.
	Reference string
	// Process is different for each process: the replica's name and a random
	// part. Number grows with each of its snapshots.
	Process string
	Number  uint64
	counts  []byte
}

// Counts decodes the counts over the layout of a reference.
func (s *Snapshot) Counts(ref *profile.Reference) (*profile.Reference, error) {
	c := ref.Window()
	rest, err := c.SetCounts(s.counts)
	if err != nil || len(rest) > 0 {
		return nil, fmt.Errorf("fleet: counts of %q: they are damaged or of another layout: %w", s.Process, ErrInvalid)
	}
	return c, nil
}

// MarshalBinary encodes the snapshot.
func (s *Snapshot) MarshalBinary() ([]byte, error) {
	b := []byte(snapshotMagic)
	for _, text := range []string{s.Model, s.Version, s.Reference, s.Process} {
		b = appendText(b, text)
	}
	b = binary.AppendUvarint(b, s.Number)
	b = appendText(b, string(s.counts))
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli)), nil
}

// UnmarshalBinary is the reverse of MarshalBinary. It returns ErrInvalid for
// anything else.
func (s *Snapshot) UnmarshalBinary(data []byte) error {
	r, err := open(data, snapshotMagic)
	if err != nil {
		return fmt.Errorf("fleet: snapshot: %w", err)
	}
	n := Snapshot{Model: r.text(), Version: r.text(), Reference: r.text(), Process: r.text(), Number: r.uint(), counts: []byte(r.bytes(maxSnapshot))}
	if r.bad || len(r.b) > 0 || n.Process == "" {
		return fmt.Errorf("fleet: snapshot: its checksum is right and it makes no sense: %w", ErrInvalid)
	}
	*s = n
	return nil
}

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// open checks the frame of an object and returns a reader of what is in it.
func open(data []byte, magic string) (*reader, error) {
	const tail = 4
	if len(data) < len(magic)+tail || string(data[:len(magic)]) != magic ||
		crc32.Checksum(data[:len(data)-tail], castagnoli) != binary.LittleEndian.Uint32(data[len(data)-tail:]) {
		return nil, fmt.Errorf("it is damaged, or was written by another version of the library: %w", ErrInvalid)
	}
	return &reader{b: data[len(magic) : len(data)-tail]}, nil
}

// reader reads values; from the first fault on bad is true and all are zero.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) uint() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.b, r.bad = nil, true
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) bytes(limit uint64) string {
	n := r.uint()
	if n > uint64(len(r.b)) || n > limit {
		r.b, r.bad = nil, true
		return ""
	}
	s := string(r.b[:n])
	r.b = r.b[n:]
	return s
}

func (r *reader) text() string { return r.bytes(maxName) }
