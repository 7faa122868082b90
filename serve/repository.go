package serve

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"

	"github.com/millwright-ml/millwright/internal/errs"
	"github.com/millwright-ml/millwright/serve/oip"
)

// ErrForbidden is a refusal by Options.Authorize (403).
var ErrForbidden = errors.New("forbidden")

// Repository is where models are loaded from on request: the protocol's
// extension of that name. The admin routes are there when Options.Repository
// and Options.Authorize are set.
type Repository interface {
	// Index lists the models there are, loaded or not.
	Index(ctx context.Context) ([]oip.ModelIndex, error)
	// Load loads a model, or loads it again, and deploys it. It returns
	// when the model answers. The parameters are the client's.
	Load(ctx context.Context, name string, parameters map[string]any) error
	// Unload takes a model away.
	Unload(ctx context.Context, name string, parameters map[string]any) error
}

// Action is an admin request, for Options.Authorize.
type Action struct {
	// Name is "index", "load" or "unload".
	Name string
	// Model is the model's name, "" for the index.
	Model string
	// Header is what came with the request.
	Header Header
}

// allowed returns nil when there is a repository and the action may be done.
func (s *Server) allowed(ctx context.Context, a Action) error {
	subject := "serve: " + a.Name + " of the repository"
	if a.Model != "" {
		subject = fmt.Sprintf("serve: %s %.100q", a.Name, a.Model)
	}
	if s.opts.Repository == nil || s.opts.Authorize == nil {
		return fmt.Errorf("%s: this server has no model repository: %w", subject, ErrUnsupported)
	}
	if a.Model != "" {
		var f errs.Faults
		checkName(&f, "the model's name", a.Model)
		if err := f.Err(subject); err != nil {
			return err
		}
	}
	if err := s.opts.Authorize(ctx, a); err != nil {
		return fmt.Errorf("%s: %w: %w", subject, err, ErrForbidden)
	}
	return nil
}

// RepositoryIndex lists the models of the repository, with ready only those
// that answer. The header is for Options.Authorize. ErrUnsupported without a
// repository, ErrForbidden.
func (s *Server) RepositoryIndex(ctx context.Context, h Header, ready bool) ([]oip.ModelIndex, error) {
	if err := s.allowed(ctx, Action{Name: "index", Header: h}); err != nil {
		return nil, err
	}
	all, err := s.opts.Repository.Index(ctx)
	if err != nil {
		return nil, fmt.Errorf("serve: index of the repository: %w", err)
	}
	list := make([]oip.ModelIndex, 0, len(all))
	for _, m := range all {
		if !ready || m.State == oip.StateReady {
			list = append(list, m)
		}
	}
	return list, nil
}

// RepositoryLoad loads a model of the repository, as RepositoryIndex lists them.
func (s *Server) RepositoryLoad(ctx context.Context, h Header, name string, parameters map[string]any) error {
	return s.act(ctx, Action{Name: "load", Model: name, Header: h}, parameters)
}

// RepositoryUnload takes a model of the repository away.
func (s *Server) RepositoryUnload(ctx context.Context, h Header, name string, parameters map[string]any) error {
	return s.act(ctx, Action{Name: "unload", Model: name, Header: h}, parameters)
}

func (s *Server) act(ctx context.Context, a Action, parameters map[string]any) (err error) {
	if err := s.allowed(ctx, a); err != nil {
		return err
	}
	if a.Name == "load" {
		err = s.opts.Repository.Load(ctx, a.Model, parameters)
	} else {
		err = s.opts.Repository.Unload(ctx, a.Model, parameters)
	}
	if err != nil {
		return fmt.Errorf("serve: %s %q: %w", a.Name, a.Model, err)
	}
	s.opts.Logger.Info("serve: "+a.Name, "model", a.Model)
	return nil
}

// ModelConfig is the answer to GET …/config: what of Triton's model
// configuration this server has. ErrNotFound when there is no such version.
func (s *Server) ModelConfig(name, version string) (oip.ModelConfig, error) {
	v, err := s.lookup(name, version)
	if err != nil {
		return oip.ModelConfig{}, err
	}
	c := oip.ModelConfig{Name: v.name, Platform: v.platform, Backend: v.platform}
	if b := v.batcher; b != nil {
		c.MaxBatchSize = int32(min(b.o.MaxRows, math.MaxInt32))
		c.DynamicBatching = &oip.DynamicBatching{MaxQueueDelay: uint64(b.o.MaxDelay.Microseconds())}
	}
	c.Inputs, c.Outputs = configOf(v.inputs.list, c.MaxBatchSize > 0), configOf(v.outputs.list, c.MaxBatchSize > 0)
	c.Parameters = map[string]oip.ParameterConfig{"version": {StringValue: v.version}}
	if v.digest != "" {
		c.Parameters["digest"] = oip.ParameterConfig{StringValue: v.digest}
	}
	if v.size > 0 {
		c.Parameters["size"] = oip.ParameterConfig{StringValue: strconv.FormatInt(v.size, 10)}
	}
	return c, nil
}

// configOf leaves the rows out of the shapes of a model that is batched.
func configOf(list []oip.TensorMetadata, batched bool) []oip.TensorConfig {
	out := make([]oip.TensorConfig, len(list))
	for i, t := range list {
		dims := append([]int64{}, t.Shape...)
		if batched {
			dims = dims[1:]
		}
		out[i] = oip.TensorConfig{Name: t.Name, DataType: t.Datatype.ConfigName(), Dims: dims}
	}
	return out
}

// OIP returns the statistics as the protocol has them.
func (s *Statistics) OIP() oip.ModelStatistics {
	out := oip.ModelStatistics{
		Name: s.Model, Version: s.Version,
		InferenceCount: uint64(s.Inferences), ExecutionCount: uint64(s.Executions),
		Inference: oip.InferStatistics{
			Success: s.Success.oip(), Fail: s.Fail.oip(), Queue: s.Queue.oip(),
			ComputeInput: s.Input.oip(), ComputeInfer: s.Infer.oip(), ComputeOutput: s.Output.oip(),
		},
		Batches: make([]oip.BatchStatistics, len(s.Batches)),
	}
	if !s.LastInference.IsZero() {
		out.LastInference = uint64(s.LastInference.UnixMilli())
	}
	for i, b := range s.Batches {
		out.Batches[i] = oip.BatchStatistics{BatchSize: uint64(b.Rows), ComputeInfer: b.Infer.oip()}
	}
	if s.Size > 0 {
		out.Memory = []oip.MemoryUsage{{Type: "CPU", Bytes: uint64(s.Size)}}
	}
	return out
}

func (t Tally) oip() oip.DurationStatistic {
	return oip.DurationStatistic{Count: uint64(t.Count), Nanoseconds: uint64(t.Total)}
}
