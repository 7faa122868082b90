package sqlstore

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"maps"
	"sync"

	"github.com/millwright-ml/millwright/tracking"
)

// maxCachedKeys bounds the memory of the cache; a store with more keys in use
// reads some of them again.
const maxCachedKeys = 1 << 16

// keyCache remembers ids of mw_key. Rows of that table never change, so an
// entry is right for ever, in every process, once its transaction committed.
type keyCache struct {
	mu  sync.Mutex
	ids map[string]int64
}

// pendingKeys are ids seen in one transaction, which may still roll back.
type pendingKeys struct {
	cache *keyCache
	ids   map[string]int64 // of the keys in use
	fresh map[string]int64 // of those, what the cache lacks
}

func (c *keyCache) begin() *pendingKeys {
	return &pendingKeys{cache: c, ids: map[string]int64{}}
}

// commit makes the ids of a committed transaction known.
func (c *keyCache) commit(p *pendingKeys) {
	if len(p.fresh) == 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ids == nil || len(c.ids)+len(p.fresh) > maxCachedKeys {
		c.ids = make(map[string]int64, len(p.fresh))
	}
	maps.Copy(c.ids, p.fresh)
}

// resolve finds the ids of the keys and gives out those that are missing;
// afterwards p.ids has them all.
func (p *pendingKeys) resolve(ctx context.Context, tx *sql.Tx, stmt *statements, keys []string) error {
	var unknown []string
	p.cache.mu.Lock()
	for _, key := range keys {
		if _, seen := p.ids[key]; seen {
			continue
		}
		id, cached := p.cache.ids[key]
		p.ids[key] = id // 0 for the moment, when it is not cached
		if !cached {
			unknown = append(unknown, key)
		}
	}
	p.cache.mu.Unlock()
	if len(unknown) == 0 {
		return nil
	}
	if p.fresh == nil {
		p.fresh = map[string]int64{}
	}
	if err := p.read(ctx, tx, stmt.findKeys, unknown); err != nil {
		return err
	}
	missing := unknown[:0]
	for _, key := range unknown {
		if p.ids[key] == 0 {
			missing = append(missing, key)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	if err := p.read(ctx, tx, stmt.addKeys, missing); err != nil {
		return err
	}
	for _, key := range missing {
		if p.ids[key] == 0 { // the engine knows it by other bytes
			return fmt.Errorf("key %q is not valid text: %w", key, tracking.ErrInvalid)
		}
	}
	return nil
}

// read runs a statement that takes keys as a JSON array and returns rows of
// key and id.
func (p *pendingKeys) read(ctx context.Context, tx *sql.Tx, stmt *sql.Stmt, keys []string) error {
	list, err := json.Marshal(keys)
	if err != nil {
		return err
	}
	rows, err := tx.StmtContext(ctx, stmt).QueryContext(ctx, string(list))
	if err != nil {
		return err
	}
	return drainRows(rows, func(rows *sql.Rows) error {
		var key string
		var id int64
		if err := rows.Scan(&key, &id); err != nil {
			return err
		}
		p.ids[key], p.fresh[key] = id, id
		return nil
	})
}
