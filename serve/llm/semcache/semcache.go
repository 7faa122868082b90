package semcache

import (
	"bytes"
	"container/list"
	"context"
	"crypto/sha256"
	"encoding/json"
	"maps"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/millwright-ml/millwright/serve/llm"
)

// Embedder turns texts into vectors.
type Embedder interface {
	// Embed returns the embedding of a text. It is called by many requests at once.
	Embed(ctx context.Context, text string) ([]float32, error)
}

// Options are the settings of a Cache. Nil is the defaults.
type Options struct {
	// Threshold is the least cosine of what is alike. Default 0.95.
	Threshold float64
	// MaxBytes bounds what is kept, vectors and answers; what was used longest ago
	// goes first. Default 64 MiB.
	MaxBytes int
	// TTL is how long an answer is good for. Default 1 hour; -1 is for ever.
	TTL time.Duration
	// Timeout is how long an embedding may take. Default 2 s.
	Timeout time.Duration
	// MaxText is the longest text, in bytes, that is compared. Default 8 KiB.
	MaxText int
	// Share returns whose answers a request may have, and who may have its: all with
	// the same name. Default the tenant.
	Share func(x *llm.Exchange) string
	// Sampled also keeps answers to requests that do not ask for the temperature 0.
	// Default false.
	Sampled bool
	// OnError is told why there was no embedding, on the path of a request. Default
	// none.
	OnError func(err error)
}

// Stats counts requests: those that an answer was found for, those without one,
// those that the cache is not for, and those without an embedding.
type Stats struct {
	Hits, Misses, Skipped, Failed uint64
	// Entries and Bytes are what it holds.
	Entries, Bytes int
}

// Cache is an llm.Similar in memory, safe for concurrent use, with nothing to close.
type Cache struct {
	embed Embedder
	o     Options

	hits, misses, skipped, failed atomic.Uint64

	mu    sync.Mutex
	parts map[key][]*list.Element
	order *list.List // The latest in front.
	size  int
}

// key is what has to be the same of two requests.
type key [sha256.Size]byte

// entry is one answer. It is never changed.
type entry struct {
	part   key
	vector []float32 // Of the length 1.
	answer *llm.Answer
	until  time.Time
	size   int
}

// New returns an empty cache.
func New(e Embedder, o *Options) *Cache {
	c := &Cache{embed: e, parts: make(map[key][]*list.Element), order: list.New()}
	if o != nil {
		c.o = *o
	}
	if c.o.Threshold <= 0 {
		c.o.Threshold = 0.95
	}
	if c.o.MaxBytes <= 0 {
		c.o.MaxBytes = 64 << 20
	}
	if c.o.TTL == 0 {
		c.o.TTL = time.Hour
	}
	if c.o.Timeout <= 0 {
		c.o.Timeout = 2 * time.Second
	}
	if c.o.MaxText <= 0 {
		c.o.MaxText = 8 << 10
	}
	if c.o.Share == nil {
		c.o.Share = func(x *llm.Exchange) string { return x.Tenant }
	}
	return c
}

