package onnx_test

import (
	"archive/zip"
	"context"
	"fmt"
	"io/fs"
	"log"

	"github.com/millwright-ml/millwright/serve/oip"
	"github.com/millwright-ml/millwright/serve/onnx"
)

// A pipeline of scikit-learn, a scaler and a logistic regression, answers a row.
func Example() {
	archive, err := zip.OpenReader("testdata/graphs.zip")
	if err != nil {
		log.Fatal(err)
	}
	defer archive.Close()
	files, err := fs.Sub(archive, "pipeline/several")
	if err != nil {
		log.Fatal(err)
	}
	model, err := onnx.Load(files, nil)
	if err != nil {
		log.Fatal(err)
	}
	wine := []float32{13.2, 1.78, 2.14, 11.2, 100, 2.65, 2.76, 0.26, 1.28, 4.38, 1.05, 3.4, 1050}
	req := &oip.InferRequest{Inputs: []oip.Tensor{oip.NewFP32("X", []int64{1, 13}, wine)}}
	resp := &oip.InferResponse{}
	if err := model.Infer(context.Background(), req, resp); err != nil {
		log.Fatal(err)
	}
	fmt.Println("class", resp.Outputs[0].INT64())
	fmt.Printf("probability %.2f\n", resp.Outputs[1].FP32()[0])
	// Output:
	// class [0]
	// probability 0.99
}
