package rollout

import "time"

// Status is how an experiment stands, as of this replica's last merge.
type Status struct {
	// Experiment is its name, Model the model's.
	Experiment, Model string
	// Started is the zero time before the first merge, Ended while it runs.
	Started, Ended time.Time
	// Step is the step of the ramp, from 1 up, of Steps.
	Step, Steps int
	// Champion is the champion's version, Requests how many it answered.
	Champion string
	Requests int64
	// Challengers are in the order of the experiment.
	Challengers []ChallengerStatus
	// Shadow counts what was mirrored by this replica.
	Shadow ShadowStatus
}

// ChallengerStatus is how one challenger stands.
type ChallengerStatus struct {
	Version  string
	Requests int64
	// Share is the part of all keys that it has now.
	Share float64
	// Verdict is empty while there is none.
	Verdict  Verdict
	Evidence []Evidence
}

// Status returns how the experiment stands.
func (r *Rollout) Status() Status {
	st := Status{Experiment: r.exp.Name, Model: r.exp.Model, Champion: r.exp.Champion, Steps: len(r.exp.Ramp)}
	if r.shadow != nil {
		st.Shadow = r.shadow.status()
	}
	s := r.snapshot()
	if s == nil {
		return st
	}
	now := r.routes.Load()
	st.Started, st.Ended, st.Step, st.Requests = s.Started, s.Ended, s.Step+1, s.Champion.Requests
	for i, c := range r.exp.Challengers {
		q := ChallengerStatus{Version: c.Version, Requests: s.Pairs[i].Requests, Verdict: s.Pairs[i].Verdict, Evidence: s.evidence(&r.exp, i)}
		switch {
		case now.all == i+1:
			q.Share = 1
		case i+1 < len(now.ends) && now.ends[i+1] > 0:
			q.Share = float64(now.ends[i+1]-r.arms[i+1].from) / Buckets
		}
		st.Challengers = append(st.Challengers, q)
	}
	return st
}