// Find implements llm.Similar.
func (c *Cache) Find(ctx context.Context, x *llm.Exchange, body []byte) (*llm.Answer, func(*llm.Answer)) {
	part, text, ok := c.read(x, body)
	if !ok {
		c.skipped.Add(1)
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(ctx, c.o.Timeout)
	defer cancel()
	v, err := c.embed.Embed(ctx, text)
	v = slices.Clone(v) // The embedder may keep its own.
	if err != nil || !normalize(v) {
		c.failed.Add(1)
		if err != nil && c.o.OnError != nil {
			c.o.OnError(err)
		}
		return nil, nil
	}
	if a := c.nearest(part, v); a != nil {
		c.hits.Add(1)
		return a, nil
	}
	c.misses.Add(1)
	return nil, func(a *llm.Answer) { c.put(part, v, a) }
}

// read takes a request apart into what has to be the same and the text. It is false
// for one that is not kept.
func (c *Cache) read(x *llm.Exchange, body []byte) (part key, text string, ok bool) {
	if x.Stream || x.Operation != llm.Chat && x.Operation != llm.Completion {
		return part, "", false
	}
	var members map[string]json.RawMessage
	if json.Unmarshal(body, &members) != nil || members["tools"] != nil || members["functions"] != nil {
		return part, "", false
	}
	var temperature *float64
	if raw := members["temperature"]; !c.o.Sampled && (json.Unmarshal(raw, &temperature) != nil || temperature == nil || *temperature != 0) {
		return part, "", false
	}
	h := sha256.New()
	put := func(b []byte) {
		sum := sha256.Sum256(b)
		_, _ = h.Write(sum[:]) // It never fails.
	}
	put([]byte(c.o.Share(x)))
	put([]byte(x.Operation))
	if x.Operation == llm.Chat {
		var messages []json.RawMessage
		if json.Unmarshal(members["messages"], &messages) != nil || len(messages) == 0 {
			return part, "", false
		}
		last := len(messages) - 1
		var m map[string]json.RawMessage
		if json.Unmarshal(messages[last], &m) != nil || string(m["role"]) != `"user"` || len(m) != 2 || json.Unmarshal(m["content"], &text) != nil {
			return part, "", false
		}
		for _, m := range messages[:last] {
			put(m)
		}
		delete(members, "messages")
	} else {
		if json.Unmarshal(members["prompt"], &text) != nil {
			return part, "", false
		}
		delete(members, "prompt")
	}
	for _, name := range slices.Sorted(maps.Keys(members)) {
		put([]byte(name))
		put(members[name])
	}
	h.Sum(part[:0])
	return part, text, text != "" && len(text) <= c.o.MaxText
}

// nearest returns the answer to what is most alike, nil if nothing is.
func (c *Cache) nearest(part key, v []float32) *llm.Answer {
	now := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	var best *list.Element
	most := float32(c.o.Threshold)
	for _, at := range slices.Clone(c.parts[part]) {
		e, _ := at.Value.(*entry)
		if c.o.TTL > 0 && now.After(e.until) {
			c.remove(at)
			continue
		}
		if d := dot(e.vector, v); d >= most {
			most, best = d, at
		}
	}
	if best == nil {
		return nil
	}
	c.order.MoveToFront(best)
	e, _ := best.Value.(*entry)
	return e.answer
}

// entrySize is about what an entry takes beside its vector and answer.
const entrySize = 400

// put keeps an answer. One that is larger than an eighth of the cache is not.
func (c *Cache) put(part key, v []float32, a *llm.Answer) {
	size := 4*len(v) + len(a.Body) + entrySize
	if size > c.o.MaxBytes/8 || !complete(a.Body) {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	e := &entry{part: part, vector: v, answer: a, until: time.Now().Add(c.o.TTL), size: size}
	c.parts[part] = append(c.parts[part], c.order.PushFront(e))
	c.size += size
	for c.size > c.o.MaxBytes {
		c.remove(c.order.Back())
	}
}

// remove forgets an entry. The lock is held.
func (c *Cache) remove(at *list.Element) {
	e, _ := c.order.Remove(at).(*entry)
	c.size -= e.size
	left := slices.DeleteFunc(c.parts[e.part], func(other *list.Element) bool { return other == at })
	if len(left) == 0 {
		delete(c.parts, e.part)
	} else {
		c.parts[e.part] = left
	}
}

// complete reports whether all choices of an answer came to their end, and none
// calls a tool.
func complete(body []byte) bool {
	var a struct {
		Choices []struct {
			Finish  string `json:"finish_reason"`
			Message struct {
				Calls    json.RawMessage `json:"tool_calls"`
				Function json.RawMessage `json:"function_call"`
			}
		}
	}
	if json.Unmarshal(body, &a) != nil || len(a.Choices) == 0 {
		return false
	}
	for _, c := range a.Choices {
		calls := bytes.TrimSpace(c.Message.Calls)
		if c.Finish != "stop" || len(calls) > 0 && string(calls) != "null" && string(calls) != "[]" || len(c.Message.Function) > 0 && string(c.Message.Function) != "null" {
			return false
		}
	}
	return true
}

// Stats returns the counters.
func (c *Cache) Stats() Stats {
	c.mu.Lock()
	defer c.mu.Unlock()
	return Stats{Hits: c.hits.Load(), Misses: c.misses.Load(), Skipped: c.skipped.Load(), Failed: c.failed.Load(), Entries: c.order.Len(), Bytes: c.size}
}

// normalize makes the length of a vector 1. It is false for one without a direction.
func normalize(v []float32) bool {
	sum := 0.0
	for _, x := range v {
		sum += float64(x) * float64(x)
	}
	if !(sum > 0) || math.IsInf(sum, 0) {
		return false
	}
	by := float32(1 / math.Sqrt(sum))
	for i := range v {
		v[i] *= by
	}
	return true
}

// dot is the product of two vectors, 0 for those of different lengths. Four sums do
// not wait for each other.
func dot(a, b []float32) float32 {
	if len(a) != len(b) {
		return 0
	}
	var s0, s1, s2, s3 float32
	for len(a) >= 4 && len(b) >= 4 {
		s0 += a[0] * b[0]
		s1 += a[1] * b[1]
		s2 += a[2] * b[2]
		s3 += a[3] * b[3]
		a, b = a[4:], b[4:]
	}
	for i := range a {
		s0 += a[i] * b[i]
	}
	return s0 + s1 + s2 + s3
}
