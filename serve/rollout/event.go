package rollout

import (
	"fmt"
	"math"
	"time"
)

// Verdict is what was decided on a challenger.
type Verdict string

// The verdicts.
const (
	// Promote: proof that it is not worse by any guard's margin. All traffic of
	// the model goes to it.
	Promote Verdict = "promote"
	// Rollback: proof that it is worse by a guard's margin. Its keys go back to
	// the champion.
	Rollback Verdict = "rollback"
	// Keep: no proof in time, or another one was promoted. Its keys go back.
	Keep Verdict = "keep"
)

// Kind says what an Event tells.
type Kind string

// The kinds of events.
const (
	Started Kind = "started"
	Ramped  Kind = "ramped"  // the next step of the ramp began
	Decided Kind = "decided" // a verdict on one challenger
)

// Event is something that happened to an experiment. Its JSON is stable.
type Event struct {
	// Seq counts from 1 through the experiment: with Experiment it identifies
	// the event, for receivers that may see one twice.
	Seq        int       `json:"seq"`
	Time       time.Time `json:"time"`
	Kind       Kind      `json:"kind"`
	Experiment string    `json:"experiment"`
	Model      string    `json:"model"`
	Champion   string    `json:"champion"`
	// Share is the part of the challengers' final shares that they have.
	Share float64 `json:"share"`
	// Challenger is the one that was decided on, Verdict what, Reason why in
	// words with the numbers.
	Challenger string  `json:"challenger,omitempty"`
	Verdict    Verdict `json:"verdict,omitempty"`
	Reason     string  `json:"reason,omitempty"`
	// Evidence is what all guards knew, in their order.
	Evidence []Evidence `json:"evidence,omitempty"`
}

// Evidence is what a guard knows of a challenger.
type Evidence struct {
	Guard    string  `json:"guard"`
	Metric   Metric  `json:"metric"`
	Margin   float64 `json:"margin"`
	Superior bool    `json:"superior,omitempty"`
	// Requests are those of the whole experiment: the champion's, the
	// challenger's.
	Requests [2]int64 `json:"requests"`
	// Champion and Challenger are the figures of this step of the ramp: the
	// same time, under the same shares.
	Champion   Side `json:"champion"`
	Challenger Side `json:"challenger"`
	// HarmLogE is the natural logarithm of the greatest e-value against "not
	// worse than Margin", PassLogE that against "worse". At their limits or
	// above they are proof.
	HarmLogE  float64 `json:"harm_log_e"`
	PassLogE  float64 `json:"pass_log_e"`
	HarmLimit float64 `json:"harm_limit"`
	PassLimit float64 `json:"pass_limit"`
}

// Side is one version's figure: a rate, a mean, seconds.
type Side struct {
	N     int64   `json:"n"`
	Value float64 `json:"value"`
	// Low and High are its confidence sequence. A High of -1 is no bound: too
	// few requests for that quantile.
	Low  float64 `json:"low"`
	High float64 `json:"high"`
}

// Harmed reports proof that the challenger is worse than the margin.
func (v Evidence) Harmed() bool { return v.HarmLogE >= v.HarmLimit }

// Passed reports proof that it is not.
func (v Evidence) Passed() bool { return v.PassLogE >= v.PassLimit }

// String says it in words.
func (v Evidence) String() string {
	end := "no proof yet"
	switch {
	case v.Harmed():
		end = fmt.Sprintf("worse than the margin of %.4g, e-value %s of %s", v.Margin, number(v.HarmLogE), number(v.HarmLimit))
	case v.Passed() && v.Superior:
		end = fmt.Sprintf("better, e-value %s of %s", number(v.PassLogE), number(v.PassLimit))
	case v.Passed():
		end = fmt.Sprintf("within the margin of %.4g, e-value %s of %s", v.Margin, number(v.PassLogE), number(v.PassLimit))
	}
	return fmt.Sprintf("%s %s of %d requests, the champion's %s of %d: %s",
		v.Guard, v.Challenger.text(v.Metric), v.Challenger.N, v.Champion.text(v.Metric), v.Champion.N, end)
}

// Numbers are the figures by name, as a registry's evidence has them.
func (v Evidence) Numbers() map[string]float64 {
	return map[string]float64{
		"margin":       v.Margin,
		"champion":     v.Champion.Value,
		"champion_n":   float64(v.Champion.N),
		"champion_lo":  v.Champion.Low,
		"champion_hi":  v.Champion.High,
		"value":        v.Challenger.Value,
		"value_n":      float64(v.Challenger.N),
		"value_lo":     v.Challenger.Low,
		"value_hi":     v.Challenger.High,
		"harm_log_e":   v.HarmLogE,
		"pass_log_e":   v.PassLogE,
		"harm_limit":   v.HarmLimit,
		"pass_limit":   v.PassLimit,
		"requests":     float64(v.Requests[1]),
		"requests_all": float64(v.Requests[0] + v.Requests[1]),
	}
}

func (s Side) text(m Metric) string {
	if m != Latency {
		return fmt.Sprintf("%.4g (%.4g to %.4g)", s.Value, s.Low, s.High)
	}
	high := "∞"
	if s.High >= 0 {
		high = seconds(s.High)
	}
	return fmt.Sprintf("%s (%s to %s)", seconds(s.Value), seconds(s.Low), high)
}

func seconds(s float64) string { return fmt.Sprintf("%.4gms", 1000*s) }

// number writes an e-value by its logarithm.
func number(log float64) string {
	if log < 600 {
		return fmt.Sprintf("%.3g", math.Exp(log))
	}
	return fmt.Sprintf("1e%.0f", log/math.Ln10)
}

// event is the next one of a state.
func (e *Experiment) event(s *state, now time.Time, kind Kind) Event {
	return Event{
		Seq: len(s.Events) + 1, Time: now, Kind: kind, Experiment: e.Name, Model: e.Model,
		Champion: e.Champion, Share: e.Ramp[s.Step].Share,
	}
}
