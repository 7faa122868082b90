package loader

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"hash/crc32"
)

// Token says where a [Stream] stands: it is all that is needed to go on at the
// exact row, in another process and on another day. It is a comparable value of
// a few bytes; its text has some 30 characters and is safe in a URL, a JSON
// string or a file. It holds no rows, because the order of the rows is
// computed, not drawn.
//
// A token is bound to the content of the version and to the settings that
// decide which row comes when; [Loader.Resume] refuses it anywhere else.
type Token struct {
	plan  [planBytes]byte // Of the loader: the version's digest and the settings.
	epoch uint64
	rank  uint64
	world uint64
	// base counts the groups of the epoch, in its order, that were done before
	// this world began; 0 unless the number of ranks changed on the way.
	base   uint64
	window uint64 // The window that comes next, counted from base.
	row    uint64 // The row of it that comes next.
}

const (
	tokenFormat = 1
	planBytes   = 8
	tokenFields = 6
	tokenSum    = 4
	// maxTokenText is beyond what any token can need.
	maxTokenText = 128
	// maxCount bounds each number of a token, so that no sum of two overflows.
	maxCount = 1 << 48
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Epoch is the epoch that the stream was in.
func (t Token) Epoch() int64 { return int64(t.epoch) }

// Rank is the rank that the stream belonged to.
func (t Token) Rank() int { return int(t.rank) }

// World is the number of ranks that there were.
func (t Token) World() int { return int(t.world) }

// String is the text of the token, as MarshalText gives it.
func (t Token) String() string { return base64.RawURLEncoding.EncodeToString(t.bytes()) }

// ParseToken reads the text of a token. ErrInvalid when it is none: it was cut,
// mistyped, or made by a later release.
func ParseToken(text string) (Token, error) {
	var t Token
	err := t.UnmarshalText([]byte(text))
	return t, err
}

// MarshalText writes the token as URL-safe text.
func (t Token) MarshalText() ([]byte, error) {
	return base64.RawURLEncoding.AppendEncode(nil, t.bytes()), nil
}

// UnmarshalText reads what MarshalText wrote. On an error the token is
// unchanged.
func (t *Token) UnmarshalText(text []byte) error {
	refuse := func(cause string) error {
		return fmt.Errorf("loader: token %.*q: %s: %w", maxTokenText, text, cause, ErrInvalid)
	}
	if len(text) == 0 || len(text) > maxTokenText {
		return refuse(fmt.Sprintf("it has %d characters, want 1 to %d", len(text), maxTokenText))
	}
	raw, err := base64.RawURLEncoding.Strict().AppendDecode(nil, text)
	if err != nil {
		return refuse("it is not base64 without padding: it was cut or mistyped")
	}
	if len(raw) == 0 {
		return refuse("it is empty")
	}
	if raw[0] != tokenFormat {
		return refuse(fmt.Sprintf("it has format %d, this release reads %d", raw[0], tokenFormat))
	}
	if len(raw) < 1+planBytes+tokenFields+tokenSum {
		return refuse("it ends early: it was cut")
	}
	body, sum := raw[:len(raw)-tokenSum], raw[len(raw)-tokenSum:]
	if binary.LittleEndian.Uint32(sum) != crc32.Checksum(body, castagnoli) {
		return refuse("its checksum differs: it was cut or mistyped")
	}
	var got Token
	rest := body[1+copy(got.plan[:], body[1:]):]
	for _, field := range got.fields() {
		n, length := binary.Uvarint(rest)
		if length <= 0 || n > maxCount {
			return refuse("one of its numbers is out of range")
		}
		*field, rest = n, rest[length:]
	}
	switch {
	case got.String() != string(text): // Line breaks in base64, or long numbers.

		return refuse("it is not in its shortest form")
	case got.world == 0 || got.world > maxWorld:
		return refuse(fmt.Sprintf("it has %d ranks, want 1 to %d", got.world, maxWorld))
	case got.rank >= got.world:
		return refuse(fmt.Sprintf("it is of rank %d of %d", got.rank, got.world))
	}
	*t = got
	return nil
}

func (t *Token) fields() [tokenFields]*uint64 {
	return [tokenFields]*uint64{&t.epoch, &t.rank, &t.world, &t.base, &t.window, &t.row}
}

func (t Token) bytes() []byte {
	b := make([]byte, 0, 32)
	b = append(b, tokenFormat)
	b = append(b, t.plan[:]...)
	for _, field := range t.fields() {
		b = binary.AppendUvarint(b, *field)
	}
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}
