package oip_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"

	"github.com/millwright-ml/millwright/serve/oip"
)

// A server of the protocol, here one that always answers the same.
func fixed() *httptest.Server {
	return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/v2/models/fraud/infer" {
			w.WriteHeader(http.StatusNotFound)
			_, _ = io.WriteString(w, `{"error":"no such model"}`)
			return
		}
		_, _ = io.WriteString(w, `{"model_name":"fraud","model_version":"3","outputs":[
			{"name":"score","datatype":"FP64","shape":[2],"data":[0.03,0.97]}]}`)
	}))
}

func ExampleClient() {
	srv := fixed()
	defer srv.Close()
	ctx := context.Background()

	client, err := oip.NewClient(srv.URL, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	// Two rows of an amount and a country.
	resp, err := client.Infer(ctx, "fraud", "", &oip.InferRequest{Inputs: []oip.Tensor{
		oip.NewFP64("amount", []int64{2}, []float64{12.5, 4999}),
		oip.NewStrings("country", []int64{2}, []string{"NO", "??"}),
	}})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(resp.ModelName, resp.ModelVersion, resp.Output("score").FP64())

	_, err = client.Infer(ctx, "fruad", "", &oip.InferRequest{})
	fmt.Println(errors.Is(err, oip.ErrNotFound), err)
	// Output:
	// fraud 3 [0.03 0.97]
	// true oip: infer "fruad": the server answered 404 Not Found: no such model
}

func ExampleDecodeRequest() {
	req, err := oip.DecodeRequest([]byte(`{"id":"a-1","inputs":[
		{"name":"x","datatype":"FP32","shape":[2,2],"data":[[0.5,1],[2,4e3]]}]}`), nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	x := req.Input("x")
	fmt.Println(req.ID, x.Shape, x.FP32(), x.Check())

	_, err = oip.DecodeRequest([]byte(`{"inputs":[{"name":"x","datatype":"FP32","shape":[1],"data":["0.5"]}]}`), nil)
	fmt.Println(err)
	// Output:
	// a-1 [2 2] [0.5 1 2 4000] <nil>
	// oip: decode request: inputs[0] "x": data: byte 61: found a string, want a number (FP32): invalid
}

func ExampleAppendResponse() {
	text, err := oip.AppendResponse(nil, &oip.InferResponse{
		ModelName: "fraud", ModelVersion: "3", ID: "a-1",
		Outputs: []oip.Tensor{oip.NewFP32("score", []int64{2, 1}, []float32{0.1, 1})},
	})
	fmt.Println(string(text), err)
	// Output:
	// {"model_name":"fraud","model_version":"3","id":"a-1","outputs":[{"name":"score","datatype":"FP32","shape":[2,1],"data":[0.1,1]}]} <nil>
}
