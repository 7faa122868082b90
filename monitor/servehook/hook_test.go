package servehook_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/monitor"
	"github.com/millwright-ml/millwright/monitor/servehook"
	"github.com/millwright-ml/millwright/serve"
	"github.com/millwright-ml/millwright/serve/oip"
)

func TestOneTensorEach(t *testing.T) {
	t.Parallel()
	m := newMonitor(t, reference(t, feature{name: "x"}, feature{name: "y"}, feature{name: "colour", words: []string{"red", "green"}}))
	h := newHook(t, m, nil)
	// Other inputs, another order, both shapes.
	h.Observe(exchange("a", []oip.Tensor{
		oip.NewStrings("colour", []int64{4, 1}, []string{"red", "green", "mauve", ""}),
		oip.NewFP64("unused", []int64{1}, []float64{0}),
		oip.NewINT64("y", []int64{4, 1}, []int64{1, 2, 3, 200}),
		oip.NewFP64("x", []int64{4}, []float64{10, 20, 30, math.NaN()}),
	}, oip.NewFP64("score", []int64{4, 1}, []float64{0.1, 0.2, 0.3, 0.4})))
	require.Equal(t, servehook.Stats{Rows: 4, Observed: 1}, h.Stats())
	require.Equal(t, monitor.Matched, m.Label(monitor.NewID("a", 3), 1))
	require.Equal(t, monitor.Unknown, m.Label(monitor.NewID("a", 4), 1))
	require.InDelta(t, 0.36, m.Overall().Brier, 1e-12, "the score of row 3 is 0.4")
	r, f := cut(t, m)
	require.EqualValues(t, 4, r.Rows)
	require.InDelta(t, 20, f["x"].Mean, 1e-9)
	require.Equal(t, 0.25, f["x"].Nulls)
	require.InDelta(t, 51.5, f["y"].Mean, 1e-9)
	require.Equal(t, 0.25, f["y"].OutOfRange)
	require.Equal(t, 0.5, f["colour"].Unseen)
	require.InDelta(t, 0.25, r.Score.Mean, 1e-12)
}

func TestOneTensorForAll(t *testing.T) {
	t.Parallel()
	m := newMonitor(t, reference(t, feature{name: "x"}, feature{name: "y"}))
	h := newHook(t, m, &servehook.Options{Inputs: []string{"input"}, Output: "probabilities"})
	rows := int64(1000) // Many chunks.
	data, scores := make([]float32, 2*rows), make([]float32, 2*rows)
	for i := range rows {
		data[2*i], data[2*i+1] = 7, float32(i%100)
		scores[2*i], scores[2*i+1] = 0.75, 0.25
	}
	h.Observe(exchange("a", []oip.Tensor{oip.NewFP32("input", []int64{rows, 2}, data)},
		oip.NewINT64("class", []int64{rows}, make([]int64, rows)),
		oip.NewFP32("probabilities", []int64{rows, 2}, scores)))
	r, f := cut(t, m)
	require.EqualValues(t, rows, r.Rows)
	require.InDelta(t, 7, f["x"].Mean, 1e-9)
	require.InDelta(t, 49.5, f["y"].Mean, 1e-9)
	require.InDelta(t, 0.25, r.Score.Mean, 1e-9, "the second column")
	require.Equal(t, monitor.Matched, m.Label(monitor.NewID("a", int(rows)-1), 1))
}

// TestDatatypes sends the number 2, or true, in each datatype: as a number and
// as a category that is known by its text.
func TestDatatypes(t *testing.T) {
	t.Parallel()
	one := []int64{1}
	for _, x := range []oip.Tensor{
		oip.NewFP64("", one, []float64{2}), oip.NewFP32("", one, []float32{2}),
		oip.NewINT64("", one, []int64{2}), oip.NewINT32("", one, []int32{2}), oip.NewINT16("", one, []int16{2}), oip.NewINT8("", one, []int8{2}),
		oip.NewUINT64("", one, []uint64{2}), oip.NewUINT32("", one, []uint32{2}), oip.NewUINT16("", one, []uint16{2}), oip.NewUINT8("", one, []uint8{2}),
		oip.NewBOOL("", one, []bool{true}),
	} {
		t.Run(string(x.Datatype), func(t *testing.T) {
			t.Parallel()
			m := newMonitor(t, reference(t, feature{name: "number"}, feature{name: "word", words: []string{"1", "2", "true"}}))
			h := newHook(t, m, nil)
			number, word := x, x
			number.Name, word.Name = "number", "word"
			h.Observe(exchange("a", []oip.Tensor{number, word}, x))
			require.EqualValues(t, 1, h.Stats().Rows)
			want := 2.0
			if x.Datatype == oip.BOOL {
				want = 1
			}
			r, f := cut(t, m)
			require.InDelta(t, want, f["number"].Mean, 1e-9)
			require.InDelta(t, want, r.Score.Mean, 1e-9)
			require.Zero(t, f["word"].Unseen)
			require.Zero(t, f["word"].Nulls)
		})
	}
}

