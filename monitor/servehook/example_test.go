package servehook_test

import (
	"context"
	"fmt"
	"net/http/httptest"

	"github.com/millwright-ml/millwright/dataset/profile"
	"github.com/millwright-ml/millwright/monitor"
	"github.com/millwright-ml/millwright/monitor/servehook"
	"github.com/millwright-ml/millwright/serve"
	"github.com/millwright-ml/millwright/serve/oip"
)

// A server's requests become observations, which labels find by request id.
func Example() {
	ctx := context.Background()
	var x, score profile.Column
	for i := range 100 {
		x.AddFloat(float64(i))
		score.AddFloat(float64(i) / 100)
	}
	ref := profile.NewReference([]profile.Feature{{Name: "x", Bins: x.Bins(0)}}, score.Bins(0))
	for i := range 100 {
		if err := ref.Observe([]float64{float64(i)}, float64(i)/100); err != nil {
			fmt.Println(err)
			return
		}
	}
	m, err := monitor.New(ref, &monitor.Options{Model: "m", Version: "1"})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = m.Shutdown(ctx) }()
	hook, err := servehook.New(m, nil)
	if err != nil {
		fmt.Println(err)
		return
	}

	server := serve.New(&serve.Options{Observers: []serve.Observer{hook}})
	if err := server.Deploy(ctx, serve.Deployment{Name: "m", Version: "1", Model: percent{}}); err != nil {
		fmt.Println(err)
		return
	}
	listener := httptest.NewServer(server)
	defer listener.Close()
	client, err := oip.NewClient(listener.URL, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	resp, err := client.Infer(ctx, "m", "", &oip.InferRequest{
		ID:     "order-17",
		Inputs: []oip.Tensor{oip.NewFP64("x", []int64{3}, []float64{5, 50, 95})},
	})
	if err != nil {
		fmt.Println(err)
		return
	}

	fmt.Println("rows observed:", m.Snapshot().Predictions)
	fmt.Println("label of row 1:", m.Label(monitor.NewID(resp.ID, 1), 1))
	// Output:
	// rows observed: 3
	// label of row 1: matched
}
