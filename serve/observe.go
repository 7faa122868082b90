package serve

import (
	"context"
	"runtime/debug"
	"slices"
)

// Observer is told of each infer request, to count, log or monitor it. The
// calls come from the goroutines of the requests, several at once.
//
// What more an observer wants it says by methods: [Binder], [Tracer].
type Observer interface {
	// Observe is called once the response was computed and before its first
	// byte leaves, so that a client that has its answer knows that it was
	// observed. It must not block. The exchange and what it points to are
	// valid only during the call and must not be changed; a panic in it is
	// contained and logged.
	Observe(*Exchange)
}

// Binder is an Observer that looks things up once a version instead of once a
// request.
type Binder interface {
	Observer
	// Bind is called before a version answers its first request, or when the
	// observer is attached to a server that has the version. It returns what
	// is told of the version's exchanges in the Binder's place, nil for
	// nobody, and what is called once after the last of them, when the
	// version is gone or the observer detached; nil for nothing. The Binder
	// itself is told of the exchanges that came to no version.
	//
	// Bind and unbind must not deploy, remove, attach or detach, and v must not
	// be changed.
	Bind(model string, v VersionInfo) (o Observer, unbind func())
}

// Tracer is an Observer that also sees requests begin.
type Tracer interface {
	Observer
	// Begin is called when a request for a deployed model has come, before its
	// body is read: c has Model, Version as it was asked for, Header and
	// Start. It returns the context that the request goes on with, which is
	// ctx or made from it, and who is told of the exchange in the Tracer's
	// place, nil for nobody. A panic in it is contained and logged.
	Begin(ctx context.Context, c *Call) (context.Context, Observer)
}

// observers are those of a server. They never change.
type observers struct {
	list    []*attached
	tracers []Tracer
}

// attached tells two attachments of one observer apart.
type attached struct {
	Observer
	binder Binder // Nil for an observer that is none.
	tracer bool
}

func newObservers(list []*attached) *observers {
	set := &observers{list: list}
	for _, a := range list {
		if a.tracer {
			set.tracers = append(set.tracers, a.Observer.(Tracer))
		}
	}
	return set
}

func attach(o Observer) *attached {
	a := &attached{Observer: o}
	a.binder, _ = o.(Binder)
	_, a.tracer = o.(Tracer)
	return a
}

// bound are the observers of one version. They never change.
type bound struct {
	from *observers
	list []binding
}

type binding struct {
	of     *attached
	o      Observer // Nil for one that is not told.
	unbind func()
}

// Attach adds an observer, behind those there are, and returns what takes it
// away again. An exchange that is being told ends as it began.
func (s *Server) Attach(o Observer) (detach func()) {
	mine := attach(o)
	s.observe(func(list []*attached) []*attached { return append(list, mine) })
	return func() {
		s.observe(func(list []*attached) []*attached {
			return slices.DeleteFunc(list, func(a *attached) bool { return a == mine })
		})
	}
}

// observe replaces the observers, for the versions there are as well.
func (s *Server) observe(next func([]*attached) []*attached) {
	s.mu.Lock()
	s.observers.Store(newObservers(next(slices.Clone(s.observers.Load().list))))
	live := make([]*deployed, 0, len(s.live))
	for v := range s.live {
		live = append(live, v)
	}
	s.mu.Unlock()
	for _, v := range live {
		s.bind(v)
	}
}

// bind gives a version the observers that the server has now.
func (s *Server) bind(v *deployed) *bound {
	s.binding.Lock()
	defer s.binding.Unlock()
	set, old := s.observers.Load(), v.bound.Load()
	if v.unbound || old != nil && old.from == set {
		return old
	}
	next := &bound{from: set, list: make([]binding, 0, len(set.list))}
	var before []binding
	if old != nil {
		before = slices.Clone(old.list)
	}
	for _, a := range set.list {
		if a.tracer {
			continue // Its requests tell it from where they began.
		}
		at := slices.IndexFunc(before, func(b binding) bool { return b.of == a })
		if at >= 0 {
			next.list = append(next.list, before[at])
			before = slices.Delete(before, at, at+1)
			continue
		}
		b := binding{of: a, o: a.Observer}
		if a.binder != nil {
			b.o, b.unbind = s.bindOne(a.binder, v)
		}
		next.list = append(next.list, b)
	}
	v.bound.Store(next)
	s.unbindAll(v, before)
	return next
}

// bindOne asks a binder and contains its panics.
func (s *Server) bindOne(b Binder, v *deployed) (o Observer, unbind func()) {
	defer func() {
		if p := recover(); p != nil {
			s.opts.Logger.Error("serve: an observer panicked", "model", v.name, "version", v.version, "panic", p, "stack", string(debug.Stack()))
			o, unbind = nil, nil
		}
	}()
	return b.Bind(v.name, v.info())
}

// unbind ends the observers of a version that answers no more.
func (s *Server) unbind(v *deployed) {
	s.binding.Lock()
	defer s.binding.Unlock()
	v.unbound = true
	if b := v.bound.Load(); b != nil {
		s.unbindAll(v, b.list)
	}
}

func (s *Server) unbindAll(v *deployed, list []binding) {
	for _, b := range list {
		if b.unbind == nil {
			continue
		}
		func() {
			defer func() {
				if p := recover(); p != nil {
					s.opts.Logger.Error("serve: an observer panicked", "model", v.name, "version", v.version, "panic", p, "stack", string(debug.Stack()))
				}
			}()
			b.unbind()
		}()
	}
}

// begin tells the tracers that a request has come.
func (s *Server) begin(ctx context.Context, q *request) context.Context {
	if q.call.Shadow {
		return ctx
	}
	for _, t := range s.observers.Load().tracers {
		ctx = s.trace(ctx, t, q)
	}
	return ctx
}

func (s *Server) trace(ctx context.Context, t Tracer, q *request) (next context.Context) {
	defer func() {
		if p := recover(); p != nil {
			s.opts.Logger.Error("serve: an observer panicked", "model", q.call.Model, "panic", p, "stack", string(debug.Stack()))
			next = ctx
		}
	}()
	next, o := t.Begin(ctx, &q.call)
	if o != nil {
		q.traces = append(q.traces, o)
	}
	if next == nil {
		next = ctx
	}
	return next
}

// notify tells the observers of a request that has ended.
func (s *Server) notify(q *request) {
	x, set := &q.exchange, s.observers.Load()
	if v := q.v; v != nil {
		b := v.bound.Load()
		if b == nil || b.from != set {
			b = s.bind(v)
		}
		for i := range b.list {
			if o := b.list[i].o; o != nil {
				s.tell(o, x)
			}
		}
	} else {
		for _, a := range set.list {
			if !a.tracer {
				s.tell(a.Observer, x)
			}
		}
	}
	for _, o := range q.traces {
		s.tell(o, x)
	}
}

func (s *Server) tell(o Observer, x *Exchange) {
	defer func() {
		if p := recover(); p != nil {
			s.opts.Logger.Error("serve: an observer panicked", "model", x.Model, "version", x.Version, "request", x.RequestID, "panic", p, "stack", string(debug.Stack()))
		}
	}()
	o.Observe(x)
}