func TestMismatches(t *testing.T) {
	t.Parallel()
	x := func(shape []int64, n int) oip.Tensor { return oip.NewFP64("x", shape, make([]float64, n)) }
	y := oip.NewFP64("y", []int64{2}, make([]float64, 2))
	out := oip.NewFP64("score", []int64{2}, make([]float64, 2))
	for want, c := range map[string]struct {
		inputs  []oip.Tensor
		outputs []oip.Tensor
	}{
		`input "y": not in the request`:                                             {[]oip.Tensor{x([]int64{2}, 2)}, []oip.Tensor{out}},
		`input "x": datatype is BYTES, but feature "x" is numeric in the reference`: {[]oip.Tensor{oip.NewStrings("x", []int64{2}, []string{"", ""}), y}, []oip.Tensor{out}},
		`input "x": shape [1 2], want [rows] or [rows,1] for one feature`:           {[]oip.Tensor{x([]int64{1, 2}, 2), y}, []oip.Tensor{out}},
		`input "y": 2 rows, the first input has 3`:                                  {[]oip.Tensor{x([]int64{3}, 3), y}, []oip.Tensor{out}},
		`output "score": not in the response`:                                       {[]oip.Tensor{x([]int64{2}, 2), y}, nil},
		`output "score": datatype is BYTES, want numbers`:                           {[]oip.Tensor{x([]int64{2}, 2), y}, []oip.Tensor{oip.NewStrings("score", []int64{2}, []string{"", ""})}},
		`output "score": shape [2 3] for 2 rows, want [2], [2,1] or [2,2]`:          {[]oip.Tensor{x([]int64{2}, 2), y}, []oip.Tensor{oip.NewFP64("score", []int64{2, 3}, make([]float64, 6))}},
	} {
		m := newMonitor(t, reference(t, feature{name: "x"}, feature{name: "y"}))
		var told []error
		h := newHook(t, m, &servehook.Options{Output: "score", OnError: func(err error) { told = append(told, err) }})
		h.Observe(exchange("a", c.inputs, c.outputs...))
		h.Observe(exchange("b", c.inputs, c.outputs...))
		require.Equal(t, servehook.Stats{Mismatched: 2}, h.Stats(), want)
		require.Len(t, told, 1, "once for a model version")
		require.ErrorIs(t, told[0], servehook.ErrInvalid)
		require.EqualError(t, told[0], `servehook: observe model "m" version "1": `+want+`: invalid`)
		require.Zero(t, m.Snapshot().Predictions)
	}
}

func TestFailedAndForeignExchanges(t *testing.T) {
	t.Parallel()
	m := newMonitor(t, reference(t, feature{name: "x"}))
	h := newHook(t, m, nil)
	h.Observe(&serve.Exchange{Model: "m", Err: errors.New("no")})
	h.Observe(&serve.Exchange{Model: "other", Err: errors.New("no")})
	require.Equal(t, servehook.Stats{Failed: 1}, h.Stats())
}

func TestNewReportsEveryFault(t *testing.T) {
	t.Parallel()
	_, err := servehook.New(nil, nil)
	require.EqualError(t, err, "servehook: new: the monitor is nil: invalid")
	m := newMonitor(t, reference(t, feature{name: "x"}, feature{name: "y"}, feature{name: "z"}))
	_, err = servehook.New(m, &servehook.Options{Inputs: []string{"a", "a"}})
	require.ErrorIs(t, err, servehook.ErrInvalid)
	require.EqualError(t, err, `servehook: new: Inputs has 2 names, want one for each of 3 features, or one in all; Inputs has "a" twice: invalid`)
}

// TestFollowsReset promotes a version with other features.
func TestFollowsReset(t *testing.T) {
	t.Parallel()
	m := newMonitor(t, reference(t, feature{name: "x"}))
	h := newHook(t, m, nil)
	score := oip.NewFP64("score", []int64{1}, []float64{0.5})
	h.Observe(exchange("a", []oip.Tensor{oip.NewFP64("x", []int64{1}, []float64{1})}, score))
	require.NoError(t, m.Reset(reference(t, feature{name: "w", words: []string{"a"}}, feature{name: "x"}), "2"))
	h.Observe(exchange("b", []oip.Tensor{oip.NewFP64("x", []int64{1}, []float64{1})}, score))
	h.Observe(exchange("c", []oip.Tensor{oip.NewStrings("w", []int64{1}, []string{"a"}), oip.NewFP64("x", []int64{1}, []float64{1})}, score))
	require.Equal(t, servehook.Stats{Rows: 2, Observed: 2, Mismatched: 1}, h.Stats())
	r, f := cut(t, m)
	require.Equal(t, "2", r.Version)
	require.EqualValues(t, 1, r.Rows)
	require.Zero(t, f["w"].Unseen)
}

