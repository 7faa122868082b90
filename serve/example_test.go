package serve_test

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptest"

	"github.com/millwright-ml/millwright/serve"
	"github.com/millwright-ml/millwright/serve/oip"
)

// linear is a model in Go: a weight for each of two features.
type linear struct{ weights [2]float64 }

func (m *linear) Signature() serve.Signature {
	return serve.Signature{
		Inputs:  []oip.TensorMetadata{{Name: "x", Datatype: oip.FP64, Shape: []int64{-1, 2}}},
		Outputs: []oip.TensorMetadata{{Name: "y", Datatype: oip.FP64, Shape: []int64{-1}}},
	}
}

func (m *linear) Infer(_ context.Context, req *oip.InferRequest, resp *oip.InferResponse) error {
	x := req.Input("x")
	y := make([]float64, x.Shape[0])
	for i := range y {
		row := x.FP64()[2*i : 2*i+2]
		y[i] = m.weights[0]*row[0] + m.weights[1]*row[1]
	}
	resp.Outputs = append(resp.Outputs, oip.NewFP64("y", []int64{int64(len(y))}, y))
	return nil
}

func (m *linear) Close() error { return nil }

// printer is an observer.
type printer struct{}

func (printer) Observe(x *serve.Exchange) {
	fmt.Println("observed:", x.Model, x.Version, x.RequestID, x.Labels["run"], x.Err == nil)
}

func Example() {
	ctx := context.Background()
	server := serve.New(&serve.Options{Observers: []serve.Observer{printer{}}})
	deploy := func(version, run string, m serve.Model) {
		err := server.Deploy(ctx, serve.Deployment{
			Name: "price", Version: version, Model: m, Labels: map[string]string{"run": run},
		})
		if err != nil {
			fmt.Println(err)
		}
	}
	deploy("1", "run-a", &linear{weights: [2]float64{1, 10}})

	// A Server is an http.Handler; the listener is the application's.
	web := httptest.NewServer(server)
	defer web.Close()
	client, err := oip.NewClient(web.URL, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	ask := func(id string, x oip.Tensor) {
		resp, err := client.Infer(ctx, "price", "", &oip.InferRequest{ID: id, Inputs: []oip.Tensor{x}})
		if err != nil {
			fmt.Println(errors.Is(err, oip.ErrInvalid), err)
			return
		}
		fmt.Println("version", resp.ModelVersion, "says", resp.Output("y").FP64())
	}
	ask("q1", oip.NewFP64("x", []int64{2, 2}, []float64{1, 2, 3, 4}))

	// The next version takes over between two requests.
	deploy("2", "run-b", &linear{weights: [2]float64{0, 100}})
	ask("q2", oip.NewFP64("x", []int64{1, 2}, []float64{1, 2}))

	// All that is wrong is said at once.
	ask("q3", oip.NewFP32("X", []int64{1, 3}, []float32{1, 2, 3}))

	if err := server.Shutdown(ctx); err != nil {
		fmt.Println(err)
	}
	// Output:
	// observed: price 1 q1 run-a true
	// version 1 says [21 43]
	// observed: price 2 q2 run-b true
	// version 2 says [200]
	// observed: price 2 q3 run-b false
	// true oip: infer "price": the server answered 400 Bad Request: serve: infer "price" version "2": input "X" is not one of the model's: "x"; input "x" is missing: invalid
}
