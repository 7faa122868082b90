package main

import (
	"container/heap"
	"encoding/binary"
	"hash/maphash"
	"math"
	"math/rand/v2"
	"time"
)

// shape is how requests of a published trace look: those of Mooncake (Qin et al.,
// FAST'25, "Trading More Storage for Less Computation", the table of its workloads).
// The traces have lengths, times and hashes of blocks of 512 tokens; what is drawn here
// has the same means, the same rate and the same share of tokens that came before
// (the numbers of requests are those of the published files; the means are cited).
// What is no part of that table was set so that it comes out.
type shape struct {
	name          string
	requests      int
	length        time.Duration // Of the whole trace.
	input, output float64       // Mean tokens.
	reused        float64       // The share of the input that came before.

	systems    int     // How many beginnings the conversations share,
	system     float64 // and their mean tokens.
	first      float64 // The mean tokens of the first turn behind it, and of what each
	growth     float64 // further turn adds.
	turns      float64 // The mean number of turns.
	dispersion float64 // Of the lengths: the sigma of their logarithm.
}

var shapes = []shape{
	{name: "conversation", requests: 12_031, length: 59 * time.Minute, input: 12_035, output: 343, reused: 0.40,
		systems: 20, system: 500, first: 8_700, growth: 3_600, turns: 1.65, dispersion: 1.1},
	{name: "tool & agent", requests: 23_608, length: 59 * time.Minute, input: 8_596, output: 182, reused: 0.59,
		systems: 60, system: 4_000, first: 3_950, growth: 1_500, turns: 1.3, dispersion: 1.0},
}

const (
	tokenBytes  = 4
	blockTokens = 512
)

// ask is one request of a trace. Its text and blocks are valid until the next.
type ask struct {
	at            time.Duration
	text          []byte
	blocks        []uint64 // Of 512 tokens each, with what is before them.
	input, output int
}

// talk is a conversation that goes on.
type talk struct {
	at     time.Duration
	text   []byte
	blocks []uint64
	left   int
}

type talks []*talk

func (t talks) Len() int           { return len(t) }
func (t talks) Less(i, j int) bool { return t[i].at < t[j].at }
func (t talks) Swap(i, j int)      { t[i], t[j] = t[j], t[i] }
func (t *talks) Push(x any)        { *t = append(*t, x.(*talk)) }
func (t *talks) Pop() any {
	list := *t
	last := list[len(list)-1]
	list[len(list)-1] = nil
	*t = list[:len(list)-1]
	return last
}

// trace draws requests, the same ones for each seed.
type trace struct {
	shape

	rng     *rand.Rand
	seed    maphash.Seed
	systems [][]byte
	next    time.Duration // When the next conversation begins.
	open    talks
	left    int
}

func (s shape) draw() *trace {
	t := &trace{shape: s, rng: rand.New(rand.NewPCG(1, 2)), seed: maphash.MakeSeed(), left: s.requests}
	for range s.systems {
		t.systems = append(t.systems, t.write(nil, t.tokens(s.system, 0.5)))
	}
	return t
}

// tokens draws a length with a mean.
func (t *trace) tokens(mean, dispersion float64) int {
	return max(1, int(mean*math.Exp(dispersion*t.rng.NormFloat64()-dispersion*dispersion/2)))
}

// write appends tokens that are in no other text.
func (t *trace) write(text []byte, tokens int) []byte {
	for range tokens / 2 {
		text = binary.LittleEndian.AppendUint64(text, t.rng.Uint64())
	}
	return append(text, "last"[:tokens%2*tokenBytes]...)
}

// ask returns the next request, nil behind the last.
func (t *trace) ask() *ask {
	if t.left == 0 {
		return nil
	}
	t.left--
	for len(t.open) == 0 || t.next <= t.open[0].at {
		// A few of the beginnings are much more frequent than the others.
		k := int(float64(len(t.systems)) * math.Pow(t.rng.Float64(), 3))
		talk := &talk{at: t.next, left: 1 + int(t.rng.ExpFloat64()*(t.turns-0.5))}
		talk.text = append(talk.text, t.systems[k]...)
		talk.text = t.write(talk.text, t.tokens(t.first, t.dispersion))
		heap.Push(&t.open, talk)
		pace := t.length.Seconds() / float64(t.requests) * t.turns
		t.next += time.Duration(t.rng.ExpFloat64() * pace * float64(time.Second))
	}
	k := t.open[0]
	const size = blockTokens * tokenBytes
	for n := len(k.blocks); (n+1)*size <= len(k.text); n++ {
		h := maphash.Bytes(t.seed, k.text[n*size:(n+1)*size])
		if n > 0 {
			h ^= k.blocks[n-1] * 0x9e3779b97f4a7c15
		}
		k.blocks = append(k.blocks, h)
	}
	a := &ask{at: k.at, text: k.text, blocks: k.blocks, input: len(k.text) / tokenBytes, output: t.tokens(t.output, 0.8)}
	if k.left--; k.left == 0 {
		heap.Pop(&t.open)
		return a
	}
	// The answer becomes a part of the next prompt, with what is asked then.
	k.at += time.Duration((5 + 40*t.rng.ExpFloat64()) * float64(time.Second))
	k.text = t.write(k.text, a.output+t.tokens(t.growth, t.dispersion))
	heap.Fix(&t.open, 0)
	return a
}
