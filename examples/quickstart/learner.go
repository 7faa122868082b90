package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
)

// features is what the model sees of a flight.
type features struct {
	origin, destination string
	distance            float64 // statute miles
	hour, weekday       int     // local clock; Monday is 0
}

func (f *flight) features() features {
	return features{f.Origin, f.Destination, f.Distance, f.hour(), f.weekday()}
}

// learner is logistic regression over one-hot airports, hours and weekdays and
// four hinges of distance: small enough to read, real enough to be right. It
// is the part of this program that a user replaces with their own model.
type learner struct {
	Format       int                `json:"format"`
	Bias         float64            `json:"bias"`
	Origins      map[string]float64 `json:"origins"`
	Destinations map[string]float64 `json:"destinations"`
	Hours        [24]float64        `json:"hours"`
	Weekdays     [7]float64         `json:"weekdays"`
	Distances    [4]float64         `json:"distances"`
}

// hinges are the distances in miles where the effect of distance may bend.
var hinges = [4]float64{0, 400, 1000, 2000}

// hinge scales the part of the distance beyond one hinge to about one.
func hinge(i int, miles float64) float64 { return math.Max(0, miles-hinges[i]) / 1000 }

// predict returns the probability that the flight arrives late. It adds in a
// fixed order, so the same inputs give the same bits in every process.
func (l *learner) predict(x *features) float64 {
	z := l.Bias + l.Origins[x.origin] + l.Destinations[x.destination]
	if x.hour >= 0 && x.hour < len(l.Hours) {
		z += l.Hours[x.hour]
	}
	if x.weekday >= 0 && x.weekday < len(l.Weekdays) {
		z += l.Weekdays[x.weekday]
	}
	for i, w := range l.Distances {
		z += w * hinge(i, x.distance)
	}
	return 1 / (1 + math.Exp(-z))
}

// fit runs AdaGrad over the flights in a seeded order, the same each time, and
// reports the mean log loss of each epoch as it ends.
func fit(flights []flight, epochs int, rate, decay float64, step func(epoch int, loss float64)) (*learner, error) {
	late := 0
	for i := range flights {
		if flights[i].late() {
			late++
		}
	}
	if late == 0 || late == len(flights) {
		return nil, fmt.Errorf("the %d training flights hold only one class (%d late): there is nothing to learn", len(flights), late)
	}
	p := float64(late) / float64(len(flights))
	l := &learner{
		Format: 1, Bias: math.Log(p / (1 - p)),
		Origins: map[string]float64{}, Destinations: map[string]float64{},
	}

	// One slot a weight, so that an epoch is array work and no map look-ups.
	type example struct {
		slot [4]int32
		dist [len(hinges)]float64
		late float64
	}
	slots := map[string]int32{}
	slot := func(kind, key string) int32 {
		k := kind + key
		s, ok := slots[k]
		if !ok {
			s = int32(len(slots)) + 1 // slot 0 is the bias
			slots[k] = s
		}
		return s
	}
	examples := make([]example, len(flights))
	for i := range flights {
		f, e := &flights[i], &examples[i]
		e.slot = [4]int32{
			slot("o", f.Origin), slot("d", f.Destination),
			slot("h", string(rune('a'+f.hour()))), slot("w", string(rune('a'+f.weekday()))),
		}
		for k := range hinges {
			e.dist[k] = hinge(k, f.Distance)
		}
		if f.late() {
			e.late = 1
		}
	}
	firstDist := len(slots) + 1
	weight := make([]float64, firstDist+len(hinges))
	square := make([]float64, len(weight))
	weight[0] = l.Bias
	move := func(i int, g float64) {
		g += decay * weight[i]
		square[i] += g * g
		weight[i] -= rate * g / (math.Sqrt(square[i]) + 1e-8)
	}
	order := rand.New(rand.NewPCG(2001, 1))
	for epoch := 1; epoch <= epochs; epoch++ {
		order.Shuffle(len(examples), func(i, j int) { examples[i], examples[j] = examples[j], examples[i] })
		loss := 0.0
		for i := range examples {
			e := &examples[i]
			z := weight[0]
			for _, s := range e.slot {
				z += weight[s]
			}
			for k, x := range e.dist {
				z += weight[firstDist+k] * x
			}
			q := 1 / (1 + math.Exp(-z))
			loss -= e.late*math.Log(q+1e-300) + (1-e.late)*math.Log(1-q+1e-300)
			g := q - e.late
			move(0, g)
			for _, s := range e.slot {
				move(int(s), g)
			}
			for k, x := range e.dist {
				if x != 0 {
					move(firstDist+k, g*x)
				}
			}
		}
		step(epoch, loss/float64(len(examples)))
	}

	l.Bias = weight[0]
	for k, s := range slots {
		switch key := k[1:]; k[0] {
		case 'o':
			l.Origins[key] = weight[s]
		case 'd':
			l.Destinations[key] = weight[s]
		case 'h':
			l.Hours[key[0]-'a'] = weight[s]
		case 'w':
			l.Weekdays[key[0]-'a'] = weight[s]
		}
	}
	copy(l.Distances[:], weight[firstDist:])
	return l, nil
}

// parseLearner reads a model file and refuses one it does not understand.
func parseLearner(data []byte) (*learner, error) {
	var l learner
	if err := json.Unmarshal(data, &l); err != nil {
		return nil, fmt.Errorf("model.json is not a model of this program: %w", err)
	}
	if l.Format != 1 || len(l.Origins) == 0 || len(l.Destinations) == 0 {
		return nil, errors.New("model.json is not a model of this program: no weights, or another format")
	}
	return &l, nil
}
