package oip

import (
	"bufio"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
)

// The content encodings that Inflate and Compress know.
const (
	Gzip    = "gzip"
	Deflate = "deflate"
)

// InflateOptions bound what a compressed body may become, beside the limit that
// the reader of Inflate is read with. Nil means the defaults.
type InflateOptions struct {
	// Ratio is the most bytes that a compressed byte may stand for, on
	// average from the start. The first MiB is free of it: a small body of
	// zeros is no attack. Default 100; -1 is off.
	Ratio int64
}

// freeOfRatio is how much of a body is read without regard to its ratio.
const freeOfRatio = 1 << 20

// Inflate returns a reader of what r holds in a Content-Encoding: "gzip",
// "deflate" (with zlib's header or, as some send it, without), "identity" and
// "", which are passed on. An unknown encoding is an ErrUnsupported, a body that
// is damaged, goes on behind its end or grows beyond the ratio an ErrInvalid
// from Read. Close lets go of the reader's memory; it does not close r.
func Inflate(r io.Reader, encoding string, opts *InflateOptions) (io.ReadCloser, error) {
	ratio := int64(100)
	if opts != nil && opts.Ratio != 0 {
		ratio = opts.Ratio
	}
	switch {
	case encoding == "" || strings.EqualFold(encoding, "identity"):
		return io.NopCloser(r), nil
	case strings.EqualFold(encoding, Gzip), strings.EqualFold(encoding, "x-gzip"):
		return &inflater{kind: Gzip, in: counter{r: r}, ratio: ratio}, nil
	case strings.EqualFold(encoding, Deflate):
		return &inflater{kind: Deflate, in: counter{r: r}, ratio: ratio}, nil
	}
	return nil, fmt.Errorf("oip: content encoding %.40q: want gzip or deflate, one at a time: %w", encoding, ErrUnsupported)
}

// counter counts what is read of the compressed body.
type counter struct {
	r io.Reader
	n int64
	// err is the fault of the reader itself, which is not the sender's.
	err error
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	if err != nil && !errors.Is(err, io.EOF) {
		c.err = err
	}
	return n, err
}

// inflater reads one compressed body.
type inflater struct {
	kind  string
	in    counter
	ratio int64
	tools *tools
	from  io.Reader
	out   int64
	err   error
}

// tools are the memory of an inflater, 50 KB that are worth keeping.
type tools struct {
	buffer *bufio.Reader
	gzip   *gzip.Reader
	zlib   io.ReadCloser
	flate  io.ReadCloser
}

var inflaters = sync.Pool{New: func() any { return &tools{buffer: bufio.NewReader(nil)} }}

// open reads the header.
func (i *inflater) open() error {
	t := inflaters.Get().(*tools)
	i.tools = t
	t.buffer.Reset(&i.in)
	if i.kind == Gzip {
		if t.gzip == nil {
			t.gzip = new(gzip.Reader)
		}
		if err := t.gzip.Reset(t.buffer); err != nil {
			return err
		}
		// One member is one body: what stands behind it is for nobody.
		t.gzip.Multistream(false)
		i.from = t.gzip
		return nil
	}
	head, _ := t.buffer.Peek(2)
	if len(head) == 2 && head[0]&15 == 8 && (uint(head[0])<<8|uint(head[1]))%31 == 0 {
		var err error
		if t.zlib == nil {
			t.zlib, err = zlib.NewReader(t.buffer)
		} else {
			err = t.zlib.(zlib.Resetter).Reset(t.buffer, nil)
		}
		i.from = t.zlib
		return err
	}
	if t.flate == nil {
		t.flate = flate.NewReader(t.buffer)
	} else if err := t.flate.(flate.Resetter).Reset(t.buffer, nil); err != nil {
		return err
	}
	i.from = t.flate
	return nil
}

