package grpcserve

import (
	"context"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/millwright-ml/millwright/serve/oip"
)

func (h *handler) modelConfig() (reader, answerer) {
	var n named
	return n.read, func(context.Context) ([]byte, error) {
		m, err := h.server.ModelConfig(n.name, n.version)
		return appendConfig(nil, &m), err
	}
}

func (h *handler) modelStatistics() (reader, answerer) {
	var n named
	return n.read, func(context.Context) ([]byte, error) {
		list, err := h.server.Statistics(n.name, n.version)
		var s oip.Statistics
		for i := range list {
			s.Models = append(s.Models, list[i].OIP())
		}
		return appendStatistics(nil, &s), err
	}
}

func (h *handler) repositoryIndex() (reader, answerer) {
	ready := false
	read := func(b []byte) error {
		return fields(b, func(f *field) error {
			if f.num == 2 {
				return f.flag(&ready)
			}
			return nil
		})
	}
	return read, func(ctx context.Context) ([]byte, error) {
		list, err := h.server.RepositoryIndex(ctx, headerOf(ctx), ready)
		return appendIndex(nil, list), err
	}
}

func (h *handler) repositoryLoad() (reader, answerer) {
	var c change
	return c.read, func(ctx context.Context) ([]byte, error) {
		return nil, h.server.RepositoryLoad(ctx, headerOf(ctx), c.model, c.parameters)
	}
}

func (h *handler) repositoryUnload() (reader, answerer) {
	var c change
	return c.read, func(ctx context.Context) ([]byte, error) {
		return nil, h.server.RepositoryUnload(ctx, headerOf(ctx), c.model, c.parameters)
	}
}

// finalResponse is the parameter of Triton that marks the last answer to one
// request of a stream, and emptyFinal the one that asks for one more that has
// nothing but the mark.
const (
	finalResponse = "triton_final_response"
	emptyFinal    = "triton_enable_empty_final_response"
)

// appendStreamed appends a ModelStreamInferResponse.
func appendStreamed(fault error, resp []byte) []byte {
	if fault != nil {
		return appendText(nil, 1, fault.Error())
	}
	b := make([]byte, 0, len(resp)+16)
	b = protowire.AppendTag(b, 2, protowire.BytesType)
	return protowire.AppendBytes(b, resp)
}
