package feed

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/apache/arrow-go/v18/arrow/ipc"

	"github.com/millwright-ml/millwright/dataset"
	"github.com/millwright-ml/millwright/dataset/internal/wire"
	"github.com/millwright-ml/millwright/dataset/loader"
	"github.com/millwright-ml/millwright/internal/errs"
	"github.com/millwright-ml/millwright/internal/httperr"
)

const (
	mediaType = "application/vnd.apache.arrow.stream"

	headerVersion = "Millwright-Version"
	headerDigest  = "Millwright-Digest"
	headerRef     = "Millwright-Ref"
	headerRows    = "Millwright-Rows"
	headerToken   = "Millwright-Token"

	defaultMaxStreams   = 64
	defaultWriteTimeout = time.Minute
	maxReshardBytes     = 8 << 20
	bufferBytes         = 256 << 10
)

// Options of New.
type Options struct {
	// Authorize decides about each request before anything of the dataset is
	// read. It may narrow the request: take columns away, or And its Where with a
	// condition of its own. Answer ErrUnauthenticated or ErrDenied to refuse; any
	// other error is answered by its kind. The default lets everyone read every
	// dataset of the catalog.
	Authorize func(r *http.Request, req *Request) error
	// Limits bound what one stream may cost; nil means their defaults.
	Limits *Limits
	// MaxStreams is how many streams run at the same time; one more is answered
	// 503 with Retry-After. The default is 64.
	MaxStreams int
	// WriteTimeout is how long one record may take to go out before the stream of
	// a client that does not read is ended. The default is one minute; -1 waits
	// for ever.
	WriteTimeout time.Duration
	// OnError, when set, hears of the errors that are the server's, and of those
	// that ended a stream after its first record. The requests' own faults are
	// only answered.
	OnError func(r *http.Request, err error)
}

// Handler is an http.Handler that streams shards; see the package. It is a plain
// value and owns no listener.
type Handler struct {
	source  *Source
	opts    Options
	mux     *http.ServeMux
	streams chan struct{}
}

// New returns the handler of a catalog's datasets.
func New(c *dataset.Catalog, opts *Options) (*Handler, error) {
	h := &Handler{mux: http.NewServeMux()}
	if opts != nil {
		h.opts = *opts
	}
	o := &h.opts
	var f errs.Faults
	f.Check(o.MaxStreams >= 0, "max streams is %d, want 0 or more", o.MaxStreams)
	f.Check(o.WriteTimeout >= -1, "write timeout is %v, want -1, 0 or more", o.WriteTimeout)
	if err := f.Err("feed: options"); err != nil {
		return nil, err
	}
	o.MaxStreams = cmp.Or(o.MaxStreams, defaultMaxStreams)
	o.WriteTimeout = cmp.Or(o.WriteTimeout, defaultWriteTimeout)
	h.streams = make(chan struct{}, o.MaxStreams)
	var err error
	if h.source, err = NewSource(c, o.Limits); err != nil {
		return nil, err
	}
	h.mux.HandleFunc("GET /{dataset}", func(w http.ResponseWriter, r *http.Request) { h.answer(w, r, h.stream) })
	h.mux.HandleFunc("POST /{dataset}/reshard", func(w http.ResponseWriter, r *http.Request) { h.answer(w, r, h.reshard) })
	return h, nil
}

// ServeHTTP implements [http.Handler].
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) { h.mux.ServeHTTP(w, r) }

// answer parses and authorizes the request, serves it, and answers an error as
// long as nothing else was.
func (h *Handler) answer(w http.ResponseWriter, r *http.Request, serve func(http.ResponseWriter, *http.Request, *Request) error) {
	req, err := ParseValues(r.PathValue("dataset"), r.URL.Query())
	if err == nil && h.opts.Authorize != nil {
		err = h.opts.Authorize(r, req)
	}
	if err == nil {
		err = serve(w, r, req)
	}
	if err == nil {
		return
	}
	status, text := httperr.Status(err), err.Error()
	switch {
	case errors.Is(err, ErrUnauthenticated):
		status = http.StatusUnauthorized
	case errors.Is(err, ErrDenied):
		status = http.StatusForbidden
	case status == http.StatusServiceUnavailable:
		w.Header().Set("Retry-After", "1")
	}
	if status >= http.StatusInternalServerError && h.opts.OnError != nil {
		h.opts.OnError(r, err)
	}
	if status == http.StatusInternalServerError {
		text = "feed: the server failed; its log says why" // Not the store's addresses.
	}
	http.Error(w, text, status)
}

