package grpcserve

import (
	"context"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/millwright-ml/millwright/serve"
	"github.com/millwright-ml/millwright/serve/oip"
)

// ServiceName is the gRPC service that Register registers.
const ServiceName = "inference.GRPCInferenceService"

// Options tune a service. Nil means the defaults.
type Options struct {
	// Limits bound the tensors of a request, beside gRPC's own limit on the
	// size of a message (grpc.MaxRecvMsgSize, 4 MiB unless it is set).
	// Default: those of oip.Limits.
	Limits *oip.Limits
}

// Register registers the inference service of s with a gRPC server, which has to
// be done before it serves. Interceptors, credentials, keepalive and the listener
// are the gRPC server's.
func Register(r grpc.ServiceRegistrar, s *serve.Server, opts *Options) {
	h := &handler{server: s}
	if opts != nil {
		h.opts = *opts
	}
	r.RegisterService(&grpc.ServiceDesc{
		ServiceName: ServiceName,
		HandlerType: (*any)(nil),
		Methods: []grpc.MethodDesc{
			method("ServerLive", h.serverLive),
			method("ServerReady", h.serverReady),
			method("ModelReady", h.modelReady),
			method("ServerMetadata", h.serverMetadata),
			method("ModelMetadata", h.modelMetadata),
			method("ModelInfer", h.modelInfer),
			method("ModelConfig", h.modelConfig),
			method("ModelStatistics", h.modelStatistics),
			method("RepositoryIndex", h.repositoryIndex),
			method("RepositoryModelLoad", h.repositoryLoad),
			method("RepositoryModelUnload", h.repositoryUnload),
		},
		Streams: []grpc.StreamDesc{{
			StreamName: "ModelStreamInfer", ServerStreams: true, ClientStreams: true,
			Handler: func(_ any, stream grpc.ServerStream) error { return toStatus(h.streamInfer(stream)) },
		}},
		Metadata: "inference.proto",
	}, h)
}

// method is a unary method. prepare returns what reads the request and what
// answers it, so that the request is read once, straight from gRPC's buffer.
func method(name string, prepare func() (read func([]byte) error, answer func(ctx context.Context) ([]byte, error))) grpc.MethodDesc {
	full := "/" + ServiceName + "/" + name
	return grpc.MethodDesc{
		MethodName: name,
		Handler: func(srv any, ctx context.Context, decode func(any) error, interceptor grpc.UnaryServerInterceptor) (any, error) {
			read, answer := prepare()
			var fault error
			in := &message{read: func(b []byte) error {
				// What is wrong with it is the sender's fault, and not
				// Internal, as which gRPC reports an error from here.
				fault = read(b)
				return nil
			}}
			if err := decode(in); err != nil {
				return nil, err
			}
			handle := func(ctx context.Context, _ any) (any, error) {
				if fault != nil {
					return nil, toStatus(fault)
				}
				text, err := answer(ctx)
				if err != nil {
					return nil, toStatus(err)
				}
				return &message{text: text}, nil
			}
			if interceptor == nil {
				return handle(ctx, in)
			}
			return interceptor(ctx, in, &grpc.UnaryServerInfo{Server: srv, FullMethod: full}, handle)
		},
	}
}

// handler answers the calls.
type handler struct {
	server *serve.Server
	opts   Options
}

// nothing reads a request that has no fields.
func nothing(b []byte) error { return fields(b, func(*field) error { return nil }) }

type (
	reader   = func(b []byte) error
	answerer = func(ctx context.Context) ([]byte, error)
)

func (h *handler) serverLive() (reader, answerer) {
	return nothing, func(context.Context) ([]byte, error) { return appendFlag(nil, 1, true), nil }
}

func (h *handler) serverReady() (reader, answerer) {
	return nothing, func(context.Context) ([]byte, error) { return appendFlag(nil, 1, h.server.Ready()), nil }
}

// modelReady answers false for a model that is not there, as Triton does; an
// error would hide that the server answers.
func (h *handler) modelReady() (reader, answerer) {
	var n named
	return n.read, func(context.Context) ([]byte, error) {
		return appendFlag(nil, 1, h.server.ModelReady(n.name, n.version) == nil), nil
	}
}

func (h *handler) serverMetadata() (reader, answerer) {
	return nothing, func(context.Context) ([]byte, error) {
		m := h.server.ServerMetadata()
		return appendServer(nil, &m), nil
	}
}

func (h *handler) modelMetadata() (reader, answerer) {
	var n named
	return n.read, func(context.Context) ([]byte, error) {
		m, err := h.server.Metadata(n.name, n.version)
		return appendModel(nil, &m), err
	}
}

func (h *handler) modelInfer() (reader, answerer) {
	c := new(inferCall)
	read := func(b []byte) (err error) {
		c, err = readInfer(b, h.opts.Limits)
		return err
	}
	return read, func(ctx context.Context) ([]byte, error) {
		call := c.call(ctx)
		resp, err := h.server.Do(ctx, call)
		// The caller may be gone: there is nobody left to tell.
		_ = grpc.SetHeader(ctx, lineage(call))
		if err != nil {
			return nil, err
		}
		return appendResponse(nil, resp, c.raw)
	}
}

// call is what the server is asked.
func (c *inferCall) call(ctx context.Context) *serve.Call {
	return &serve.Call{Model: c.model, Version: c.version, Request: &c.request, RequestID: c.request.ID, Header: headerOf(ctx)}
}

// headerOf is the metadata that came with a call.
func headerOf(ctx context.Context) header {
	md, _ := metadata.FromIncomingContext(ctx)
	return header(md)
}

// lineage is the header that says who answered.
func lineage(c *serve.Call) metadata.MD {
	return metadata.Pairs("millwright-request-id", c.RequestID, "millwright-model", c.Model+"/"+c.Version)
}

// header is the metadata of a call as a serve.Header.
type header metadata.MD

// Get returns the first value of the name.
func (h header) Get(name string) string {
	if list := metadata.MD(h).Get(name); len(list) > 0 {
		return list[0]
	}
	return ""
}
