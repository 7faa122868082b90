package train

// Tries counts how often a job was started again, by what it was counted as.
type Tries struct {
	Infra int `json:"infra,omitempty"`
	User  int `json:"user,omitempty"`
}

const defaultInfra = 3

// InfraBudget is how often infrastructure failures are tried again: Infra with
// its default applied and -1 as 0.
func (r Retry) InfraBudget() int {
	switch {
	case r.Infra < 0:
		return 0
	case r.Infra == 0:
		return defaultInfra
	default:
		return r.Infra
	}
}

// Decide says whether a failed attempt is followed by another one, and how the
// tally stands then. exitCode is the program's; infra says that the
// infrastructure ended the attempt, in which case the exit code does not matter.
// Running out of memory is the program's failure.
func (r Retry) Decide(exitCode int, infra bool, spent Tries) (Tries, bool) {
	if !infra {
		switch r.ExitCodes[exitCode] {
		case Fail:
			return spent, false
		case RetryInfra:
			infra = true
		}
	}
	if infra {
		if spent.Infra >= r.InfraBudget() {
			return spent, false
		}
		spent.Infra++
		return spent, true
	}
	if spent.User >= r.User {
		return spent, false
	}
	spent.User++
	return spent, true
}
