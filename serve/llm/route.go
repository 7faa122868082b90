package llm

import (
	"cmp"
	"math/rand/v2"
	"slices"
)

// Query is a request as a Router sees it. Its bytes are views of the body, valid
// during the call.
type Query struct {
	// Model, Tenant and User are who asks for what. Session is the conversation
	// that it belongs to, "" if the client does not say.
	Model, Tenant, User, Session string
	// Arms are the sides of experiments that the request is on.
	Arms []Arm
	// Tokens is about how many tokens the request costs, prompt and answer.
	Tokens int
	// Tools and Prompt are the parts of the body that a prompt is made of, in the
	// order of the templates: raw JSON.
	Tools, Prompt []byte
}

// Candidate is an upstream that could answer.
type Candidate struct {
	// Upstream is its name, Model the model's name there.
	Upstream, Model string
	// Requests and Tokens are what it is busy with for this gateway.
	Requests, Tokens int64
	// Weight is that of the configuration.
	Weight float64
	// Signals are what it said of itself last.
	Signals *Signals
}

// load is what a candidate has to do before it can begin with more.
func (c *Candidate) load() float64 {
	// What waits there for others than this gateway is not in Tokens. A waiting
	// request counts like a usual one.
	return (float64(c.Tokens) + 256*c.Signals.Waiting) / c.Weight
}

// Router chooses the upstream of a request. It is used by many requests at once.
type Router interface {
	// Pick returns the index of one of the candidates, of which there is at least
	// one. It must not keep what it is given. An index that is none means the
	// first.
	Pick(q *Query, candidates []Candidate) int
}

// RouterFunc makes a Router of a function.
type RouterFunc func(q *Query, candidates []Candidate) int

// Pick implements Router.
func (f RouterFunc) Pick(q *Query, candidates []Candidate) int { return f(q, candidates) }

// LeastTokens gives a request to the less busy of two upstreams that it draws by
// chance, where busy is the number of tokens that they have to read and write yet.
// Two are enough to keep the load even, and do not make all gateways at once run
// to the same upstream.
type LeastTokens struct{}

// Pick implements Router.
func (LeastTokens) Pick(_ *Query, c []Candidate) int {
	if len(c) == 1 {
		return 0
	}
	i := rand.IntN(len(c))
	j := rand.IntN(len(c) - 1)
	if j >= i {
		j++
	}
	if c[j].load() < c[i].load() {
		return j
	}
	return i
}

// SessionAffinity sends the requests of a session, or else of a user, to the same
// upstream, as long as that is there, by rendezvous hashing: when an upstream
// comes or goes only its own sessions move. What belongs to none goes by Else.
type SessionAffinity struct {
	// Else chooses for requests without a session. Nil is LeastTokens.
	Else Router
}

// hashText is FNV-1a with a finish that spreads it, the same in every process:
// several gateways have to agree.
func hashText(h uint64, s string) uint64 {
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * 1099511628211
	}
	return h*1099511628211 + 1 // Between two texts.
}

func spread(h uint64) uint64 {
	h ^= h >> 32
	h *= 0x9e3779b97f4a7c15
	return h ^ h>>29
}

const hashBegin = 14695981039346656037

// Pick implements Router.
func (s SessionAffinity) Pick(q *Query, c []Candidate) int {
	key := cmp.Or(q.Session, q.User)
	if key == "" {
		if s.Else == nil {
			return LeastTokens{}.Pick(q, c)
		}
		return s.Else.Pick(q, c)
	}
	best, most := 0, uint64(0)
	for i := range c {
		h := hashText(hashText(hashText(hashBegin, q.Tenant), key), c[i].Upstream)
		if v := spread(h); i == 0 || v > most {
			best, most = i, v
		}
	}
	return best
}

// AdapterAffinity prefers the upstreams that have the LoRA adapter of the target in
// memory, as they say in their metrics, and chooses among those by Then.
type AdapterAffinity struct {
	// Then chooses among what is left. Nil is LeastTokens.
	Then Router
}

// Pick implements Router.
func (a AdapterAffinity) Pick(q *Query, c []Candidate) int {
	then := a.Then
	if then == nil {
		then = LeastTokens{}
	}
	var with []Candidate
	var at []int
	for i := range c {
		if slices.Contains(c[i].Signals.Adapters, c[i].Model) {
			with, at = append(with, c[i]), append(at, i)
		}
	}
	if len(with) == 0 {
		return then.Pick(q, c)
	}
	i := then.Pick(q, with)
	if i < 0 || i >= len(at) {
		i = 0
	}
	return at[i]
}

func sortByName(list []UpstreamStatus) {
	slices.SortFunc(list, func(a, b UpstreamStatus) int { return cmp.Compare(a.Name, b.Name) })
}
