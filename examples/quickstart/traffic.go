package main

import (
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/millwright-ml/millwright/monitor"
	"github.com/millwright-ml/millwright/serve/oip"
)

const (
	rowsPerRequest = 64
	kilometres     = 1.609344 // in a mile
)

// feed turns flights into the requests that an application would send. It has
// two upstreams, each with a gateway of its own: the airports from A to D, and
// all others.
type feed struct {
	unit   [2]float64 // what a gateway multiplies miles by: 1, until one breaks
	repair [2]float64 // what the application multiplies by: 1, until it repairs
}

func newFeed() *feed { return &feed{unit: [2]float64{1, 1}, repair: [2]float64{1, 1}} }

func gateway(x *flight) int {
	if x.Origin[0] <= 'D' {
		return 0
	}
	return 1
}

func (f *feed) distance(x *flight) float64 {
	g := gateway(x)
	return x.Distance * f.unit[g] * f.repair[g]
}

func (f *feed) request(flights []flight) *oip.InferRequest {
	n := len(flights)
	origin, destination := make([]string, n), make([]string, n)
	distance, hour, weekday := make([]float64, n), make([]int64, n), make([]int64, n)
	for i := range flights {
		x := &flights[i]
		origin[i], destination[i] = x.Origin, x.Destination
		distance[i], hour[i], weekday[i] = f.distance(x), int64(x.hour()), int64(x.weekday())
	}
	shape := []int64{int64(n)}
	return &oip.InferRequest{Inputs: []oip.Tensor{
		oip.NewStrings("origin", shape, origin),
		oip.NewStrings("destination", shape, destination),
		oip.NewFP64("distance", shape, distance),
		oip.NewINT64("hour", shape, hour),
		oip.NewINT64("weekday", shape, weekday),
	}}
}

// fix compares what each gateway sent with the distances that the routes had
// in the known flights, and undoes a constant factor. It returns the factors.
func (f *feed) fix(known, sent []flight) [2]float64 {
	route := map[string]float64{}
	for i := range known {
		route[known[i].Origin+known[i].Destination] = known[i].Distance
	}
	var ratios [2][]float64
	for i := range sent {
		x := &sent[i]
		if miles := route[x.Origin+x.Destination]; miles > 0 {
			ratios[gateway(x)] = append(ratios[gateway(x)], f.distance(x)/miles)
		}
	}
	factors := [2]float64{1, 1}
	for g, r := range ratios {
		if len(r) == 0 {
			continue
		}
		slices.Sort(r)
		factors[g] = r[len(r)/2]
		if math.Abs(factors[g]-1) > 0.01 {
			f.repair[g] /= factors[g]
		}
	}
	return factors
}

// answered is one request that was answered, and the flights that it asked
// about: what is needed to bring the labels later.
type answered struct {
	id      string
	flights []flight
}

// traffic replays flights in order over HTTP.
type traffic struct {
	client *oip.Client
	feed   *feed
	pace   func(context.Context) // between two requests

	sent, failed int
	firstFailure error
}

// week sends the flights and returns what was answered. A failed request is
// counted, not retried: the summary must be able to say that there was none.
func (t *traffic) week(ctx context.Context, flights []flight) ([]answered, error) {
	var out []answered
	for part := range slices.Chunk(flights, rowsPerRequest) {
		resp, err := t.client.Infer(ctx, modelName, "", t.feed.request(part))
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		t.sent++
		if err != nil {
			t.failed++
			if t.firstFailure == nil {
				t.firstFailure = err
			}
			continue
		}
		out = append(out, answered{resp.ID, part})
		t.pace(ctx)
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("no request of the week was answered: %w", t.firstFailure)
	}
	return out, nil
}

// label tells the monitor how the flights ended.
func label(m *monitor.Monitor, week []answered) {
	for i := range week {
		for row := range week[i].flights {
			y := 0.0
			if week[i].flights[row].late() {
				y = 1
			}
			m.Label(monitor.NewID(week[i].id, row), y)
		}
	}
}

// weeks cuts the flights from a first day into whole weeks, so that every
// window has each weekday once.
func weeks(flights []flight, first time.Time, n int) [][]flight {
	var out [][]flight
	for i := range n {
		w := between(flights, first.AddDate(0, 0, 7*i), first.AddDate(0, 0, 7*(i+1)))
		if len(w) == 0 {
			break
		}
		out = append(out, w)
	}
	return out
}
