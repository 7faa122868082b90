package llm

import (
	"container/list"
	"sync"
)

// MemoryCache is a Cache of so many bytes. Answers that were not used for longest
// go first.
type MemoryCache struct {
	most int

	mu    sync.Mutex
	size  int
	at    map[Key]*list.Element
	order *list.List // The latest in front.
}

// cached is one answer.
type cached struct {
	key    Key
	answer *Answer
}

// cachedSize is about what an answer takes beside its body.
const cachedSize = 256

// NewMemoryCache returns an empty cache of at most so many bytes.
func NewMemoryCache(bytes int) *MemoryCache {
	return &MemoryCache{most: bytes, at: make(map[Key]*list.Element), order: list.New()}
}

// Get implements Cache.
func (m *MemoryCache) Get(key Key) (*Answer, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	e := m.at[key]
	if e == nil {
		return nil, false
	}
	m.order.MoveToFront(e)
	c, _ := e.Value.(*cached)
	return c.answer, true
}

// Put implements Cache. An answer that is larger than an eighth of the cache is
// not kept.
func (m *MemoryCache) Put(key Key, a *Answer) {
	size := len(a.Body) + cachedSize
	if size > m.most/8 {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if e := m.at[key]; e != nil {
		m.remove(e)
	}
	m.at[key] = m.order.PushFront(&cached{key, a})
	m.size += size
	for m.size > m.most {
		m.remove(m.order.Back())
	}
}

// remove forgets an answer. The lock is held.
func (m *MemoryCache) remove(e *list.Element) {
	c, _ := m.order.Remove(e).(*cached)
	delete(m.at, c.key)
	m.size -= len(c.answer.Body) + cachedSize
}

// Size is the number of bytes that the cache holds, about.
func (m *MemoryCache) Size() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.size
}