// percent answers each x with x/100, and fails on a negative one.
type percent struct{ version int }

func (percent) Signature() serve.Signature {
	return serve.Signature{
		Inputs:  []oip.TensorMetadata{{Name: "x", Datatype: oip.FP64, Shape: []int64{-1}}},
		Outputs: []oip.TensorMetadata{{Name: "score", Datatype: oip.FP64, Shape: []int64{-1}}},
	}
}

func (percent) Infer(_ context.Context, req *oip.InferRequest, resp *oip.InferResponse) error {
	x := req.Input("x").FP64()
	out := make([]float64, len(x))
	for i, v := range x {
		if v < 0 {
			return errors.New("negative")
		}
		out[i] = v / 100
	}
	resp.Outputs = append(resp.Outputs, oip.NewFP64("score", []int64{int64(len(out))}, out))
	return nil
}

func (percent) Close() error { return nil }

// TestBehindAServer sends requests over HTTP from many clients, while the
// model is deployed anew and the monitor reset.
func TestBehindAServer(t *testing.T) {
	t.Parallel()
	ref := reference(t, feature{name: "x"})
	m := newMonitor(t, ref)
	h := newHook(t, m, nil)
	server := serve.New(&serve.Options{Observers: []serve.Observer{h}})
	deploy := func(version int) {
		require.NoError(t, server.Deploy(t.Context(), serve.Deployment{Name: "m", Version: fmt.Sprint(version), Model: &percent{version}}))
	}
	deploy(1)
	listener := httptest.NewServer(server)
	t.Cleanup(listener.Close)
	client, err := oip.NewClient(listener.URL, nil)
	require.NoError(t, err)

	const clients, requests, rows = 4, 25, 10
	errs := make(chan error, clients)
	var wg sync.WaitGroup
	for c := range clients {
		wg.Go(func() {
			for i := range requests {
				x := make([]float64, rows)
				for row := range x {
					x[row] = float64((c*requests + i + row) % 100)
				}
				_, err := client.Infer(t.Context(), "m", "", &oip.InferRequest{
					ID: fmt.Sprintf("%d-%d", c, i), Inputs: []oip.Tensor{oip.NewFP64("x", []int64{rows}, x)},
				})
				if err != nil {
					errs <- err
					return
				}
			}
		})
	}
	for version := 2; version < 6; version++ {
		deploy(version)
		require.NoError(t, m.Reset(ref, fmt.Sprint(version)))
	}
	wg.Wait()
	close(errs)
	for err := range errs {
		require.NoError(t, err)
	}
	_, err = client.Infer(t.Context(), "m", "", &oip.InferRequest{Inputs: []oip.Tensor{oip.NewFP64("x", []int64{1}, []float64{-1})}})
	require.Error(t, err)

	require.Equal(t, servehook.Stats{Rows: clients * requests * rows, Observed: clients * requests, Failed: 1}, h.Stats())
	require.EqualValues(t, clients*requests*rows, m.Snapshot().Predictions)
	for c := range clients {
		require.Equal(t, monitor.Matched, m.Label(monitor.NewID(fmt.Sprintf("%d-%d", c, requests-1), rows-1), 1))
	}
}

// wide is an exchange of 64 rows and 32 features, a quarter of them words.
func wide(t testing.TB) (*monitor.Monitor, *serve.Exchange) {
	const features, rows = 32, 64
	var list []feature
	var inputs []oip.Tensor
	shape := []int64{rows}
	for j := range features {
		f := feature{name: fmt.Sprintf("f%02d", j)}
		if j%4 == 0 {
			f.words = []string{"red", "green", "a category with a name of more than 32 bytes"}
			words := make([]string, rows)
			for i := range words {
				words[i] = f.words[i%3]
			}
			inputs = append(inputs, oip.NewStrings(f.name, shape, words))
		} else {
			inputs = append(inputs, oip.NewFP32(f.name, shape, make([]float32, rows)))
		}
		list = append(list, f)
	}
	return newMonitor(t, reference(t, list...)), exchange("request", inputs, oip.NewFP32("score", shape, make([]float32, rows)))
}

func TestObserveAllocatesNothing(t *testing.T) {
	m, ex := wide(t)
	h := newHook(t, m, nil)
	for range 100 {
		h.Observe(ex)
	}
	require.Zero(t, testing.AllocsPerRun(200, func() { h.Observe(ex) }))
}

func BenchmarkObserve(b *testing.B) {
	m, ex := wide(b)
	h := newHook(b, m, nil)
	b.ReportAllocs()
	for b.Loop() {
		h.Observe(ex)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*64), "ns/row")
}
