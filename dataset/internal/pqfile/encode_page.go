package pqfile

import (
	"github.com/klauspost/compress/zstd"

	"github.com/apache/arrow-go/v18/parquet/schema"
)

// Parquet's numbers for codecs.
const (
	codecNone = 0
	codecZstd = 6
)

const (
	// pageBytes is the size of a page before compression: small enough for the page
	// index to rule rows out, large enough for compression. pageRows does the same
	// for values that take next to no room.
	pageBytes = 256 << 10
	pageRows  = 1 << 16

	// sampleBytes of a column decide whether it is compressed, and worthwhile is
	// what is left of 10 at most: less gain costs more time than it saves room.
	sampleBytes = 16 << 10
	worthwhile  = 9
)

// Space is what writers work with: it is used by one after another, so that
// its memory is made once. The zero value is ready. What a writer returned is
// valid until the next one starts.
type Space struct {
	file  []byte // The file.
	aside *Space // Holds columns of the file until their turn.

	zstd  *zstd.Encoder
	try   []byte
	codes []uint32
	known Dict // Of the column just written, when it has one.
	count []uint32
	slots slots
	seen  []uint32
	texts struct {
		starts, ends []int32
		hashes       []uint32
		from, to     []int32

		lengths, fronts, rests []int32
	}
	i32     []int32
	i64     []int64
	f32     []float32
	f64     []float64
	bits    []byte
	sampler *sampler
	levels  [2]levelWriter
	joined  []byte // Levels and values, where both are not in one place.
	packed  []byte // The values of a page, where they are not as they lie in Arrow.
}

// compress appends the compressed src to dst.
func (s *Space) compress(dst, src []byte) ([]byte, error) {
	if s.zstd == nil {
		var err error
		s.zstd, err = zstd.NewWriter(nil, zstd.WithZeroFrames(true), zstd.WithEncoderLevel(zstd.SpeedFastest),
			zstd.WithEncoderConcurrency(1), zstd.WithEncoderCRC(false),
			// Digits and the like shrink by their frequency alone.
			zstd.WithAllLitEntropyCompression(true), zstd.WithWindowSize(pageBytes), zstd.WithLowerEncoderMem(true))
		if err != nil {
			return dst, err
		}
	}
	return s.zstd.EncodeAll(src, dst), nil
}

// shrinks tells whether compression is worth its time for bytes like these.
func (s *Space) shrinks(sample []byte) (bool, error) {
	if len(sample) < sampleBytes/8 {
		return true, nil // Too little to tell.
	}
	var err error
	s.try, err = s.compress(s.try[:0], sample)
	return len(s.try)*10 <= len(sample)*worthwhile, err
}

// chunkMeta is what the footer and the page index say about a column chunk.
// Offsets count from its start.
type chunkMeta struct {
	leaf      *schema.Column
	element   bool // It is inside a list, and has no bounds.
	codec     int64
	dict      bool
	encoding  int64 // Of the data pages.
	encodings []int64
	values    int64
	raw, size int64
	dictAt    int64 // -1 when there is no dictionary.
	dataAt    int64
	nulls     int64
	min, max  bound
	bounded   bool
	nan       bool
	pages     []pageMeta
	ordered   bool // The bounds of the pages ascend.
	indexed   bool // The pages have bounds or only nulls.
	bloom     []byte

	at int64 // Of the chunk in the file.

	bloomAt, columnsAt, offsetsAt    int64
	bloomLen, columnsLen, offsetsLen int
}

// bound is a minimum or maximum in plain encoding.
type bound struct {
	value []byte
	exact bool
}

type pageMeta struct {
	at       int64
	size     int64 // With the header.
	row      int64
	nulls    int64
	empty    bool // There are only nulls.
	min, max bound
}

// chunkEncoder writes the pages of one column chunk.
type chunkEncoder struct {
	*Space
	chunkMeta
	out   []byte // The file.
	start int
}

