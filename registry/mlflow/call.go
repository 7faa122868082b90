package mlflow

import (
	"strings"

	"github.com/millwright-ml/millwright/internal/mlflowapi"
	"github.com/millwright-ml/millwright/internal/mlflowhttp"
)

// call is one request being served.
type call struct {
	mlflowhttp.Call
	h       *Handler
	route   *route
	granted map[Action]error
}

// run serves the route once the caller is known to be allowed to.
func (c *call) run() error {
	if c.h.opts.Authorize != nil {
		if err := c.authorize(Connect, ""); err != nil {
			return mlflowhttp.Refused(err)
		}
		targets, err := c.route.scope(c)
		if err != nil {
			return err
		}
		for _, name := range targets {
			if err := c.authorize(c.route.verb, name); err != nil {
				return mlflowhttp.Refused(err)
			}
		}
	}
	return c.route.serve(c)
}

// authorize asks whether the caller may do verb to the model. Asking again for
// the same costs nothing.
func (c *call) authorize(verb Verb, model string) error {
	if c.h.opts.Authorize == nil {
		return nil
	}
	a := Action{Verb: verb, Model: model, Route: c.route.Name()}
	err, asked := c.granted[a]
	if !asked {
		err = c.h.opts.Authorize(c.R, a)
		if c.granted == nil {
			c.granted = map[Action]error{}
		}
		c.granted[a] = err
	}
	return err
}

// mayRead reports whether the caller may read the model.
func (c *call) mayRead(model string) (bool, error) {
	err := c.authorize(Read, model)
	if err == nil {
		return true, nil
	}
	if mlflowhttp.Transient(err) {
		return false, err
	}
	return false, nil
}

// user is who sent the request, as far as that is known.
func (c *call) user() string {
	if c.h.opts.User == nil {
		return ""
	}
	return c.h.opts.User(c.R)
}

// rename makes a change of names, and tells of it.
func (c *call) rename(was, now string, change func() error) error {
	if c.h.opts.Changed == nil {
		return change()
	}
	c.h.names.Lock()
	defer c.h.names.Unlock()
	if err := change(); err != nil {
		return err
	}
	return c.h.opts.Changed(c.R, was, now)
}

// message returns the request as a message.
func message[M any](c *call) (*M, error) { return mlflowhttp.Message[M](&c.Call) }

// rpc makes the serve function of a route that takes and gives one message. A
// nil answer is an empty object.
func rpc[M any](serve func(c *call, m *M) (any, error)) func(c *call) error {
	return func(c *call) error {
		m, err := message[M](c)
		if err != nil {
			return err
		}
		answer, err := serve(c, m)
		if err != nil {
			return err
		}
		return c.JSON(answer)
	}
}

// wireError returns what a client is told of err, nil when that is nothing.
func wireError(err error) *mlflowapi.Error {
	wire := mlflowapi.FromKind(err)
	if wire == nil {
		return nil
	}
	// Which package found the fault is nothing to a client.
	for _, pkg := range [...]string{"registry: ", "mlflow: ", "webhook: "} {
		if rest, ok := strings.CutPrefix(wire.Message, pkg); ok {
			return &mlflowapi.Error{Code: wire.Code, Message: rest}
		}
	}
	return wire
}
