package dataset

import (
	"container/list"
	"sync"

	"github.com/millwright-ml/millwright/dataset/internal/pqfile"
)

// tailBytes bounds the ends of files that a catalog remembers. A parsed end
// takes a few times its bytes.
const tailBytes = 16 << 20

// tailCache remembers what the ends of files say, by their SHA-256, so that
// reading one row group after another costs one request each. The zero value is
// ready.
type tailCache struct {
	mu    sync.Mutex
	used  list.List // Of *tailEntry, the latest first.
	by    map[string]*list.Element
	bytes int64
}

type tailEntry struct {
	sum  string
	file *pqfile.File
	size int64
}

func (c *tailCache) get(sum string) *pqfile.File {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.by[sum]
	if e == nil {
		return nil
	}
	c.used.MoveToFront(e)
	return e.Value.(*tailEntry).file
}

func (c *tailCache) put(sum string, file *pqfile.File, size int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.by[sum] != nil || size > tailBytes {
		return
	}
	if c.by == nil {
		c.by = map[string]*list.Element{}
	}
	c.by[sum] = c.used.PushFront(&tailEntry{sum, file, size})
	for c.bytes += size; c.bytes > tailBytes; {
		last := c.used.Back()
		gone := c.used.Remove(last).(*tailEntry)
		delete(c.by, gone.sum)
		c.bytes -= gone.size
	}
}