// Read inflates some more.
func (i *inflater) Read(p []byte) (int, error) {
	if i.err != nil {
		return 0, i.err
	}
	var n int
	if i.from == nil {
		i.err = i.open()
	}
	if i.err == nil {
		n, i.err = i.from.Read(p)
		i.out += int64(n)
	}
	switch {
	case i.in.err != nil:
		i.err = i.in.err
	case i.ratio > 0 && i.out > freeOfRatio && i.out/i.ratio > i.in.n:
		i.err = fmt.Errorf("oip: the %s body of %d bytes grows beyond %d bytes, %d for each of them: %w", i.kind, i.in.n, i.out, i.ratio, ErrInvalid)
		return 0, i.err
	case errors.Is(i.err, io.EOF):
		if i.from == nil {
			i.err = fmt.Errorf("oip: the %s body is empty: %w", i.kind, ErrInvalid)
		} else if _, err := i.tools.buffer.ReadByte(); err == nil {
			i.err = fmt.Errorf("oip: the %s body goes on behind its end: %w", i.kind, ErrInvalid)
		}
	case i.err != nil:
		i.err = fmt.Errorf("oip: the body is not %s: %w: %w", i.kind, i.err, ErrInvalid)
	}
	return n, i.err
}

// Close gives the memory back.
func (i *inflater) Close() error {
	if t := i.tools; t != nil {
		t.buffer.Reset(nil)
		inflaters.Put(t)
	}
	i.tools, i.from, i.err = nil, nil, ErrClosed
	return nil
}

// compressors are the writers, which have megabytes of tables.
var gzips = sync.Pool{New: func() any {
	// The level is a constant that the package knows.
	w, _ := gzip.NewWriterLevel(nil, gzip.BestSpeed)
	return w
}}

var zlibs = sync.Pool{New: func() any {
	w, _ := zlib.NewWriterLevel(nil, zlib.BestSpeed)
	return w
}}

// compressor is what the two have in common.
type compressor interface {
	io.WriteCloser
	Reset(w io.Writer)
}

// Compress appends src to dst in a content encoding, "gzip" or "deflate" (with
// zlib's header, as RFC 9110 has it), at the fastest level: numbers shrink
// little more at the others.
func Compress(dst, src []byte, encoding string) ([]byte, error) {
	pool := &gzips
	switch encoding {
	case Gzip:
	case Deflate:
		pool = &zlibs
	default:
		return dst, fmt.Errorf("oip: content encoding %.40q: want gzip or deflate: %w", encoding, ErrUnsupported)
	}
	w := pool.Get().(compressor)
	defer pool.Put(w)
	to := appender{dst}
	w.Reset(&to)
	_, err := w.Write(src)
	if err = errors.Join(err, w.Close()); err != nil {
		return dst, fmt.Errorf("oip: compress: %w", err)
	}
	return to.b, nil
}

// appender is a writer that cannot fail.
type appender struct{ b []byte }

func (a *appender) Write(p []byte) (int, error) {
	a.b = append(a.b, p...)
	return len(p), nil
}

// AcceptedEncoding returns the encoding of an Accept-Encoding header that
// Compress knows and the client likes best, gzip among equals; "" when it wants
// none, or likes the text as it is better.
func AcceptedEncoding(header string) string {
	best, most, plain := "", 0.0, 0.0
	for part := range strings.SplitSeq(header, ",") {
		name, params, _ := strings.Cut(part, ";")
		q := 1.0
		if v, ok := strings.CutPrefix(strings.ToLower(strings.TrimSpace(params)), "q="); ok {
			var err error
			if q, err = strconv.ParseFloat(v, 64); err != nil || !(q >= 0 && q <= 1) {
				q = 0
			}
		}
		switch name = strings.ToLower(strings.TrimSpace(name)); name {
		case Gzip, Deflate:
			if q > most || q == most && q > 0 && name == Gzip {
				best, most = name, q
			}
		case "identity":
			plain = q
		}
	}
	if plain > most {
		return ""
	}
	return best
}
