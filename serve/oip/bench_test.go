package oip_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/serve/oip"
)

// small is the request of the budgets: one row of four features.
const small = `{"id":"req-0001","inputs":[{"name":"input","shape":[1,4],"datatype":"FP32","data":[5.1,3.5,1.4,0.2]}],"outputs":[{"name":"probs"}]}`

// one is small without what a client may leave out.
const one = `{"inputs":[{"name":"input","shape":[1,4],"datatype":"FP32","data":[5.1,3.5,1.4,0.2]}]}`

// large is a batch of 32 rows of 512 features. Digits 32 gives the shortest
// text of a float32, 64 that of the float64 nearest to it, which is what
// Python's tolist sends.
func large(digits int) []byte {
	rng := rand.New(rand.NewPCG(1, 2))
	b := []byte(`{"id":"req-0001","inputs":[{"name":"input","shape":[32,512],"datatype":"FP32","data":[`)
	for r := range 32 {
		if r > 0 {
			b = append(b, ',')
		}
		for c := range 512 {
			if c == 0 {
				b = append(b, '[')
			} else {
				b = append(b, ',')
			}
			b = strconv.AppendFloat(b, float64(float32(rng.NormFloat64())), 'g', -1, digits)
		}
		b = append(b, ']')
	}
	return append(b, `]}]}`...)
}

// flat is what a program would decode with encoding/json when the data is
// known to be flat FP32.
type flat struct {
	ID     string `json:"id"`
	Inputs []struct {
		Name     string    `json:"name"`
		Shape    []int64   `json:"shape"`
		Datatype string    `json:"datatype"`
		Data     []float32 `json:"data"`
	} `json:"inputs"`
	Outputs []struct {
		Name string `json:"name"`
	} `json:"outputs"`
}

// nested is the same for rows of FP32.
type nested struct {
	Inputs []struct {
		Name     string      `json:"name"`
		Shape    []int64     `json:"shape"`
		Datatype string      `json:"datatype"`
		Data     [][]float32 `json:"data"`
	} `json:"inputs"`
}

func benchOurs(b *testing.B, body []byte) {
	b.ReportAllocs()
	b.SetBytes(int64(len(body)))
	for b.Loop() {
		if _, err := oip.DecodeRequest(body, nil); err != nil {
			b.Fatal(err)
		}
	}
}

func benchStd[T any](b *testing.B, body []byte) {
	b.ReportAllocs()
	b.SetBytes(int64(len(body)))
	for b.Loop() {
		var v T
		if err := json.Unmarshal(body, &v); err != nil {
			b.Fatal(err)
		}
	}
}

// benchPooled is what a server spends: memory used again.
func benchPooled(b *testing.B, body []byte, jsonLength int) {
	b.ReportAllocs()
	b.SetBytes(int64(len(body)))
	var d oip.Decoder
	for b.Loop() {
		if _, err := d.DecodeRequest(body, jsonLength, nil); err != nil {
			b.Fatal(err)
		}
	}
}

// binaryBody is n rows of m features behind the JSON, aligned as a server does.
func binaryBody(n, m int64) (body []byte, jsonLength int) {
	in := oip.NewFP32("input", []int64{n, m}, make([]float32, n*m))
	in.Binary = true
	text, jsonLength, err := oip.AppendBinaryRequest(nil, &oip.InferRequest{
		ID: "req-0001", Inputs: []oip.Tensor{in}, Outputs: []oip.RequestedOutput{{Name: "probs", Binary: true}},
	})
	if err != nil {
		panic(err)
	}
	lead := oip.Lead(jsonLength)
	return append(make([]byte, lead, lead+len(text)), text...)[lead:], jsonLength
}

func BenchmarkDecode(b *testing.B) {
	b.Run("1x4/pooled", func(b *testing.B) { benchPooled(b, []byte(small), oip.JSONOnly) })
	b.Run("32x512-32/pooled", func(b *testing.B) { benchPooled(b, large(32), oip.JSONOnly) })
	b.Run("32x512-binary/pooled", func(b *testing.B) {
		body, n := binaryBody(32, 512)
		benchPooled(b, body, n)
	})
	b.Run("1x4/ours", func(b *testing.B) { benchOurs(b, []byte(small)) })
	b.Run("1x4/encoding-json", func(b *testing.B) { benchStd[flat](b, []byte(small)) })
	for _, digits := range []int{32, 64} {
		body := large(digits)
		b.Run(fmt.Sprintf("32x512-%d/ours", digits), func(b *testing.B) { benchOurs(b, body) })
		b.Run(fmt.Sprintf("32x512-%d/encoding-json", digits), func(b *testing.B) { benchStd[nested](b, body) })
	}
}

func BenchmarkAppendResponse(b *testing.B) {
	rng := rand.New(rand.NewPCG(1, 2))
	data := make([]float32, 32*512)
	for i := range data {
		data[i] = float32(rng.NormFloat64())
	}
	for _, n := range []int64{1, 32 * 512} {
		r := &oip.InferResponse{ModelName: "m", ModelVersion: "1", ID: "req-0001",
			Outputs: []oip.Tensor{oip.NewFP32("y", []int64{n}, data[:n])}}
		b.Run(strconv.FormatInt(n, 10), func(b *testing.B) {
			b.ReportAllocs()
			var dst []byte
			for b.Loop() {
				var err error
				if dst, err = oip.AppendResponse(dst[:0], r); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// Allocations of the hot path are part of the contract: a request of one tensor
// costs the message, the name and the data with its header, and the id where
// it has one.
func TestAllocationBudget(t *testing.T) {
	body, withID, batch := []byte(one), []byte(small), large(32)
	decode := func(body []byte) float64 {
		return testing.AllocsPerRun(200, func() {
			if _, err := oip.DecodeRequest(body, nil); err != nil {
				panic(err)
			}
		})
	}
	if raceEnabled {
		t.Skip("the race detector empties pools at random")
	}
	require.LessOrEqual(t, decode(body), 4.0)
	require.LessOrEqual(t, decode(withID), 7.0)
	require.LessOrEqual(t, decode(batch), 5.0)

	// A Decoder has all but the id.
	pooled := func(body []byte, jsonLength int) float64 {
		var d oip.Decoder
		return testing.AllocsPerRun(200, func() {
			if _, err := d.DecodeRequest(body, jsonLength, nil); err != nil {
				panic(err)
			}
		})
	}
	require.Zero(t, pooled(body, oip.JSONOnly))
	require.LessOrEqual(t, pooled(withID, oip.JSONOnly), 1.0)
	require.LessOrEqual(t, pooled(batch, oip.JSONOnly), 1.0)
	raw, n := binaryBody(32, 512)
	require.LessOrEqual(t, pooled(raw, n), 1.0)

	r := &oip.InferResponse{ModelName: "m", ModelVersion: "1", ID: "a",
		Outputs: []oip.Tensor{oip.NewFP32("y", []int64{2}, []float32{0.25, 1})}}
	dst := make([]byte, 0, 1<<10)
	require.Zero(t, testing.AllocsPerRun(200, func() {
		if _, err := oip.AppendResponse(dst, r); err != nil {
			panic(err)
		}
	}))
}
