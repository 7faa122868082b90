package main

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/millwright-ml/millwright/serve"
	"github.com/millwright-ml/millwright/serve/oip"
)

// small is one row of four columns, a request of the budgets.
const small = `{"id":"req-0001","inputs":[{"name":"input","shape":[1,4],"datatype":"FP32","data":[5.1,3.5,1.4,0.2]}]}`

// parts measures what a request consists of, without a network: the smallest of many
// short runs, which other work on the machine can only make longer.
func parts(ctx context.Context, length time.Duration) error {
	var d oip.Decoder
	binary, lengthOfJSON, err := wide()
	if err != nil {
		return err
	}
	plain, err := handler(ctx, nil, nil)
	if err != nil {
		return err
	}
	batched, err := handler(ctx, nil, &serve.Batching{})
	if err != nil {
		return err
	}
	split, err := handler(ctx, &serve.Options{Router: first3{}}, nil)
	if err != nil {
		return err
	}
	rows := []*part{
		{name: "memory copy of 4 KiB, to compare machines", f: func() error { copy(to, from); return nil }},
		{name: "decode 1×4 JSON", aim: 350, f: func() error { _, err := d.DecodeRequest([]byte(small), oip.JSONOnly, nil); return err }},
		{name: "decode 32×512 binary", aim: 1000, f: func() error { _, err := d.DecodeRequest(binary, lengthOfJSON, nil); return err }},
		{name: "handler 1×4 over net/http", aim: 5000, f: plain},
		{name: "the same, batching", f: batched},
		{name: "the same, a router", f: split},
	}
	// Round and round, so that all of them meet the same disturbance.
	for range rounds {
		for _, p := range rows {
			if err := p.run(length / rounds); err != nil {
				return fmt.Errorf("%s: %w", p.name, err)
			}
		}
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "part\tns\taim\t")
	for _, p := range rows {
		aim := "–"
		if p.aim > 0 {
			aim = fmt.Sprintf("%.0f", p.aim)
		}
		fmt.Fprintf(w, "%s\t%.0f\t%s\t\n", p.name, p.best, aim)
	}
	fmt.Fprintf(w, "batching, the difference\t%.0f\t100\t\n", rows[4].best-rows[3].best)
	fmt.Fprintf(w, "a router, the difference\t%.0f\t50\t\n", rows[5].best-rows[3].best)
	fmt.Fprintln(w, "\t\t\t")
	return w.Flush()
}

// rounds is how many there are.
const rounds = 40

// part is one row.
type part struct {
	name string
	aim  float64 // nanoseconds, 0 for none
	f    func() error
	best float64
}

// run repeats f in runs of a millisecond or so and keeps the fastest.
func (p *part) run(length time.Duration) error {
	if p.best == 0 {
		p.best = math.MaxFloat64
	}
	n := 1
	for began := time.Now(); time.Since(began) < length; {
		start := time.Now()
		for range n {
			if err := p.f(); err != nil {
				return err
			}
		}
		took := time.Since(start)
		if took < time.Millisecond {
			n *= 2
			continue
		}
		p.best = min(p.best, float64(took.Nanoseconds())/float64(n))
	}
	return nil
}

var from, to = make([]byte, 4096), make([]byte, 4096)

// wide is a batch of 32 rows of 512 columns behind the JSON, where a server puts it.
func wide() (body []byte, length int, err error) {
	in := oip.NewFP32("input", []int64{32, 512}, make([]float32, 32*512))
	in.Binary = true
	text, length, err := oip.AppendBinaryRequest(nil, &oip.InferRequest{ID: "req-0001", Inputs: []oip.Tensor{in}})
	lead := oip.Lead(length)
	return append(make([]byte, lead, lead+len(text)), text...)[lead:], length, err
}

// constant is a model that costs nothing.
type constant struct{ answer []float32 }

func (*constant) Signature() serve.Signature {
	return serve.Signature{
		Inputs:  []oip.TensorMetadata{{Name: "input", Datatype: oip.FP32, Shape: []int64{-1, 4}}},
		Outputs: []oip.TensorMetadata{{Name: "score", Datatype: oip.FP32, Shape: []int64{-1}}},
	}
}

func (m *constant) Infer(_ context.Context, req *oip.InferRequest, resp *oip.InferResponse) error {
	resp.Outputs = append(resp.Outputs, oip.NewFP32("score", req.Inputs[0].Shape[:1], m.answer[:req.Inputs[0].Shape[0]]))
	return nil
}

func (*constant) Close() error { return nil }

// first3 routes by a byte of the request's id.
type first3 struct{}

func (first3) Route(_ context.Context, c *serve.Call) string {
	if len(c.RequestID) > 3 && c.RequestID[3]&1 == 0 {
		return "2"
	}
	return ""
}

// handler is the whole handler between net/http's reading and writing.
func handler(ctx context.Context, opts *serve.Options, batching *serve.Batching) (func() error, error) {
	s := serve.New(opts)
	for i := range 2 {
		if err := s.Deploy(ctx, serve.Deployment{
			Name: "m", Version: strconv.Itoa(i + 1), Beside: i > 0, Batching: batching, Model: &constant{answer: make([]float32, 64)},
		}); err != nil {
			return nil, err
		}
	}
	in := again{strings.NewReader(small)}
	r := httptest.NewRequestWithContext(ctx, http.MethodPost, "/v2/models/m/infer", in)
	r.ContentLength = int64(len(small))
	w := &nowhere{header: http.Header{}}
	return func() error {
		in.Reset(small)
		r.Body, w.status = in, http.StatusOK
		clear(w.header)
		s.ServeHTTP(w, r)
		if w.status != http.StatusOK {
			return fmt.Errorf("status %d", w.status)
		}
		return nil
	}, nil
}

// again is a body that is read from the start again.
type again struct{ *strings.Reader }

func (again) Close() error { return nil }

// nowhere is a ResponseWriter that costs nothing.
type nowhere struct {
	header http.Header
	status int
}

func (n *nowhere) Header() http.Header         { return n.header }
func (n *nowhere) Write(p []byte) (int, error) { return len(p), nil }
func (n *nowhere) WriteHeader(status int)      { n.status = status }
