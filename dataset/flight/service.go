package flight

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	arrowflight "github.com/apache/arrow-go/v18/arrow/flight"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"google.golang.org/grpc"

	"github.com/millwright-ml/millwright/dataset"
	"github.com/millwright-ml/millwright/dataset/feed"
	"github.com/millwright-ml/millwright/dataset/internal/wire"
	"github.com/millwright-ml/millwright/dataset/loader"
	"github.com/millwright-ml/millwright/internal/errs"
)

const (
	defaultMaxStreams = 64
	// maxEndpoints bounds the answer of GetFlightInfo, and maxTicket a request.
	maxEndpoints = 4096
	maxTicket    = 1 << 20
)

// Options of New.
type Options struct {
	// Authorize decides about each request before anything of the dataset is
	// read. It may narrow the request. The context is the call's: gRPC's metadata
	// and peer are in it. Answer feed.ErrUnauthenticated or feed.ErrDenied to
	// refuse. The default lets everyone read every dataset of the catalog.
	Authorize func(ctx context.Context, req *feed.Request) error
	// Limits bound what one stream may cost; nil means their defaults.
	Limits *feed.Limits
	// MaxStreams is how many streams run at the same time; one more is answered
	// Unavailable. The default is 64.
	MaxStreams int
	// OnError, when set, hears of the errors that are the server's and not the
	// request's.
	OnError func(ctx context.Context, err error)
}

// Service is a Flight service over a catalog. It is a plain value and owns no
// listener: Register it with a gRPC server.
type Service struct{ s *service }

// New returns the service of a catalog's datasets.
func New(c *dataset.Catalog, opts *Options) (*Service, error) {
	s := &service{}
	if opts != nil {
		s.opts = *opts
	}
	var f errs.Faults
	f.Check(s.opts.MaxStreams >= 0, "max streams is %d, want 0 or more", s.opts.MaxStreams)
	if err := f.Err("flight: options"); err != nil {
		return nil, err
	}
	s.streams = make(chan struct{}, cmp.Or(s.opts.MaxStreams, defaultMaxStreams))
	var err error
	if s.source, err = feed.NewSource(c, s.opts.Limits); err != nil {
		return nil, err
	}
	return &Service{s}, nil
}

// Register adds the service to a gRPC server that does not serve yet.
func (s *Service) Register(server *grpc.Server) {
	arrowflight.RegisterFlightServiceServer(server, s.s)
}

// service implements the protocol; what it does not implement answers
// Unimplemented.
type service struct {
	arrowflight.BaseFlightServer
	source  *feed.Source
	opts    Options
	streams chan struct{}
}

