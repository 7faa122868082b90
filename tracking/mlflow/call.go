package mlflow

import (
	"github.com/millwright-ml/millwright/internal/mlflowhttp"
	"github.com/millwright-ml/millwright/tracking"
)

// call is one request being served.
type call struct {
	mlflowhttp.Call
	h       *Handler
	route   *route
	granted map[Action]error
}

// authorize asks whether the caller may do verb to the experiment. Asking
// again for the same costs nothing.
func (c *call) authorize(verb Verb, id tracking.ExperimentID) error {
	if c.h.opts.Authorize == nil {
		return nil
	}
	a := Action{Verb: verb, Experiment: id, Route: c.route.Name()}
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

// readable returns those of the experiments that the caller may read.
func (c *call) readable(ids []tracking.ExperimentID) ([]tracking.ExperimentID, error) {
	if c.h.opts.Authorize == nil {
		return ids, nil
	}
	var out []tracking.ExperimentID
	for _, id := range ids {
		ok, err := c.mayRead(id)
		if err != nil {
			return nil, err
		}
		if ok {
			out = append(out, id)
		}
	}
	return out, nil
}

// mayRead reports whether the caller may read the experiment.
func (c *call) mayRead(id tracking.ExperimentID) (bool, error) {
	err := c.authorize(Read, id)
	if err == nil {
		return true, nil
	}
	if mlflowhttp.Transient(err) {
		return false, err
	}
	return false, nil
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

// rpcStream makes the serve function of a route that takes a message and
// writes its answer itself.
func rpcStream[M any](serve func(c *call, m *M) error) func(c *call) error {
	return func(c *call) error {
		m, err := message[M](c)
		if err != nil {
			return err
		}
		return serve(c, m)
	}
}
