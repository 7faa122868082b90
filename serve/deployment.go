package serve

import (
	"context"
	"fmt"
	"maps"
	"sync/atomic"

	"github.com/millwright-ml/millwright/internal/errs"
)

// Deployment is one version of a model, for Server.Deploy.
type Deployment struct {
	// Name is the model's name in the URL: 1 to 255 bytes of text without
	// control characters.
	Name string
	// Version names this version of it, under the same rule.
	Version string
	// Model answers the requests. The server owns it once Deploy returned
	// nil, and closes it.
	Model Model
	// Beside adds the version beside the others of its name: it answers who
	// asks for it by its version, and whom a Router sends to it. The default
	// is to take the place of the default version. The first version of a
	// name is its default in any case.
	Beside bool
	// Batching makes one call of the model for several requests. Default
	// none: each request is a call, and calls run at once.
	Batching *Batching
	// Golden are requests with their answers, which the model has to give,
	// within the Tolerance, to be deployed. Default none.
	Golden    []Golden
	Tolerance Tolerance
	// Signature is what the registry has on record. A model that has another
	// one is not deployed. Default nil: the model's own.
	Signature *Signature
	// Platform is shown in the metadata, for example "xgboost". Default
	// "millwright".
	Platform string
	// Digest identifies the model's files, for example "sha256:…" of a
	// registry's version. Each answer carries it. Default none.
	Digest string
	// Labels are the lineage (run, dataset digest, …), handed to observers
	// with each exchange. The server keeps a copy.
	Labels map[string]string
}

// deployed is one version of a model while the server holds it.
type deployed struct {
	name, version, platform, digest string

	model   Model
	labels  map[string]string
	size    int64    // What a Sizer said, 0 of others.
	header  []string // The value of Millwright-Model.
	digests []string // The value of Millwright-Digest, nil for none.
	inputs  tensors
	outputs tensors
	uniform bool     // Only the number of rows varies.
	batcher *batcher // Nil without Batching.
	count   counters

	// bound is replaced as a whole under Server.binding, and no more once
	// unbound.
	bound   atomic.Pointer[bound]
	unbound bool

	// users counts the requests, and one more while it is in the table. At
	// zero, for good, the model is closed.
	users    atomic.Int64
	done     chan struct{} // Closed when the model was.
	closeErr error         // What Close returned, once done is closed.
}

// newDeployed checks a deployment and prepares it.
func (s *Server) newDeployed(subject string, d Deployment) (*deployed, error) {
	var f errs.Faults
	checkName(&f, "Name", d.Name)
	checkName(&f, "Version", d.Version)
	f.Check(len(d.Digest) <= 255 && plain(d.Digest), "Digest %.100q is %d bytes, want at most 255 without control characters", d.Digest, len(d.Digest))
	var sig Signature
	if d.Model == nil {
		f.Addf("Model is nil")
	} else {
		sig = d.Model.Signature()
		checkSignature(&f, sig)
		if d.Signature != nil {
			sameSignature(&f, *d.Signature, sig)
		}
	}
	var batching Batching
	if d.Batching != nil {
		batching = d.Batching.withDefaults(&f, sig)
	}
	if err := f.Err(subject); err != nil {
		return nil, err
	}
	v := &deployed{
		name: d.Name, version: d.Version, platform: d.Platform, digest: d.Digest,
		model:   d.Model,
		labels:  maps.Clone(d.Labels),
		header:  []string{d.Name + "/" + d.Version},
		inputs:  newTensors(sig.Inputs),
		outputs: newTensors(sig.Outputs),
		done:    make(chan struct{}),
	}
	if v.platform == "" {
		v.platform = "millwright"
	}
	v.uniform = uniform(sig)
	if d.Batching != nil {
		v.batcher = &batcher{s: s, v: v, o: batching}
	}
	if v.digest != "" {
		v.digests = []string{v.digest}
	}
	if m, ok := d.Model.(Sizer); ok {
		v.size = m.Size()
	}
	v.users.Store(1)
	return v, nil
}

// warm makes the version ready for its first request.
func (v *deployed) warm(ctx context.Context) (err error) {
	m, ok := v.model.(Warmer)
	if !ok {
		return nil
	}
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the model panicked in Warm: %v", p)
		}
	}()
	if err := m.Warm(ctx); err != nil {
		return fmt.Errorf("warm the model: %w", err)
	}
	return nil
}

// acquire counts a request in. It fails when the version is retired and its
// last request has ended.
func (v *deployed) acquire() bool {
	for {
		n := v.users.Load()
		if n == 0 {
			return false
		}
		if v.users.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

// wait returns nil once the model is closed, also when ctx has ended by then.
func (v *deployed) wait(ctx context.Context) error {
	select {
	case <-v.done:
		return nil
	default:
	}
	select {
	case <-v.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// release counts a request out. The model is closed on another goroutine,
// because this one still has an answer to send.
func (s *Server) release(v *deployed) {
	if v.users.Add(-1) == 0 {
		go s.close(v)
	}
}

// retire gives up the table's own count of versions that left it.
func (s *Server) retire(list []*deployed) {
	for _, v := range list {
		if v.users.Add(-1) == 0 {
			s.close(v)
		}
	}
}

// close closes the model of a version that nobody uses, once.
func (s *Server) close(v *deployed) {
	if v.batcher != nil {
		v.batcher.stop()
	}
	s.unbind(v)
	v.closeErr = closeModel(v.model)
	if v.closeErr != nil {
		s.opts.Logger.Error("serve: close a model", "model", v.name, "version", v.version, "error", v.closeErr)
	}
	s.mu.Lock()
	delete(s.live, v)
	s.mu.Unlock()
	close(v.done)
}

func closeModel(m Model) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the model panicked in Close: %v", p)
		}
	}()
	return m.Close()
}
