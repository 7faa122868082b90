package main

import (
	"math"
	"math/rand/v2"
)

// application is one for a loan, and whether it was paid back. The data is
// synthetic: seeded, the same in each run.
type application struct {
	Income  float64 `json:"income"`  // thousands a year
	Amount  float64 `json:"amount"`  // thousands
	Age     float64 `json:"age"`     // years
	Channel string  `json:"channel"` // how it came
	Default bool    `json:"default"` // what became of it, some weeks later
}

// launch is the week in which the bank's new app brings other people: they ask
// for more, have less, and what their income says of them is not what it says
// of the others.
const launch = 4

// applications are those of a week.
func applications(week, n int) []application {
	rng := rand.New(rand.NewPCG(uint64(week), 7))
	list := make([]application, n)
	for i := range list {
		a := &list[i]
		a.Income = math.Exp(3.7 + 0.4*rng.NormFloat64())
		a.Amount = a.Income * math.Exp(-1.2+0.5*rng.NormFloat64())
		a.Age = 22 + 45*rng.Float64()
		a.Channel = []string{"branch", "broker", "web"}[rng.IntN(3)]
		risk := -1.2 + 4*(a.Amount/a.Income-0.35) - 0.03*(a.Age-45)
		if a.Channel == "broker" {
			risk += 0.8
		}
		if week >= launch && rng.Float64() < 0.45 {
			a.Channel = "app"
			a.Income *= 0.8
			a.Amount *= 1.6
			a.Age = 20 + 20*rng.Float64()
			risk = -0.2 + 1.2*(a.Age-30)/5 // Here the young ones pay.
		}
		a.Default = rng.Float64() < 1/(1+math.Exp(-risk))
	}
	return list
}