func (h *Handler) stream(w http.ResponseWriter, r *http.Request, req *Request) error {
	if r.Method == http.MethodHead {
		s, v, err := h.source.Stream(r.Context(), req)
		if err == nil {
			describe(w.Header(), v, count(s))
		}
		return err
	}
	select {
	case h.streams <- struct{}{}:
		defer func() { <-h.streams }()
	default:
		return fmt.Errorf("feed: %d streams run already: %w", h.opts.MaxStreams, ErrUnavailable)
	}
	s, v, err := h.source.Stream(r.Context(), req)
	if err != nil {
		return err
	}
	format, err := wire.New(s.Schema(), v.Dataset, v.Number, v.Digest)
	if err != nil {
		return err
	}
	out := &response{w: w, control: http.NewResponseController(w), timeout: h.opts.WriteTimeout, rows: count(s)}
	err = out.send(r.Context(), s, v, format)
	if err == nil || !out.begun {
		return err
	}
	// The status is out. What was sent must not look whole: the stream has no
	// end mark, and the connection is cut before its last chunk.
	if h.opts.OnError != nil {
		h.opts.OnError(r, err)
	}
	panic(http.ErrAbortHandler)
}

// response is the body of one stream.
type response struct {
	w       http.ResponseWriter
	control *http.ResponseController
	timeout time.Duration
	rows    int64
	begun   bool
	buffer  *bufio.Writer
	ipc     *ipc.Writer
}

// count is the number of rows that come, -1 when it is not known.
func count(s *loader.Stream) int64 {
	if n, known := s.Rows(); known {
		return n
	}
	return -1
}

// describe says what the body is.
func describe(head http.Header, v *dataset.Version, rows int64) {
	head.Set("Content-Type", mediaType)
	head.Set("Cache-Control", "no-store")
	head.Set("X-Content-Type-Options", "nosniff")
	head.Set(headerVersion, strconv.FormatInt(v.Number, 10))
	head.Set(headerDigest, v.Digest)
	head.Set(headerRef, Pin(v))
	if rows >= 0 {
		head.Set(headerRows, strconv.FormatInt(rows, 10))
	}
}

// begin sends the header. That waits for the first record, so that what fails
// before it is answered with a status.
func (o *response) begin(v *dataset.Version, format *wire.Format) {
	o.begun = true
	head := o.w.Header()
	describe(head, v, o.rows)
	head.Set("Trailer", headerToken)
	o.w.WriteHeader(http.StatusOK)
	o.buffer = bufio.NewWriterSize(o.w, bufferBytes)
	o.ipc = ipc.NewWriter(o.buffer, ipc.WithSchema(format.Schema))
}

func (o *response) send(ctx context.Context, s *loader.Stream, v *dataset.Version, format *wire.Format) error {
	for rec, err := range s.Records(ctx) {
		if err != nil {
			return err
		}
		if !o.begun {
			o.begin(v, format)
		}
		batch := format.Record(rec, s.Token().String())
		err = o.within(func() error { return o.ipc.Write(batch) })
		batch.Release()
		if err != nil {
			return err
		}
	}
	if !o.begun {
		o.begin(v, format)
	}
	if err := o.within(o.ipc.Close); err != nil {
		return err
	}
	o.w.Header().Set(headerToken, s.Token().String())
	return nil
}

// within writes and flushes within the write timeout.
func (o *response) within(write func() error) error {
	if o.timeout > 0 {
		err := o.control.SetWriteDeadline(time.Now().Add(o.timeout))
		if err != nil && !errors.Is(err, http.ErrNotSupported) {
			return err
		}
	}
	if err := write(); err != nil {
		return err
	}
	if err := o.buffer.Flush(); err != nil {
		return err
	}
	if err := o.control.Flush(); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	return nil
}

// resharding is the body of a reshard request and of its answer.
type resharding struct {
	World  int            `json:"world,omitempty"`
	Tokens []loader.Token `json:"tokens"`
}

func (h *Handler) reshard(w http.ResponseWriter, r *http.Request, req *Request) error {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxReshardBytes))
	if err != nil {
		return err
	}
	var in resharding
	if err := json.Unmarshal(body, &in); err != nil {
		return fmt.Errorf("feed: reshard %q: the body is no {\"world\": n, \"tokens\": […]}: %w: %w", req.Dataset, err, ErrInvalid)
	}
	l, err := h.source.Loader(r.Context(), req)
	if err != nil {
		return err
	}
	var out resharding
	if out.Tokens, err = l.Reshard(in.World, in.Tokens...); err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	return json.NewEncoder(w).Encode(out)
}