// facts are what is known of the column just written.
func (s *Space) facts(chunks []*chunkMeta) (f Facts) {
	if len(chunks) != 1 || chunks[0].element {
		return f
	}
	c := chunks[0]
	f = Facts{Bounded: c.bounded, Min: c.min.value, Max: c.max.value, NaN: c.nan}
	if c.dict && s.known.Counts != nil {
		f.Dict = &s.known
	}
	return f
}

// counted is how often each of n codes comes.
func (s *Space) counted(codes []uint32, n int) []uint32 {
	if cap(s.count) < n {
		s.count = make([]uint32, n)
	}
	out := s.count[:n]
	clear(out)
	for _, c := range codes {
		out[c]++
	}
	return out
}

// begin starts a chunk at the end of the file.
func (s *Space) begin(leaf *schema.Column) *chunkEncoder {
	s.known = Dict{}
	return &chunkEncoder{Space: s, out: s.file, start: len(s.file), chunkMeta: chunkMeta{leaf: leaf, dictAt: -1, dataAt: -1, indexed: true, at: int64(len(s.file))}}
}

// end gives the file back.
func (c *chunkEncoder) end() *chunkMeta {
	c.size = int64(len(c.out) - c.start)
	c.file = c.out
	if c.dataAt < 0 {
		c.dataAt = c.size
	}
	c.encodings = []int64{c.encoding, encodingRLE}
	if c.dict {
		c.encodings = []int64{encodingPlain, encodingRLE, encodingDict}
	}
	return &c.chunkMeta
}

// dictionary writes the dictionary page of n values.
func (c *chunkEncoder) dictionary(body []byte, n int) error {
	c.dict, c.encoding = true, encodingDict
	c.dictAt = int64(len(c.out) - c.start)
	return c.put(dictionaryPage, encodingPlain, n, body, nil)
}

// page writes a data page: levels may be nil and are not kept apart from the
// body. It has so many values, nulls among them.
func (c *chunkEncoder) page(levels, body []byte, values int, m pageMeta) error {
	m.at = int64(len(c.out) - c.start)
	if c.dataAt < 0 {
		c.dataAt = m.at
	}
	if err := c.put(dataPageV1, c.encoding, values, levels, body); err != nil {
		return err
	}
	m.size = int64(len(c.out)-c.start) - m.at
	c.values += int64(values)
	c.nulls += m.nulls
	c.pages = append(c.pages, m)
	return nil
}

// headerRoom is what a page header takes at most.
const headerRoom = 48

// put writes a page whose bytes come in two parts.
func (c *chunkEncoder) put(kind, encoding int64, values int, a, b []byte) error {
	raw := len(a) + len(b)
	if c.codec == codecNone {
		c.header(kind, encoding, values, raw, raw)
		c.raw += int64(raw)
		c.out = append(append(c.out, a...), b...)
		return nil
	}
	// The header says how long the compressed bytes are, so they come first, with
	// room before them.
	at := len(c.out)
	c.out = grown(c.out, headerRoom)
	src := a
	switch {
	case len(a) == 0:
		src = b
	case len(b) > 0:
		c.joined = append(append(c.joined[:0], a...), b...)
		src = c.joined
	}
	var err error
	if c.out, err = c.compress(c.out, src); err != nil {
		return err
	}
	body := c.out[at+headerRoom:]
	c.out = c.out[:at]
	c.header(kind, encoding, values, raw, len(body))
	c.raw += int64(raw)
	c.out = append(c.out, body...) // It moves towards the start.
	return nil
}

// header writes a page header.
func (c *chunkEncoder) header(kind, encoding int64, values, raw, size int) {
	at := len(c.out)
	w := thriftWriter{b: c.out}
	w.i32(1, kind)
	w.i32(2, int64(raw))
	w.i32(3, int64(size))
	if kind == dictionaryPage {
		w.field(7, thriftStruct)
		w.begin()
		w.i32(1, int64(values))
		w.i32(2, encoding)
	} else {
		w.field(5, thriftStruct)
		w.begin()
		w.i32(1, int64(values))
		w.i32(2, encoding)
		w.i32(3, encodingRLE)
		w.i32(4, encodingRLE)
	}
	w.end()
	w.b = append(w.b, 0)
	c.out = w.b
	c.raw += int64(len(c.out) - at)
}