// request reads the JSON of a request and authorizes it.
func (s *service) request(ctx context.Context, text []byte) (*feed.Request, error) {
	refuse := func(err error) error {
		return fmt.Errorf("flight: the ticket is no JSON of a request: %w: %w", err, feed.ErrInvalid)
	}
	if len(text) > maxTicket {
		return nil, refuse(fmt.Errorf("it has %d bytes", len(text)))
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	var req feed.Request
	if err := d.Decode(&req); err != nil {
		return nil, refuse(err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, refuse(errors.New("there is more behind it"))
	}
	if s.opts.Authorize != nil {
		if err := s.opts.Authorize(ctx, &req); err != nil {
			return nil, err
		}
	}
	return &req, nil
}

// described is the request that a descriptor stands for: a command is its JSON,
// a path the name of a dataset.
func (s *service) described(ctx context.Context, d *arrowflight.FlightDescriptor) (*feed.Request, error) {
	if d.GetType() != arrowflight.DescriptorPATH {
		return s.request(ctx, d.GetCmd())
	}
	if len(d.GetPath()) != 1 {
		return nil, fmt.Errorf("flight: the path has %d parts, want the name of a dataset: %w", len(d.GetPath()), feed.ErrInvalid)
	}
	text, err := json.Marshal(feed.Request{Dataset: d.GetPath()[0]})
	if err != nil {
		return nil, err
	}
	return s.request(ctx, text)
}

// GetFlightInfo implements the protocol.
func (s *service) GetFlightInfo(ctx context.Context, d *arrowflight.FlightDescriptor) (*arrowflight.FlightInfo, error) {
	info, err := s.info(ctx, d)
	return info, s.status(ctx, err)
}

func (s *service) info(ctx context.Context, d *arrowflight.FlightDescriptor) (*arrowflight.FlightInfo, error) {
	req, err := s.described(ctx, d)
	if err != nil {
		return nil, err
	}
	world := cmp.Or(req.World, 1)
	var f errs.Faults
	f.Check(req.Token == "", "a token belongs into a ticket: give it to DoGet")
	f.Check(req.Rank == 0, "the rank is what the endpoints differ in: leave it out")
	f.Check(0 < world && world <= maxEndpoints, "there are %d ranks, want 1 to %d", world, maxEndpoints)
	if err := f.Err("flight: info"); err != nil {
		return nil, err
	}
	l, err := s.source.Loader(ctx, req)
	if err != nil {
		return nil, err
	}
	format, err := formatOf(l)
	if err != nil {
		return nil, err
	}
	info := &arrowflight.FlightInfo{
		Schema:           arrowflight.SerializeSchema(format.Schema, memory.DefaultAllocator),
		FlightDescriptor: d, TotalRecords: -1, TotalBytes: -1,
	}
	ticket := *req
	ticket.World = world
	ticket.Ref = feed.Pin(l.Version())
	total := int64(0)
	for ticket.Rank = range world {
		stream, err := l.Shard(loader.Shard{Epoch: req.Epoch, Rank: ticket.Rank, World: world})
		if err != nil {
			return nil, err
		}
		if n, known := stream.Rows(); known && total >= 0 {
			total += n
		} else {
			total = -1
		}
		text, err := json.Marshal(ticket)
		if err != nil {
			return nil, err
		}
		info.Endpoint = append(info.Endpoint, &arrowflight.FlightEndpoint{Ticket: &arrowflight.Ticket{Ticket: text}})
	}
	info.TotalRecords = total
	return info, nil
}

// GetSchema implements the protocol.
func (s *service) GetSchema(ctx context.Context, d *arrowflight.FlightDescriptor) (*arrowflight.SchemaResult, error) {
	req, err := s.described(ctx, d)
	if err != nil {
		return nil, s.status(ctx, err)
	}
	l, err := s.source.Loader(ctx, req)
	if err != nil {
		return nil, s.status(ctx, err)
	}
	format, err := formatOf(l)
	if err != nil {
		return nil, s.status(ctx, err)
	}
	return &arrowflight.SchemaResult{Schema: arrowflight.SerializeSchema(format.Schema, memory.DefaultAllocator)}, nil
}

func formatOf(l *loader.Loader) (*wire.Format, error) {
	v := l.Version()
	return wire.New(l.Schema(), v.Dataset, v.Number, v.Digest)
}

// DoGet implements the protocol.
func (s *service) DoGet(ticket *arrowflight.Ticket, out arrowflight.FlightService_DoGetServer) error {
	return s.status(out.Context(), s.get(out.Context(), ticket.GetTicket(), out))
}

func (s *service) get(ctx context.Context, ticket []byte, out arrowflight.FlightService_DoGetServer) error {
	req, err := s.request(ctx, ticket)
	if err != nil {
		return err
	}
	select {
	case s.streams <- struct{}{}:
		defer func() { <-s.streams }()
	default:
		return fmt.Errorf("flight: %d streams run already: %w", cap(s.streams), feed.ErrUnavailable)
	}
	stream, v, err := s.source.Stream(ctx, req)
	if err != nil {
		return err
	}
	format, err := wire.New(stream.Schema(), v.Dataset, v.Number, v.Digest)
	if err != nil {
		return err
	}
	p := &payloads{out: out}
	w := ipc.NewWriterWithPayloadWriter(p, ipc.WithSchema(format.Schema))
	for rec, err := range stream.Records(ctx) {
		if err != nil {
			return err
		}
		token := stream.Token().String()
		p.token = []byte(token)
		batch := format.Record(rec, token)
		err = w.Write(batch)
		batch.Release()
		if err != nil {
			return err
		}
	}
	p.token = nil
	return w.Close()
}

// payloads sends the parts of an IPC stream as Flight's messages. gRPC makes it
// wait for a client that does not read.
type payloads struct {
	out   arrowflight.FlightService_DoGetServer
	begun bool
	token []byte
	body  bytes.Buffer
}

func (p *payloads) Start() error { return nil }
func (p *payloads) Close() error { return nil }

// WritePayload implements ipc.PayloadWriter. The first part is the schema, which
// has no token.
func (p *payloads) WritePayload(part ipc.Payload) error {
	meta := part.Meta()
	defer meta.Release()
	p.body.Reset()
	if err := part.SerializeBody(&p.body); err != nil {
		return err
	}
	data := &arrowflight.FlightData{DataHeader: meta.Bytes(), DataBody: p.body.Bytes()}
	if p.begun {
		data.AppMetadata = p.token
	}
	p.begun = true
	return p.out.Send(data)
}
