// Package main_test measures package serve: the handler over what net/http costs by
// itself, the batcher, the routing.
//
//	go test -run xxx -bench 'Handler|Batcher|Route' -count 6 ./serve
//
// The machine is shared by whatever else runs: compare rows of one run, by their
// smallest figures.
package main_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/millwright-ml/millwright/serve"
	"github.com/millwright-ml/millwright/serve/oip"
)

// toy is a model that costs nothing.
type toy struct{}

func (*toy) Signature() serve.Signature {
	return serve.Signature{
		Inputs:  []oip.TensorMetadata{{Name: "input", Datatype: oip.FP32, Shape: []int64{-1, -1}}},
		Outputs: []oip.TensorMetadata{{Name: "score", Datatype: oip.FP32, Shape: []int64{-1}}},
	}
}

func (*toy) Infer(_ context.Context, req *oip.InferRequest, resp *oip.InferResponse) error {
	in := &req.Inputs[0]
	out := make([]float32, in.Shape[0])
	for i, v := range in.FP32() {
		out[i/int(in.Shape[1])] += v
	}
	resp.Outputs = append(resp.Outputs, oip.NewFP32("score", in.Shape[:1], out))
	return nil
}

func (*toy) Close() error { return nil }

// Route sends half the requests to each of two versions.
type halves struct{}

func (halves) Route(_ context.Context, c *serve.Call) string {
	if c.RequestID[len(c.RequestID)-1]&1 == 0 {
		return "2"
	}
	return ""
}

func server(b *testing.B, opts *serve.Options, batching *serve.Batching) *serve.Server {
	s := serve.New(opts)
	for i, version := range []string{"1", "2"} {
		if err := s.Deploy(b.Context(), serve.Deployment{Name: "m", Version: version, Model: new(struct {
			toy
			_ int // So that the two are not one pointer.
		}), Beside: i > 0, Batching: batching}); err != nil {
			b.Fatal(err)
		}
	}
	b.Cleanup(func() {
		if err := s.Shutdown(context.Background()); err != nil {
			b.Error(err)
		}
	})
	return s
}

// body is a request of rows×width, in JSON or in binary.
func body(b *testing.B, rows, width int, binary bool) (string, http.Header) {
	data := make([]float32, rows*width)
	for i := range data {
		data[i] = float32(i%97) / 7
	}
	t := oip.NewFP32("input", []int64{int64(rows), int64(width)}, data)
	t.Binary = binary
	text, n, err := oip.AppendBinaryRequest(nil, &oip.InferRequest{ID: "req-0001", Inputs: []oip.Tensor{t}})
	if err != nil {
		b.Fatal(err)
	}
	h := http.Header{}
	if n != oip.JSONOnly {
		h.Set(oip.HeaderLengthKey, fmt.Sprint(n))
	}
	return string(text), h
}

// nowhere is a ResponseWriter that costs nothing.
type nowhere struct{ header http.Header }

func (n *nowhere) Header() http.Header         { return n.header }
func (n *nowhere) Write(p []byte) (int, error) { return len(p), nil }
func (n *nowhere) WriteHeader(status int)      { panic(status) }

type again struct{ *strings.Reader }

func (again) Close() error { return nil }

// BenchmarkHandler is the handler alone, without net/http.
func BenchmarkHandler(b *testing.B) {
	for _, bc := range []struct {
		name        string
		rows, width int
		binary      bool
		opts        *serve.Options
		batching    *serve.Batching
	}{
		{"1x4", 1, 4, false, nil, nil},
		{"1x4-split", 1, 4, false, &serve.Options{Router: halves{}}, nil},
		{"1x4-batcher", 1, 4, false, nil, &serve.Batching{}},
		{"1x4-binary", 1, 4, true, nil, nil},
		{"32x512", 32, 512, false, nil, nil},
		{"32x512-binary", 32, 512, true, nil, nil},
	} {
		b.Run(bc.name, func(b *testing.B) {
			s := server(b, bc.opts, bc.batching)
			text, header := body(b, bc.rows, bc.width, bc.binary)
			in := again{strings.NewReader(text)}
			r := httptest.NewRequest(http.MethodPost, "/v2/models/m/infer", in)
			r.ContentLength, r.Header = int64(len(text)), header
			w := &nowhere{http.Header{}}
			b.ReportAllocs()
			for b.Loop() {
				in.Reset(text)
				r.Body = in
				clear(w.header)
				s.ServeHTTP(w, r)
			}
		})
	}
}

// BenchmarkLoopback is a round trip with the client: what differs from "floor",
// which reads the body and answers, is the handler.
func BenchmarkLoopback(b *testing.B) {
	floor := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header()["Content-Type"] = []string{"application/json"}
		_, _ = io.WriteString(w, `{"ok":true}`)
	})
	for _, bc := range []struct {
		name string
		h    http.Handler
	}{{"floor", floor}, {"ours", server(b, nil, nil)}, {"ours-batcher", server(b, nil, &serve.Batching{})}} {
		b.Run(bc.name, func(b *testing.B) {
			hs := httptest.NewServer(bc.h)
			defer hs.Close()
			text, _ := body(b, 1, 4, false)
			b.ReportAllocs()
			for b.Loop() {
				resp, err := http.Post(hs.URL+"/v2/models/m/infer", "application/json", strings.NewReader(text))
				if err != nil {
					b.Fatal(err)
				}
				_, _ = io.Copy(io.Discard, resp.Body)
				_ = resp.Body.Close()
			}
		})
	}
}

// BenchmarkInfer is a call in process: the whole way but the wire.
func BenchmarkInfer(b *testing.B) {
	for name, opts := range map[string]struct {
		o *serve.Options
		b *serve.Batching
	}{
		"plain": {nil, nil}, "batcher": {nil, &serve.Batching{}}, "split": {&serve.Options{Router: halves{}}, nil},
		"no-admission": {&serve.Options{Admission: &serve.Admission{Max: -1}}, nil},
	} {
		b.Run(name, func(b *testing.B) {
			s := server(b, opts.o, opts.b)
			req := &oip.InferRequest{ID: "req-0001", Inputs: []oip.Tensor{oip.NewFP32("input", []int64{1, 4}, make([]float32, 4))}}
			b.ReportAllocs()
			for b.Loop() {
				if _, _, err := s.Infer(b.Context(), "m", "", req); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
